//! Each expectation changed, one at a time: a scenario that still passes says less than it seems to.

use super::scenario::Scenario;
use serde_json::{Value, json};

/// The steps of `scenario` with one value of one `expect` changed or left out, each with its place.
pub(crate) fn of(scenario: &Scenario) -> Vec<(String, Vec<Value>)> {
    let steps = Value::Array(scenario.steps.clone());
    let mut places = vec![];
    for (index, step) in scenario.steps.iter().enumerate() {
        if let Some(expect) = step.get("expect") {
            collect(expect, &format!("/{index}/expect"), &mut places);
        }
    }
    places
        .into_iter()
        .map(|(place, change)| {
            let mut changed = steps.clone();
            match changed.pointer_mut(&place) {
                Some(value) => change(value),
                None => unreachable!("{place}"),
            }
            match changed {
                Value::Array(steps) => (place, steps),
                _ => unreachable!(),
            }
        })
        .collect()
}

type Change = fn(&mut Value);

fn collect(value: &Value, place: &str, places: &mut Vec<(String, Change)>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members.iter().filter(|(name, _)| *name != "as") {
                let name = name.replace('~', "~0").replace('/', "~1");
                collect(value, &format!("{place}/{name}"), places);
            }
        }
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                collect(item, &format!("{place}/{index}"), places);
            }
            places.push((place.into(), lengthen));
            if !items.is_empty() {
                places.push((place.into(), shorten));
            }
        }
        Value::String(any) if any == "any" => {}
        _ => places.push((place.into(), falsify)),
    }
}

fn falsify(value: &mut Value) {
    *value = match value {
        Value::String(text) => json!(format!("{text}!")),
        Value::Number(number) => json!(number.as_f64().unwrap_or_default() + 1.0),
        Value::Bool(is) => json!(!*is),
        _ => json!("something"),
    };
}

fn shorten(value: &mut Value) {
    value.as_array_mut().and_then(Vec::pop);
}

fn lengthen(value: &mut Value) {
    value
        .as_array_mut()
        .into_iter()
        .for_each(|items| items.push(json!("more")));
}
