//! `application/x-www-form-urlencoded`.

use std::collections::HashMap;

use axum::http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The parameters of a form or a query, each with all its values in order.
#[derive(Debug, Default)]
pub(crate) struct Form(HashMap<String, Vec<String>>);

impl Form {
    /// The form in a body; empty when the content type says it is something else.
    pub(crate) fn from_body(headers: &HeaderMap, body: &[u8]) -> Form {
        let is_form = headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| {
                value
                    .trim_start()
                    .to_ascii_lowercase()
                    .starts_with("application/x-www-form-urlencoded")
            });
        Form::parse(if is_form { body } else { b"" })
    }

    pub(crate) fn parse(bytes: &[u8]) -> Form {
        let mut form = Form::default();
        for (name, value) in form_urlencoded::parse(bytes) {
            form.0
                .entry(name.into_owned())
                .or_default()
                .push(value.into_owned());
        }
        form
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The first value of a parameter; empty when it is missing.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all(name).first().map_or("", String::as_str)
    }

    pub(crate) fn all(&self, name: &str) -> &[String] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}

/// Decodes one form-encoded value as Go's `url.QueryUnescape` does: a `%` without two hexadecimal
/// digits is an error, here the escape that is wrong.
pub(crate) fn unescape(text: &str) -> Result<String, String> {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        match bytes[at] {
            b'%' => {
                let digits = bytes.get(at + 1..at + 3).and_then(|digits| {
                    let high = char::from(digits[0]).to_digit(16)?;
                    let low = char::from(digits[1]).to_digit(16)?;
                    u8::try_from(high << 4 | low).ok()
                });
                let Some(byte) = digits else {
                    let end = bytes.len().min(at + 3);
                    return Err(String::from_utf8_lossy(&bytes[at..end]).into_owned());
                };
                plain.push(byte);
                at += 3;
            }
            b'+' => {
                plain.push(b' ');
                at += 1;
            }
            byte => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    Ok(String::from_utf8_lossy(&plain).into_owned())
}

/// Encodes one value.
pub(crate) fn escape(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unescape_names_the_escape_that_is_wrong() {
        let rows = [
            ("a+b%20c%C3%A9", Ok("a b cé")),
            ("s3cr3t %+&=/:é", Err("%+&")),
            ("100%", Err("%")),
            ("%4", Err("%4")),
            ("%zz!", Err("%zz")),
        ];
        for (text, expected) in rows {
            let expected = expected.map(str::to_owned).map_err(str::to_owned);
            assert_eq!(unescape(text), expected, "{text}");
        }
    }
}
