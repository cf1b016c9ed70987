//! JSON Merge Patch.

use serde_json::{Map, Value};

/// Changes `target` as `patch` says (RFC 7396): objects member by member, null removes, anything else replaces.
///
/// For answers and configurations that are all alike but for a member or two.
pub fn merge_patch(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    if let Value::Object(target) = target {
        for (name, value) in patch {
            if value.is_null() {
                target.remove(&name);
            } else {
                merge_patch(target.entry(name).or_insert(Value::Null), value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// From RFC 7396 appendix A.
    #[test]
    fn a_merge_patch_replaces_adds_and_removes_members() {
        for (mut target, patch, expected) in [
            (
                json!({ "a": "b" }),
                json!({ "a": "c" }),
                json!({ "a": "c" }),
            ),
            (
                json!({ "a": "b" }),
                json!({ "b": "c" }),
                json!({ "a": "b", "b": "c" }),
            ),
            (json!({ "a": "b" }), json!({ "a": null }), json!({})),
            (
                json!({ "a": ["b"] }),
                json!({ "a": "c" }),
                json!({ "a": "c" }),
            ),
            (
                json!({ "a": { "b": "c" } }),
                json!({ "a": { "b": "d", "c": null } }),
                json!({ "a": { "b": "d" } }),
            ),
            (json!({ "a": "foo" }), json!("bar"), json!("bar")),
            (
                json!([1, 2]),
                json!({ "a": "b", "c": null }),
                json!({ "a": "b" }),
            ),
            (
                json!({}),
                json!({ "a": { "bb": { "ccc": null } } }),
                json!({ "a": { "bb": {} } }),
            ),
        ] {
            let before = target.to_string();
            merge_patch(&mut target, patch.clone());
            assert_eq!(target, expected, "{before} and {patch}");
        }
    }
}
