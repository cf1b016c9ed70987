//! What the command is for.

use crate::stage::Stage;
use base64ct::{Base64UrlUnpadded, Encoding};
use serde_json::{Value, json};
use std::fs;
use std::io::Write;
use std::process::Stdio;
use svcauth_lab::{Endpoint, Fault, Service};

#[test]
fn four_lines_register_authorize_get_a_token_and_make_the_call() {
    let stage = Stage::new();
    let issuer = stage.lab.issuer_url();
    stage
        .run(&[
            "init",
            "--issuer",
            &issuer,
            "--register",
            "--registration-endpoint",
            &format!("{issuer}/oauth2/register"),
            "--target",
            &format!("smd={}/hsm/v2", stage.lab.smd_url()),
            "--scope",
            "read",
            "--store",
            "state.json",
        ])
        .ok();

    let registered = stage.run(&["register"]).ok();
    let authorized = stage.run(&["authorize"]).ok();
    let token = stage.run(&["token", "smd"]).ok();
    let called = stage.run(&["call", &stage.node()]).ok();

    assert!(
        registered.stdout.starts_with("registered as "),
        "{registered:?}"
    );
    assert!(
        authorized.stdout.contains("redirected to "),
        "{authorized:?}"
    );
    assert!(
        authorized.stderr.contains("That is normal"),
        "{authorized:?}"
    );
    assert_eq!(token.stdout.split('.').count(), 3, "{token:?}");
    assert_eq!(token.stdout.lines().count(), 1, "{token:?}");
    assert!(called.stdout.contains(r#""ID":"x0c0s0b0n0""#), "{called:?}");

    let client_id = stage.saved()["registration"]["client_id"].clone();
    let calls = stage.lab.log_of(Service::Smd);
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].client_id.as_deref(), client_id.as_str());
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 1);
}

#[test]
fn what_metadata_tells_first_is_no_failure_of_a_registration() {
    for (patch, named) in [
        (json!({ "endpoints": null }), true),
        (
            json!({ "client": { "registration": { "authorize": true } } }),
            false,
        ),
    ] {
        let stage = Stage::new();
        if named {
            let endpoint = format!("{}/oauth2/register", stage.lab.issuer_url());
            stage.lab.faults().set(
                Endpoint::Discovery,
                Fault::merge(json!({ "registration_endpoint": endpoint })),
            );
        }
        stage.configure_registration(patch);
        let states = ["registered", "saved"]
            .map(|state| (state, stage.run(&["register", "--json"]).ok().json()));
        for (state, document) in states {
            assert_eq!(document["state"], state, "{document:#}");
        }
        let run = stage.run(&["authorize"]).ok();
        assert!(run.stdout.contains("redirected to "), "{run:?}");
        assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 1);
    }
}

#[test]
fn a_second_run_shows_the_saved_registration_and_registers_nobody() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    let first = stage.run(&["register", "--json"]).ok().json();
    let second = stage.run(&["register", "--json"]).ok().json();
    assert_eq!(
        (&first["state"], &second["state"]),
        (&json!("registered"), &json!("saved"))
    );
    assert_eq!(first["client_id"], second["client_id"]);
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 1);
}

#[test]
fn a_registration_is_updated_deleted_and_forgotten() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    let first = stage.run(&["register", "--json"]).ok().json();
    let token = stage.saved()["registration"]["registration_access_token"].clone();

    stage.configure_registration(
        json!({ "client": { "registration": { "metadata": { "client_name": "bss-2" } } } }),
    );
    let updated = stage.run(&["register", "--update", "--json"]).ok().json();
    let saved = stage.saved()["registration"].clone();
    assert_eq!(
        (&updated["state"], &updated["client_id"]),
        (&json!("updated"), &first["client_id"])
    );
    assert_eq!(saved["client_name"], "bss-2");
    assert_ne!(
        saved["registration_access_token"], token,
        "the server gave a new one"
    );
    stage.run(&["token"]).ok();

    assert_eq!(
        stage.run(&["register", "--delete", "--json"]).ok().json()["state"],
        "deleted"
    );
    assert_eq!(stage.saved()["registration"], json!(null));
    assert_eq!(
        stage.run(&["register", "--delete", "--json"]).ok().json()["state"],
        "none"
    );
    let anew = stage.run(&["register", "--json"]).ok().json();
    assert_eq!(anew["state"], "registered");
    assert_ne!(anew["client_id"], first["client_id"]);

    assert_eq!(
        stage.run(&["register", "--forget", "--json"]).ok().json()["state"],
        "forgotten"
    );
    assert_eq!(stage.saved()["registration"], json!(null));
}

#[test]
fn the_query_of_a_management_uri_is_not_shown() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    stage.run(&["register"]).ok();
    let path = stage.directory.join("state.json");
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    let value = &mut state["records"]["registration"]["value"];
    let record = Base64UrlUnpadded::decode_vec(value.as_str().unwrap()).unwrap();
    let mut record: Value = serde_json::from_slice(&record).unwrap();
    record["registration"]["registration_client_uri"] =
        json!("http://127.0.0.1:1/oauth2/register/bss?key=planted-in-a-query");
    *value = json!(Base64UrlUnpadded::encode_string(
        record.to_string().as_bytes()
    ));
    stage.write("state.json", &state.to_string());
    stage.plant("planted-in-a-query");
    let run = stage.run(&["register", "--delete"]);
    assert!(
        run.stderr
            .contains("http://127.0.0.1:1/oauth2/register/bss"),
        "{run:?}"
    );
}

#[test]
fn a_client_that_the_server_has_lost_cannot_be_deleted_and_the_advice_says_what_can() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    stage.run(&["register"]).ok();
    stage
        .lab
        .faults()
        .set(Endpoint::Register, Fault::oauth_error(401, "invalid_token"));
    let run = stage.run(&["register", "--delete"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stderr.contains("next: ") && run.stderr.contains("--forget"),
        "{run:?}"
    );
    assert_ne!(
        stage.saved()["registration"],
        json!(null),
        "it is still there"
    );
}

#[test]
fn the_kind_of_redirect_at_the_authorization_endpoint_is_told() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    stage.run(&["register"]).ok();
    for (location, kind, said) in [
        (
            "https://login.example/login?login_challenge=q7",
            "login_page",
            "https://login.example/login",
        ),
        (
            "http://127.0.0.1:5555/callback#error=invalid_state&state=x",
            "callback",
            "invalid_state",
        ),
        (
            "http://127.0.0.1:5555/oauth2/fallbacks/error?error=invalid_request",
            "error_page",
            "invalid_request",
        ),
    ] {
        stage
            .lab
            .faults()
            .set(Endpoint::Authorize, Fault::redirect(302, location));
        let document = stage.run(&["authorize", "--json"]).ok();
        assert_eq!(document.json()["kind"], kind, "{document:?}");
        assert!(document.stdout.contains(said), "{document:?}");
        let sentence = stage.run(&["authorize"]).ok();
        assert!(sentence.stdout.contains(said), "{sentence:?}");
        assert!(!sentence.stdout.contains("login_challenge"), "{sentence:?}");
    }
}

#[test]
fn a_call_is_like_curls_with_the_right_token() {
    let stage = Stage::new();
    stage.configure(json!({}));
    let components = format!("{}/hsm/v2/State/Components", stage.lab.smd_url());

    let shown = stage.run(&["call", "-i", &stage.node()]).ok();
    assert!(shown.stdout.starts_with("HTTP 200 OK\r\n"), "{shown:?}");
    assert!(
        shown.stdout.contains("content-type: application/json\r\n"),
        "{shown:?}"
    );

    let body = r#"{"Components":[{"ID":"x9c0s0b0n0","NID":9}]}"#;
    stage.run(&["call", "-d", body, &components]).ok();
    stage.write("body.json", &body.replace("x9", "x8"));
    stage
        .run(&[
            "call",
            "-X",
            "POST",
            "-d",
            "@body.json",
            "-H",
            "X-Note: seen",
            &components,
        ])
        .ok();
    let mut command = stage.command(&["call", "-d", "-", &components]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(body.replace("x9", "x7").as_bytes())
        .unwrap();
    assert!(child.wait().unwrap().success());
    for node in ["x9c0s0b0n0", "x8c0s0b0n0", "x7c0s0b0n0"] {
        let run = stage.run(&["call", &format!("{components}/{node}")]).ok();
        assert!(run.stdout.contains(node), "{run:?}");
    }

    let missing = stage.run(&["call", &format!("{components}/x0c9")]);
    assert_eq!(missing.code, 22, "{missing:?}");
    assert!(missing.stderr.contains("404"), "{missing:?}");
}

#[test]
fn a_call_that_is_refused_is_made_once_more_with_a_new_token() {
    let stage = Stage::new();
    stage.configure(json!({}));
    stage
        .lab
        .faults()
        .set(Endpoint::Smd, Fault::status(401).times(1));
    let run = stage.run(&["call", "--json", &stage.node()]).ok().json();
    assert_eq!(
        (&run["status"], &run["retried"]),
        (&json!(200), &json!(true))
    );
    assert_eq!(stage.lab.stats().token_requests(), 2);

    stage.lab.faults().set(Endpoint::Smd, Fault::status(401));
    let run = stage.run(&["call", &stage.node()]);
    assert_eq!(run.code, 22, "{run:?}");
    assert_eq!(
        stage.lab.stats().endpoint(Endpoint::Smd).requests,
        4,
        "once more, not for ever"
    );
}

#[test]
fn a_redirect_is_shown_without_its_query_and_not_followed() {
    let stage = Stage::new();
    stage.configure(json!({ "targets": { "smd": { "urls": [stage.lab.smd_url()] } } }));
    let to = stage.lab.elsewhere_url();
    stage.plant("planted-code");
    let url = format!(
        "{}/redirect?status=307&to={to}/?code=planted-code",
        stage.lab.smd_url()
    );
    let run = stage.run(&["-vv", "call", &url]).ok();
    assert!(
        run.stderr.contains(&to) && run.stderr.contains("not followed"),
        "{run:?}"
    );
    assert_eq!(stage.lab.log_of(Service::Elsewhere), []);
}

#[test]
fn a_users_token_is_passed_on_from_a_file_or_the_environment() {
    let stage = Stage::new();
    stage.configure(json!({}));
    let token = stage.lab.user_token("alice", &["read"], 60);
    stage.plant(&token);
    stage.write("user.jwt", &format!("{token}\n"));
    let run = stage
        .run(&[
            "-vv",
            "call",
            "--json",
            "--user-token-file",
            "user.jwt",
            &stage.node(),
        ])
        .ok();
    assert_eq!(run.json()["kind"], "user");
    stage
        .run_with(
            ("SVCAUTH_USER_TOKEN", &token),
            &["-vv", "call", &stage.node()],
        )
        .ok();
    let subjects: Vec<_> = stage
        .lab
        .log_of(Service::Smd)
        .into_iter()
        .map(|entry| entry.sub)
        .collect();
    assert_eq!(subjects, [Some("alice".into()), Some("alice".into())]);
    assert_eq!(
        stage.lab.stats().token_requests(),
        0,
        "the service's own token was not needed"
    );
}

#[test]
fn a_call_that_was_to_be_a_users_is_not_made_in_the_services_name() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let stage = Stage::new();
    stage.configure(json!({}));
    for text in [&b""[..], b"\xff\xfe", b"two words"] {
        let mut command = stage.command(&["call", &stage.node()]);
        command.env("SVCAUTH_USER_TOKEN", OsStr::from_bytes(text));
        let ended = command.output().unwrap();
        assert_eq!(ended.status.code(), Some(2), "{ended:?}");
        let said = String::from_utf8(ended.stderr).unwrap();
        for part in ["SVCAUTH_USER_TOKEN", "secret_unavailable", "unset"] {
            assert!(said.contains(part), "{part:?} is missing: {said}");
        }
    }
    assert!(stage.lab.log_of(Service::Smd).is_empty());
}

#[test]
fn a_bootstrap_token_is_spent_once_and_its_refresh_tokens_after_it() {
    let stage = Stage::new();
    let token = stage.lab.bootstrap_token("bss", &["read"]);
    stage.plant(&token);
    stage.write("bootstrap", &token);
    stage.configure(json!({
        "issuer": null,
        "client": { "auth": "none", "credentials": null },
        "endpoints": { "token": format!("{}/oauth/token", stage.lab.tokensmith_url()) },
        "store": { "file": "state.json" },
        "targets": { "smd": { "scopes": null, "grant": {
            "type": "token_exchange",
            "subject_token": { "file": "bootstrap" },
            "subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token",
        } } },
    }));
    for _ in 0..3 {
        stage.run(&["-vv", "token"]).ok();
    }
    assert_eq!(stage.lab.stats().refresh_reuse, 0);
    assert_eq!(stage.lab.stats().tokens_issued(), 3);
}

#[test]
fn failures_that_pass_are_waited_out_on_request() {
    let stage = Stage::new();
    stage.configure(json!({}));
    stage
        .lab
        .faults()
        .set(Endpoint::Token, Fault::status(503).times(2));
    assert_eq!(stage.run(&["token"]).code, 3);
    stage.run(&["token", "--wait", "20"]).ok();
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Token).requests, 3);
}

#[test]
fn check_tells_what_is_wrong_and_registers_nobody() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    let run = stage.run(&["check"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(run.stdout.contains("next: svcauth register"), "{run:?}");
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 0);

    stage.run(&["register"]).ok();
    let run = stage.run(&["check", "--call"]).ok();
    assert!(
        run.stdout.contains("-> 404, which tells nothing"),
        "{run:?}"
    );
    stage.configure_registration(json!({ "targets": { "smd": { "urls": [stage.node()] } } }));
    let run = stage.run(&["check", "--call"]).ok();
    assert!(run.stdout.ends_with("all is well\n"), "{run:?}");

    stage.lab.faults().set(Endpoint::Smd, Fault::status(401));
    let run = stage.run(&["check", "--call", "--json"]);
    let document = run.json();
    assert_eq!(
        (run.code, &document["ok"], &document["exit_code"]),
        (3, &json!(false), &json!(3))
    );
    let failed: Vec<_> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|check| check["state"] == "failed")
        .collect();
    assert_eq!(failed.len(), 1, "{document:#}");
    assert_eq!(failed[0]["check"], "call");
    assert!(failed[0]["advice"].is_string() && failed[0]["error"]["code"].is_string());
}

#[test]
fn check_goes_on_after_a_failure_and_sends_nothing_offline() {
    let stage = Stage::new();
    stage.configure(json!({
        "client": { "credentials": [
            { "client_id": "bss", "client_secret": { "file": "not-there" } },
            { "client_id": "bss", "client_secret": { "value": "planted-inline-secret" } },
        ] },
        "store": { "file": "no/such/directory/state.json" },
    }));
    stage.plant("planted-inline-secret");
    let run = stage.run(&["check", "--offline", "--json", "-vv"]);
    assert_eq!(run.code, 2, "{run:?}");
    let document = run.json();
    let states: Vec<_> = document["checks"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| {
            (
                check["check"].as_str().unwrap(),
                check["state"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        states,
        [
            ("configuration", "ok"),
            ("secret", "failed"),
            ("secret", "warning"),
            ("store", "failed"),
            ("token", "skipped"),
        ]
    );
    assert!(stage.lab.log().is_empty(), "nothing was sent");
}
