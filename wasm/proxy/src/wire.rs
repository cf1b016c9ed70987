//! Lists of headers as the proxy hands them over: their number, the sizes of each name and value, and then the texts
//! with a NUL behind each.

/// Writes a list.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
pub(crate) fn write_pairs(pairs: &[(&str, &str)]) -> Vec<u8> {
    let size = |text: &str| u32::try_from(text.len()).unwrap_or(u32::MAX).to_le_bytes();
    let mut bytes = u32::try_from(pairs.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    for (name, value) in pairs {
        bytes.extend_from_slice(&size(name));
        bytes.extend_from_slice(&size(value));
    }
    for (name, value) in pairs {
        for text in [name, value] {
            bytes.extend_from_slice(text.as_bytes());
            bytes.push(0);
        }
    }
    bytes
}

/// Reads a list, as far as it is one. Names come in lower case; a value that is no UTF-8 has marks in its place.
#[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
pub(crate) fn read_pairs(bytes: &[u8]) -> Vec<(String, String)> {
    read(bytes).unwrap_or_default()
}

fn read(bytes: &[u8]) -> Option<Vec<(String, String)>> {
    let (count, bytes) = number(bytes)?;
    let (mut sizes, mut texts) = bytes.split_at_checked(count.checked_mul(8)?)?;
    let mut pairs = vec![];
    while !sizes.is_empty() {
        let (name, rest) = number(sizes)?;
        let (value, rest) = number(rest)?;
        sizes = rest;
        let mut take = |size: usize| {
            let (text, rest) = texts.split_at_checked(size)?;
            texts = rest.get(1..)?;
            Some(String::from_utf8_lossy(text).into_owned())
        };
        pairs.push((take(name)?, take(value)?));
    }
    Some(pairs)
}

fn number(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (head, rest) = bytes.split_first_chunk::<4>()?;
    Some((usize::try_from(u32::from_le_bytes(*head)).ok()?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_empty() {
        let list = [
            (":status", "200"),
            ("x", ""),
            ("www-authenticate", "Bearer"),
        ];
        let bytes = write_pairs(&list);
        let read = read_pairs(&bytes);
        let read: Vec<(&str, &str)> = read
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        assert_eq!(read, list);
        for end in 0..bytes.len() {
            assert!(read_pairs(&bytes[..end]).is_empty(), "{end}");
        }
        assert!(read_pairs(&[0xff; 64]).is_empty());
        assert_eq!(
            read_pairs(&[1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'a', 0, 0xff, 0])[0].1,
            "\u{fffd}"
        );
    }
}
