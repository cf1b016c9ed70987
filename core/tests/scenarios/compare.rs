//! What a step expects against what happened.

use serde_json::{Value, json};

const EXPECTATIONS: [&str; 8] = [
    "result",
    "tasks",
    "leases",
    "events",
    "idle_until",
    "store",
    "health",
    "stats",
];

/// The differences, each with the path of the member; none if all is as expected.
pub(crate) fn step(step: &Value, got: &Value) -> Vec<String> {
    let mut differences = vec![];
    let nothing = json!({});
    let expect = step.get("expect").unwrap_or(&nothing);
    for member in expect.as_object().unwrap().keys() {
        if !EXPECTATIONS.contains(&member.as_str()) {
            differences.push(format!("expect.{member} is not known to the format"));
        }
    }
    // What a step does not mention must not happen.
    for member in ["tasks", "leases", "events"] {
        match expect.get(member) {
            Some(Value::String(any)) if any == "any" => {}
            Some(expected) => value(member, expected, &got[member], &mut differences),
            None => value(member, &json!([]), &got[member], &mut differences),
        }
    }
    let accepted = json!("accepted");
    let usual = step.get("answer").map(|_| &accepted);
    match expect.get("result").or(usual) {
        Some(expected) => value("result", expected, &got["result"], &mut differences),
        None if got["result"].is_null() => {}
        None => differences.push(format!("result: missing in expect, got {}", got["result"])),
    }
    for member in ["idle_until", "store", "health", "stats"] {
        if let Some(expected) = expect.get(member) {
            value(member, expected, &got[member], &mut differences);
        }
    }
    differences
}

/// The differences between a value and what is expected of it.
pub(crate) fn whole(expected: &Value, got: &Value) -> Vec<String> {
    let mut differences = vec![];
    value("error", expected, got, &mut differences);
    differences
}

/// Objects may have more members than expected, except decoded bodies; `null` is absent or null; a text that
/// starts with `~` is contained; a text in place of an event is its name.
fn value(path: &str, expected: &Value, got: &Value, differences: &mut Vec<String>) {
    let differ = |differences: &mut Vec<String>| {
        differences.push(format!("{path}: expected {expected}, got {got}"));
    };
    match (expected, got) {
        (Value::Object(members), Value::Object(present)) => {
            for (name, expected) in members.iter().filter(|(name, _)| *name != "as") {
                let path = format!("{path}.{name}");
                value(
                    &path,
                    expected,
                    present.get(name).unwrap_or(&Value::Null),
                    differences,
                );
            }
            let whole = path.ends_with(".form") || path.contains(".json");
            if let Some(more) = present
                .keys()
                .find(|name| whole && !members.contains_key(*name))
            {
                differences.push(format!("{path}.{more}: not expected"));
            }
        }
        (Value::Array(items), Value::Array(present)) => {
            for (index, (expected, got)) in items.iter().zip(present).enumerate() {
                value(&format!("{path}[{index}]"), expected, got, differences);
            }
            for (index, missing) in items.iter().enumerate().skip(present.len()) {
                differences.push(format!("{path}[{index}]: expected {missing}, got nothing"));
            }
            for (index, more) in present.iter().enumerate().skip(items.len()) {
                differences.push(format!("{path}[{index}]: not expected, got {more}"));
            }
        }
        (Value::String(name), Value::Object(event)) if event.contains_key("event") => {
            if event["event"] != *name {
                differ(differences);
            }
        }
        (Value::String(text), Value::String(got)) => {
            let same = match text.strip_prefix('~') {
                Some(part) => got.contains(part),
                None => text == got,
            };
            if !same {
                differ(differences);
            }
        }
        (Value::Number(_), Value::Number(_)) => {
            if expected.as_f64() != got.as_f64() {
                differ(differences);
            }
        }
        _ if expected == got => {}
        _ => differ(differences),
    }
}

/// What a step does, in short.
pub(crate) fn title(step: &Value) -> String {
    let mut step = step.clone();
    if let Some(members) = step.as_object_mut() {
        members.remove("expect");
    }
    step.to_string()
}
