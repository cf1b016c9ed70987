//! Form bodies as the server reads them.

use std::collections::BTreeMap;

pub(crate) type Form = BTreeMap<String, String>;

pub(crate) fn parse(body: &str) -> Form {
    let pairs = body.split('&').filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value))
        })
        .collect()
}

pub(crate) fn decode(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    rest.next()
                        .and_then(|byte| (byte as char).to_digit(16))
                        .unwrap_or(0) as u8
                };
                digit() * 16 + digit()
            }
            byte => byte,
        });
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
