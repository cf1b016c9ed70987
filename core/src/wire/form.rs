//! `application/x-www-form-urlencoded`: written as the WHATWG URL standard says (section 5.2), read strictly.

use super::buffer::Buffer;
use crate::{Code, Error, SecretBytes};
use alloc::{string::String, vec::Vec};

/// Writes pairs in the order given. The text may hold secrets: it is wiped when dropped.
///
/// ```
/// use svcauth_core::wire::form::Serializer;
/// let mut form = Serializer::new();
/// form.pair("grant_type", "client_credentials").pair("scope", "read write");
/// assert_eq!(form.finish().expose(), b"grant_type=client_credentials&scope=read+write");
/// ```
#[derive(Default)]
pub struct Serializer(Buffer);

impl Serializer {
    /// A form without pairs.
    pub fn new() -> Serializer {
        Serializer::default()
    }

    /// A form without pairs, and room for `bytes` bytes.
    pub fn with_capacity(bytes: usize) -> Serializer {
        Serializer(Buffer::with_capacity(bytes))
    }

    /// Adds a pair.
    pub fn pair(&mut self, name: &str, value: &str) -> &mut Serializer {
        self.name(name);
        encode(&mut self.0, value);
        self
    }

    /// Adds a pair whose value is `words`, separated by spaces.
    pub fn words(&mut self, name: &str, words: &[String]) -> &mut Serializer {
        self.name(name);
        for (at, word) in words.iter().enumerate() {
            if at > 0 {
                self.0.push_str("+");
            }
            encode(&mut self.0, word);
        }
        self
    }

    /// The finished body.
    pub fn finish(self) -> SecretBytes {
        self.0.into_string().into()
    }

    fn name(&mut self, name: &str) {
        if !self.0.is_empty() {
            self.0.push_str("&");
        }
        encode(&mut self.0, name);
        self.0.push_str("=");
    }
}

/// Appends `text` to `out`, encoded: letters, digits and `*-._` as they are, space as `+`, the rest as `%XX`.
pub(crate) fn encode(out: &mut Buffer, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| !is_plain(byte)) {
        out.push_str(&rest[..at]);
        let end = at + rest[at..].chars().next().map_or(1, char::len_utf8);
        for byte in rest[at..end].bytes() {
            match byte {
                b' ' => out.push_str("+"),
                _ => percent(out, byte),
            }
        }
        rest = &rest[end..];
    }
    out.push_str(rest);
}

/// Appends `text` to `out` as one segment of a path (RFC 3986 section 3.3): only unreserved characters plain.
pub(crate) fn encode_segment(out: &mut Buffer, text: &str) {
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push_str(char::from(byte).encode_utf8(&mut [0; 4]));
            }
            _ => percent(out, byte),
        }
    }
}

/// Reads pairs in their order; a piece without `=` has an empty value, an empty piece is no pair.
///
/// # Errors
/// [`Code::MalformedAnswer`], with the byte offset: a character that has to be encoded and is not, a `%`
/// without two hexadecimal digits, bytes that are not UTF-8.
pub fn parse(form: &[u8]) -> Result<Vec<(String, String)>, Error> {
    let mut pairs = Vec::new();
    let mut start = 0;
    for piece in form.split(|byte| *byte == b'&') {
        if !piece.is_empty() {
            let equals = piece
                .iter()
                .position(|byte| *byte == b'=')
                .unwrap_or(piece.len());
            let name = decode(&piece[..equals], start)?;
            let value = piece.get(equals + 1..).unwrap_or_default();
            pairs.push((name, decode(value, start + equals + 1)?));
        }
        start += piece.len() + 1;
    }
    Ok(pairs)
}

fn decode(text: &[u8], start: usize) -> Result<String, Error> {
    let malformed =
        |at, message| Err(Error::new(Code::MalformedAnswer, message).at_offset(start + at));
    let mut bytes = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => match (hex(text.get(at + 1)), hex(text.get(at + 2))) {
                (Some(high), Some(low)) => {
                    bytes.push(high << 4 | low);
                    at += 2;
                }
                _ => {
                    return malformed(
                        at,
                        "a % in the form has no two hexadecimal digits behind it",
                    );
                }
            },
            byte if byte.is_ascii_alphanumeric() || b"-._~*=;:,@!()/?'$".contains(byte) => {
                bytes.push(*byte);
            }
            _ => return malformed(at, "a character in the form is not encoded"),
        }
        at += 1;
    }
    match String::from_utf8(bytes) {
        Ok(text) => Ok(text),
        Err(_) => malformed(0, "a part of the form is not UTF-8"),
    }
}

fn hex(digit: Option<&u8>) -> Option<u8> {
    char::from(*digit?).to_digit(16).map(|digit| digit as u8)
}

fn percent(out: &mut Buffer, byte: u8) {
    const DIGITS: &str = "0123456789ABCDEF";
    let (high, low) = (usize::from(byte >> 4), usize::from(byte & 15));
    out.push_str("%");
    out.push_str(&DIGITS[high..=high]);
    out.push_str(&DIGITS[low..=low]);
}

#[inline]
fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

const PLAIN: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] =
            (byte as u8).is_ascii_alphanumeric() || matches!(byte as u8, b'*' | b'-' | b'.' | b'_');
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_joined_with_a_space_and_encoded_one_by_one() {
        let mut form = Serializer::new();
        form.words("scope", &["a+b".into(), "c".into(), "d e".into()])
            .words("none", &[]);
        assert_eq!(form.finish().expose(), b"scope=a%2Bb+c+d+e&none=");
    }

    #[test]
    fn a_path_segment_keeps_only_unreserved_characters() {
        let mut out = Buffer::default();
        encode_segment(&mut out, "a/b?c#d ~%\u{e9}");
        assert_eq!(out.as_str(), "a%2Fb%3Fc%23d%20~%25%C3%A9");
    }

    #[test]
    fn a_form_that_is_not_encoded_is_refused_at_its_byte() {
        for (form, offset) in [
            (&b"a b"[..], 1),
            (b"a=%", 2),
            (b"a=1&b=%2", 6),
            (b"a=1&b=x\n", 7),
            (b"a=\xc3\xa9", 2),
            (b"a=%C3", 2),
            (b"a=\"x\"", 2),
            (b"{\"a\":1}", 0),
        ] {
            let error = parse(form).unwrap_err();
            assert_eq!(
                (error.code(), error.offset()),
                (Code::MalformedAnswer, Some(offset))
            );
        }
    }

    #[test]
    fn what_is_written_is_read_back() {
        let all: String = (0..0x180u32).filter_map(char::from_u32).collect();
        let mut form = Serializer::new();
        form.pair("a", &all).pair(&all, "");
        let pairs = parse(form.finish().expose()).unwrap();
        assert_eq!(pairs, [("a".into(), all.clone()), (all, String::new())]);
    }
}
