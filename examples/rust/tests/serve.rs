//! The service as it runs, against the lab.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};
use svcauth::ureq::{self, Agent};
use svcauth_lab::{Lab, LabConfig, Service};

struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_node_gets_its_boot_script_with_the_services_token_and_a_user_with_their_own() {
    let lab = Lab::start(LabConfig::default());
    lab.add_client("bss", "a-secret", "read");
    let path = std::env::temp_dir().join(format!("svcauth-example-{}.json", std::process::id()));
    let document = serde_json::json!({
        "issuer": lab.issuer_url(),
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "a-secret" } }] },
        "targets": { "smd": { "urls": [format!("{}/hsm/v2", lab.smd_url())], "scopes": ["read"] } },
        "proxy": "none",
    });
    fs::write(&path, document.to_string()).unwrap();
    let mut service = Command::new(env!("CARGO_BIN_EXE_boot-scripts"))
        .args([path.to_str().unwrap(), &lab.smd_url(), "127.0.0.1:0"])
        .stdout(Stdio::piped())
        .spawn()
        .map(Process)
        .unwrap();
    let mut line = String::new();
    BufReader::new(service.0.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    fs::remove_file(&path).unwrap();
    let url = line.trim().strip_prefix("listening on ").unwrap();

    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    let get = |path: &str, user: Option<String>| {
        let mut request = agent.get(format!("{url}{path}"));
        if let Some(user) = user {
            request = request.header(ureq::http::header::AUTHORIZATION, format!("Bearer {user}"));
        }
        let mut response = request.call().unwrap();
        (
            response.status().as_u16(),
            response.body_mut().read_to_string().unwrap(),
        )
    };
    let (status, script) = get("/boot/v1/bootscript?name=x0c0s0b0n0", None);
    assert!(
        status == 200 && script.starts_with("#!ipxe\nkernel vmlinuz xname=x0c0s0b0n0"),
        "{script}"
    );
    let alice = lab.user_token("alice", &["read"], 60);
    assert_eq!(
        get("/boot/v1/bootscript?name=x0c0s0b0n1", Some(alice)).0,
        200
    );
    let expired = lab.user_token("bob", &["read"], -10);
    assert_eq!(
        get("/boot/v1/bootscript?name=x0c0s0b0n1", Some(expired)).0,
        401
    );
    assert_eq!(get("/boot/v1/bootscript?name=../x", None).0, 400);
    assert_eq!(get("/boot/v1/service/status", None).0, 200);
    let callers: Vec<_> = lab
        .log_of(Service::Smd)
        .into_iter()
        .map(|entry| entry.sub)
        .collect();
    assert_eq!(callers, [Some("bss".into()), Some("alice".into()), None]);
}
