//! Which parts of a JSON configuration are secrets: strings and numbers whose name says so, and whatever stands as `{"$secret": …}`.
//!
//! A secret is taken out before anybody sees the configuration, and [`MASK`] stands in its place from then on. A client that sends the
//! mask back leaves the secret what it is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::error::{Error, Result};

/// What stands in the place of a secret.
pub const MASK: &str = "********";

/// How a name ends that is the name of a secret, in lower case, without `-` and `_`.
const NAMES: [&str; 12] = [
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "apikey",
    "privatekey",
    "accesskey",
    "secretkey",
    "presharedkey",
    "credentials",
    "connectionstring",
];

/// Secrets by their place, a JSON pointer into the configuration.
pub type Secrets = BTreeMap<String, Value>;

/// Takes the secrets out and leaves the mask in their places. Masks that are there already stay.
pub fn take(config: &mut Value) -> Secrets {
    let mut taken = Secrets::new();
    walk(config, &mut String::new(), &mut |pointer, name, value| {
        let marked = value.as_object().is_some_and(|object| object.len() == 1 && object.contains_key("$secret"));
        let secret = match value {
            Value::Object(object) if marked => object.remove("$secret").unwrap_or_default(),
            Value::String(_) | Value::Number(_) if is_secret(name) => value.take(),
            _ => return false,
        };
        *value = MASK.into();
        if secret != MASK {
            taken.insert(pointer.to_owned(), secret);
        }
        true
    });
    taken
}

/// The secret for each mask of a configuration: a new one, else the one that is kept already. A mask without either is an error.
pub fn complete(config: &Value, mut new: Secrets, mut kept: Secrets) -> Result<Secrets> {
    let mut config = config.clone();
    let (mut all, mut lost) = (Secrets::new(), None);
    walk(&mut config, &mut String::new(), &mut |pointer, _, value| {
        if value != MASK {
            return false;
        }
        match new.remove(pointer).or_else(|| kept.remove(pointer)) {
            Some(secret) => drop(all.insert(pointer.to_owned(), secret)),
            None => lost = Some(pointer.to_owned()),
        }
        true
    });
    match lost {
        None => Ok(all),
        Some(pointer) => {
            let sentence =
                format!("`{MASK}` stands for a secret that is kept already, and there is none; send the secret itself.");
            Err(Error::malformed(sentence).at(format!("/config{pointer}"), "no secret is kept for this place"))
        }
    }
}

fn is_secret(name: &str) -> bool {
    let plain: String = name.chars().filter(|c| !matches!(c, '-' | '_')).flat_map(char::to_lowercase).collect();
    NAMES.iter().any(|ending| plain.ends_with(ending))
}

/// Shows each member of each object and each element of each array, until `take` says that it took one.
fn walk(value: &mut Value, pointer: &mut String, take: &mut impl FnMut(&str, &str, &mut Value) -> bool) {
    let length = pointer.len();
    match value {
        Value::Object(members) => walk_members(members, pointer, take),
        Value::Array(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                pointer.push('/');
                pointer.push_str(&index.to_string());
                if !take(pointer, "", item) {
                    walk(item, pointer, take);
                }
                pointer.truncate(length);
            }
        }
        _ => {}
    }
}

fn walk_members(members: &mut Map<String, Value>, pointer: &mut String, take: &mut impl FnMut(&str, &str, &mut Value) -> bool) {
    let length = pointer.len();
    for (name, member) in members {
        pointer.push('/');
        pointer.push_str(&name.replace('~', "~0").replace('/', "~1"));
        if !take(pointer, name, member) {
            walk(member, pointer, take);
        }
        pointer.truncate(length);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_are_found_by_their_names_and_by_their_mark() {
        let mut config = json!({
            "host": "plant-2", "Password": "hunter2", "auth": [{ "client_secret": "s", "user": "u" }], "api-key": 17,
            "pem": { "$secret": "-----BEGIN" }, "tokenUrl": "https://idp", "credentials": { "user": "u", "passwd": "p" },
        });
        let taken = take(&mut config);
        let places: Vec<&str> = taken.keys().map(String::as_str).collect();
        assert_eq!(places, ["/Password", "/api-key", "/auth/0/client_secret", "/credentials/passwd", "/pem"]);
        assert_eq!(taken["/api-key"], 17);
        assert_eq!(config["pem"], MASK);
        assert_eq!((&config["host"], &config["tokenUrl"]), (&json!("plant-2"), &json!("https://idp")));
    }

    #[test]
    fn a_mask_stands_for_what_is_kept() {
        let mut config = json!({ "password": MASK, "token": "new" });
        let taken = take(&mut config);
        let kept: Secrets = [("/password".to_owned(), json!("old")), ("/gone".to_owned(), json!("x"))].into();
        let all = complete(&config, taken.clone(), kept).expect("both are known");
        assert_eq!(all, [("/password".to_owned(), json!("old")), ("/token".to_owned(), json!("new"))].into());
        let lost = complete(&config, taken, Secrets::new()).expect_err("nothing is kept");
        assert_eq!(lost.details()[0].path, "/config/password");
    }
}
