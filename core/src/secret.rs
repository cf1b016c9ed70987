use alloc::{string::String, vec::Vec};
use core::fmt;
use zeroize::{Zeroize, zeroize_bytes};

/// Text that must not be seen: a client secret, a token, a registration access token.
///
/// The memory is wiped when the value is dropped, and [`fmt::Debug`] prints no part of it. There is no
/// `Display`: the one way to the text is [`Secret::expose`], so that each use stands out in a review.
#[derive(Clone, Default)]
pub struct Secret(String);

impl Secret {
    /// Takes over `text`; the buffer it came in is the one that is wiped.
    pub fn new(text: impl Into<String>) -> Secret {
        Secret(text.into())
    }

    /// Takes over bytes that came from a file or a callback, without one line break at their end.
    ///
    /// Answers `None`, and wipes the bytes, when they are not UTF-8.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Secret> {
        match String::from_utf8(bytes) {
            Ok(mut text) => {
                let kept = text.strip_suffix('\n').map_or(text.as_str(), |rest| {
                    rest.strip_suffix('\r').unwrap_or(rest)
                });
                text.truncate(kept.len());
                Some(Secret(text))
            }
            Err(error) => {
                error.into_bytes().zeroize();
                None
            }
        }
    }

    /// The text itself.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the text, which are wiped like it, without a copy.
    pub fn into_bytes(self) -> SecretBytes {
        SecretBytes(self.into_inner().into_bytes())
    }

    /// The text itself, for a type that wipes it.
    pub(crate) fn into_inner(mut self) -> String {
        core::mem::take(&mut self.0)
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Secret) -> bool {
        let (a, b) = (self.0.as_bytes(), other.0.as_bytes());
        a.len() == b.len() && a.iter().zip(b).fold(0, |sum, (x, y)| sum | (x ^ y)) == 0
    }
}

impl Eq for Secret {}

impl From<&str> for Secret {
    fn from(text: &str) -> Secret {
        Secret::new(text)
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Secret {
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[secret]")
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            zeroize_bytes(&mut core::mem::take(&mut self.0).into_bytes());
        }
    }
}

/// Bytes that may hold secrets, a body for instance: wiped when dropped, only their length is printed.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct SecretBytes(Vec<u8>);

impl SecretBytes {
    /// The bytes themselves.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn inner_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Into<Vec<u8>>> From<T> for SecretBytes {
    fn from(bytes: T) -> SecretBytes {
        SecretBytes(bytes.into())
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{} bytes]", self.0.len())
    }
}

impl Drop for SecretBytes {
    fn drop(&mut self) {
        if !self.0.is_empty() {
            zeroize_bytes(&mut self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn debug_output_shows_no_part_of_a_secret() {
        assert_eq!(format!("{:?}", Secret::from("hunter2")), "[secret]");
        assert_eq!(format!("{:?}", SecretBytes::from("hunter2")), "[7 bytes]");
    }

    #[test]
    fn one_line_break_at_the_end_of_a_file_is_not_part_of_the_secret() {
        for (read, kept) in [
            ("s", "s"),
            ("s\n", "s"),
            ("s\r\n", "s"),
            ("s\n\n", "s\n"),
            (" s ", " s "),
            ("\n", ""),
        ] {
            assert_eq!(
                Secret::from_bytes(read.into()).unwrap().expose(),
                kept,
                "{read:?}"
            );
        }
        assert!(Secret::from_bytes([0xff, 0xfe].into()).is_none());
    }
}
