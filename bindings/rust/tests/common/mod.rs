//! What the stories share: a lab, and configurations for it.
#![allow(dead_code, unreachable_pub)]

use serde_json::{Value, json};
use std::{
    io::Read,
    net::{TcpListener, TcpStream},
    path::Path,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};
use svcauth::{Builder, Client, Config, Event};
use svcauth_lab::{Lab, LabConfig, merge_patch};
use tempfile::TempDir;

/// Distinct, so that it is found wherever it does not belong.
pub const SECRET: &str = "planted-client-secret-Xq7";

/// A lab with the client `bss`.
pub fn lab(config: LabConfig) -> Lab {
    let lab = Lab::start(config);
    lab.add_client("bss", SECRET, "read");
    lab
}

/// The configuration of a service that calls SMD. `patch` is merged in (RFC 7396).
pub fn document(lab: &Lab, patch: Value) -> Value {
    let mut document = json!({
        "issuer": lab.issuer_url(),
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": SECRET } }] },
        "targets": { "smd": { "urls": [format!("{}/hsm/v2", lab.smd_url())], "scopes": ["read"] } },
        "proxy": "none",
    });
    merge_patch(&mut document, patch);
    document
}

pub fn config(document: &Value) -> Config {
    match Config::from_json(document.to_string().as_bytes()) {
        Ok(config) => config,
        Err(error) => panic!("{error}\n{document:#}"),
    }
}

pub fn client(lab: &Lab, patch: Value) -> Client {
    build(Client::builder(), lab, patch)
}

pub fn build(builder: Builder, lab: &Lab, patch: Value) -> Client {
    builder
        .seed(1)
        .build(config(&document(lab, patch)))
        .unwrap()
}

/// Tokens are refreshed after a tenth of their life (a second at the least), which leaves a slow machine all
/// the rest of it.
pub fn early() -> Value {
    json!({ "schedule": {
        "refresh_window_fraction": 0.9, "jitter": 0, "backoff_initial_s": 0.2, "backoff_max_s": 0.2,
    } })
}

/// A node that SMD shows to those with a token.
pub fn node(lab: &Lab) -> String {
    format!("{}/hsm/v2/State/Components/x0c0s0b0n0", lab.smd_url())
}

/// What a listener heard.
#[derive(Clone, Default)]
pub struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let heard = self.0.clone();
        move |event| heard.lock().unwrap().push(event.clone())
    }

    pub fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub fn names(&self) -> Vec<&'static str> {
        self.all().iter().map(Event::name).collect()
    }

    /// Waits until it was heard: events are told by another thread.
    pub fn wait_for(&self, name: &str) -> Event {
        let mut found = None;
        eventually(name, || {
            found = self.all().into_iter().find(|event| event.name() == name);
            found.is_some()
        });
        found.unwrap()
    }
}

/// Waits until `done`, and fails where that never comes: after longer than a busy machine needs.
pub fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    const LONG: Duration = Duration::from_secs(60);
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < LONG, "not within {LONG:?}: {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Accepts one connection on a port of its own, which is returned, and hands it to `serve`.
pub fn accept(serve: impl FnOnce(TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || serve(listener.accept().unwrap().0));
    port
}

/// Reads a request's head.
pub fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// A directory of its own, gone with the value.
pub struct Directory(TempDir);

impl Directory {
    pub fn new() -> Directory {
        Directory(tempfile::tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn file(&self, name: &str) -> String {
        self.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn write(&self, name: &str, content: &str) -> String {
        let path = self.file(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}
