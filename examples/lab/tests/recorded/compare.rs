//! Compares an answer of the lab with a recorded one.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::http::Answer;

/// Headers that differ from one answer to the next, or between Go's server and ours.
const VOLATILE_HEADERS: &[&str] = &[
    "connection",
    "content-length",
    "date",
    "recorded-length",
    "transfer-encoding",
];

/// Members that differ from one answer to the next: their types are compared, not their values.
const VOLATILE_MEMBERS: &[&str] = &[
    "access_token",
    "client_id",
    "client_secret",
    "created_at",
    "exp",
    "iat",
    "issuer",
    "kid",
    "nbf",
    "oidc_issuer",
    "refresh_expires_in",
    "refresh_token",
    "registration_access_token",
    "sub",
    "updated_at",
];

/// What is different, in words; empty when nothing is. `translate` turns recorded addresses and
/// identifiers into the lab's.
pub(crate) fn differences(
    recorded: &Answer,
    seen: &Answer,
    translate: &dyn Fn(&str) -> String,
) -> Vec<String> {
    let mut found = Vec::new();
    if recorded.status != seen.status {
        found.push(format!("status {} is {}", recorded.status, seen.status));
    }
    headers(recorded, seen, translate, &mut found);
    body(recorded, seen, translate, &mut found);
    found
}

fn headers(
    recorded: &Answer,
    seen: &Answer,
    translate: &dyn Fn(&str) -> String,
    found: &mut Vec<String>,
) {
    let names = |answer: &Answer| -> BTreeSet<String> {
        answer
            .headers
            .iter()
            .map(|(name, _)| name.to_ascii_lowercase())
            .filter(|name| !VOLATILE_HEADERS.contains(&name.as_str()))
            .collect()
    };
    let (expected, present) = (names(recorded), names(seen));
    for name in expected.symmetric_difference(&present) {
        let which = if expected.contains(name) {
            "lacks"
        } else {
            "adds"
        };
        found.push(format!("{which} header {name}"));
    }
    for name in expected.intersection(&present) {
        let expected = translate(recorded.header(name).unwrap_or_default());
        let value = seen.header(name).unwrap_or_default();
        let (expected, value) = match name.as_str() {
            "set-cookie" => (cookie_shape(&expected), cookie_shape(value)),
            "location" => (without_challenge(&expected), without_challenge(value)),
            _ => (expected, value.to_owned()),
        };
        if expected != value {
            found.push(format!("{name}: {expected:?} is {value:?}"));
        }
    }
}

/// Names of the cookie and its attributes.
fn cookie_shape(cookie: &str) -> String {
    let names = cookie.split(';').map(|part| match part.split_once('=') {
        Some((name, _)) => name.trim(),
        None => part.trim(),
    });
    names.collect::<Vec<_>>().join(";")
}

fn without_challenge(location: &str) -> String {
    match location.split_once("login_challenge=") {
        Some((start, _)) => start.to_owned(),
        None => location.to_owned(),
    }
}

fn body(
    recorded: &Answer,
    seen: &Answer,
    translate: &dyn Fn(&str) -> String,
    found: &mut Vec<String>,
) {
    let html = |answer: &Answer| answer.body.trim_start().starts_with("<!DOCTYPE html>");
    match serde_json::from_str::<Value>(&translate(&recorded.body)) {
        Ok(expected) => match serde_json::from_str(&seen.body) {
            Ok(value) => values("", &expected, &value, found),
            Err(error) => found.push(format!("body is no JSON ({error}): {:?}", seen.body)),
        },
        Err(_) if html(recorded) && html(seen) => {}
        Err(_) => {
            let (expected, text) = (recorded.body.trim_end(), seen.body.trim_end());
            if expected != text {
                found.push(format!("body {expected:?} is {text:?}"));
            }
        }
    }
}

fn values(path: &str, expected: &Value, value: &Value, found: &mut Vec<String>) {
    let name = path.rsplit('.').next().unwrap_or_default();
    match (expected, value) {
        // RSA there, an elliptic curve here: the same number of keys, each with an id and a use.
        (Value::Array(expected), Value::Array(value)) if name == "keys" => {
            if expected.len() != value.len() {
                found.push(format!(
                    "{path}: {} keys are {}",
                    expected.len(),
                    value.len()
                ));
            }
            for key in value {
                for member in ["kty", "kid", "alg", "use"] {
                    if key[member].as_str().is_none() {
                        found.push(format!("{path}: a key without {member}"));
                    }
                }
            }
        }
        (Value::Object(expected), Value::Object(value)) => {
            for (name, expected) in expected {
                match value.get(name) {
                    Some(value) => values(&format!("{path}.{name}"), expected, value, found),
                    None => found.push(format!("lacks member {path}.{name}")),
                }
            }
            for name in value.keys().filter(|name| !expected.contains_key(*name)) {
                found.push(format!("adds member {path}.{name}"));
            }
        }
        _ if VOLATILE_MEMBERS.contains(&name) && same_type(expected, value) => {}
        _ if expected != value => found.push(format!("{path}: {expected} is {value}")),
        _ => {}
    }
}

fn same_type(one: &Value, other: &Value) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}
