//! The program and its control over HTTP, as tests in other languages use them.

mod http;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

struct Program {
    child: Child,
    urls: Value,
}

impl Program {
    fn start(arguments: &[&str]) -> Program {
        let mut child = Command::new(env!("CARGO_BIN_EXE_svcauth-lab"))
            .args(arguments)
            .arg("--until-stdin-closes")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let urls = serde_json::from_str(&line).unwrap();
        Program { child, urls }
    }

    fn url(&self, service: &str, path: &str) -> String {
        format!("{}{path}", self.urls[service].as_str().unwrap())
    }

    fn control(&self, path: &str, body: &Value) -> Value {
        let answer = http::json(&self.url("admin", path), "POST", body).unwrap();
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    }

    /// Closes the input and waits.
    fn stop(mut self) -> Option<i32> {
        drop(self.child.stdin.take());
        self.child.wait().unwrap().code()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn everything_can_be_done_over_http() {
    let program = Program::start(&["--ttl", "5", "--smd-keys", "always"]);
    let created = http::json(
        &program.url("admin", "/admin/clients"),
        "POST",
        &json!({
            "client_id": "bss",
            "client_secret": "a-secret",
            "token_endpoint_auth_method": "client_secret_post",
            "grant_types": ["client_credentials"],
            "scope": "read",
        }),
    )
    .unwrap();
    assert_eq!(created.status, 201);
    let token = || {
        http::form(
            &program.url("issuer", "/oauth2/token"),
            &[],
            &[
                ("grant_type", "client_credentials"),
                ("client_id", "bss"),
                ("client_secret", "a-secret"),
            ],
        )
    };

    program.control(
        "/lab/faults",
        &json!({ "endpoint": "token", "fault": { "action": { "answer": { "status": 503 } }, "times": 1 } }),
    );
    program.control(
        "/lab/faults",
        &json!({ "endpoint": "token", "fault": { "action": "drop", "times": 1 }, "push": true }),
    );
    assert_eq!(token().unwrap().status, 503);
    assert!(token().is_err());
    let answer = token().unwrap().json();
    assert_eq!(answer["expires_in"], 4);

    let node = program.url("smd", "/hsm/v2/State/Components/x0c0s0b0n0");
    let service = answer["access_token"].as_str().unwrap();
    let user = program.control(
        "/lab/user-token",
        &json!({ "sub": "alice", "scopes": ["read"], "lifetime": 60, "client_id": "portal" }),
    );
    let user = user["access_token"].as_str().unwrap();
    for token in [service, user] {
        assert_eq!(http::get(&node, Some(token)).unwrap().status, 200);
    }
    program.control("/lab/keys/rotate", &json!({}));
    assert_eq!(http::get(&node, Some(service)).unwrap().status, 401);

    let log = http::get(&program.url("admin", "/lab/log?service=smd"), None).unwrap();
    let log = log.json();
    let seen: Vec<_> = log
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| (&entry["sub"], &entry["client_id"], &entry["status"]))
        .collect();
    let (bss, alice, portal) = (json!("bss"), json!("alice"), json!("portal"));
    assert_eq!(
        seen,
        [
            (&bss, &bss, &json!(200)),
            (&alice, &portal, &json!(200)),
            (&Value::Null, &Value::Null, &json!(401)),
        ]
    );

    let stats = http::get(&program.url("admin", "/lab/stats"), None).unwrap();
    let stats = stats.json();
    assert_eq!(stats["endpoints"]["token"]["requests"], 3);
    assert_eq!(stats["token_requests"][0]["issued"], 1);

    program.control("/lab/clients/bss/secrets", &json!({ "revoke_all": true }));
    assert_eq!(token().unwrap().status, 401);
    program.control("/lab/clients/bss/secrets", &json!({ "add": "a-secret" }));
    assert_eq!(token().unwrap().status, 200);

    program.control("/lab/away", &json!({ "service": "smd" }));
    assert!(http::get(&node, None).is_err());
    program.control("/lab/back", &json!({ "service": "smd" }));
    assert_eq!(http::get(&node, None).unwrap().status, 401);

    program.control("/lab/smd", &json!({ "challenge": true }));
    let refused = http::get(&node, None).unwrap();
    assert!(refused.header("www-authenticate").is_some());

    program.control("/lab/reset", &json!({}));
    let stats = http::get(&program.url("admin", "/lab/stats"), None).unwrap();
    assert_eq!(stats.json()["endpoints"], json!({}));
    assert_eq!(program.stop(), Some(0));
}

#[test]
fn a_wrong_order_is_refused_with_a_reason() {
    let program = Program::start(&[]);
    for (path, body) in [
        ("/lab/faults", json!({ "endpoint": "tokens" })),
        (
            "/lab/faults",
            json!({ "endpoint": "token", "fault": { "acton": "drop" } }),
        ),
        (
            "/lab/faults",
            json!({ "endpoint": "token", "fault": { "action": "drip" } }),
        ),
        ("/lab/away", json!({ "service": "admin" })),
        ("/lab/away", json!({ "service": "nobody" })),
        ("/lab/smd", json!({ "keys": "sometimes" })),
        ("/lab/user-token", json!({})),
        ("/lab/client-certificate", json!({ "common_name": "bss" })),
    ] {
        let answer = http::json(&program.url("admin", path), "POST", &body).unwrap();
        assert_eq!(answer.status, 400, "{path} {body}");
        assert!(answer.json()["error"].is_string(), "{path} {body}");
    }
}

#[test]
fn a_key_file_keeps_tokens_good_over_a_restart() {
    let file = std::env::temp_dir().join(format!("svcauth-lab-{}.pem", std::process::id()));
    let arguments = ["--key-file", file.to_str().unwrap()];
    let first = Program::start(&arguments);
    let token = first.control("/lab/user-token", &json!({ "sub": "alice" }));
    assert_eq!(first.stop(), Some(0));
    let second = Program::start(&arguments);
    let node = second.url("smd", "/hsm/v2/State/Components/x0c0s0b0n0");
    let answer = http::get(&node, token["access_token"].as_str()).unwrap();
    std::fs::remove_file(&file).unwrap();
    assert_eq!(answer.status, 200);
}

#[test]
fn wrong_arguments_and_taken_ports_have_exit_codes_of_their_own() {
    let run = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_svcauth-lab"))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        (output.status.code(), output.stderr.is_empty())
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let rows = [
        (vec!["--help"], 0),
        (vec!["--nonsense"], 2),
        (vec!["--ttl", "0"], 2),
        (vec!["--signing", "HS256"], 2),
        (vec!["--smd-port", &port], 1),
    ];
    for (arguments, code) in rows {
        let (exit, silent) = run(&arguments);
        assert_eq!((exit, silent), (Some(code), code == 0), "{arguments:?}");
    }
}
