use super::{document, ran, rows, text};
use std::collections::BTreeMap;
use svcauth_core::wire::challenge;

#[test]
fn challenges_are_read_as_other_libraries_read_them() {
    let Some(document) = document("www_authenticate.json") else {
        return;
    };
    for row in rows(&document["vectors"]) {
        let headers = rows(&row["headers"])
            .iter()
            .map(|value| value.as_str().unwrap());
        let found = challenge::parse(headers);
        let name = text(row, "name");
        // An error of a library that knows errors is a list without challenges here.
        let none = Vec::new();
        let expected = row["expected"]["challenges"].as_array().unwrap_or(&none);
        assert_eq!(found.len(), expected.len(), "{name}: {found:?}");
        for (found, expected) in found.iter().zip(expected) {
            assert!(found.is(text(expected, "scheme")), "{name}: {found:?}");
            assert_eq!(
                found.token68.as_deref(),
                expected["token68"].as_str(),
                "{name}: {found:?}"
            );
            let ours: BTreeMap<_, _> = found
                .parameters
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str()))
                .collect();
            let theirs: BTreeMap<_, _> = expected["parameters"]
                .as_object()
                .unwrap()
                .iter()
                .map(|(name, value)| (name.to_ascii_lowercase(), value.as_str().unwrap()))
                .collect();
            assert_eq!(ours, theirs, "{name}");
        }
    }
    ran(
        "www_authenticate.json",
        rows(&document["vectors"]).len(),
        58,
    );
}
