//! Each kind of bad input: one sentence, what to do, a stable code, the exit code.

use crate::stage::Stage;
use serde_json::json;
use svcauth_lab::{Endpoint, Fault, LabConfig, RetryAfter, Service};

struct Row<'a> {
    what: &'a str,
    prepare: fn(&Stage),
    arguments: Vec<String>,
    exit: i32,
    code: &'a str,
    /// Parts of what is said on stderr.
    said: &'a [&'a str],
}

fn row<'a>(
    what: &'a str,
    prepare: fn(&Stage),
    arguments: &[&str],
    exit: i32,
    code: &'a str,
    said: &'a [&'a str],
) -> Row<'a> {
    let arguments = arguments
        .iter()
        .map(|argument| argument.to_string())
        .collect();
    Row {
        what,
        prepare,
        arguments,
        exit,
        code,
        said,
    }
}

/// An address where nothing listens.
fn closed() -> std::net::SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
}

fn run_rows(stage: &Stage, rows: &[Row<'_>]) {
    for Row {
        what,
        prepare,
        arguments,
        exit,
        code,
        said,
    } in rows
    {
        for verbosity in [None, Some("-v"), Some("-vv")] {
            stage.lab.reset();
            stage.configure(json!({}));
            stage.write("secret", crate::stage::SECRET);
            prepare(stage);
            let arguments: Vec<&str> = arguments
                .iter()
                .map(String::as_str)
                .chain(verbosity)
                .collect();
            let run = stage.run(&arguments);
            assert_eq!(run.code, *exit, "{what}: {run:?}");
            assert_eq!(run.stdout, "", "{what}: stdout is for results");
            let told = run
                .stderr
                .lines()
                .filter(|line| line.starts_with("svcauth: "))
                .count();
            assert_eq!(told, 1, "{what}: one sentence: {run:?}");
            for part in said.iter().chain([code]) {
                assert!(
                    run.stderr.contains(part),
                    "{what}: {part:?} is missing: {run:?}"
                );
            }
            prepare(stage);
            let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
            let document = stage.run(&arguments).json();
            assert_eq!(document["error"]["code"], *code, "{what}: {document:#}");
            assert_eq!(document["exit_code"], *exit, "{what}: {document:#}");
            assert!(
                document["error"]["message"].is_string(),
                "{what}: {document:#}"
            );
        }
    }
}

#[test]
fn what_the_caller_has_to_mend_ends_with_2() {
    let stage = Stage::new();
    stage.plant("planted-password");
    stage.plant("planted-query");
    let away = "https://other.example/hsm/v2";
    run_rows(
        &stage,
        &[
            row(
                "no file",
                |_| {},
                &["token", "-c", "none.json"],
                2,
                "invalid_configuration",
                &["none.json", "next: ", "svcauth init"],
            ),
            row(
                "no JSON",
                |stage| stage.write("svcauth.json", "{\n  \"issuer\": oops }"),
                &["token"],
                2,
                "invalid_configuration",
                &["byte 14", "line 2, column 13", "next: "],
            ),
            row(
                "unknown member",
                |stage| stage.configure(json!({ "targets": { "smd": { "scope": [] } } })),
                &["token"],
                2,
                "invalid_configuration",
                &["targets.smd.scope: unknown, did you mean scopes?"],
            ),
            row(
                "contradiction",
                |stage| stage.configure(json!({ "issuer": "http://hydra.example" })),
                &["token"],
                2,
                "invalid_configuration",
                &["issuer"],
            ),
            row(
                "secret not there",
                |stage| {
                    stage.configure(json!({ "client": { "credentials": [{ "client_id": "bss", "client_secret": { "file": "gone" } }] } }))
                },
                &["token"],
                2,
                "secret_unavailable",
                &["file gone"],
            ),
            row(
                "secret not set",
                |stage| {
                    stage.configure(json!({ "client": { "credentials": [{ "client_id": "bss", "client_secret": { "env": "BSS_SECRET" } }] } }))
                },
                &["token"],
                2,
                "secret_unavailable",
                &["environment variable BSS_SECRET"],
            ),
            row(
                "secret empty",
                |stage| stage.write("secret", "\n"),
                &["token"],
                2,
                "secret_unavailable",
                &["file secret", "empty"],
            ),
            row(
                "wrong target",
                |_| {},
                &["token", "smdd"],
                2,
                "unknown_target",
                &["targets.smdd", "smd"],
            ),
            row(
                "which target",
                |stage| {
                    stage.configure(
                        json!({ "targets": { "bss": { "urls": ["https://bss.example/"] } } }),
                    )
                },
                &["token"],
                2,
                "invalid_argument",
                &["bss, smd"],
            ),
            row(
                "URL of no target",
                |_| {},
                &["call", away],
                2,
                "invalid_argument",
                &[away, "no target", "next: "],
            ),
            row(
                "own endpoint",
                |stage| {
                    stage.configure(
                        json!({ "targets": { "all": { "urls": [stage.lab.issuer_url()] } } }),
                    )
                },
                &["call", &format!("{}/oauth2/token", stage.lab.issuer_url())],
                2,
                "invalid_argument",
                &["/oauth2/token", "no target"],
            ),
            row(
                "no URL",
                |_| {},
                &["call", "smd"],
                2,
                "invalid_argument",
                &["smd"],
            ),
            row(
                "secret in the URL",
                |_| {},
                &[
                    "call",
                    "https://user:planted-password@smd.example/x?y=planted-query",
                ],
                2,
                "invalid_argument",
                &["https://smd.example/x: "],
            ),
            row(
                "secret in what is no URL",
                |_| {},
                &["call", "https:/user:planted-password@smd.example/"],
                2,
                "invalid_argument",
                &["smd.example/: "],
            ),
            row(
                "credential as argument",
                |_| {},
                &["call", "-H", "Authorization: Bearer x", away],
                2,
                "invalid_argument",
                &["-H", "--user-token-file"],
            ),
            row(
                "no header",
                |_| {},
                &["call", "-H", "planted header", away],
                2,
                "invalid_argument",
                &["name: value"],
            ),
            row(
                "no body",
                |_| {},
                &["call", "-d", "@gone", away],
                2,
                "invalid_argument",
                &["gone"],
            ),
            row(
                "no user's token",
                |_| {},
                &["call", "--user-token-file", "gone", away],
                2,
                "secret_unavailable",
                &["gone"],
            ),
            row(
                "store not writable",
                |stage| {
                    stage.configure_registration(json!({ "store": { "file": "gone/state.json" } }))
                },
                &["register"],
                2,
                "store_unavailable",
                &["store", "gone"],
            ),
            row(
                "store damaged",
                |stage| {
                    stage.configure_registration(json!({ "store": { "file": "damaged" } }));
                    stage.write("damaged", "{\"format\":");
                },
                &["register"],
                2,
                "store_unavailable",
                &["store"],
            ),
            row(
                "nothing to register",
                |_| {},
                &["register"],
                2,
                "invalid_configuration",
                &["client.registration", "svcauth token"],
            ),
            row(
                "CA file not there",
                |stage| stage.configure(json!({ "tls": { "ca_file": "gone.pem" } })),
                &["token"],
                2,
                "invalid_configuration",
                &["tls.ca_file", "gone.pem"],
            ),
            row(
                "no such command",
                |_| {},
                &["tokn"],
                2,
                "invalid_argument",
                &["'tokn'", "next: ", "'token'"],
            ),
            row(
                "no URL",
                |_| {},
                &["call"],
                2,
                "invalid_argument",
                &["<URL>", "next: usage: svcauth call"],
            ),
            row(
                "no number",
                |_| {},
                &["token", "--wait", "soon"],
                2,
                "invalid_argument",
                &["'soon'", "--wait", "next: "],
            ),
            row(
                "contradicting options",
                |_| {},
                &["register", "--forget", "--delete"],
                2,
                "invalid_argument",
                &["--forget", "--delete"],
            ),
            row(
                "no example",
                |_| {},
                &["config", "example", "x"],
                2,
                "invalid_argument",
                &["secret"],
            ),
            row(
                "init without answers",
                |_| {},
                &["init", "--output", "new.json"],
                2,
                "invalid_argument",
                &["--issuer", "next: "],
            ),
            row(
                "init over a file",
                |_| {},
                &[
                    "init",
                    "--issuer",
                    "https://i.example",
                    "--client-id",
                    "a",
                    "--secret-env",
                    "B",
                    "--target",
                    "a=https://a.example",
                ],
                2,
                "invalid_argument",
                &["svcauth.json", "--force"],
            ),
        ],
    );
}

#[test]
fn what_the_server_says_ends_with_3() {
    let stage = Stage::new();
    fn token(stage: &Stage, fault: Fault) {
        stage.lab.faults().set(Endpoint::Token, fault);
    }
    run_rows(
        &stage,
        &[
            row(
                "wrong secret",
                |stage| stage.write("secret", "planted-client-secret-Wrong"),
                &["token"],
                3,
                "oauth_error",
                &["invalid_client", "HTTP 401", "next: "],
            ),
            row(
                "OAuth error",
                |stage| token(stage, Fault::oauth_error(400, "invalid_scope")),
                &["token"],
                3,
                "oauth_error",
                &["invalid_scope", "targets.*.scopes"],
            ),
            row(
                "a page",
                |stage| token(stage, Fault::html()),
                &["token"],
                3,
                "malformed_answer",
                &["text/html", "next: "],
            ),
            row(
                "nothing",
                |stage| token(stage, Fault::empty()),
                &["token"],
                3,
                "malformed_answer",
                &["HTTP 200"],
            ),
            row(
                "half",
                |stage| token(stage, Fault::truncated()),
                &["token"],
                3,
                "malformed_answer",
                &[],
            ),
            row(
                "error in 200",
                |stage| token(stage, Fault::error_in_200("access_denied")),
                &["token"],
                3,
                "oauth_error",
                &["access_denied"],
            ),
            row(
                "wrong life",
                |stage| token(stage, Fault::merge(json!({ "expires_in": "soon" }))),
                &["token"],
                3,
                "invalid_expires_in",
                &["expires_in"],
            ),
            row(
                "no type",
                |stage| token(stage, Fault::merge(json!({ "token_type": null }))),
                &["token"],
                3,
                "missing_token_type",
                &["allow_missing_token_type"],
            ),
            row(
                "redirect",
                |stage| token(stage, Fault::redirect(302, "https://evil.example/?x")),
                &["token"],
                3,
                "unexpected_redirect",
                &["HTTP 302"],
            ),
            row(
                "503",
                |stage| token(stage, Fault::status(503)),
                &["token"],
                3,
                "server_error",
                &["HTTP 503", "--wait"],
            ),
            row(
                "429",
                |stage| token(stage, Fault::too_many(Some(RetryAfter::Seconds(7)))),
                &["token"],
                3,
                "rate_limited",
                &["7 s"],
            ),
            row(
                "404",
                |stage| token(stage, Fault::status(404)),
                &["token"],
                3,
                "unexpected_status",
                &["HTTP 404"],
            ),
            row(
                "another issuer",
                |stage| {
                    stage.lab.faults().set(
                        Endpoint::Discovery,
                        Fault::merge(json!({ "issuer": "https://evil.example" })),
                    )
                },
                &["token"],
                3,
                "issuer_mismatch",
                &["issuer", "next: "],
            ),
            row(
                "registration refused",
                |stage| {
                    stage.configure_registration(json!({ "store": { "file": "other.json" } }));
                    stage
                        .lab
                        .faults()
                        .set(Endpoint::Register, Fault::oauth_error(403, "access_denied"));
                },
                &["register"],
                3,
                "oauth_error",
                &["access_denied"],
            ),
        ],
    );
}

#[test]
fn what_the_network_does_ends_with_4() {
    let stage = Stage::new();
    run_rows(
        &stage,
        &[
            row(
                "server away",
                |stage| stage.lab.away(Service::Issuer),
                &["token"],
                4,
                "connection_failed",
                &["http://127.0.0.1:", "cannot connect"],
            ),
            row(
                "no TLS at that port",
                |stage| {
                    let issuer = stage.lab.issuer_url().replace("http:", "https:");
                    stage.configure(json!({ "issuer": issuer }));
                },
                &["token"],
                4,
                "tls_failed",
                &[
                    "https://127.0.0.1:",
                    "next: what listens there speaks no TLS",
                ],
            ),
            row(
                "proxy away",
                |stage| stage.configure(json!({ "proxy": format!("http://{}", closed()) })),
                &["token"],
                4,
                "connection_failed",
                &[
                    "http://127.0.0.1:",
                    "cannot connect",
                    "through the proxy 127.0.0.1:",
                ],
            ),
            row(
                "proxy away, for a call",
                |stage| {
                    stage.configure(json!({
                        "proxy": format!("http://{}", closed()),
                        "issuer": null,
                        "client": { "credentials": null, "static_token": { "file": "secret" } },
                    }))
                },
                &["call", &stage.node()],
                4,
                "connection_failed",
                &["/hsm/v2/State", "through the proxy 127.0.0.1:"],
            ),
            row(
                "too slow",
                |stage| {
                    stage.configure(json!({
                        "endpoints": { "token": format!("{}/oauth2/token", stage.lab.issuer_url()) },
                        "timeouts": { "request_s": 0.1 },
                    }));
                    stage.lab.faults().set(Endpoint::Token, Fault::hold());
                },
                &["token"],
                4,
                "timeout",
                &["/oauth2/token"],
            ),
            row(
                "dropped",
                |stage| {
                    stage
                        .lab
                        .faults()
                        .set(Endpoint::Token, Fault::drop_connection())
                },
                &["token"],
                4,
                "connection_broken",
                &["/oauth2/token", "next: try again"],
            ),
            row(
                "service away",
                |stage| stage.lab.away(Service::Smd),
                &["call", &stage.node()],
                4,
                "connection_failed",
                &["/hsm/v2/State"],
            ),
            row(
                "service too slow",
                |stage| stage.lab.faults().set(Endpoint::Smd, Fault::hold()),
                &["call", "--max-time", "0.2", &stage.node()],
                4,
                "timeout",
                &["/hsm/v2/State"],
            ),
        ],
    );
}

#[test]
fn tls_that_does_not_verify_ends_with_4_and_is_mended_by_the_authority() {
    let stage = Stage::with(LabConfig {
        tls: true,
        ..LabConfig::default()
    });
    stage.configure(json!({}));
    for arguments in [&["token"][..], &["check"]] {
        let run = stage.run(arguments);
        assert_eq!(run.code, 4, "{run:?}");
        let said = format!("{}{}", run.stdout, run.stderr);
        assert!(
            said.contains("tls_failed") && said.contains("tls.ca_file"),
            "{run:?}"
        );
    }
    stage.write("ca.pem", stage.lab.authority_pem().unwrap());
    stage.configure(json!({ "tls": { "ca_file": "ca.pem" } }));
    stage.run(&["check", "--call"]).ok();
    stage.run(&["call", &stage.node()]).ok();

    stage.write("static", "planted-static-token");
    stage.plant("planted-static-token");
    stage.configure(
        json!({ "client": { "credentials": null, "static_token": { "file": "static" } } }),
    );
    let run = stage.run(&["-vv", "call", &stage.node()]);
    assert_eq!(
        run.code, 4,
        "the service's certificate is not verified either: {run:?}"
    );
    assert!(run.stderr.contains("tls_failed"), "{run:?}");
}

#[test]
fn metadata_without_a_registration_endpoint_is_no_login_page() {
    let stage = Stage::new();
    stage.configure_registration(json!({ "endpoints": null }));
    let run = stage.run(&["register"]);
    assert_eq!(run.code, 3, "{run:?}");
    assert!(
        run.stderr.contains("set endpoints.registration")
            && run.stderr.contains("next: ")
            && !run.stderr.contains("login page"),
        "{run:?}"
    );
    let run = stage.run(&["check"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stdout.contains("FAILED   metadata")
            && run
                .stdout
                .contains("write where clients register into endpoints.registration"),
        "{run:?}"
    );
}
