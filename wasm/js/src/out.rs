//! JSON text under construction. It may hold secrets, so what it outgrows is wiped.

use alloc::{string::String, vec::Vec};
use svcauth_core::{
    Error, Secret,
    client::{Outcome, SendFailure},
    wire::{Request, Response, json::to_json},
};
use zeroize::Zeroize;

pub(crate) struct Out(String);

impl Out {
    pub(crate) fn new() -> Out {
        Out(String::with_capacity(2048))
    }

    pub(crate) fn into_text(self) -> String {
        self.0
    }

    #[cfg(feature = "client")]
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// JSON as it is.
    pub(crate) fn raw(&mut self, json: &str) -> &mut Out {
        if self.0.capacity() - self.0.len() < json.len() {
            let mut larger = String::with_capacity(2 * (self.0.capacity() + json.len()));
            larger.push_str(&self.0);
            core::mem::replace(&mut self.0, larger).zeroize();
        }
        self.0.push_str(json);
        self
    }

    pub(crate) fn text(&mut self, text: &str) -> &mut Out {
        // Tokens, URLs and forms stand in JSON as they are.
        let plain = |byte: &u8| *byte >= b' ' && *byte != b'"' && *byte != b'\\';
        if text.as_bytes().iter().all(plain) {
            return self.raw("\"").raw(text).raw("\"");
        }
        let json = Secret::new(to_json(&text));
        self.raw(json.expose())
    }

    #[cfg(feature = "client")]
    pub(crate) fn optional(&mut self, text: Option<&str>) -> &mut Out {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    pub(crate) fn number(&mut self, number: u64) -> &mut Out {
        let mut digits = [0; 20];
        let mut at = digits.len();
        let mut rest = number;
        loop {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.raw(core::str::from_utf8(&digits[at..]).unwrap_or("0"))
    }

    #[cfg(feature = "client")]
    pub(crate) fn hex(&mut self, bytes: &[u8]) -> &mut Out {
        const DIGITS: &str = "0123456789abcdef";
        self.raw("\"");
        for byte in bytes {
            let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
            self.raw(&DIGITS[high..high + 1]).raw(&DIGITS[low..low + 1]);
        }
        self.raw("\"")
    }

    /// `"error":…` and when it is tried again.
    pub(crate) fn failed(&mut self, error: &Error, retry_at_ms: Option<u64>) -> &mut Out {
        self.raw(r#"{"error":"#).raw(&to_json(error));
        if let Some(at) = retry_at_ms {
            self.raw(r#","retry_at_ms":"#).number(at);
        }
        self.raw("}")
    }
}

/// A request as it is to be sent.
pub(crate) fn request(out: &mut Out, request: &Request) {
    out.raw(r#"{"method":"#).text(request.method.as_str());
    out.raw(r#","url":"#).text(&request.url);
    out.raw(r#","headers":{"#);
    let mut between = "";
    for header in &request.headers {
        out.raw(between)
            .text(header.name)
            .raw(":")
            .text(&header.value);
        between = ",";
    }
    out.raw(r#"},"body":"#);
    // Bodies are forms or JSON.
    out.text(core::str::from_utf8(request.body.expose()).unwrap_or_default());
    out.raw("}");
}

/// A response: its fields as lines of name, colon and value, each with a line feed, and its body behind them.
pub(crate) fn response(mut given: Vec<u8>, status: u16, fields: usize) -> Response {
    let body = given.get(fields..).unwrap_or_default().to_vec();
    if let Some(body) = given.get_mut(fields..) {
        body.zeroize();
    }
    given.truncate(fields);
    let lines = String::from_utf8(given).unwrap_or_default();
    Response {
        status,
        headers: lines
            .split_terminator('\n')
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.into(), value.into()))
            .collect(),
        body: body.into(),
    }
}

/// Why a task could not be done.
pub(crate) fn failure(kind: u32, detail: String) -> Outcome {
    let failure = match kind {
        0 => SendFailure::Refused,
        1 => SendFailure::Timeout,
        2 => SendFailure::Tls,
        3 => SendFailure::TooLarge,
        4 => SendFailure::Broken,
        5 => return Outcome::Failed { detail },
        _ => return Outcome::Unsupported,
    };
    Outcome::SendFailed { failure, detail }
}
