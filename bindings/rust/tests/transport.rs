//! Why no answer came, and whether the server can have received the request.

mod common;

use common::*;
use serde_json::{Value, json};
use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    time::Duration,
};
use svcauth::{
    core::{
        SecretBytes,
        client::SendFailure,
        wire::{Header, Method, Request, Response},
    },
    host::transport::Transport,
};

fn send(url: String, proxy: Value, max_bytes: usize) -> Result<Response, (SendFailure, String)> {
    let document = json!({
        "client": { "static_token": { "value": "token" } },
        "targets": { "smd": { "urls": ["http://127.0.0.1/"] } },
        "timeouts": { "connect_s": 5, "request_s": 5 },
        "proxy": proxy,
    });
    let header = |name, value: &str| Header {
        name,
        value: value.to_owned().into(),
        sensitive: true,
    };
    let request = Request {
        method: Method::Post,
        url,
        headers: vec![
            header("authorization", "Basic eDp5"),
            header("content-type", "text/plain"),
        ],
        body: SecretBytes::from("the body"),
    };
    let transport = Transport::new(&config(&document)).unwrap();
    transport.send(&request, Duration::from_millis(300), max_bytes)
}

/// What becomes of a request to a server that reads it, says `answer` and closes.
fn answered(answer: &'static [u8], max_bytes: usize) -> Result<Response, (SendFailure, String)> {
    let port = accept(move |mut stream| {
        read_head(&mut stream);
        stream.read_exact(&mut [0; 8]).unwrap();
        let _ = stream.write_all(answer);
        let _ = stream.shutdown(Shutdown::Write);
        let _ = stream.read(&mut [0]);
    });
    send(
        format!("http://127.0.0.1:{port}/"),
        json!("none"),
        max_bytes,
    )
}

fn failure(result: Result<Response, (SendFailure, String)>) -> SendFailure {
    result.expect_err("no answer").0
}

#[test]
fn a_request_arrives_as_it_is_and_the_answer_is_whole() {
    let (send_head, head) = std::sync::mpsc::channel();
    let port = accept(move |mut stream| {
        let mut text = read_head(&mut stream);
        let mut body = [0; 8];
        stream.read_exact(&mut body).unwrap();
        text.push_str(std::str::from_utf8(&body).unwrap());
        send_head.send(text).unwrap();
        let answer = "HTTP/1.1 302 Found\r\nLocation: /x\r\nSet-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 2\r\n\r\nhi";
        stream.write_all(answer.as_bytes()).unwrap();
    });
    let response = send(format!("http://127.0.0.1:{port}/a?b=c"), json!("none"), 2).unwrap();
    assert_eq!((response.status, response.body.expose()), (302, &b"hi"[..]));
    assert_eq!(
        response.header_values("set-cookie").collect::<Vec<_>>(),
        ["a", "b"]
    );
    let head = head.recv().unwrap();
    assert!(
        head.starts_with("POST /a?b=c HTTP/1.1\r\n") && head.ends_with("\r\n\r\nthe body"),
        "{head}"
    );
    for line in [
        "authorization: Basic eDp5",
        "content-length: 8",
        "user-agent: svcauth/",
    ] {
        assert!(
            head.to_lowercase().contains(&line.to_lowercase()),
            "{line} in {head}"
        );
    }
}

#[test]
fn a_request_that_was_not_sent_is_told_from_one_that_may_have_been() {
    let unused = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let nothing_listens = send(format!("http://127.0.0.1:{unused}/"), json!("none"), 100);
    assert_eq!(failure(nothing_listens), SendFailure::Refused);

    let no_tls = accept(|mut stream| {
        let _ = stream.read(&mut [0]);
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n");
        let _ = stream.read(&mut [0; 4096]);
    });
    assert_eq!(
        failure(send(
            format!("https://127.0.0.1:{no_tls}/"),
            json!("none"),
            100
        )),
        SendFailure::Tls
    );

    let silent_in_tls = accept(|mut stream| drop(stream.read_to_end(&mut Vec::new())));
    assert_eq!(
        failure(send(
            format!("https://127.0.0.1:{silent_in_tls}/"),
            json!("none"),
            100
        )),
        SendFailure::Refused
    );

    // The proxy was reached, the server was not.
    let proxy = accept(|mut stream| {
        read_head(&mut stream);
        let _ = stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\n\r\n");
    });
    let proxy = json!(format!("http://127.0.0.1:{proxy}"));
    assert_eq!(
        failure(send("http://hydra.test/".into(), proxy, 100)),
        SendFailure::Refused
    );
}

#[test]
fn answers_that_are_none_are_told_apart() {
    const LARGE: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 200\r\n\r\n";
    for (answer, expected) in [
        (&b""[..], SendFailure::Broken),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", SendFailure::Broken),
        (
            b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi",
            SendFailure::Broken,
        ),
        (
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            SendFailure::Broken,
        ),
    ] {
        assert_eq!(
            failure(answered(answer, 100)),
            expected,
            "{}",
            String::from_utf8_lossy(answer)
        );
    }
    let large: &'static [u8] = [LARGE, &[b'x'; 200]].concat().leak();
    assert_eq!(failure(answered(large, 199)), SendFailure::TooLarge);
    assert_eq!(answered(large, 200).unwrap().body.len(), 200);
    let header: &'static [u8] = ["HTTP/1.1 200 OK\r\nX: ", &"x".repeat(200_000), "\r\n\r\n"]
        .concat()
        .leak()
        .as_bytes();
    assert_eq!(failure(answered(header, 100)), SendFailure::TooLarge);

    let silent = accept(|mut stream: TcpStream| drop(stream.read_to_end(&mut Vec::new())));
    assert_eq!(
        failure(send(
            format!("http://127.0.0.1:{silent}/"),
            json!("none"),
            100
        )),
        SendFailure::Timeout
    );

    // One interim answer after the other, and never one that is final.
    let interim = accept(|mut stream| {
        read_head(&mut stream);
        while stream
            .write_all(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            .is_ok()
        {}
    });
    let endless = failure(send(
        format!("http://127.0.0.1:{interim}/"),
        json!("none"),
        100,
    ));
    assert!(
        matches!(endless, SendFailure::TooLarge | SendFailure::Timeout),
        "{endless:?}"
    );
}
