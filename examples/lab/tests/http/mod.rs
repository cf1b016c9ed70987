//! A blocking HTTP/1.1 client that shows answers as they are: no redirect followed, nothing added.

#![allow(dead_code)]

use std::io::{self, Read, Write};
use std::net::TcpStream;

use serde_json::Value;

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

/// Sends one request on a connection of its own. `headers` are `Name: value` lines.
pub(crate) fn send(url: &str, method: &str, headers: &[&str], body: &[u8]) -> io::Result<Answer> {
    let rest = url.strip_prefix("http://").expect("an http URL");
    let (authority, path) = match rest.find('/') {
        Some(at) => rest.split_at(at),
        None => (rest, "/"),
    };
    let mut stream = TcpStream::connect(authority)?;
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\nConnection: close\r\n");
    for header in headers {
        head.push_str(header);
        head.push_str("\r\n");
    }
    if !body.is_empty() {
        head.push_str(&format!("Content-Length: {}\r\n", body.len()));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)?;
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes)?;
    parse(&String::from_utf8_lossy(&bytes)).ok_or_else(|| io::ErrorKind::UnexpectedEof.into())
}

/// Sends a form.
pub(crate) fn form(url: &str, headers: &[&str], fields: &[(&str, &str)]) -> io::Result<Answer> {
    let body = form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let mut all = vec!["Content-Type: application/x-www-form-urlencoded"];
    all.extend(headers);
    send(url, "POST", &all, body.as_bytes())
}

/// Sends JSON.
pub(crate) fn json(url: &str, method: &str, body: &Value) -> io::Result<Answer> {
    let content_type = ["Content-Type: application/json"];
    send(url, method, &content_type, body.to_string().as_bytes())
}

/// GET, with a token if there is one.
pub(crate) fn get(url: &str, token: Option<&str>) -> io::Result<Answer> {
    let authorization = token.map(|token| format!("Authorization: Bearer {token}"));
    let headers: Vec<&str> = authorization.as_deref().into_iter().collect();
    send(url, "GET", &headers, b"")
}

/// Reads a message; none when it is shorter than it says.
pub(crate) fn parse(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut lines = head.split("\r\n");
    let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
        .collect();
    let answer = Answer {
        status,
        headers,
        body: body.to_owned(),
    };
    let expected: usize = answer
        .header("Content-Length")
        .and_then(|length| length.parse().ok())
        .unwrap_or_default();
    (answer.body.len() >= expected).then_some(answer)
}
