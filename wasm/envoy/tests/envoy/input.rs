//! What must not confuse the filter.

use serde_json::{Value, json};
use svcauth_envoy::{Envoy, Load, Svcauth, until};
use svcauth_lab::{Endpoint, Fault, Service};

use crate::stage::{SECRET, Stage, VARIABLE, node};

#[test]
fn a_wrong_configuration_is_told_with_its_place_and_nothing_goes_out_without_a_token() {
    let rows: [(&str, Value, &str); 6] = [
        (
            "unknown member",
            json!({ "targets": { "smd": { "scope": "x" } } }),
            "targets.smd.scope: unknown, did you mean scopes?",
        ),
        (
            "unknown member of envoy",
            json!({ "envoy": { "holdings": {} } }),
            "envoy.holdings: unknown",
        ),
        (
            "no server",
            json!({ "envoy": { "server_cluster": null } }),
            "envoy.server_cluster",
        ),
        (
            "no such target",
            json!({ "envoy": { "target": "bss" } }),
            "envoy.target",
        ),
        (
            "a file",
            json!({ "client": { "credentials": [{ "client_id": "bss", "client_secret": { "file": "/x" } }] } }),
            "client.credentials[0].client_secret: this host reads no secrets from files",
        ),
        (
            "a user's exchange",
            json!({ "targets": { "smd": { "user_token": "exchange" } } }),
            "targets.smd.user_token",
        ),
    ];
    for (row, patch, message) in rows {
        let stage = Stage::new(600);
        match Envoy::try_start(&stage.settings(stage.sidecar(patch))) {
            Ok(envoy) => {
                let answer = node().send(envoy.address("egress")).unwrap();
                assert!([500, 503].contains(&answer.status), "{row}: {answer:?}");
                let log = envoy.log();
                assert!(told(&log, message), "{row}: {log}");
            }
            Err(error) => {
                let error = error.to_string();
                assert!(told(&error, message), "{row}: {error}");
            }
        }
        assert_eq!(stage.lab.log_of(Service::Smd).len(), 0, "{row}");
    }
}

/// Whether the filter's log has this with a code behind it.
fn told(log: &str, message: &str) -> bool {
    log.lines().any(|line| {
        line.contains("svcauth: ")
            && line.contains(message)
            && ["(invalid_configuration)", "(unsupported)"]
                .iter()
                .any(|code| line.ends_with(code))
    })
}

#[test]
fn a_cluster_that_does_not_exist_is_503_and_told() {
    let stage = Stage::new(600);
    let envoy = stage.start(json!({ "envoy": {
        "server_cluster": "nowhere",
        "holding": { "wait_s": 0.3 },
    } }));
    let answer = node().send(envoy.address("egress")).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.json()["code"].is_string(), "{}", answer.text());
    let log = envoy.log();
    let told = log
        .lines()
        .any(|line| line.contains("svcauth: ") && line.contains("nowhere"));
    assert!(told, "{log}");
    assert_eq!(stage.lab.log_of(Service::Smd).len(), 0);
}

/// What the token endpoint answers, and whether a call gets through.
fn odd_answers() -> Vec<(&'static str, Fault, Result<(), &'static str>)> {
    let merge = |patch: Value| Fault::merge(patch);
    let refused = |code: &'static str| Err(code);
    vec![
        (
            "a numeric string",
            merge(json!({ "expires_in": "3600" })),
            Ok(()),
        ),
        ("a float", merge(json!({ "expires_in": 3600.9 })), Ok(())),
        (
            "no expires_in",
            merge(json!({ "expires_in": null })),
            Ok(()),
        ),
        ("expires_in 0", merge(json!({ "expires_in": 0 })), Ok(())),
        (
            "negative",
            merge(json!({ "expires_in": -1 })),
            refused("invalid_expires_in"),
        ),
        (
            "a text",
            merge(json!({ "expires_in": "3600abc" })),
            refused("invalid_expires_in"),
        ),
        (
            "an object",
            merge(json!({ "expires_in": {} })),
            refused("invalid_expires_in"),
        ),
        (
            "no token_type",
            merge(json!({ "token_type": null })),
            refused(""),
        ),
        (
            "token_type BEARER",
            merge(json!({ "token_type": "BEARER" })),
            Ok(()),
        ),
        (
            "token_type mac",
            merge(json!({ "token_type": "mac" })),
            refused(""),
        ),
        (
            "no token",
            merge(json!({ "access_token": null })),
            refused(""),
        ),
        (
            "an empty token",
            merge(json!({ "access_token": "" })),
            refused(""),
        ),
        (
            "a number as token",
            merge(json!({ "access_token": 7 })),
            refused(""),
        ),
        (
            "a line break in the token",
            merge(json!({ "access_token": "a\r\nX-Evil: 1" })),
            refused(""),
        ),
        (
            "an error in 200",
            Fault::error_in_200("invalid_scope"),
            refused(""),
        ),
        ("HTML", Fault::html(), refused("malformed_answer")),
        ("nothing", Fault::empty(), refused("malformed_answer")),
        (
            "half an answer",
            Fault::truncated(),
            refused("malformed_answer"),
        ),
        (
            "bytes after the JSON",
            Fault::body(200, "application/json", "{}x"),
            refused("malformed_answer"),
        ),
        (
            "too large",
            Fault::body(
                200,
                "application/json",
                format!("{{\"x\":\"{}\"}}", "x".repeat(2 << 20)),
            ),
            refused(""),
        ),
        (
            "deep",
            Fault::body(200, "application/json", "[".repeat(100_000)),
            refused("malformed_answer"),
        ),
        (
            "twice",
            Fault::body(
                200,
                "application/json",
                r#"{"access_token":"a","access_token":"b","token_type":"bearer","expires_in":60}"#,
            ),
            refused(""),
        ),
        (
            "a redirect",
            Fault::redirect(307, "http://127.0.0.1:9/"),
            refused(""),
        ),
        (
            "invalid_client",
            Fault::oauth_error(401, "invalid_client"),
            refused("oauth_error"),
        ),
        (
            "invalid_scope",
            Fault::oauth_error(400, "invalid_scope"),
            refused("oauth_error"),
        ),
        ("busy", Fault::too_many(None), refused("")),
        ("500", Fault::status(500), refused("")),
    ]
}

#[test]
fn each_odd_answer_of_the_token_endpoint_is_dealt_with() {
    let stage = Stage::new(600);
    let rows = odd_answers();
    let mut bootstrap = stage.bootstrap();
    for number in 0..rows.len() {
        // A client of its own for each row, in one VM.
        let id = format!("client-{number}");
        stage.lab.add_client(&id, SECRET, "read");
        let credentials = json!([{ "client_id": id, "client_secret": { "env": VARIABLE } }]);
        let svcauth = stage.svcauth(json!({
            "client": { "credentials": credentials },
            "envoy": { "eager": false, "holding": { "wait_s": 30 } },
        }));
        bootstrap = bootstrap.sidecar(&id, "smd", &svcauth);
    }
    let mut envoy = Envoy::start(&stage.settings(bootstrap).concurrency(1));
    for (number, (row, fault, expected)) in rows.into_iter().enumerate() {
        // invalid_client is tried twice, with the secret read again.
        stage.lab.faults().set(Endpoint::Token, fault);
        let answer = node()
            .send(envoy.address(&format!("client-{number}")))
            .unwrap();
        match expected {
            Ok(()) => assert_eq!(answer.status, 200, "{row}: {}", answer.text()),
            Err(code) => {
                assert_eq!(answer.status, 503, "{row}: {}", answer.text());
                assert!(answer.header("Retry-After").is_some(), "{row}: {answer:?}");
                let text = answer.text();
                assert!(text.contains(code), "{row}: {text}");
                assert!(!text.contains("Evil"), "{row}: {text}");
            }
        }
    }
    assert_eq!(stage.refused(), 0);
    assert!(envoy.runs());
    no_vm_has_failed(&envoy);
}

/// No trap, no panic, nothing loaded again.
pub(crate) fn no_vm_has_failed(envoy: &Envoy) {
    for (name, value) in envoy.stats() {
        if name.contains("vm_reload") || name.contains("vm_fail") {
            assert_eq!(value, 0, "{name}");
        }
    }
    let log = envoy.log();
    for sign in [
        "panicked",
        "wasm trap",
        "Uncaught",
        "VM failed",
        "unreachable",
    ] {
        let line = log.lines().find(|line| line.contains(sign));
        assert_eq!(line, None, "{sign:?} is in the log");
    }
}

#[test]
fn large_and_odd_headers_are_none_of_its_business() {
    let stage = Stage::new(600);
    let envoy = stage.start(json!({}));
    let egress = envoy.address("egress");
    let large = node().header("X-Large", &"x".repeat(50_000));
    assert_eq!(large.send(egress).unwrap().status, 200);
    let mut many = node();
    for number in 0..90 {
        many = many.header(&format!("X-{number}"), "\u{e9}\u{1F600}");
    }
    assert_eq!(many.send(egress).unwrap().status, 200);
    let token = stage.lab.user_token("alice", &["read"], 600);
    let long = node().bearer(&format!("{token}{}", "A".repeat(40_000)));
    assert_eq!(long.send(egress).unwrap().status, 401);
    // An empty Authorization is the caller's own.
    let empty = node().header("Authorization", "").send(egress).unwrap();
    println!("empty Authorization: {}", empty.status);
    no_vm_has_failed(&envoy);
}

#[test]
fn two_configurations_under_one_vm_id_do_not_share_a_token() {
    let stage = Stage::new(600);
    stage.lab.add_client("cloud-init", SECRET, "read");
    let other = json!([{ "client_id": "cloud-init", "client_secret": { "env": VARIABLE } }]);
    let bootstrap = stage
        .sidecar(json!({}))
        .sidecar(
            "other",
            "smd",
            &stage.svcauth(json!({ "client": { "credentials": other } })),
        )
        .sidecar("the same", "smd", &stage.svcauth(json!({})));
    let envoy = Envoy::start(&stage.settings(bootstrap));
    for (listener, client) in [
        ("egress", "bss"),
        ("other", "cloud-init"),
        ("the same", "bss"),
    ] {
        for _ in 0..8 {
            assert_eq!(node().send(envoy.address(listener)).unwrap().status, 200);
            let last = stage.lab.log_of(Service::Smd).pop().unwrap();
            assert_eq!(last.client_id.as_deref(), Some(client), "{listener}");
        }
    }
    assert_eq!(stage.lab.stats().token_requests(), 2);
}

#[test]
fn shared_data_of_another_version_is_left_alone() {
    let stage = Stage::new(600);
    let other = stage
        .svcauth(json!({}))
        .module(svcauth_envoy::filter_of_another_version().unwrap());
    let bootstrap = stage.sidecar(json!({})).sidecar("other", "smd", &other);
    let envoy = Envoy::start(&stage.settings(bootstrap));
    for _ in 0..4 {
        for listener in ["egress", "other"] {
            let answer = node().send(envoy.address(listener)).unwrap();
            assert_eq!(answer.status, 200, "{listener}: {}", answer.text());
        }
    }
    stage.new_key();
    for listener in ["egress", "other"] {
        assert_eq!(node().send(envoy.address(listener)).unwrap().status, 200);
    }
    no_vm_has_failed(&envoy);
}

#[test]
fn a_configuration_may_be_a_struct() {
    let stage = Stage::new(600);
    let svcauth: Svcauth = stage.svcauth(json!({})).as_struct();
    let bootstrap = stage.bootstrap().sidecar("egress", "smd", &svcauth);
    let envoy = Envoy::start(&stage.settings(bootstrap));
    assert_eq!(node().send(envoy.address("egress")).unwrap().status, 200);
    assert_eq!(stage.callers(), ["bss"]);
}

#[test]
fn a_secret_that_is_not_in_the_environment_is_told() {
    let stage = Stage::new(600);
    let svcauth =
        Svcauth::new(stage.document(json!({ "envoy": { "holding": { "wait_s": 0.3 } } })));
    let bootstrap = stage.bootstrap().sidecar("egress", "smd", &svcauth);
    match Envoy::try_start(&stage.settings(bootstrap)) {
        Ok(envoy) => {
            let answer = node().send(envoy.address("egress")).unwrap();
            assert_eq!(answer.status, 503);
            until("it is told", || envoy.log().contains(VARIABLE));
        }
        Err(error) => assert!(error.to_string().contains(VARIABLE), "{error}"),
    }
    assert_eq!(stage.lab.log_of(Service::Smd).len(), 0);
}

#[test]
fn calls_go_on_while_the_token_endpoint_is_slow() {
    let stage = Stage::patient(2);
    stage.lab.faults().set(Endpoint::Token, Fault::slow(150));
    let envoy = stage.start(json!({}));
    let load = Load::start(envoy.address("egress"), &node(), 8, None);
    until("six tokens came", || stage.lab.stats().tokens_issued() >= 6);
    let tally = load.end();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Token).in_flight_max, 1);
}
