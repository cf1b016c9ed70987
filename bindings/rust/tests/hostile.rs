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
        Now,
        client::{Capabilities, Outcome, StoreOperation},
        config::SecretReference,
    },
    host::{secrets::Secrets, store::FileStore},
    ureq,
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

/// The core decides by the text of a URL, ureq connects to what the http crate reads in it.
#[test]
fn a_url_that_gets_a_token_is_the_same_for_those_who_connect() {
    const PARTS: [&str; 44] = [
        "http",
        "https",
        "HTTP",
        "://",
        ":",
        "/",
        "//",
        "\\",
        "@",
        "?",
        "#",
        "smd.example",
        "SMD.example",
        "evil.example",
        ".",
        "..",
        ";",
        "%2e",
        "%2F",
        "%5c",
        "%00",
        "%",
        "%25",
        "[::1]",
        "[",
        "]",
        "127.0.0.1",
        "127.1",
        "0x7f000001",
        ":80",
        ":443",
        ":0080",
        ":27779",
        ":",
        "user",
        "\t",
        "\n",
        " ",
        "\u{e9}",
        "|",
        "hsm",
        "/hsm/v2",
        "a",
        "*",
    ];
    let config = config(&json!({
        "client": { "static_token": { "value": "token" } },
        "targets": { "smd": { "urls": [
            "https://smd.example/hsm/v2", "http://127.0.0.1:27779", "http://[::1]/hsm",
        ] } },
    }));
    let client =
        svcauth::core::Client::new(config, Capabilities::none(), 1, Now::default()).unwrap();
    let calls = client.calls();
    let mut random = 7u64;
    let mut next = |most: usize| {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (random >> 33) as usize % most
    };
    let mut matched = 0;
    for _ in 0..300_000 {
        let bases = [
            "https://smd.example/hsm/v2",
            "http://127.0.0.1:27779/",
            "http://[::1]/hsm",
            "",
        ];
        let mut text = bases[next(bases.len())].to_owned();
        for _ in 0..=next(3) {
            let part = PARTS[next(PARTS.len())];
            let mut at = match next(3) {
                0 => next(text.len() + 1),
                _ => text.len(),
            };
            while !text.is_char_boundary(at) {
                at -= 1;
            }
            text.insert_str(at, part);
        }
        if calls.target(&text).is_none() {
            continue;
        }
        let Ok(uri) = text.parse::<ureq::http::Uri>() else {
            continue;
        };
        matched += 1;
        let port = uri.port_u16().unwrap_or(match uri.scheme_str() {
            Some("https") => 443,
            _ => 80,
        });
        let host = uri.host().unwrap().to_ascii_lowercase();
        let origin = (uri.scheme_str().unwrap(), host.as_str(), port);
        let prefix = match origin {
            ("https", "smd.example", 443) => "/hsm/v2",
            ("http", "127.0.0.1", 27779) => "/",
            ("http", "[::1]", 80) => "/hsm",
            _ => panic!("{text:?} is connected to at {origin:?}"),
        };
        assert!(uri.path().starts_with(prefix), "{text:?}");
        assert!(!uri.authority().unwrap().as_str().contains('@'), "{text:?}");
        assert!(
            uri.path().split('/').all(|segment| segment != ".."),
            "{text:?}"
        );
    }
    assert!(matched > 10_000, "{matched}");
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
