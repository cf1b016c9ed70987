//! A text under construction that may hold secrets.

use alloc::string::String;
use zeroize::zeroize_bytes;

/// A growing text that leaves nothing behind: each outgrown buffer, and the last one, is wiped.
#[derive(Default)]
pub(crate) struct Buffer(String);

impl Buffer {
    pub(crate) fn with_capacity(bytes: usize) -> Buffer {
        Buffer(String::with_capacity(bytes))
    }

    #[inline]
    pub(crate) fn push_str(&mut self, text: &str) {
        if self.0.capacity() - self.0.len() < text.len() {
            self.grow(text.len());
        }
        self.0.push_str(text);
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn into_string(mut self) -> String {
        core::mem::take(&mut self.0)
    }

    #[cold]
    fn grow(&mut self, more: usize) {
        let wanted = (self.0.len() + more).max(2 * self.0.capacity()).max(64);
        let mut larger = String::with_capacity(wanted);
        larger.push_str(&self.0);
        wipe(core::mem::replace(&mut self.0, larger));
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        wipe(core::mem::take(&mut self.0));
    }
}

impl core::fmt::Write for Buffer {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        self.push_str(text);
        Ok(())
    }
}

/// Overwrites a text that is no longer needed.
#[inline]
pub(crate) fn wipe(text: String) {
    // An empty text points nowhere, and a masked store of no bytes to nowhere is slow on some processors.
    if !text.is_empty() {
        zeroize_bytes(&mut text.into_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_grows_and_keeps_what_was_written() {
        let mut buffer = Buffer::default();
        assert!(buffer.is_empty());
        for _ in 0..100 {
            buffer.push_str("0123456789");
        }
        assert_eq!(buffer.as_str(), "0123456789".repeat(100));
        assert_eq!(buffer.into_string().len(), 1000);
    }
}
