//! What secrets and e-mail addresses look like.
//!
//! Only what says itself what it is: a text that is merely random may be a digest or an id, and who sends one cannot know why it is
//! refused.

/// Secrets that begin alike: what they are, the beginning, and how many characters of a token follow at least.
const TOKENS: &[(&str, &str, usize)] = &[
    ("a token of Weir", "weir_", 40),
    ("an access key of AWS", "AKIA", 16),
    ("an access key of AWS", "ASIA", 16),
    ("a token of GitHub", "ghp_", 36),
    ("a token of GitHub", "gho_", 36),
    ("a token of GitHub", "ghu_", 36),
    ("a token of GitHub", "ghs_", 36),
    ("a token of GitHub", "ghr_", 36),
    ("a token of GitHub", "github_pat_", 36),
    ("a token of GitLab", "glpat-", 20),
    ("a token of Slack", "xoxb-", 20),
    ("a token of Slack", "xoxp-", 20),
    ("a token of Slack", "xoxa-", 20),
    ("a token of npm", "npm_", 36),
    ("a key of Stripe", "sk_live_", 16),
    ("a key of Stripe", "rk_live_", 16),
    ("an API key of Google", "AIza", 35),
];

/// What secret there is in a text, if one is found.
pub(crate) fn secret(text: &str) -> Option<&'static str> {
    let has_token = |beginning: &str, least: usize| tokens(text, beginning).any(|token| token.len() >= least);
    if let Some((what, ..)) = TOKENS.iter().find(|(_, beginning, least)| has_token(beginning, *least)) {
        return Some(what);
    }
    if text.split_once("-----BEGIN ").is_some_and(|(_, rest)| rest.contains("PRIVATE KEY-----")) {
        return Some("a private key");
    }
    if text.match_indices("eyJ").any(|(at, _)| begins_at(text, at) && is_web_token(&text[at..])) {
        return Some("a JSON Web Token");
    }
    text.match_indices("://").any(|(at, mark)| has_password(&text[at + mark.len()..])).then_some("a URL with a password")
}

/// What follows each occurrence of a beginning, as far as it can be part of a token.
fn tokens<'t>(text: &'t str, beginning: &str) -> impl Iterator<Item = &'t str> {
    let found = text.match_indices(beginning).filter(|(at, _)| begins_at(text, *at));
    found.map(|(at, beginning)| {
        leading(&text[at + beginning.len()..], |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
    })
}

/// Whether no word runs into this place.
fn begins_at(text: &str, at: usize) -> bool {
    !text[..at].ends_with(|before: char| before.is_alphanumeric() || before == '_')
}

/// The bytes at the beginning of a text that all are what is asked for, which only ASCII can be.
fn leading(text: &str, is: impl Fn(u8) -> bool) -> &str {
    &text[..text.bytes().position(|byte| !is(byte)).unwrap_or(text.len())]
}

/// Whether a text begins with a header, a payload and a signature in base64, a full stop between them.
fn is_web_token(text: &str) -> bool {
    let parts = leading(text, |byte| byte.is_ascii_alphanumeric() || b"_-.".contains(&byte));
    let mut parts = parts.split('.');
    let mut next = || parts.next().unwrap_or_default();
    let (header, payload, signature) = (next(), next(), next());
    header.len() >= 10 && payload.starts_with("eyJ") && payload.len() >= 10 && signature.len() >= 10
}

/// Whether the part of a URL after `://` begins with a name and a password. `${…}` is a place for one.
fn has_password(rest: &str) -> bool {
    let authority = leading(rest, |byte| byte.is_ascii_graphic() && !b"/?#\"'<>".contains(&byte));
    let password = authority.rsplit_once('@').and_then(|(user, _)| user.split_once(':')).map_or("", |(_, password)| password);
    !password.is_empty() && !password.starts_with("${")
}

/// Whether there is an e-mail address in a text.
pub(crate) fn has_email(text: &str) -> bool {
    text.match_indices('@').any(|(at, mark)| {
        let name = text[..at].bytes().next_back().is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_-+".contains(&byte));
        name && is_domain(leading(&text[at + mark.len()..], |byte| byte.is_ascii_alphanumeric() || b".-".contains(&byte)))
    })
}

/// Whether a text is a domain of two labels at least, the last of them letters. A full stop may follow, the end of a sentence.
fn is_domain(text: &str) -> bool {
    let text = text.trim_end_matches(['.', '-']);
    let Some((labels, top)) = text.rsplit_once('.') else { return false };
    let letters = top.len() >= 2 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    letters && labels.split('.').all(|label| !label.is_empty() && !label.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_found_by_what_they_begin_with() {
        let filler = "0123456789abcdefABCDEF0123456789abcdefABCDEF";
        for (what, beginning, least) in TOKENS {
            let token = format!("{beginning}{}", &filler[..*least]);
            assert_eq!(secret(&format!("use \"{token}\" here")), Some(*what), "{token}");
            assert_eq!(secret(&token[..token.len() - 1]), None, "{token} is too short");
            assert_eq!(secret(&format!("x{token}")), None, "{token} is part of a word");
        }
    }

    #[test]
    fn keys_web_tokens_and_passwords_in_urls_are_found() {
        assert_eq!(secret("-----BEGIN EC PRIVATE KEY-----\nMHc"), Some("a private key"));
        assert_eq!(secret("-----BEGIN CERTIFICATE-----\nMHc"), None);
        assert_eq!(secret("Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w"), Some("a JSON Web Token"));
        assert_eq!(secret("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0"), None);
        assert_eq!(secret("postgres://weir:hunter2@db:5432/weir"), Some("a URL with a password"));
        assert_eq!(secret("postgres://weir:p@ss@db/weir"), Some("a URL with a password"));
        for harmless in ["https://example.com:8080/a:b@c", "postgres://weir@db", "amqp://weir:${PASSWORD}@mq", "://", "größe://ä"]
        {
            assert_eq!(secret(harmless), None, "{harmless}");
        }
    }

    #[test]
    fn addresses_are_found_in_a_sentence() {
        for text in ["ada@example.org", "write to ada.b+c@mail.example.co.uk.", "<ada@example.org>", "ö ada@example.org ö"] {
            assert!(has_email(text), "{text}");
        }
        for text in
            ["", "@", "@example.org", "ada@", "ada@localhost", "a @ b.cd", "image@sha256:0a.1b", "v@1.2.3", "a@b..cd", "ä@b.cd"]
        {
            assert!(!has_email(text), "{text}");
        }
    }
}
