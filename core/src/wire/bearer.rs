//! A token in an Authorization header (RFC 6750 section 2.1).

use super::{Header, buffer::Buffer};
use crate::{Code, Error, Secret};

/// Whether `text` is made of the characters of `b64token` (RFC 6750 section 2.1), and of one at least.
///
/// No such text can end a header, a line of a log or a quoted string.
pub fn is_token(text: &str) -> bool {
    let (eights, rest) = text.as_bytes().as_chunks::<8>();
    let mut last = [b'a'; 8];
    last[..rest.len()].copy_from_slice(rest);
    // Without an early end, so that the compiler looks at even more bytes at once where it is allowed to.
    let odd = eights
        .iter()
        .fold(oddities(last), |odd, eight| odd | oddities(*eight));
    !text.is_empty() && odd == 0
}

const SCHEME: &str = "Bearer ";

/// The value of the Authorization field for a token that [`is_token`].
pub(crate) fn authorization(token: &str) -> Secret {
    let mut value = Buffer::with_capacity(SCHEME.len() + token.len());
    value.push_str(SCHEME);
    value.push_str(token);
    Secret::new(value.into_string())
}

/// The token in what [`authorization`] made.
pub(crate) fn token_of(authorization: &Secret) -> &str {
    authorization
        .expose()
        .get(SCHEME.len()..)
        .unwrap_or_default()
}

/// The header `Authorization: Bearer <token>`.
pub(crate) fn header(token: &Secret, member: &'static str) -> Result<Header, Error> {
    if !is_token(token.expose()) {
        return Err(Error::new(
            Code::InvalidArgument,
            "the token is empty or holds a character that no Authorization header may carry",
        )
        .at(member));
    }
    Ok(Header {
        name: "authorization",
        value: authorization(token.expose()).into_inner().into(),
        sensitive: true,
    })
}

/// The highest bit of each byte that is no character of `b64token`.
#[inline]
fn oddities(bytes: [u8; 8]) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    const HIGHEST: u64 = ONES << 7;
    let bytes = u64::from_le_bytes(bytes);
    let low = bytes & !HIGHEST;
    // Sums of two numbers below 128, so that none is carried into the next byte.
    let between = |bytes: u64, first: u8, last: u8| {
        (bytes + ONES * u64::from(0x80 - first)) & !(bytes + ONES * u64::from(0x7f - last))
    };
    let allowed = between(low | (ONES * 0x20), b'a', b'z')
        | between(low, b'-', b'9')
        | between(low, b'+', b'+')
        | between(low, b'=', b'=')
        | between(low, b'_', b'_')
        | between(low, b'~', b'~');
    (!allowed | bytes) & HIGHEST
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_holds_b64token_characters_only() {
        for byte in 0..=0x7f_u8 {
            let allowed = byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte);
            let text = [byte; 1];
            let text = core::str::from_utf8(&text).unwrap();
            assert_eq!(is_token(text), allowed, "{text:?}");
            for length in [1, 31, 32, 33, 100] {
                let text = "a".repeat(length) + text + &"b".repeat(length);
                assert_eq!(is_token(&text), allowed, "{text:?}");
            }
        }
        assert!(!is_token(""));
        assert!(!is_token("t\u{e9}"));
    }

    #[test]
    fn a_token_that_would_end_the_header_is_refused_without_being_shown() {
        for token in ["", "a b", "a\r\nX-Admin: 1", "a\0", "t\u{e9}"] {
            let error = header(&Secret::from(token), "token").unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(token.is_empty() || !alloc::format!("{error:?}").contains(token));
        }
    }
}
