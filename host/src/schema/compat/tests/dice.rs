//! Schemas, changes to them and values, all made of dice that one seed throws: a failing case is one number.

use serde_json::{Map, Value, json};

/// Throws that follow from a seed.
pub(super) struct Dice(pub(super) u64);

impl Dice {
    pub(super) fn throw(&mut self, sides: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((mixed ^ (mixed >> 31)) % sides as u64).expect("less than the sides")
    }

    pub(super) fn pick<'t, T>(&mut self, all: &'t [T]) -> &'t T {
        &all[self.throw(all.len())]
    }

    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        all.iter().filter(|_| self.throw(2) == 0).cloned().collect()
    }

    pub(super) fn value(&mut self, depth: usize) -> Value {
        match self.throw(if depth == 0 { 8 } else { 14 }) {
            0 => Value::Null,
            1 => json!(self.throw(2) == 0),
            2..=3 => json!(*self.pick(&[-1, 0, 1, 2, 3])),
            4 => json!(*self.pick(&[0.5, 1.5, 2.0, -0.5])),
            5..=7 => json!(*self.pick(&["", "a", "b", "ab", "abc"])),
            8..=10 => (0..self.throw(4)).map(|_| self.value(depth - 1)).collect(),
            _ => {
                let names = self.some(&["a", "b", "ab", "x"]);
                names.into_iter().map(|name| (name.to_owned(), self.value(depth - 1))).collect::<Map<_, _>>().into()
            }
        }
    }

    /// A value that has a chance with a schema of `root`: each throw follows another part of it.
    pub(super) fn like(&mut self, schema: &Value, root: &Value, depth: usize) -> Value {
        let Value::Object(members) = schema else { return self.value(1) };
        let below = |name: &str| members.get(name).filter(|_| depth > 0);
        let parts: Vec<&Value> =
            ["allOf", "anyOf", "oneOf"].iter().filter_map(|name| below(name)?.as_array()).flatten().collect();
        if !parts.is_empty() && self.throw(3) > 0 {
            let part = *self.pick(&parts);
            return self.like(part, root, depth - 1);
        }
        if let Some(target) = below("$ref").and_then(Value::as_str).and_then(|reference| root.pointer(&reference[1..]))
            && self.throw(2) == 0
        {
            return self.like(target, root, depth - 1);
        }
        if let Some(values) = members.get("enum").and_then(Value::as_array).filter(|values| !values.is_empty()) {
            return self.pick(values).clone();
        }
        if let Some(value) = members.get("const") {
            return value.clone();
        }
        let types = members.get("type");
        let may = |kind: &str| match types {
            Some(Value::String(only)) => only == kind,
            Some(Value::Array(all)) => all.iter().any(|one| one == kind),
            _ => true,
        };
        if depth > 0 && may("object") && self.throw(2) == 0 {
            let mut object = Map::new();
            for name in ["a", "b", "ab", "x"] {
                let required =
                    members.get("required").and_then(Value::as_array).is_some_and(|names| names.contains(&json!(name)));
                if required || self.throw(3) == 0 {
                    let own = members.get("properties").and_then(|each| each.get(name)).or(members.get("additionalProperties"));
                    object.insert(name.to_owned(), self.like(own.unwrap_or(&Value::Null), root, depth - 1));
                }
            }
            return object.into();
        }
        if depth > 0 && may("array") && self.throw(2) == 0 {
            let first = members.get("prefixItems").and_then(Value::as_array);
            let rest = members.get("items").or(members.get("contains")).unwrap_or(&Value::Null);
            return (0..self.throw(4))
                .map(|at| self.like(first.and_then(|first| first.get(at)).unwrap_or(rest), root, depth - 1))
                .collect();
        }
        self.value(1)
    }

    fn types(&mut self) -> Value {
        let all = ["null", "boolean", "integer", "number", "string", "array", "object"];
        match self.throw(3) {
            0 => json!(["object", self.pick(&all[..6])]),
            1 => json!(["string", "null"]),
            _ => json!(self.pick(&all)),
        }
    }

    /// A schema; `open` ones may leave names of objects open.
    fn schema(&mut self, depth: usize, open: bool) -> Value {
        if self.throw(12) == 0 {
            return json!(self.throw(3) > 0);
        }
        let mut members = Map::new();
        if self.throw(3) > 0 {
            members.insert("type".to_owned(), self.types());
        }
        for _ in 0..=self.throw(3) {
            self.keyword(&mut members, depth, open);
        }
        if members.contains_key("properties") && !open {
            let closed = if self.throw(3) == 0 && depth > 0 { self.schema(depth - 1, open) } else { json!(false) };
            members.entry("additionalProperties").or_insert(closed);
        }
        Value::Object(members)
    }

    fn keyword(&mut self, members: &mut Map<String, Value>, depth: usize, open: bool) {
        let small = |dice: &mut Self| json!(dice.throw(4));
        let (keyword, value) = match self.throw(if depth == 0 { 13 } else { 34 }) {
            0 => ("enum", (0..=self.throw(3)).map(|_| self.value(1)).collect()),
            1 => ("const", self.value(1)),
            2 => (*self.pick(&["minimum", "exclusiveMinimum"]), json!(*self.pick(&[-1.0, 0.0, 0.5, 1.0]))),
            3 => (*self.pick(&["maximum", "exclusiveMaximum"]), json!(*self.pick(&[0, 1, 2, 3]))),
            4 => ("multipleOf", json!(*self.pick(&[0.5, 1.0, 2.0]))),
            5 => ("minLength", small(self)),
            6 => ("maxLength", small(self)),
            7 => ("pattern", json!(*self.pick(&["^a", "b$", "^[ab]*$", "(a|b)", "^a?b?$"]))),
            8 => (*self.pick(&["minItems", "minProperties"]), small(self)),
            9 => (*self.pick(&["maxItems", "maxProperties"]), small(self)),
            10 => ("uniqueItems", json!(true)),
            11 => ("required", json!(self.some(&["a", "b"]))),
            12 => ("dependentRequired", json!({ "a": self.some(&["b", "ab"]) })),
            13..=18 => {
                let names = self.some(&["a", "b", "ab"]);
                (
                    "properties",
                    names.into_iter().map(|name| (name.to_owned(), self.schema(depth - 1, open))).collect::<Map<_, _>>().into(),
                )
            }
            19 => ("patternProperties", json!({ *self.pick(&["^a", "b", "(a|b)b"]): self.schema(depth - 1, open) })),
            20 => ("additionalProperties", self.schema(depth - 1, open)),
            21 => ("propertyNames", self.schema(0, open)),
            22 => ("dependentSchemas", json!({ "a": self.schema(depth - 1, open) })),
            23 => ("items", self.schema(depth - 1, open)),
            24 => ("prefixItems", (0..=self.throw(2)).map(|_| self.schema(depth - 1, open)).collect()),
            25 => {
                members.insert((*self.pick(&["minContains", "maxContains"])).to_owned(), small(self));
                ("contains", self.schema(depth - 1, open))
            }
            26 => ("not", self.schema(depth - 1, open)),
            27 => {
                members.insert((*self.pick(&["then", "else"])).to_owned(), self.schema(depth - 1, open));
                ("if", self.schema(depth - 1, open))
            }
            28 => (*self.pick(&["unevaluatedProperties", "unevaluatedItems"]), self.schema(0, open)),
            29 => ("allOf", (0..=self.throw(2)).map(|_| self.schema(depth - 1, open)).collect()),
            30 => ("$ref", json!(*self.pick(&["#/$defs/one", "#/$defs/two"]))),
            31 => ("oneOf", (0..=self.throw(3)).map(|_| self.schema(depth - 1, open)).collect()),
            _ => ("anyOf", (0..=self.throw(3)).map(|_| self.schema(depth - 1, open)).collect()),
        };
        members.insert(keyword.to_owned(), value);
    }

    /// A definition, with two schemas to refer to that refer to nothing.
    pub(super) fn definition(&mut self, open: bool) -> Value {
        let mut root = self.schema(2, open);
        let shared = json!({ "one": without_references(self.schema(1, open)), "two": without_references(self.schema(1, open)) });
        if let Value::Object(members) = &mut root {
            members.insert("$defs".to_owned(), shared);
        } else {
            root = json!({ "allOf": [root], "$defs": shared });
        }
        root
    }

    /// The definition with a change or two somewhere.
    pub(super) fn changed(&mut self, schema: &Value, depth: usize, open: bool) -> Value {
        let Value::Object(members) = schema else {
            return if self.throw(6) == 0 { self.schema(0, open) } else { schema.clone() };
        };
        let mut changed = Map::new();
        for (name, member) in members {
            let member = match name.as_str() {
                _ if name != "$defs" && self.throw(14) == 0 => continue,
                "minimum" | "maximum" | "minLength" | "maxLength" | "minItems" | "maxItems" if self.throw(3) == 0 => {
                    json!(self.throw(4))
                }
                "type" if self.throw(4) == 0 => self.types(),
                "enum" if self.throw(3) == 0 => {
                    let mut values = member.as_array().cloned().unwrap_or_default();
                    if self.throw(2) == 0 || values.len() < 2 {
                        values.push(self.value(0));
                    } else {
                        drop(values.pop());
                    }
                    Value::Array(values)
                }
                "properties" | "patternProperties" | "dependentSchemas" | "$defs" => {
                    let mut each = Map::new();
                    for (name, below) in member.as_object().into_iter().flatten() {
                        each.insert(name.clone(), self.changed(below, depth.saturating_sub(1), open));
                    }
                    if name == "properties" && self.throw(4) == 0 {
                        each.insert((*self.pick(&["a", "b", "ab"])).to_owned(), self.schema(0, open));
                    }
                    Value::Object(each)
                }
                "allOf" | "anyOf" | "oneOf" | "prefixItems" => {
                    let mut each: Vec<Value> = member
                        .as_array()
                        .into_iter()
                        .flatten()
                        .map(|below| self.changed(below, depth.saturating_sub(1), open))
                        .collect();
                    if self.throw(5) == 0 {
                        each.push(self.schema(0, open));
                    }
                    if self.throw(5) == 0 && each.len() > 1 {
                        each.swap(0, 1);
                    }
                    Value::Array(each)
                }
                "additionalProperties"
                | "items"
                | "contains"
                | "not"
                | "if"
                | "then"
                | "else"
                | "propertyNames"
                | "unevaluatedProperties"
                | "unevaluatedItems" => self.changed(member, depth.saturating_sub(1), open),
                _ => member.clone(),
            };
            changed.insert(name.clone(), member);
        }
        if self.throw(8) == 0 {
            self.keyword(&mut changed, depth.min(1), open);
        }
        if changed.contains_key("properties") && !open {
            changed.entry("additionalProperties").or_insert(json!(false));
        }
        Value::Object(changed)
    }
}

fn without_references(mut schema: Value) -> Value {
    fn clean(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.remove("$ref");
                members.values_mut().for_each(clean);
            }
            Value::Array(items) => items.iter_mut().for_each(clean),
            _ => {}
        }
    }
    clean(&mut schema);
    schema
}

/// True for a keyword that an older draft does not know, or not with this value.
fn has_no_words(draft: u8, keyword: &str, value: &Value) -> bool {
    match keyword {
        "unevaluatedProperties" | "unevaluatedItems" | "minContains" | "maxContains" => true,
        "const" | "contains" | "propertyNames" | "if" | "then" | "else" => draft == 4,
        "required" | "enum" | "dependentRequired" => draft == 4 && value.to_string().contains("[]"),
        _ => false,
    }
}

/// The schema in the words of an older draft; what it has no words for goes.
pub(super) fn in_draft(schema: &Value, draft: u8) -> Value {
    let members = match schema {
        Value::Bool(true) if draft == 4 => return json!({}),
        Value::Bool(false) if draft == 4 => return json!({ "not": {} }),
        Value::Object(members) => members,
        other => return other.clone(),
    };
    let mut older = Map::new();
    let tuple = members.contains_key("prefixItems");
    for (name, member) in members {
        let (name, member) = match (name.as_str(), member) {
            (keyword, _) if has_no_words(draft, keyword, member) => continue,
            ("exclusiveMinimum" | "exclusiveMaximum", bound) if draft == 4 => {
                older.insert(name.replace("exclusiveM", "m"), bound.clone());
                (name.as_str(), json!(true))
            }
            ("minimum" | "maximum", _) if older.contains_key(name) => continue,
            ("additionalProperties", Value::Bool(_)) => ("additionalProperties", json!(false)),
            ("properties" | "patternProperties" | "dependentSchemas" | "$defs", Value::Object(each)) => {
                let name = if name == "dependentSchemas" { "dependencies" } else { name.as_str() };
                (name, each.iter().map(|(name, below)| (name.clone(), in_draft(below, draft))).collect::<Map<_, _>>().into())
            }
            ("dependentRequired", _) if members.contains_key("dependentSchemas") => continue,
            ("dependentRequired", member) => ("dependencies", member.clone()),
            ("prefixItems", Value::Array(each)) => ("items", each.iter().map(|below| in_draft(below, draft)).collect()),
            ("items", member) => (if tuple { "additionalItems" } else { "items" }, in_draft(member, draft)),
            ("allOf" | "anyOf" | "oneOf", Value::Array(each)) => {
                (name.as_str(), each.iter().map(|below| in_draft(below, draft)).collect())
            }
            ("additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames", member) => {
                (name.as_str(), in_draft(member, draft))
            }
            (name, member) => (name, member.clone()),
        };
        older.insert(name.to_owned(), member);
    }
    Value::Object(older)
}
