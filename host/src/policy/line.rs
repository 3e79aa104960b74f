//! One line of a policy file: what it may say, and the words that tell an editor what to write instead.
//!
//! Nothing is guessed and nothing is dropped: a line is a rule, a link, a case, blank, a comment, or a mistake.
//! Fields are split at commas; quotes have no meaning, so no quote left open can swallow the lines behind it.

use crate::limits;
use crate::model::{Action, Attempt, Caller, Resource, Subject, Tenant};

use super::pattern::Pattern;

/// `p, subject or role, tenant or *, object pattern, action or *, allow or deny`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Rule {
    /// A qualified subject or a role.
    pub(super) subject: String,
    /// `None` in every tenant.
    pub(super) tenant: Option<Tenant>,
    pub(super) object: Pattern,
    /// `None` for every action.
    pub(super) action: Option<Action>,
    pub(super) allow: bool,
}

/// `g, subject or role, role, tenant or *`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Link {
    /// A qualified subject or a role.
    pub(super) member: String,
    pub(super) role: String,
    /// `None` in every tenant.
    pub(super) tenant: Option<Tenant>,
}

/// `allow or deny, subject, tenant, object, action`: what the rules have to decide.
#[derive(Clone, Debug)]
pub(super) struct Case {
    pub(super) allow: bool,
    pub(super) caller: Caller,
    pub(super) action: Action,
    pub(super) resource: Resource,
}

/// What a line of a policy file holds.
pub(super) enum Line {
    Rule(Rule),
    Link(Link),
}

/// The fields of a line; `None` for a blank line or a comment.
fn fields(line: &str) -> Result<Option<Vec<&str>>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    if line.contains('"') {
        return Err("quotes have no meaning here; write the fields without".to_owned());
    }
    if line.contains('#') {
        return Err("a comment has a line of its own, beginning with `#`".to_owned());
    }
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    match fields.iter().flat_map(|field| field.chars()).find(|c| is_unseen(*c)) {
        Some(c) => Err(format!("the character `{}`, which cannot be seen, may not stand here", c.escape_unicode())),
        None => Ok(Some(fields)),
    }
}

/// Whether an editor shows nothing for it, or a blank that is none: a name with it is not the name that one reads.
fn is_unseen(c: char) -> bool {
    let formats =
        matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}');
    formats || c.is_control() || (c.is_whitespace() && c != ' ')
}

/// Reads a line of a policy file. `owner` is the tenant whose file it is.
pub(super) fn parse(line: &str, owner: Option<&Tenant>) -> Result<Option<Line>, String> {
    let Some(fields) = fields(line)? else { return Ok(None) };
    match fields[..] {
        ["p", subject, tenant, object, action, effect] => {
            let tenant = tenant_or_all(tenant, owner)?;
            let rule = Rule {
                subject: member(subject, tenant.as_ref(), owner)?,
                object: Pattern::parse(object)?,
                action: action_or_all(action)?,
                allow: effect_word("effect", effect)?,
                tenant,
            };
            if rule.tenant.is_some() && rule.object.is_over_tenants() {
                return Err(format!(
                    "`{object}` belongs to no tenant; only a rule for `*`, outside of tenants/, can speak of it"
                ));
            }
            Ok(Some(Line::Rule(rule)))
        }
        ["p", ..] => Err(count("p", "p, subject or role, tenant, object, action, effect", 6, fields.len())),
        ["g", subject, role, tenant] => {
            let tenant = tenant_or_all(tenant, owner)?;
            let member = member(subject, tenant.as_ref(), owner)?;
            Ok(Some(Line::Link(Link { member, role: role_name(role)?, tenant })))
        }
        ["g", ..] => Err(count("g", "g, subject or role, role, tenant", 4, fields.len())),
        [kind, ..] => Err(format!("unknown kind of line `{kind}`; a line begins with `p` or `g`")),
        [] => Ok(None),
    }
}

/// Reads a line of a file of cases.
pub(super) fn parse_case(line: &str, owner: Option<&Tenant>) -> Result<Option<Case>, String> {
    let Some(fields) = fields(line)? else { return Ok(None) };
    let [effect, subject, tenant, object, action] = fields[..] else {
        return Err(count("case", "allow or deny, subject, tenant, object, action", 5, fields.len()));
    };
    let allow = effect_word("outcome", effect)?;
    let Some(tenant) = tenant_or_all(tenant, owner)? else {
        return Err("a case names one tenant, not `*`".to_owned());
    };
    let caller = caller(subject, &tenant)?;
    let resource = self::object(object)?;
    let Some(action) = action_or_all(action)? else {
        return Err("a case names one action, not `*`".to_owned());
    };
    Ok(Some(Case { allow, caller, action, resource }))
}

fn count(kind: &str, form: &str, wanted: usize, found: usize) -> String {
    format!("a `{kind}` line has {wanted} fields ({form}), this one has {found}")
}

/// One object by its path.
pub(super) fn object(text: &str) -> Result<Resource, String> {
    if !text.starts_with('/') || text.contains('*') {
        return Err(format!("an object is one, named by its path, such as `/timescale/sensors/room-4`, not `{text}`"));
    }
    // What the pattern reader refuses no resource is named, and it writes names as resources do.
    Ok(Resource::named(Pattern::parse(text)?.as_str()))
}

/// Whom a case speaks of: a subject of the tenant itself, of another (`default/user:x`), or a part of Weir.
pub(super) fn caller(name: &str, tenant: &Tenant) -> Result<Caller, String> {
    let qualified = member(name, Some(tenant), None)?;
    let (home, subject) = match qualified.split_once('/') {
        Some((home, subject)) if !is_of_weir(name) => (Tenant::parse(home).map_err(|e| e.to_string())?, subject),
        _ if is_of_weir(name) => (tenant.clone(), name),
        _ => return Err(format!("this is to be a subject, and `{name}` is a role")),
    };
    Ok(Caller {
        subject: Subject::named(subject),
        tenant: tenant.clone(),
        home,
        bearer: None,
        request_id: "case".into(),
        attempt: Attempt::default(),
    })
}

fn is_of_weir(name: &str) -> bool {
    name.starts_with("service:") || name.starts_with("job:")
}

fn is_of_tenant(name: &str) -> bool {
    name.starts_with("user:") || name.starts_with("token:")
}

/// The name under which rules know a caller: its home tenant belongs to it, so that nobody gains anything by a name taken from elsewhere.
/// Only Weir itself makes callers named `service:…` and `job:…`.
pub(super) fn qualified(home: &Tenant, subject: &Subject) -> String {
    pieces(home, subject).concat()
}

/// The same in pieces.
pub(super) fn pieces<'a>(home: &'a Tenant, subject: &'a Subject) -> [&'a str; 3] {
    let name = subject.as_str();
    if is_of_weir(name) { ["", "", name] } else { [home.as_str(), "/", name] }
}

/// A subject, written in full, or a role.
fn member(name: &str, tenant: Option<&Tenant>, owner: Option<&Tenant>) -> Result<String, String> {
    if name.contains('*') {
        return Err(format!("a subject is named in full, without `*`; give `{name}` a role instead"));
    }
    if name.len() > limits::NAME_BYTES + 80 {
        return Err("the subject is longer than any name".to_owned());
    }
    let bare = name.split_once(':').is_some_and(|(_, rest)| !rest.is_empty());
    if is_of_tenant(name) && bare {
        return match tenant {
            Some(tenant) => Ok(format!("{tenant}/{name}")),
            None => {
                Err(format!("in all tenants `{name}` could be anybody of that name; say whose it is, such as `default/{name}`"))
            }
        };
    }
    if is_of_weir(name) && bare {
        return Ok(name.to_owned());
    }
    if let Some((home, rest)) = name.split_once('/').filter(|(_, rest)| is_of_tenant(rest) && !rest.ends_with(':')) {
        let home = Tenant::parse(home).map_err(|_| format!("`{home}` in `{name}` is no tenant's name"))?;
        return match owner {
            Some(owner) if *owner != home => {
                Err(format!("a file of tenant `{owner}` cannot speak of `{name}`, who belongs to tenant `{home}`"))
            }
            _ => Ok(format!("{home}/{rest}")),
        };
    }
    if name.contains(':') || name.contains('/') {
        return Err(format!("unknown kind of subject `{name}`; write `user:…`, `token:…`, `service:…`, `job:…` or a role"));
    }
    role_name(name)
}

fn role_name(name: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.is_empty() || name.len() > limits::NAME_BYTES || !name.chars().all(allowed) {
        return Err(format!("`{name}` is no role's name, which has letters, digits, `-`, `_` and `.`"));
    }
    Ok(name.to_owned())
}

fn tenant_or_all(word: &str, owner: Option<&Tenant>) -> Result<Option<Tenant>, String> {
    if let Some(owner) = owner {
        if word != owner.as_str() {
            return Err(format!("this file speaks of tenant `{owner}` only; write `{owner}` for `{word}`"));
        }
        return Ok(Some(owner.clone()));
    }
    if word == "*" {
        return Ok(None);
    }
    Tenant::parse(word).map(Some).map_err(|_| format!("`{word}` is no tenant's name; write one, or `*` for all"))
}

fn action_or_all(word: &str) -> Result<Option<Action>, String> {
    if word == "*" {
        return Ok(None);
    }
    let words = Action::ALL.map(Action::as_str);
    Action::ALL.into_iter().find(|action| action.as_str() == word).map(Some).ok_or_else(|| unknown("action", word, &words))
}

fn effect_word(what: &str, word: &str) -> Result<bool, String> {
    match word {
        "allow" => Ok(true),
        "deny" => Ok(false),
        _ => Err(unknown(what, word, &["allow", "deny"])),
    }
}

fn unknown(what: &str, word: &str, words: &[&str]) -> String {
    match words.iter().find(|known| known.eq_ignore_ascii_case(word)) {
        Some(known) => format!("unknown {what} `{word}`; write `{known}`"),
        None => format!("unknown {what} `{word}`; write `{}`", words.join("` or `")),
    }
}

#[cfg(test)]
mod tests {
    use rand::rngs::StdRng;
    use rand::{RngExt, SeedableRng};

    use super::*;

    /// A slip of the keyboard in a deny is a mistake, or a deny still; it is never nothing and never a yes.
    #[test]
    fn no_slip_makes_a_deny_vanish() {
        let sound = "p, default/user:ann, acme, /storage/files/reports/**, delete, deny";
        let keys: Vec<char> = "abdepPgy*/:.,-_~%# \"'\\{[]}?!0Aé\u{0}\u{a0}\u{200b}\t".chars().collect();
        let mut random = StdRng::seed_from_u64(4_711);
        let (mut refused, mut denies) = (0, 0);
        for _ in 0..20_000 {
            let mut text: Vec<char> = sound.chars().collect();
            for _ in 0..random.random_range(1..4) {
                let at = random.random_range(0..text.len());
                let key = keys[random.random_range(0..keys.len())];
                match random.random_range(0..4) {
                    0 => text.insert(at, key),
                    1 => text[at] = key,
                    2 => drop(text.remove(at)),
                    _ => text[at..].reverse(),
                }
            }
            let text: String = text.into_iter().collect();
            match parse(&text, None) {
                Err(_) => refused += 1,
                Ok(Some(Line::Rule(rule))) => {
                    assert!(!rule.allow, "{text}");
                    denies += 1;
                }
                Ok(Some(Line::Link(_))) => panic!("a rule became a link: {text}"),
                Ok(None) => assert!(text.trim_start().starts_with('#'), "a rule became nothing: {text:?}"),
            }
        }
        assert!(refused > 5_000 && denies > 1_000, "{refused} {denies}");
    }
}
