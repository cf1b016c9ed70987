//! Files, servers and answers that are meant to do harm.

mod common;

use common::*;
use serde_json::json;
use std::{
    env, fs,
    io::{ErrorKind, Read, Write},
    net::TcpListener,
    os::unix::fs::symlink,
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};
use svcauth::{
    Client,
    core::{
        client::{Outcome, StoreOperation},
        config::SecretReference,
    },
    host::{secrets::Secrets, store::FileStore},
};
use svcauth_lab::LabConfig;

const TIME: Duration = Duration::from_secs(5);

/// What `what` answers, which it does in good time although something else would hold it up for ever.
fn in_time<T: Send + 'static>(what: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    thread::spawn(move || tell.send(what()));
    told.recv_timeout(Duration::from_secs(20))
        .expect("it does not come back")
}

fn pipe(directory: &Directory) -> String {
    let path = directory.file("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    path
}

#[test]
fn a_pipe_in_a_files_place_holds_up_no_thread() {
    let directory = Directory::new();
    let path = pipe(&directory);
    let reference = SecretReference::File(path.clone());
    let read = in_time(move || Secrets::new(None).read(&reference));
    assert!(read.unwrap_err().contains("no regular file"));

    for operation in [StoreOperation::Get, StoreOperation::Lock { ttl_ms: 1 }] {
        let path = path.clone();
        let outcome = in_time(move || FileStore::new(path).perform("k", operation, TIME));
        assert!(
            matches!(&outcome, Outcome::Failed { detail } if detail.contains("no regular file")),
            "{outcome:?}"
        );
    }
}

#[test]
fn a_link_in_the_lock_files_place_is_not_followed() {
    let directory = Directory::new();
    let (path, elsewhere) = (directory.file("state.json"), directory.file("elsewhere"));
    symlink(&elsewhere, directory.file("state.json.lock")).unwrap();
    let outcome = FileStore::new(path).perform("k", StoreOperation::Lock { ttl_ms: 1 }, TIME);
    assert!(matches!(outcome, Outcome::Failed { .. }), "{outcome:?}");
    assert!(fs::metadata(elsewhere).is_err());
}

#[test]
fn a_service_whose_401_never_ends_does_not_hold_up_the_second_attempt() {
    let lab = lab(LabConfig::default());
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let service = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        let (mut first, _) = listener.accept().unwrap();
        read_head(&mut first);
        thread::spawn(move || {
            let head = "HTTP/1.1 401 Unauthorized\r\nContent-Length: 65536\r\n\r\n";
            let _ = first.write_all(head.as_bytes());
            while first.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(50));
            }
        });
        let (mut second, _) = listener.accept().unwrap();
        read_head(&mut second);
        let _ = second.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        let _ = second.read(&mut [0]);
    });
    let client = client(
        &lab,
        json!({ "targets": { "slow": { "urls": [service], "scopes": ["read"] } } }),
    );
    let status = in_time(move || client.agent().get(&service).call().unwrap().status());
    assert_eq!(status, 200);
}

/// The proxy for https would see all that goes over http, the token included.
#[test]
fn a_call_over_http_does_not_go_through_the_proxy_for_https() {
    let listen = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (proxy, service) = (listen(), listen());
    let proxy_url = format!("http://{}", proxy.local_addr().unwrap());
    // A name for this machine that is no reason to go direct.
    let service_url = format!("http://0.0.0.0:{}", service.local_addr().unwrap().port());
    thread::spawn(move || {
        while let Ok((mut stream, _)) = service.accept() {
            let head = read_head(&mut stream);
            let authorized = head.to_lowercase().contains("authorization: bearer token");
            let status = if authorized || head.starts_with("GET /open") {
                204
            } else {
                401
            };
            let _ = stream
                .write_all(format!("HTTP/1.1 {status} X\r\nConnection: close\r\n\r\n").as_bytes());
        }
    });
    let mut command = Command::new(env::current_exe().unwrap());
    command.args(["--exact", "calls_a_service", "--ignored", "--nocapture"]);
    for name in [
        "http_proxy",
        "HTTP_PROXY",
        "all_proxy",
        "ALL_PROXY",
        "no_proxy",
        "NO_PROXY",
        "https_proxy",
    ] {
        command.env_remove(name);
    }
    let child = command
        .env("HTTPS_PROXY", proxy_url)
        .env("SERVICE", service_url)
        .spawn();
    proxy.set_nonblocking(true).unwrap();
    let mut child = child.unwrap();
    let status = loop {
        if let Ok((mut stream, _)) = proxy.accept() {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("the proxy was asked: {}", read_head(&mut stream));
        }
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => thread::sleep(Duration::from_millis(5)),
        }
    };
    assert!(status.success());
    assert_eq!(proxy.accept().unwrap_err().kind(), ErrorKind::WouldBlock);
}

/// In a process of its own: the variables are read when the client is opened.
#[test]
#[ignore = "run by the test before"]
fn calls_a_service() {
    let service = env::var("SERVICE").unwrap();
    let document = json!({
        "client": { "static_token": { "value": "token" } },
        "targets": { "smd": { "urls": [format!("{service}/smd")] } },
        "insecure_http": [service],
    });
    let client = Client::builder().build(config(&document)).unwrap();
    for path in ["/smd", "/open"] {
        let call = || client.agent().get(format!("{service}{path}"));
        assert_eq!(call().call().unwrap().status(), 204, "{path}");
        // With settings of its own.
        let own = call().config().timeout_global(Some(TIME)).build();
        assert_eq!(own.call().unwrap().status(), 204, "{path}");
    }
}
