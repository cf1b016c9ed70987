//! TLS with private authorities and client certificates, and proxies.

mod common;

use common::*;
use serde_json::{Value, json};
use std::{
    io::{self, Write},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};
use svcauth::{Client, Code};
use svcauth_lab::{Lab, LabConfig, Service};

fn secure_lab(require_client_certificate: bool) -> (Lab, Directory, Value) {
    let lab = lab(LabConfig {
        tls: true,
        require_client_certificate,
        ..LabConfig::default()
    });
    let directory = Directory::new();
    let ca = directory.write("ca.pem", lab.authority_pem().unwrap());
    (lab, directory, json!({ "tls": { "ca_file": ca } }))
}

fn reason(client: &Client) -> svcauth::Error {
    client
        .target("smd")
        .unwrap()
        .lease_within(Duration::from_secs(2))
        .unwrap_err()
}

#[test]
fn a_private_authority_is_trusted_besides_the_systems() {
    let (lab, _directory, patch) = secure_lab(false);
    assert_eq!(
        client(&lab, patch)
            .agent()
            .get(node(&lab))
            .call()
            .unwrap()
            .status(),
        200
    );
    let error = reason(&client(&lab, json!({})));
    assert_eq!(error.code(), Code::TlsFailed, "{error}");
    assert!(error.to_string().contains("tls.ca_file"), "{error}");
}

#[test]
fn a_client_certificate_is_shown_where_one_is_asked_for() {
    let (lab, directory, mut patch) = secure_lab(true);
    let error = reason(&client(&lab, patch.clone()));
    assert_eq!(error.code(), Code::TlsFailed, "{error}");

    let own = lab.client_certificate("bss").unwrap();
    patch["tls"]["certificate_file"] = directory.write("bss.pem", &own.certificate_pem).into();
    patch["tls"]["key_file"] = directory.write("bss.key", &own.key_pem).into();
    assert_eq!(
        client(&lab, patch)
            .agent()
            .get(node(&lab))
            .call()
            .unwrap()
            .status(),
        200
    );
}

#[test]
fn certificates_that_cannot_be_used_are_told_when_the_client_is_opened() {
    let (lab, directory, _) = secure_lab(false);
    let (bss, smd) = (
        lab.client_certificate("bss").unwrap(),
        lab.client_certificate("smd").unwrap(),
    );
    let certificate = directory.write("bss.pem", &bss.certificate_pem);
    let key = directory.write("bss.key", &bss.key_pem);
    let other = directory.write("smd.key", &smd.key_pem);
    let text = directory.write("text", "no certificate");
    for (tls, member, words) in [
        (
            json!({ "ca_file": directory.file("none") }),
            "tls.ca_file",
            "cannot be read",
        ),
        (
            json!({ "ca_file": text }),
            "tls.ca_file",
            "holds no certificate in PEM",
        ),
        (
            json!({ "certificate_file": key, "key_file": key }),
            "tls.certificate_file",
            "holds no certificate",
        ),
        (
            json!({ "certificate_file": certificate, "key_file": text }),
            "tls.key_file",
            "holds no private key",
        ),
        (
            json!({ "certificate_file": certificate, "key_file": other }),
            "tls.key_file",
            "does not belong",
        ),
    ] {
        let error = Client::new(config(&document(&lab, json!({ "tls": tls })))).unwrap_err();
        assert_eq!(
            (error.code(), error.member()),
            (Code::InvalidConfiguration, Some(member)),
            "{error}"
        );
        assert!(error.to_string().contains(words), "{error}");
    }
}

/// A proxy that knows `*.test` as loopback, and whom it was asked for.
fn proxy() -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let list = Arc::clone(&asked);
    thread::spawn(move || {
        for client in listener.incoming() {
            let (mut client, list) = (client.unwrap(), Arc::clone(&list));
            thread::spawn(move || {
                let head = read_head(&mut client);
                let authority = head.split(' ').nth(1).unwrap().to_owned();
                list.lock().unwrap().push(authority.clone());
                let (host, port) = authority.rsplit_once(':').unwrap();
                assert!(
                    head.starts_with("CONNECT ") && host.ends_with(".test"),
                    "{head}"
                );
                let mut server = TcpStream::connect(("127.0.0.1", port.parse().unwrap())).unwrap();
                client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
                let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || io::copy(&mut from, &mut to));
                let _ = io::copy(&mut server, &mut client);
            });
        }
    });
    (port, asked)
}

/// The lab under names that only the proxy knows.
fn named(lab: &Lab) -> Value {
    let name = |service, host: &str| format!("http://{host}.test:{}", lab.address(service).port());
    let (issuer, smd) = (name(Service::Issuer, "hydra"), name(Service::Smd, "smd"));
    json!({
        "issuer": null,
        "endpoints": { "token": format!("{issuer}/oauth2/token") },
        "insecure_http": [issuer, smd],
        "targets": { "smd": { "urls": [format!("{smd}/hsm/v2")] } },
    })
}

#[test]
fn the_configured_proxy_is_asked_for_every_server() {
    let lab = lab(LabConfig::default());
    let (port, asked) = proxy();
    let mut patch = named(&lab);
    patch["proxy"] = format!("http://127.0.0.1:{port}").into();
    let url = format!(
        "{}/State/Components/x0c0s0b0n0",
        patch["targets"]["smd"]["urls"][0].as_str().unwrap()
    );
    assert_eq!(
        client(&lab, patch)
            .agent()
            .get(url)
            .call()
            .unwrap()
            .status(),
        200
    );
    let hosts: Vec<String> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|authority| authority.split(':').next().unwrap().to_owned())
        .collect();
    assert_eq!(hosts, ["hydra.test", "smd.test"]);
}

#[test]
#[ignore = "other tests run it in a process of its own, with another environment"]
fn child() {
    let client = Client::open(std::env::var("SVCAUTH_TEST_CONFIG").unwrap()).unwrap();
    let url = std::env::var("SVCAUTH_TEST_URL").unwrap();
    assert_eq!(client.agent().get(url).call().unwrap().status(), 200);
}

#[test]
fn the_environments_proxy_is_used_but_not_for_loopback() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    let (port, asked) = proxy();
    let loopback = document(&lab, json!({ "proxy": "environment" }));
    let mut by_name = document(&lab, named(&lab));
    by_name["proxy"] = "environment".into();
    let name_url = format!(
        "{}/State/Components/x0c0s0b0n0",
        by_name["targets"]["smd"]["urls"][0].as_str().unwrap()
    );
    let run = |document: &Value, url: &str| {
        let config = directory.write("svcauth.json", &document.to_string());
        asked.lock().unwrap().clear();
        let proxy = format!("http://127.0.0.1:{port}");
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env_remove("http_proxy")
            .env_remove("no_proxy")
            .env("HTTP_PROXY", proxy)
            .envs([
                ("SVCAUTH_TEST_CONFIG", config.as_str()),
                ("SVCAUTH_TEST_URL", url),
            ])
            .output()
            .unwrap();
        (output.status.success(), asked.lock().unwrap().len())
    };
    assert_eq!(run(&by_name, &name_url), (true, 2));
    assert_eq!(run(&loopback, &node(&lab)), (true, 0));
}
