//! What the fuzz targets share.

pub mod mutate;

use std::fmt::{Debug, Display};
use svcauth_core::{
    Secret,
    message::ClientAuthentication,
    wire::{Response, Url},
};

/// What no error may hold. A form encodes it, and JSON escapes a part of it.
pub const PLANTED: &str = "Zq7Plant+/=%\"x";

/// An answer as it stands in a recording: status line, header lines, an empty line, body.
pub fn response(data: &[u8]) -> Response {
    let (head, body) = split(data);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.lines();
    let status = lines.next().unwrap_or_default();
    let status = status.split(' ').find_map(|word| word.parse().ok());
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.into(), value.trim().into()))
        .collect();
    Response {
        status: status.unwrap_or(200),
        headers,
        body: body.to_vec().into(),
    }
}

fn split(data: &[u8]) -> (&[u8], &[u8]) {
    gap(data).map_or((data, b""), |(head, body)| (&data[..head], &data[body..]))
}

/// Where the head of an answer ends and where its body begins.
fn gap(data: &[u8]) -> Option<(usize, usize)> {
    [&b"\n\n"[..], &b"\r\n\r\n"[..]]
        .into_iter()
        .find_map(|gap| {
            let at = data.windows(gap.len()).position(|window| window == gap)?;
            Some((at, at + gap.len()))
        })
}

/// The text behind a byte order mark, where there is one.
pub fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

/// What an error says must not hold the planted secret, as it is, form-encoded or JSON-escaped.
pub fn harmless(error: &(impl Display + Debug)) {
    let debugged = format!("{error:?}");
    for text in [one_line(error), debugged] {
        for secret in [PLANTED, "Zq7Plant%2B%2F%3D%25%22x", "Zq7Plant+/=%\\\"x"] {
            assert!(!text.contains(secret), "a secret in {text}");
        }
    }
}

/// An error must not break a line of a log; its text.
pub fn one_line(error: &impl Display) -> String {
    let shown = error.to_string();
    assert!(
        !shown.contains(char::is_control),
        "a control character in {shown:?}"
    );
    shown
}

/// A URL of the targets' own.
pub fn endpoint(text: &str) -> Url {
    Url::parse(text).expect("a URL")
}

/// Authentication with the planted secret, in both ways.
pub fn authentications() -> [ClientAuthentication; 2] {
    [
        ClientAuthentication::Post {
            client_id: "bss".into(),
            client_secret: Secret::from(PLANTED),
        },
        ClientAuthentication::Basic {
            client_id: "bss".into(),
            client_secret: Secret::from(PLANTED),
            encoding: Default::default(),
        },
    ]
}
