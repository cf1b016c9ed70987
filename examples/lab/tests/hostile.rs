//! Whatever is sent, the lab answers or hangs up, and goes on.

mod http;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use svcauth_lab::{Endpoint, Lab, LabConfig, Service};

/// Sends raw bytes and reads until the server is done with us.
fn raw(address: SocketAddr, bytes: &[u8]) -> Vec<u8> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .unwrap();
    // The server may hang up before it has read everything.
    let _ = stream.write_all(bytes);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    answer
}

#[test]
fn broken_messages_do_not_harm_the_lab() {
    let lab = Lab::start(LabConfig::default());
    let long = vec![b'a'; 100_000];
    let mut rows: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"\r\n\r\n".to_vec(),
        b"GET".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"GET http://elsewhere/ HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"CONNECT a:1 HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999\r\n\r\nx".to_vec(),
        b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"
            .to_vec(),
        b"GET /%ff%00%zz/..%2f HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /admin/clients/%ff HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".to_vec(),
        [b"GET /".as_slice(), &long, b" HTTP/1.1\r\nHost: x\r\n\r\n"].concat(),
        [b"GET / HTTP/1.1\r\nA: ".as_slice(), &long, b"\r\n\r\n"].concat(),
    ];
    let mut big = b"POST /oauth2/token HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
        Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 4000000\r\n\r\n"
        .to_vec();
    big.resize(big.len() + 4_000_000, b'a');
    rows.push(big);
    for service in [
        Service::Issuer,
        Service::Admin,
        Service::Opaal,
        Service::Tokensmith,
        Service::Smd,
        Service::Elsewhere,
    ] {
        for row in &rows {
            raw(lab.address(service), row);
        }
    }
    let health = format!("{}/health", lab.tokensmith_url());
    assert_eq!(http::get(&health, None).unwrap().status, 200);
    let ready = format!("{}/hsm/v2/service/ready", lab.smd_url());
    assert_eq!(http::get(&ready, None).unwrap().status, 200);
    assert_eq!(lab.stats().endpoint(Endpoint::Token).in_flight, 0);
}

#[test]
fn odd_tokens_are_refused_with_401() {
    let lab = Lab::start(LabConfig::default());
    let good = lab.user_token("alice", &["read"], 60);
    let (head, rest) = good.split_once('.').unwrap();
    let (claims, signature) = rest.split_once('.').unwrap();
    // {"alg":"none"}, {"alg":"HS256","kid":..} and the like, before the claims of a good token.
    let encode = |text: &str| {
        use base64::Engine as _;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    let none = encode(r#"{"alg":"none","typ":"JWT"}"#);
    let rows = [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        "a".repeat(20_000),
        format!("{none}.{claims}."),
        format!("{head}.{claims}."),
        format!("{head}.{}.{signature}", encode("{}")),
        format!("{head}.{}.{signature}", encode("[[[[")),
        format!("{}.{claims}.{signature}", encode(r#"{"alg":"ES256"}"#)),
        format!(
            "{}.{claims}.{signature}",
            encode(r#"{"alg":"ES256","kid":{}}"#)
        ),
        format!("{good}.{signature}"),
        format!("{good}="),
        lab.user_token("alice", &[], i64::MIN),
    ];
    let url = format!("{}/hsm/v2/Inventory/RedfishEndpoints", lab.smd_url());
    for token in &rows {
        let answer = http::get(&url, Some(token)).unwrap();
        let start: String = token.chars().take(60).collect();
        assert_eq!(answer.status, 401, "{start}");
    }
    let for_ever = lab.user_token("alice", &[], i64::MAX);
    for token in [&good, &for_ever] {
        assert_eq!(http::get(&url, Some(token)).unwrap().status, 200);
    }
}

#[test]
fn odd_registrations_are_answered() {
    let lab = Lab::start(LabConfig::default());
    let url = format!("{}/oauth2/register", lab.issuer_url());
    let deep = "[".repeat(100_000);
    let rows: Vec<(&str, u16)> = vec![
        ("null", 400),
        ("[]", 400),
        ("7", 400),
        ("{\"scope\":7}", 400),
        ("{\"redirect_uris\":[\"a b\"]}", 400),
        ("{\"redirect_uris\":null}", 201),
        ("{\"client_name\":\"\\ud800\"}", 400),
        ("{\"scope\":\"a\",\"scope\":\"b\"}", 201),
        ("\u{feff}{}", 400),
        (&deep, 400),
    ];
    for (body, status) in rows {
        let answer = http::send(
            &url,
            "POST",
            &["Content-Type: application/json"],
            body.as_bytes(),
        )
        .unwrap();
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status, status, "{start}: {}", answer.body);
    }
    let strange = lab.create_client(serde_json::json!({
        "client_id": "a b/c\r\n?\u{e9}",
        "client_secret": "long-enough",
        "grant_types": ["client_credentials"],
    }));
    assert_eq!(strange["client_id"], "a b/c\r\n?\u{e9}");
    let admin = format!("{}/admin/clients/a%20b%2Fc%0D%0A%3F%C3%A9", lab.admin_url());
    assert_eq!(http::get(&admin, None).unwrap().status, 200);
}
