//! No part of a secret gets into an error or into debug output.

use crate::documents::{MINIMAL, patched, text};
use serde_json::{Value, json};
use svcauth_core::Config;

const PLANTED: &str = "hunter2-hunter2";

#[test]
fn no_secret_is_repeated_in_an_error_wherever_it_was_written() {
    let broken = format!("{PLANTED}\n");
    let spaced = format!("{PLANTED} {PLANTED}");
    let with_password = format!("https://user:{PLANTED}@host.example/x");
    let credential = |secret: Value| json!({"client": {"credentials": [{"client_id": "bss", "client_secret": secret}]}});
    let exchange = |subject: Value| {
        json!({"targets": {"smd": {"grant": {"type": "token_exchange", "subject_token": subject,
               "subject_token_type": "urn:x:y", "refresh_tokens": "ignore"}}}})
    };
    let patches = [
        credential(json!(PLANTED)),
        credential(json!([PLANTED])),
        credential(json!({"flie": PLANTED})),
        credential(json!({"value": PLANTED, "env": "X"})),
        credential(json!({PLANTED: true})),
        credential(json!({"value": {"value": PLANTED}})),
        credential(json!({"value": broken})),
        credential(json!({"env": format!("X={PLANTED}")})),
        json!({"client": {"auth": "none", "credentials": [
            {"client_id": "bss", "client_secret": {"value": PLANTED}}]}}),
        json!({"client": {"credentials": [
            {"client_id": "bss", "client_secret": {"value": PLANTED}},
            {"client_id": "bss", "client_secret": {"value": PLANTED}}]}}),
        json!({"client": {"credentials": null, "static_token": PLANTED}}),
        json!({"client": {"credentials": null, "static_token": {"value": spaced}}}),
        json!({"client": {"static_token": {"value": PLANTED}}}),
        json!({"client": {"auth": PLANTED}}),
        json!({"client": {"credentials": null, "registration": {"initial_access_token": PLANTED}}}),
        json!({"client": {"credentials": null, "registration": {
            "initial_access_token": {"value": spaced}}}}),
        json!({"client": {"credentials": null, "registration": {
            "metadata": {"client_secret": PLANTED}}}}),
        exchange(json!(PLANTED)),
        exchange(json!({"value": 7, "file": PLANTED})),
        json!({"targets": {"smd": {"parameters": {"client_secret": PLANTED}}}}),
        json!({"targets": {"smd": {"parameters": {"code": PLANTED}}}}),
        json!({"targets": {"smd": {"urls": [with_password]}}}),
        json!({"issuer": with_password}),
        json!({"endpoints": {"token": with_password}}),
        json!({"insecure_http": [with_password]}),
        json!({"proxy": format!("http://user:{PLANTED}@proxy.example:3128")}),
        json!({"proxy": PLANTED}),
        json!({"discovery": PLANTED}),
    ];
    for patch in &patches {
        let error = Config::from_json(text(&patched(MINIMAL, patch)).as_bytes()).unwrap_err();
        let seen = format!(
            "{error} {error:?} {}",
            serde_json::to_string(&error).unwrap()
        );
        assert!(!seen.contains("hunter2"), "{patch}: {seen}");
    }

    let whole = text(&patched(MINIMAL, &credential(json!({"value": PLANTED}))));
    let start = whole.find(PLANTED).unwrap();
    for cut in start..whole.len() {
        let error = Config::from_json(&whole.as_bytes()[..cut]).unwrap_err();
        assert!(
            !format!("{error} {error:?}").contains("hunter2"),
            "cut at {cut}: {error}"
        );
    }
}

#[test]
fn a_configuration_can_be_printed_without_its_secrets() {
    let patch = json!({"client": {"credentials": [
        {"client_id": "bss", "client_secret": {"value": PLANTED}}]}});
    let config = Config::from_json(text(&patched(MINIMAL, &patch)).as_bytes()).unwrap();
    let seen = format!("{config:?}");
    assert!(seen.contains("bss") && !seen.contains("hunter2"), "{seen}");
}
