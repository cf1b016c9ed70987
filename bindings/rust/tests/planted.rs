//! No secret in anything that is printed, at any level. One test, since what it listens to is the process's.

mod common;

use common::*;
use serde_json::json;
use std::{
    fmt::{Debug, Write},
    fs,
    sync::{Mutex, PoisonError},
    time::Duration,
};
use svcauth::{Client, UserToken};
use svcauth_lab::{Endpoint, Fault, KeyFetch, LabConfig, SmdConfig};
use tracing::{Event, Metadata, Subscriber, field::Field, span};

static SEEN: Mutex<String> = Mutex::new(String::new());

fn see(text: impl AsRef<str>) {
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    seen.push_str(text.as_ref());
    seen.push('\n');
}

/// Hears all that goes to `tracing`.
struct Everything;

impl Subscriber for Everything {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }
    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn event(&self, event: &Event<'_>) {
        let mut line = format!("{} {}", event.metadata().level(), event.metadata().target());
        event.record(&mut |field: &Field, value: &dyn Debug| {
            write!(line, " {field}={value:?}").unwrap()
        });
        see(line);
    }
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

#[test]
fn no_secret_is_printed_anywhere_at_any_level() {
    tracing::subscriber::set_global_default(Everything).unwrap();
    // ureq's and rustls' lines.
    tracing_log::LogTracer::init().unwrap();

    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let lab = lab(LabConfig {
        tls: true,
        smd,
        ..LabConfig::default()
    });
    let directory = Directory::new();
    let ca = directory.write("ca.pem", lab.authority_pem().unwrap());
    let own = lab.client_certificate("bss").unwrap();
    let tls = json!({
        "ca_file": ca,
        "certificate_file": directory.write("bss.pem", &own.certificate_pem),
        "key_file": directory.write("bss.key", &own.key_pem),
    });
    let mut planted = vec![SECRET.to_owned()];
    planted.extend(
        own.key_pem
            .lines()
            .filter(|line| line.len() > 40)
            .map(str::to_owned),
    );
    let heard = Heard::default();
    let make = |mut patch: serde_json::Value| {
        let builder = Client::builder().events(heard.listener());
        patch["tls"] = tls.clone();
        build(builder, &lab, patch)
    };

    // The course of things: token, call, 401, new token, user's token, refresh.
    let client = make(json!({}));
    for _ in 0..2 {
        let user = lab.user_token("alice", &["read"], 60);
        planted.push(user.clone());
        let lease = client.lease("smd").unwrap();
        planted.push(lease.value().to_owned());
        see(format!(
            "{lease:?} {client:?} {:?} {:?}",
            client.target("smd"),
            client.stats()
        ));
        client.agent().get(node(&lab)).call().unwrap();
        let request = client
            .agent()
            .get(node(&lab))
            .extension(UserToken::new(user.clone()));
        see(format!("{request:?} {:?}", UserToken::new(user.clone())));
        request.call().unwrap();
        lab.rotate_signing_key();
    }

    // Registration, and what is saved of it.
    let registering = make(json!({
        "endpoints": { "registration": format!("{}/oauth2/register", lab.issuer_url()) },
        "client": { "credentials": null, "registration": {
            "metadata": { "scope": "read", "grant_types": ["client_credentials"] }, "authorize": true,
        } },
        "store": { "file": directory.file("state.json") },
    }));
    planted.push(registering.lease("smd").unwrap().value().to_owned());
    let state: serde_json::Value =
        serde_json::from_slice(&fs::read(directory.file("state.json")).unwrap()).unwrap();
    for record in state["records"].as_object().unwrap().values() {
        let value = record["value"].as_str().unwrap();
        let saved = <base64ct::Base64UrlUnpadded as base64ct::Encoding>::decode_vec(value).unwrap();
        let saved: serde_json::Value = serde_json::from_slice(&saved).unwrap();
        let before = planted.len();
        collect(&saved, &mut planted);
        assert!(planted.len() > before, "a registration has secrets");
    }

    // Answers that repeat what was sent, wrong secrets, and a server that answers nothing.
    let echo = format!(
        "<p>client_secret={SECRET} Authorization: Basic {}</p>",
        base64(&format!("bss:{SECRET}"))
    );
    for fault in [
        Fault::body(200, "text/html", echo.clone()),
        Fault::body(
            400,
            "application/json",
            json!({ "error": "invalid_request", "error_description": echo }).to_string(),
        ),
        Fault::body(500, "text/plain", echo.clone()),
        Fault::oauth_error(401, "invalid_client"),
        Fault::drop_connection(),
    ] {
        lab.faults().set(Endpoint::Token, fault);
        let client = make(json!({}));
        let error = client
            .target("smd")
            .unwrap()
            .lease_within(Duration::from_millis(300))
            .unwrap_err();
        see(format!("{error} {error:?} {:?}", client.health()));
        let error = client
            .agent()
            .get(node(&lab))
            .config()
            .timeout_global(Some(Duration::from_millis(200)))
            .build()
            .call();
        see(format!("{:?}", error.err()));
        client.close();
    }

    see(format!(
        "{:?} {:?}",
        client.agent(),
        config(&document(&lab, json!({})))
    ));
    let config = document(
        &lab,
        json!({ "client": { "credentials": [{ "client_id": 1, "client_secret": SECRET }] } }),
    );
    see(format!(
        "{:?}",
        svcauth::Config::from_json(config.to_string().as_bytes()).unwrap_err()
    ));
    for event in heard.all() {
        see(format!("{event:?}"));
    }

    let seen = SEEN.lock().unwrap();
    for needed in [
        "TRACE",
        "ureq",
        "token_received",
        "svcauth",
        "retried=true",
        "registered",
        "refresh_failed",
    ] {
        assert!(seen.contains(needed), "nothing was heard of {needed}");
    }
    let mut seen = seen.clone();
    let wire: Vec<u8> = seen.lines().flat_map(wire).collect();
    assert!(!wire.is_empty(), "nothing was heard of answers' bodies");
    seen.push_str(&String::from_utf8_lossy(&wire));
    planted.sort();
    planted.dedup();
    assert!(planted.len() > 8);
    for secret in &planted {
        for form in [
            secret.clone(),
            base64(secret),
            base64(&format!("bss:{secret}")),
        ] {
            let line = seen
                .lines()
                .find(|line| line.contains(form.trim_end_matches('=')));
            assert_eq!(line, None, "{secret} is printed");
        }
    }
}

/// What ureq wrote of the bytes on the wire: sixteen to a line, in hexadecimal, before two spaces.
fn wire(line: &str) -> Vec<u8> {
    let Some((_, dump)) = line
        .split_once("TRACE log message=")
        .filter(|_| line.contains("ureq_proto::util"))
    else {
        return Vec::new();
    };
    let digits: String = dump.split("  ").next().unwrap_or("").replace(' ', "");
    (0..digits.len() / 2)
        .map_while(|at| u8::from_str_radix(digits.get(2 * at..2 * at + 2)?, 16).ok())
        .collect()
}

fn base64(text: &str) -> String {
    use base64ct::{Base64, Encoding};
    Base64::encode_string(text.as_bytes())
}

/// The secrets of a saved registration.
fn collect(saved: &serde_json::Value, planted: &mut Vec<String>) {
    match saved {
        serde_json::Value::Object(members) => {
            for (name, value) in members {
                match value.as_str() {
                    Some(text)
                        if ["client_secret", "registration_access_token"]
                            .contains(&name.as_str()) =>
                    {
                        planted.push(text.to_owned());
                    }
                    _ => collect(value, planted),
                }
            }
        }
        serde_json::Value::Array(values) => values.iter().for_each(|value| collect(value, planted)),
        _ => {}
    }
}
