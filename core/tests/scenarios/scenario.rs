//! Scenario files: found, laid over the base, their cases and names written out.

use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// One case, ready to be run.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) config: Value,
    pub(crate) capabilities: Value,
    pub(crate) secrets: Value,
    pub(crate) store: Value,
    pub(crate) by_hand: Vec<String>,
    /// The error with which the client is not made at all.
    pub(crate) refused: Option<Value>,
    pub(crate) steps: Vec<Value>,
}

/// Members that a file lays over the base, and a case over its file, as RFC 7396 says.
const MERGED: [&str; 4] = ["config", "capabilities", "secrets", "store"];
/// Members that a case gives anew.
const REPLACED: [&str; 4] = ["by_hand", "events", "refused", "steps"];

pub(crate) fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// All scenario files, sorted by name.
pub(crate) fn files() -> Vec<PathBuf> {
    let entries = std::fs::read_dir(directory()).unwrap();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "json")
        })
        .filter(|path| path.file_name().is_some_and(|name| name != "base.json"))
        .collect();
    files.sort();
    files
}

/// The cases of a file; the whole file is one where it lists none.
pub(crate) fn read(file: &Path) -> Vec<Scenario> {
    let base = object(&directory().join("base.json"));
    let object = object(file);
    let name = file.file_stem().unwrap().to_string_lossy();
    check_members(&object, &name, &["about", "cases", "let"]);
    let file = overlay(&base, &object);
    let cases = match object.get("cases") {
        None => return vec![scenario(&file, name.into_owned())],
        Some(cases) => cases.as_array().unwrap(),
    };
    cases
        .iter()
        .map(|case| {
            let case = case.as_object().unwrap();
            let name = format!("{name} › {}", case["case"].as_str().unwrap());
            check_members(case, &name, &["case", "let"]);
            scenario(&overlay(&file, case), name)
        })
        .collect()
}

fn object(file: &Path) -> Map<String, Value> {
    let text = std::fs::read_to_string(file).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn check_members(object: &Map<String, Value>, name: &str, own: &[&str]) {
    for member in object.keys().map(String::as_str) {
        let known = MERGED.contains(&member) || REPLACED.contains(&member) || own.contains(&member);
        assert!(known, "{name}: unknown member {member}");
    }
}

fn overlay(below: &Map<String, Value>, above: &Map<String, Value>) -> Map<String, Value> {
    let mut result = below.clone();
    for (name, value) in above {
        match name.as_str() {
            "let" => {
                let names = result.entry("let").or_insert_with(|| json!({}));
                let names = names.as_object_mut().unwrap();
                names.extend(value.as_object().unwrap().clone());
            }
            name if MERGED.contains(&name) => {
                merge(result.entry(name).or_insert(Value::Null), value)
            }
            name => {
                result.insert(name.into(), value.clone());
            }
        }
    }
    result
}

/// JSON merge patch (RFC 7396).
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = json!({});
    }
    let target = target.as_object_mut().unwrap();
    for (name, value) in patch {
        if value.is_null() {
            target.remove(name);
        } else {
            merge(target.entry(name).or_insert(Value::Null), value);
        }
    }
}

fn scenario(object: &Map<String, Value>, name: String) -> Scenario {
    let names = object
        .get("let")
        .and_then(Value::as_object)
        .cloned()
        .unwrap_or_default();
    let member = |member: &str| {
        object
            .get(member)
            .map(|value| written_out(value, &names, &name))
    };
    let or_empty = |value: Option<Value>| value.unwrap_or_else(|| json!({}));
    let list = |value: Option<Value>| match value {
        Some(Value::Array(items)) => items,
        _ => vec![],
    };
    let any_events = member("events").as_ref().and_then(Value::as_str) == Some("any");
    let mut steps = list(member("steps"));
    if any_events {
        steps.iter_mut().for_each(allow_any_events);
    }
    Scenario {
        config: or_empty(member("config")),
        capabilities: or_empty(member("capabilities")),
        secrets: or_empty(member("secrets")),
        store: or_empty(member("store")),
        by_hand: list(member("by_hand"))
            .iter()
            .map(|kind| kind.as_str().unwrap().to_owned())
            .collect(),
        refused: member("refused"),
        steps,
        name,
    }
}

fn allow_any_events(step: &mut Value) {
    let step = step.as_object_mut().unwrap();
    let expect = step.entry("expect").or_insert_with(|| json!({}));
    expect
        .as_object_mut()
        .unwrap()
        .entry("events")
        .or_insert_with(|| json!("any"));
}

/// `value` with each text `$name` replaced by what `let` says; a list among the steps is put there item by item.
fn written_out(value: &Value, names: &Map<String, Value>, scenario: &str) -> Value {
    let named = |text: &str| {
        let name = text.strip_prefix('$')?;
        let value = names
            .get(name)
            .unwrap_or_else(|| panic!("{scenario}: ${name} is not in let"));
        Some(written_out(value, names, scenario))
    };
    match value {
        Value::String(text) => named(text).unwrap_or_else(|| value.clone()),
        Value::Array(items) => {
            let mut list = vec![];
            for item in items {
                match item.as_str().and_then(named) {
                    Some(Value::Array(items)) => list.extend(items),
                    Some(value) => list.push(value),
                    None => list.push(written_out(item, names, scenario)),
                }
            }
            Value::Array(list)
        }
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| (name.clone(), written_out(value, names, scenario)))
            .collect::<Map<String, Value>>()
            .into(),
        other => other.clone(),
    }
}
