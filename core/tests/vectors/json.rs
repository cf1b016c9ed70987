use super::{bytes, document, ran, rows, tell, text};
use base64ct::{Base64, Encoding};
use std::collections::BTreeMap;
use svcauth_core::wire::json;

/// Texts that RFC 8259 lets pass and that we refuse, because whichever member a parser picks, another picks
/// the other.
const REFUSED_ALTHOUGH_VALID: [&str; 2] = [
    "y_object_duplicated_key.json",
    "y_object_duplicated_key_and_value.json",
];

#[test]
fn json_is_accepted_and_refused_as_the_test_suite_says() {
    let Some(document) = document("json_parsing.json") else {
        return;
    };
    let mut free = BTreeMap::new();
    for row in rows(&document["cases"]) {
        let name = text(row, "name");
        let body = Base64::decode_vec(text(row, "body_base64")).unwrap();
        let accepted = json::parse(&body).is_ok();
        let expected = match &name[..2] {
            "y_" => !REFUSED_ALTHOUGH_VALID.contains(&name),
            "n_" => false,
            _ => {
                *free.entry(accepted).or_insert(0) += 1;
                continue;
            }
        };
        assert_eq!(
            accepted,
            expected,
            "{name}: {:?}",
            String::from_utf8_lossy(&body)
        );
        if accepted {
            let again = json::parse(&body).unwrap();
            assert_eq!(
                json::parse(again.to_json().as_bytes()).unwrap(),
                again,
                "{name}"
            );
        }
    }
    tell(format_args!(
        "of the free cases these were accepted and refused: {free:?}"
    ));
    ran("json_parsing.json", rows(&document["cases"]).len(), 338);
}

#[test]
fn a_byte_order_mark_is_skipped_in_documents_that_have_one() {
    for (file, marked) in [
        ("discovery/duende/discovery.json", true),
        ("discovery/duende/discovery_mtls.json", true),
        ("discovery/duende/discovery_variable.json", true),
        (
            "responses/duende_documents/success_registration_response.json",
            false,
        ),
        (
            "responses/duende_documents/success_token_response.json",
            true,
        ),
    ] {
        let Some(body) = bytes(file) else { return };
        assert_eq!(body.starts_with(b"\xef\xbb\xbf"), marked, "{file}");
        json::parse_object(&body).unwrap();
    }
}
