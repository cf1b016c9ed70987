//! What scripts and newcomers can rely on.

use crate::stage::Stage;
use serde_json::{Value, json};
use svcauth_lab::Endpoint;

#[test]
fn stdout_is_clean_for_scripts() {
    let stage = Stage::new();
    stage.configure(json!({}));
    let token = stage.run(&["token", "-vv"]).ok();
    assert!(
        token.stdout.starts_with("eyJ")
            && token
                .stdout
                .trim_end()
                .bytes()
                .all(|byte| byte.is_ascii_graphic()),
        "{token:?}"
    );
    assert!(
        token.stderr.contains("token_received") && token.stderr.contains("POST"),
        "{token:?}"
    );
    let quiet = stage.run(&["token", "-q"]).ok();
    assert_eq!(quiet.stderr, "");
    let body = stage.run(&["call", &stage.node()]).ok();
    assert!(
        serde_json::from_str::<Value>(&body.stdout).is_ok(),
        "{body:?}"
    );
    assert_eq!(body.stderr, "");
}

#[test]
fn the_documents_have_the_members_that_are_written_down() {
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    let node = stage.node();
    for (arguments, members) in [
        (
            &["register"][..],
            &[
                "state",
                "client_id",
                "registration_client_uri",
                "client_secret",
                "client_secret_expires_at",
                "authorization",
                "store",
            ][..],
        ),
        (
            &["authorize"],
            &[
                "client_id",
                "endpoint",
                "kind",
                "location",
                "error",
                "has_code",
                "status",
            ],
        ),
        (
            &["token", "smd"],
            &[
                "target",
                "access_token",
                "token_type",
                "expires_in",
                "expires_at",
                "scopes",
                "client_id",
                "subject",
            ],
        ),
        (
            &["call", &node],
            &[
                "url", "method", "status", "target", "kind", "retried", "headers", "body",
            ],
        ),
        (&["check"], &["ok", "exit_code", "checks"]),
        (
            &[
                "init",
                "--output",
                "new.json",
                "--issuer",
                "https://i.example",
                "--client-id",
                "a",
                "--secret-file",
                "b",
                "--target",
                "c=https://c.example",
            ],
            &["file", "next"],
        ),
        (&["token", "nope"], &["error", "advice", "exit_code"]),
    ] {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        let document = stage.run(&arguments).json();
        let mut found: Vec<&String> = document.as_object().unwrap().keys().collect();
        let mut expected: Vec<&str> = members.to_vec();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{arguments:?}");
    }
    let document = stage.run(&["token", "--json"]).ok().json();
    assert_eq!(
        (&document["token_type"], &document["scopes"]),
        (&json!("Bearer"), &json!(["read"]))
    );
    assert!((1..=20).contains(&document["expires_in"].as_u64().unwrap()));
}

#[test]
fn help_teaches_with_examples_and_exit_codes() {
    let stage = Stage::new();
    let overview = stage.run(&["--help"]).ok().stdout;
    for part in [
        "svcauth register\n",
        "svcauth authorize\n",
        "svcauth token smd\n",
        "svcauth call https://",
        "Exit codes:",
        "  22 ",
        "SVCAUTH_CONFIG",
    ] {
        assert!(overview.contains(part), "{part:?} is missing: {overview}");
    }
    for command in [
        "init",
        "config",
        "check",
        "register",
        "authorize",
        "token",
        "call",
    ] {
        let help = stage.run(&[command, "--help"]).ok().stdout;
        assert!(
            help.contains("Example") && help.contains(&format!("svcauth {command}")),
            "{help}"
        );
    }
}

#[test]
fn a_newcomer_gets_a_configuration_that_works() {
    let stage = Stage::new();
    let schema = stage.run(&["config", "schema"]).ok().json();
    assert_eq!(schema["title"], "svcauth configuration");
    let listed = stage.run(&["config", "example", "--json"]).ok().json();
    for example in listed.as_array().unwrap() {
        let shown = stage
            .run(&["config", "example", example["name"].as_str().unwrap()])
            .ok();
        let document: Value = serde_json::from_str(&shown.stdout).unwrap();
        let mut document = document.as_object().unwrap().clone();
        // The files of the example are not on this machine.
        document.remove("tls");
        stage.write("example.json", &Value::Object(document).to_string());
        let run = stage.run(&["check", "--offline", "-c", "example.json"]);
        assert!(run.stdout.starts_with("ok       configuration"), "{run:?}");
    }

    let target = format!("smd={}/hsm/v2", stage.lab.smd_url());
    let init = [
        "init",
        "--issuer",
        &stage.lab.issuer_url(),
        "--client-id",
        "bss",
        "--secret-file",
        "secret",
        "--target",
        &target,
        "--scope",
        "read",
    ];
    let run = stage.run(&init).ok();
    assert!(run.stderr.contains("svcauth token smd"), "{run:?}");
    stage.run(&["token"]).ok();
    for (name, option) in [("named.json", "-c"), ("put.json", "--output")] {
        let run = stage.run(&[&init[..], &[option, name]].concat()).ok();
        let next = format!("svcauth -c {name} token smd");
        assert!(run.stderr.contains(&next), "{run:?}");
        stage.run(&["-c", name, "token"]).ok();
    }
    let run = stage
        .run_with(("SVCAUTH_CONFIG", "variable.json"), &init)
        .ok();
    assert!(run.stderr.contains("  svcauth token smd"), "{run:?}");
    stage.run(&["-c", "variable.json", "token"]).ok();
    let named = stage.directory.join("svcauth.json");
    std::fs::rename(&named, stage.directory.join("other.json")).unwrap();
    assert_eq!(stage.run(&["token"]).code, 2);
    stage
        .run_with(("SVCAUTH_CONFIG", "other.json"), &["token"])
        .ok();
    stage.run(&["-c", "other.json", "token"]).ok();
}

#[test]
fn what_init_writes_means_the_same_in_every_folder() {
    let stage = Stage::new();
    let elsewhere = stage.directory.join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    let issuer = stage.lab.issuer_url();
    let endpoint = format!("{issuer}/oauth2/register");
    let target = format!("smd={}/hsm/v2", stage.lab.smd_url());
    let server = ["init", "--issuer", &issuer, "--target", &target];
    let known = ["--client-id", "bss", "--secret-file", "secret"];
    let new = [
        "--register",
        "--registration-endpoint",
        &endpoint,
        "--client-name",
        "boot scripts",
        "--store",
        "state.json",
    ];
    for (options, file) in [(&known[..], "known.json"), (&new[..], "new.json")] {
        stage
            .run(&[&server[..], options, &["--output", file]].concat())
            .ok();
        let config = stage.directory.join(file);
        let arguments = ["token", "-c", config.to_str().unwrap()];
        stage.run(&arguments).ok();
        let mut command = stage.command(&arguments);
        let ended = command.current_dir(&elsewhere).output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 1);
    assert_eq!(stage.saved()["registration"]["client_name"], "boot scripts");
}

#[cfg(unix)]
#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let stage = Stage::new();
    let mut command = stage.command(&["config", "schema"]);
    let mut child = command
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!(
        (ended.status.code(), ended.stderr.as_slice()),
        (Some(0), &b""[..])
    );
}
