//! Header fields as they stand on the wire.

use svcauth_core::{
    wire::{Header, Response},
    Secret,
};

/// The fields of a block of lines `Name: value`. Lines without a colon (the status line that libcurl gives
/// first, the empty line at the end) are none.
pub(crate) fn lines(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, rest) = line.split_at(colon);
        let is_name = !name.is_empty() && name.iter().all(|byte| byte.is_ascii_graphic());
        is_name.then(|| (name, rest[1..].trim_ascii()))
    })
}

/// The fields that are of use. A field's value may hold bytes of any coding (RFC 9110 section 5.5); those that are
/// not UTF-8 are replaced.
pub(crate) fn owned(block: &[u8]) -> Vec<(String, String)> {
    let text = |bytes| match str::from_utf8(bytes) {
        Ok(text) => text.into(),
        Err(_) => String::from_utf8_lossy(bytes).into_owned(),
    };
    lines(block)
        .filter(|(name, _)| Response::has_use_for(name))
        .map(|(name, value)| (text(name), text(value)))
        .collect()
}

/// The fields as a block of lines. It is made in one piece, so that no copy is left anywhere.
pub(crate) fn block(fields: &[Header]) -> Secret {
    let len = |field: &Header| field.name.len() + field.value.len() + ": \r\n".len();
    let mut block = String::with_capacity(fields.iter().map(len).sum());
    for field in fields {
        for part in [field.name, ": ", &field.value, "\r\n"] {
            block.push_str(part);
        }
    }
    block.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_read_as_libcurl_and_go_write_them() {
        for (block, fields) in [
            (&b""[..], &[][..]),
            (b"Date: b\r\n", &[("Date", "b")]),
            (
                b"Date: b\nServer: c\nLOCATION:d",
                &[("Date", "b"), ("LOCATION", "d")],
            ),
            (
                b"HTTP/1.1 200 OK\r\nDate:  b: c \r\ndate:\r\n\r\n",
                &[("Date", "b: c"), ("date", "")],
            ),
            (b"Location: caf\xe9\r\n", &[("Location", "caf\u{fffd}")]),
            (b": x\r\nDate Date: c\r\n", &[]),
        ] {
            let owned = owned(block);
            let read: Vec<(&str, &str)> = owned.iter().map(|(n, v)| (&**n, &**v)).collect();
            assert_eq!(read, fields);
        }
    }
}
