//! The strict JSON reader against serde_json's, and against what it writes itself.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use svcauth_core::wire::json;
use svcauth_fuzz::{one_line, without_mark};

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    svcauth_fuzz::mutate::document(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let text = without_mark(data);
    let other = serde_json::from_slice::<serde_json::Value>(text);
    match json::parse(data) {
        Ok(value) => {
            let other =
                other.unwrap_or_else(|error| panic!("accepted what serde_json refuses: {error}"));
            let written = value.to_json();
            let again = serde_json::from_str(&written).expect("JSON");
            assert!(same(&again, &other), "{written} is not {other}");
        }
        Err(error) => {
            one_line(&error);
            // serde_json keeps the last of two members of one name.
            if let Ok(other) = other
                && depth(&other) <= json::MAX_DEPTH
                && text.len() <= json::MAX_BYTES
            {
                let twice = error.to_string().contains("twice");
                let once = json::parse(other.to_string().as_bytes());
                assert!(
                    twice || once.is_err(),
                    "refused what serde_json accepts: {error}"
                );
            }
        }
    }
});

fn same(one: &serde_json::Value, other: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (one, other) {
        (Number(one), Number(other)) if one.is_f64() || other.is_f64() => {
            // Written otherwise, 1.0 for 1e0, and read to within a few units in the last place.
            let (one, other) = (one.as_f64().unwrap_or(0.0), other.as_f64().unwrap_or(0.0));
            one == other || (one - other).abs() <= one.abs() * 4.0 * f64::EPSILON
        }
        (Array(one), Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Object(one), Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .zip(other)
                    .all(|(one, other)| one.0 == other.0 && same(one.1, other.1))
        }
        _ => one == other,
    }
}

fn depth(value: &serde_json::Value) -> usize {
    match value {
        serde_json::Value::Array(elements) => 1 + elements.iter().map(depth).max().unwrap_or(0),
        serde_json::Value::Object(members) => 1 + members.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}
