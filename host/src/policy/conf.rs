//! `model.conf`: casbin's model, which the gateway's decisions rest on.
//!
//! It is read so that it can be seen beside the rules, and it has to say what is expected here: the decisions are kept by the set of
//! patterns that a path matches, which is sound for this matcher and would not be for any other. casbin panics on an effect it does not
//! know, in the first decision; here that is a mistake at its line.

use casbin::{DefaultModel, Model};

/// Section, key and what it has to say.
const EXPECTED: [(&str, &str, &str); 5] = [
    ("request_definition", "r", "sub, dom, obj, act"),
    ("policy_definition", "p", "sub, dom, obj, act, eft"),
    ("role_definition", "g", "_, _, _"),
    ("policy_effect", "e", "some(where (p.eft == allow)) && !some(where (p.eft == deny))"),
    (
        "matchers",
        "m",
        r#"g(r.sub, p.sub, r.dom) && (p.dom == "*" || p.dom == r.dom) && pathMatch(r.obj, p.obj) && (p.act == "*" || p.act == r.act)"#,
    ),
];

/// Reads the text; the errors say the line, if there is one, and what to write.
pub(super) fn parse(text: &str) -> Result<DefaultModel, Vec<(Option<usize>, String)>> {
    let mut mistakes = Vec::new();
    let mut found: Vec<&str> = Vec::new();
    let mut model = DefaultModel::default();
    let mut section = "";
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = name.trim();
            if !EXPECTED.iter().any(|(known, _, _)| *known == section) {
                mistakes.push((Some(number), format!("unknown section `[{section}]`")));
            }
            continue;
        }
        let Some((key, value)) = line.split_once('=').map(|(key, value)| (key.trim(), value.trim())) else {
            mistakes.push((Some(number), format!("`{line}` is no `key = value`")));
            continue;
        };
        match EXPECTED.iter().find(|(of, known, _)| *of == section && *known == key) {
            None => mistakes.push((Some(number), format!("unknown key `{key}` in section `[{section}]`"))),
            Some(_) if found.contains(&key) => mistakes.push((Some(number), format!("`{key}` stands here twice"))),
            Some((_, known, expected)) if bare(expected) != bare(value) => {
                found.push(known);
                mistakes.push((Some(number), format!("`{key}` has to be `{expected}`; decisions rest on it")));
            }
            Some((_, known, expected)) => {
                found.push(known);
                model.add_def(known, known, expected);
            }
        }
    }
    for (of, key, expected) in EXPECTED {
        if !found.contains(&key) {
            mistakes.push((None, format!("section `[{of}]` lacks `{key} = {expected}`")));
        }
    }
    if mistakes.is_empty() { Ok(model) } else { Err(mistakes) }
}

/// The text without its blanks.
fn bare(text: &str) -> String {
    text.chars().filter(|c| !c.is_whitespace()).collect()
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn each_way_to_break_it_is_named_with_its_line() {
        let sound = include_str!("../../../policies/model.conf");
        assert!(parse(sound).is_ok());
        for (from, to, words) in [
            ("!some(where (p.eft == deny))", "true", "`e` has to be"),
            ("[matchers]", "[matcher]", "unknown section"),
            ("g = _, _, _", "g = _, _", "`g` has to be"),
            ("r = sub, dom, obj, act", "", "lacks `r ="),
            ("[matchers]", "nonsense\n[matchers]", "no `key = value`"),
            ("g = _, _, _", "g = _, _, _\ng = _, _, _", "twice"),
            ("g = _, _, _", "g = _, _, _\ng2 = _, _", "unknown key `g2`"),
        ] {
            assert!(sound.contains(from), "{from}");
            let said = parse(&sound.replace(from, to)).err().expect("a mistake");
            assert!(said.iter().any(|(_, text)| text.contains(words)), "{words}: {said:?}");
        }
    }
}
