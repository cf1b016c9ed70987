//! Reads the recorded files: the curl command that was run and the answer that came.

use std::fs;
use std::path::Path;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::http::{self, Answer};

/// What curl leaves as it is (RFC 3986 section 2.3).
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// One recorded exchange.
pub(crate) struct Exchange {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<String>,
    /// Id and secret for Basic.
    pub(crate) user: Option<String>,
    pub(crate) body: String,
    /// None: the connection was closed without an answer.
    pub(crate) answer: Option<Answer>,
}

/// Reads a file; none when it is no exchange over plain HTTP/1.1.
pub(crate) fn read(path: &Path) -> Option<Exchange> {
    let text = fs::read_to_string(path).ok()?.replace('\r', "");
    let command = text
        .strip_prefix("== request (curl ")?
        .split_once(")\n> ")?
        .0;
    let answer = text.split_once("== response\n")?.1;
    let answer = match answer.trim() {
        "" => None,
        _ => Some(parse_answer(answer)?),
    };
    let mut exchange = Exchange {
        method: String::new(),
        url: String::new(),
        headers: Vec::new(),
        user: None,
        body: String::new(),
        answer,
    };
    exchange.fill(&words(command));
    Some(exchange)
}

impl Exchange {
    fn fill(&mut self, words: &[String]) {
        let mut content_type = None;
        let mut data = Vec::new();
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().cloned().unwrap_or_default();
            match word.as_str() {
                "-X" => self.method = value(),
                "-H" => {
                    let header = value();
                    // curl's way to send a header without a value.
                    let header = header
                        .strip_suffix(';')
                        .map_or(header.clone(), |name| format!("{name}:"));
                    if header.to_ascii_lowercase().starts_with("content-type:") {
                        content_type = Some(header);
                    } else {
                        self.headers.push(header);
                    }
                }
                "-u" => self.user = Some(value()),
                "-d" => data.push(value()),
                "--data-urlencode" => {
                    let field = value();
                    let (name, value) = field.split_once('=').unwrap_or(("", &field));
                    let value = utf8_percent_encode(value, UNRESERVED);
                    data.push(format!("{name}={value}"));
                }
                url => self.url = url.to_owned(),
            }
        }
        self.body = data.join("&");
        if self.method.is_empty() {
            self.method = if data.is_empty() { "GET" } else { "POST" }.to_owned();
        }
        if !self.body.is_empty() {
            self.headers.push(
                content_type.unwrap_or_else(|| {
                    "Content-Type: application/x-www-form-urlencoded".to_owned()
                }),
            );
        }
    }
}

/// The words of a shell command in which special characters stand behind backslashes.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut escaped = false;
    for character in command.chars() {
        match character {
            _ if escaped => {
                words.last_mut().unwrap().push(character);
                escaped = false;
            }
            '\\' => escaped = true,
            ' ' => words.push(String::new()),
            _ => words.last_mut().unwrap().push(character),
        }
    }
    words
}

/// The recorded message; the file ends its body with a newline of its own.
fn parse_answer(text: &str) -> Option<Answer> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let message = format!("{}\r\n\r\n", head.replace('\n', "\r\n"));
    // Without a body the length that was announced cannot be right.
    let message = message.replace("Content-Length", "Recorded-Length");
    let mut answer = http::parse(&message)?;
    answer.body = body.to_owned();
    Some(answer)
}
