//! Whether two schemas say the same: the short way, and the only one for keywords that cannot be compared otherwise.

use serde_json::Value;

use super::Checker;
use super::doc::Node;
use super::takes::same;

impl<'a> Checker<'a> {
    /// True where the schemas have the same keywords with the same values, annotations aside, and references lead to the same.
    pub(super) fn equal(&mut self, one: Node<'a>, other: Node<'a>) -> bool {
        let equal = one.doc.dialect == other.doc.dialect && self.alike(one, other);
        // Pairs that were counted as equal because they are under way are so if all is.
        let assumed = std::mem::take(&mut self.assumed);
        if equal {
            self.equals.extend(assumed.into_iter().map(|pair| (pair, true)));
        }
        equal
    }

    fn alike(&mut self, one: Node<'a>, other: Node<'a>) -> bool {
        let pair = (one.id(), other.id());
        if pair.0 == pair.1 || self.assumed.contains(&pair) {
            return true;
        }
        if let Some(known) = self.equals.get(&pair) {
            return *known;
        }
        self.assumed.insert(pair);
        let equal = self.enter() && self.have_the_same(one, other);
        self.leave();
        if !equal {
            self.equals.insert(pair, false);
        }
        equal
    }

    fn have_the_same(&mut self, one: Node<'a>, other: Node<'a>) -> bool {
        match (one.value, other.value) {
            (Value::Bool(one), Value::Bool(other)) => return one == other,
            (Value::Object(_), Value::Object(_)) => {}
            _ => return false,
        }
        let has = |node: Node<'a>, keyword: &str| node.get(keyword).is_some();
        if !other.keywords().all(|(keyword, _)| has(one, keyword)) {
            return false;
        }
        one.keywords()
            .all(|(keyword, value)| other.get(keyword).is_some_and(|own| self.same_keyword(keyword, (one, value), (other, own))))
    }

    fn same_keyword(&mut self, keyword: &str, (one, own): (Node<'a>, &'a Value), (other, theirs): (Node<'a>, &'a Value)) -> bool {
        match keyword {
            "$ref" => match (one.target(), other.target()) {
                (Some(one), Some(other)) => self.alike(one, other),
                _ => false,
            },
            "additionalItems"
            | "additionalProperties"
            | "not"
            | "if"
            | "then"
            | "else"
            | "contains"
            | "propertyNames"
            | "unevaluatedItems"
            | "unevaluatedProperties" => match (one.schema(keyword), other.schema(keyword)) {
                (Some(one), Some(other)) => self.alike(one, other),
                _ => false,
            },
            "items" if !own.is_array() => match (one.schema(keyword), other.schema(keyword)) {
                (Some(one), Some(other)) => self.alike(one, other),
                _ => false,
            },
            "allOf" | "anyOf" | "oneOf" | "prefixItems" | "items" => {
                let (one, other) = (one.list(keyword), other.list(keyword));
                one.len() == other.len() && one.into_iter().zip(other).all(|(one, other)| self.alike(one, other))
            }
            "properties" | "patternProperties" | "dependentSchemas" => {
                let size = |value: &Value| value.as_object().map(serde_json::Map::len);
                size(own) == size(theirs)
                    && one.map(keyword).all(|(name, one)| other.member(keyword, name).is_some_and(|other| self.alike(one, other)))
            }
            "dependencies" => {
                let (Value::Object(own), Value::Object(theirs)) = (own, theirs) else { return false };
                own.len() == theirs.len()
                    && own.iter().all(|(name, value)| match (one.member(keyword, name), other.member(keyword, name)) {
                        (Some(one), Some(other)) => self.alike(one, other),
                        (None, None) => theirs.get(name).is_some_and(|theirs| same(value, theirs)),
                        _ => false,
                    })
            }
            _ => {
                self.step(own.as_array().map_or(0, Vec::len) / 16);
                same(own, theirs)
            }
        }
    }
}
