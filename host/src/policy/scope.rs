//! Scopes of tokens, `<action or *>:<object pattern>`: what they let through, and what a new token may be given.
//!
//! A scope takes away and never gives. Its pattern is one of policy files, read by the same reader, so that what could never match is
//! refused where it is written.

use std::sync::Arc;

use super::pattern::{self, Pattern};
use crate::limits;
use crate::model::{Action, Bearer, Resource, Scope};

/// Reads a scope; the error says what to write instead.
pub fn parse(text: &str) -> Result<Scope, String> {
    let form = || format!("a scope has the form `read:/timescale/**`, which `{}` has not", text.escape_debug());
    if text.len() > limits::SCOPE_BYTES {
        return Err(format!("a scope has at most {} bytes", limits::SCOPE_BYTES));
    }
    let (action, object) = text.split_once(':').ok_or_else(form)?;
    let action = match action {
        "*" => None,
        word => {
            let known = Action::ALL.into_iter().find(|action| action.as_str() == word);
            Some(known.ok_or_else(|| {
                let words = Action::ALL.map(Action::as_str).join("`, `");
                format!("a scope begins with `{words}` or `*`, and not with `{}`", word.escape_debug())
            })?)
        }
    };
    Ok(Scope { action, object: Pattern::parse(object)?.as_str().into() })
}

/// Why none of the bearer's scopes lets this through; `None` where one does, or where there are none.
pub(super) fn outside(bearer: Option<&Bearer>, action: Action, resource: &Resource) -> Option<Arc<str>> {
    let scopes = &bearer?.scopes;
    let lets = |scope: &Scope| scope.action.is_none_or(|of| of == action) && pattern::matches(&scope.object, resource.as_str());
    if scopes.is_empty() || scopes.iter().any(lets) {
        return None;
    }
    let scopes: Vec<String> = scopes.iter().map(ToString::to_string).collect();
    Some(format!("the policy allows it, and no scope of the token does: {}", scopes.join(", ")).into())
}

/// Whether whatever `inner` lets through `outer` lets through, too. Where it is not plain that it does, it does not.
pub fn covers(outer: &Scope, inner: &Scope) -> bool {
    let last = |pattern: &Arc<str>| pattern.rsplit('/').next() == Some("**");
    // The stars of the inner pattern are characters to the outer one, which only a star of its own covers; but two stars are more than
    // one segment, which only two cover.
    outer.action.is_none_or(|of| inner.action == Some(of))
        && (!last(&inner.object) || last(&outer.object))
        && pattern::matches(&outer.object, &inner.object)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(text: &str) -> Scope {
        parse(text).expect(text)
    }

    #[test]
    fn a_scope_is_an_action_and_a_pattern() {
        assert_eq!(scope("read:/timescale/**").to_string(), "read:/timescale/**");
        assert_eq!(scope("*:/**").action, None);
        for (text, words) in [
            ("/timescale/**", "has the form"),
            ("reads:/timescale/**", "begins with `read`"),
            ("Read:/timescale/**", "begins with `read`"),
            ("read:timescale", "begin with `/`"),
            ("read:/timescales/**", "no resource begins"),
            ("read:", "begin with `/`"),
        ] {
            let said = parse(text).expect_err(text);
            assert!(said.contains(words), "{text}: {said}");
        }
        assert!(parse(&format!("read:/timescale/sensors/{}", "x".repeat(1_000))).is_err());
    }

    #[test]
    fn nobody_hands_on_more_than_it_has() {
        for (outer, inner, expected) in [
            ("read:/timescale/**", "read:/timescale/sensors/*", true),
            ("read:/timescale/**", "read:/timescale/**", true),
            ("*:/**", "admin:/platform/tokens", true),
            ("read:/timescale/**", "write:/timescale/sensors/*", false),
            ("read:/timescale/**", "*:/timescale/**", false),
            ("read:/timescale/sensors/*", "read:/timescale/**", false),
            ("read:/timescale/sensors/*", "read:/timescale/sensors/**", false),
            ("read:/timescale/sensors/a*", "read:/timescale/sensors/a*b", true),
            ("read:/timescale/sensors/a*b", "read:/timescale/sensors/a*", false),
            ("read:/timescale/sensors/a", "read:/timescale/sensors/*", false),
            ("read:/storage/files/reports/**", "read:/storage/files/*/**", false),
        ] {
            assert_eq!(covers(&scope(outer), &scope(inner)), expected, "{outer} {inner}");
        }
    }
}
