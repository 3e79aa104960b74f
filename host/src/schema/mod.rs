//! JSON Schema over a batch: values in, verdicts with pointers out. No I/O: a `$ref` never fetches.

pub mod compat;
pub mod decode;

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;

use jsonschema::error::ValidationErrorKind;
use jsonschema::{ValidationError, Validator};
use parking_lot::Mutex;
use serde_json::Value;
use uuid::Uuid;

use self::decode::avro;
use crate::batch::{Batch, Refusal, Refuser};
use crate::error::{Error, Result};
use crate::limits;
use crate::rules::{Rules, SchemaVersion, Step};

/// Keywords whose schemas apply to the same value: a cycle through them would never end.
const IN_PLACE: &[&str] = &["allOf", "anyOf", "oneOf", "not", "if", "then", "else", "dependentSchemas", "$ref"];

/// Compiled schemas, by the id of their version; and of which definition, which may change as long as nothing uses it.
#[derive(Default)]
pub struct Schemas {
    compiled: Mutex<Compiled>,
    plans: Mutex<Plans>,
}

/// Definitions and what they were compiled into.
type Compiled = HashMap<Uuid, (Arc<str>, Arc<Validator>)>;

/// How records are read, by their schema and what it refers to; or why they cannot be.
type Plans = HashMap<Vec<Arc<str>>, Result<Arc<avro::Plan>, Arc<str>>>;

impl fmt::Debug for Schemas {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Schemas").finish_non_exhaustive()
    }
}

impl Schemas {
    /// Checks each reading that still stands against the rules' schema, if they have one. The reading is checked as it was sent.
    pub fn check(&self, rules: &Rules, mut batch: Batch) -> Result<Batch> {
        let Some(schema) = &rules.schema else { return Ok(batch) };
        let validator = self.compiled(schema)?;
        let number = u32::try_from(batch.readings().len()).unwrap_or(u32::MAX);
        for reading in (0..number).filter(|reading| batch.stands(*reading)).collect::<Vec<_>>() {
            let sent: Value = serde_json::from_slice(&batch.readings()[reading as usize].raw).map_err(Error::internal)?;
            let Some((path, reason)) = objection(&validator, &sent) else { continue };
            let path = Some(path).filter(|path| !path.is_empty());
            let by = Refuser::Schema(Arc::clone(&schema.label));
            batch.refuse(reading, Refusal { by, reason, path, fault: false, strategy: rules.strategy });
        }
        Ok(batch)
    }

    /// The first thing that a definition objects to in each of these readings: where, and what.
    pub fn first_errors(&self, definition: &str, sent: &[Value]) -> Result<Vec<Option<(String, String)>>> {
        let definition: Value = serde_json::from_str(definition).map_err(Error::internal)?;
        let validator = compile(&definition).map_err(|error| Error::internal(error.to_string()))?;
        Ok(sent.iter().map(|sent| objection(&validator, sent)).collect())
    }

    /// Lets a validator that is a schema judge the readings that stand, as they are by now.
    pub fn judge(&self, step: &Step, schema: &SchemaVersion, mut batch: Batch) -> Result<Batch> {
        let validator = self.compiled(schema)?;
        for (reading, sent) in batch.as_sent() {
            let Some((path, reason)) = objection(&validator, &sent) else { continue };
            let path = Some(path).filter(|path| !path.is_empty());
            let by = Refuser::Validator(Arc::clone(&step.name));
            batch.refuse(reading, Refusal { by, reason, path, fault: false, strategy: step.strategy });
        }
        Ok(batch)
    }

    /// What a schema objects to in a document: where, and what; so many at the most. Of a change only what is sent is there, so a field that
    /// the document as a whole must have may be missing.
    pub fn objections(
        &self,
        schema: &SchemaVersion,
        document: &Value,
        change: bool,
        most: usize,
    ) -> Result<Vec<(String, String)>> {
        let validator = self.compiled(schema)?;
        let left_out = |error: &ValidationError<'_>| {
            change && matches!(error.kind(), ValidationErrorKind::Required { .. }) && error.instance_path().as_str().is_empty()
        };
        let errors = validator.iter_errors(document).filter(|error| !left_out(error));
        Ok(errors.take(most).map(|error| told(&error)).collect())
    }

    /// Refuses a definition that is no JSON Schema, or whose cost has no bound that suits a gateway.
    pub fn compile_check(&self, definition: &str) -> Result<()> {
        let wrong =
            |message: String| Error::malformed(format!("This definition cannot be used: {message}.")).at("/definition", message);
        if definition.len() > limits::SCHEMA_BYTES {
            return Err(wrong(format!("a schema has at most {} bytes", limits::SCHEMA_BYTES)));
        }
        let schema: Value = serde_json::from_str(definition).map_err(|error| wrong(format!("it is not JSON: {error}")))?;
        if !schema.is_object() && !schema.is_boolean() {
            return Err(wrong("a JSON Schema is an object".to_owned()));
        }
        if depth(&schema) > limits::SCHEMA_DEPTH {
            return Err(wrong(format!("it is nested more than {} deep", limits::SCHEMA_DEPTH)));
        }
        let mut walk = Walk { root: &schema, known: HashMap::new(), under_way: HashSet::new(), ends: HashSet::new() };
        let paths = walk.paths(&schema).map_err(wrong)?;
        if paths > limits::SCHEMA_PATHS {
            return Err(wrong(format!("its references unfold to more than {} schemas", limits::SCHEMA_PATHS)));
        }
        compile(&schema).map(drop).map_err(|error| wrong(cut(error.to_string())))
    }

    /// Refuses a definition that is no Avro schema, or not one of readings.
    pub fn avro_check(&self, definition: &str) -> Result<()> {
        let wrong =
            |message: String| Error::malformed(format!("This definition cannot be used: {message}.")).at("/definition", message);
        if definition.len() > limits::SCHEMA_BYTES {
            return Err(wrong(format!("a schema has at most {} bytes", limits::SCHEMA_BYTES)));
        }
        avro::Plan::new(definition, &[]).map(drop).map_err(|reason| wrong(cut(reason)))
    }

    /// How records of an Avro schema are read, or why they cannot be.
    pub fn plan(&self, definition: &Arc<str>, references: &[Arc<str>]) -> Result<Arc<avro::Plan>, Arc<str>> {
        let key: Vec<Arc<str>> = std::iter::once(definition).chain(references).cloned().collect();
        if let Some(known) = self.plans.lock().get(&key) {
            return known.clone();
        }
        let plan = avro::Plan::new(definition, references).map(Arc::new).map_err(|reason| cut(reason).into());
        let mut plans = self.plans.lock();
        if plans.len() >= limits::SCHEMAS_CACHED {
            plans.clear();
        }
        plans.insert(key, plan.clone());
        plan
    }

    fn compiled(&self, schema: &SchemaVersion) -> Result<Arc<Validator>> {
        if let Some((definition, known)) = self.compiled.lock().get(&schema.id)
            && (Arc::ptr_eq(definition, &schema.definition) || *definition == schema.definition)
        {
            return Ok(Arc::clone(known));
        }
        let definition: Value = serde_json::from_str(&schema.definition).map_err(Error::internal)?;
        let validator = Arc::new(compile(&definition).map_err(|error| Error::internal(error.to_string()))?);
        let mut compiled = self.compiled.lock();
        if compiled.len() >= limits::SCHEMAS_CACHED {
            // Compiling takes less than a millisecond; who is still used comes back.
            compiled.clear();
        }
        compiled.insert(schema.id, (Arc::clone(&schema.definition), Arc::clone(&validator)));
        Ok(validator)
    }
}

fn compile(schema: &Value) -> Result<Validator, ValidationError<'static>> {
    jsonschema::options().offline().build(schema)
}

/// The first thing that a schema objects to.
fn objection(validator: &Validator, value: &Value) -> Option<(String, String)> {
    validator.iter_errors(value).next().map(|error| told(&error))
}

/// Where it is, and what.
fn told(error: &ValidationError<'_>) -> (String, String) {
    (error.instance_path().to_string(), cut(error.to_string()))
}

/// An error may quote the whole value; its beginning will do.
fn cut(mut message: String) -> String {
    if message.len() > limits::GUEST_REASON_BYTES {
        let end = (0..=limits::GUEST_REASON_BYTES).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
        message.truncate(end);
        message.push('…');
    }
    message
}

fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Object(members) => members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

/// Counts the schemas that a value may have to pass when every reference is unfolded.
struct Walk<'a> {
    root: &'a Value,
    /// By address: the tree does not move while it is walked.
    known: HashMap<*const Value, u64>,
    under_way: HashSet<*const Value>,
    /// Schemas that are known not to reach themselves in place.
    ends: HashSet<*const Value>,
}

impl<'a> Walk<'a> {
    fn paths(&mut self, schema: &'a Value) -> Result<u64, String> {
        let here: *const Value = schema;
        if let Some(known) = self.known.get(&here) {
            return Ok(*known);
        }
        let Value::Object(members) = schema else {
            let Value::Array(items) = schema else { return Ok(0) };
            return items.iter().try_fold(0u64, |sum, item| Ok(sum.saturating_add(self.paths(item)?)));
        };
        if !self.under_way.insert(here) {
            // A cycle: through a property it ends with the value, in place it would not end.
            return Ok(1);
        }
        self.in_place(schema, &mut HashSet::new())?;
        let mut sum = 1u64;
        for (keyword, below) in members {
            let more = match (keyword.as_str(), below) {
                ("enum" | "const" | "default" | "examples", _) => 0,
                ("$ref", Value::String(reference)) => {
                    let target = self.target(reference)?;
                    self.paths(target)?
                }
                ("$dynamicRef" | "$recursiveRef", _) => return Err(format!("`{keyword}` is not taken; write `$ref`")),
                _ => self.paths(below)?,
            };
            sum = sum.saturating_add(more);
        }
        self.under_way.remove(&here);
        self.known.insert(here, sum);
        Ok(sum)
    }

    /// Fails where a schema reaches itself without stepping into the value.
    fn in_place(&mut self, schema: &'a Value, above: &mut HashSet<*const Value>) -> Result<(), String> {
        let Value::Object(members) = schema else {
            let Value::Array(items) = schema else { return Ok(()) };
            return items.iter().try_for_each(|item| self.in_place(item, above));
        };
        if self.ends.contains(&std::ptr::from_ref(schema)) {
            return Ok(());
        }
        if !above.insert(schema) {
            return Err("it refers to itself without an end".to_owned());
        }
        for (keyword, below) in members.iter().filter(|(keyword, _)| IN_PLACE.contains(&keyword.as_str())) {
            match below {
                Value::String(reference) if keyword == "$ref" => self.in_place(self.target(reference)?, above)?,
                _ => self.in_place(below, above)?,
            }
            if above.len() > limits::SCHEMA_DEPTH * 8 {
                return Err("its references are too deep".to_owned());
            }
        }
        above.remove(&std::ptr::from_ref(schema));
        self.ends.insert(schema);
        Ok(())
    }

    fn target(&self, reference: &str) -> Result<&'a Value, String> {
        let pointer = reference.strip_prefix('#').filter(|rest| rest.is_empty() || rest.starts_with('/'));
        let Some(pointer) = pointer else {
            return Err(format!("`$ref` to `{reference}` is not taken: only `#/…` inside the definition, nothing is fetched"));
        };
        let decoded = percent_encoding::percent_decode_str(pointer).decode_utf8_lossy();
        self.root.pointer(&decoded).ok_or_else(|| format!("`$ref` to `{reference}` leads nowhere"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mistake(definition: &str) -> String {
        Schemas::default().compile_check(definition).expect_err(definition).sentence().to_owned()
    }

    #[test]
    fn a_sound_definition_is_taken() {
        let definition = r##"{"$defs":{"t":{"type":"number","maximum":100}},"type":"object",
            "properties":{"values":{"properties":{"a":{"$ref":"#/$defs/t"},"b":{"$ref":"#/$defs/t"}}},"next":{"$ref":"#"}}}"##;
        assert!(Schemas::default().compile_check(definition).is_ok());
    }

    #[test]
    fn what_cannot_be_used_is_refused_with_the_reason() {
        for (definition, part) in [
            ("", "not JSON"),
            ("[]", "is an object"),
            (r#"{"type":"strnig"}"#, "strnig"),
            (r#"{"$ref":"http://127.0.0.1/x"}"#, "nothing is fetched"),
            (r#"{"$ref":"file:///etc/passwd"}"#, "nothing is fetched"),
            (r##"{"$ref":"#/nowhere"}"##, "leads nowhere"),
            (r##"{"$ref":"#"}"##, "without an end"),
            (r##"{"allOf":[{"$ref":"#/$defs/a"}],"$defs":{"a":{"anyOf":[{"$ref":"#"}]}}}"##, "without an end"),
        ] {
            let found = mistake(definition);
            assert!(found.contains(part), "{definition}: {found}");
        }
        assert!(mistake(&format!("{}1{}", r#"{"not":"#.repeat(40), "}".repeat(40))).contains("nested"));
    }

    #[test]
    fn doubling_references_are_stopped_at_the_door() {
        let levels =
            (0..22).map(|n| format!(r##""d{n}":{{"allOf":[{{"$ref":"#/$defs/d{m}"}},{{"$ref":"#/$defs/d{m}"}}]}}"##, m = n + 1));
        let levels = levels.collect::<Vec<_>>().join(",");
        let definition = format!(r##"{{"$ref":"#/$defs/d0","$defs":{{{levels},"d22":{{"type":"object"}}}}}}"##);
        assert!(mistake(&definition).contains("unfold"));
    }
}
