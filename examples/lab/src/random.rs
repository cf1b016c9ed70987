//! Random identifiers in the forms the imitated servers use.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::Rng as _;
use rand::rngs::OsRng;

/// Hydra's alphabet for client secrets.
const SECRET: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";

/// A version 4 UUID.
pub(crate) fn uuid() -> String {
    let mut bytes: [u8; 16] = OsRng.r#gen();
    bytes[6] = bytes[6] & 0x0f | 0x40;
    bytes[8] = bytes[8] & 0x3f | 0x80;
    let hex = hex(&bytes);
    [
        &hex[..8],
        &hex[8..12],
        &hex[12..16],
        &hex[16..20],
        &hex[20..],
    ]
    .join("-")
}

/// A client secret as Hydra makes them.
pub(crate) fn secret() -> String {
    (0..26)
        .map(|_| char::from(SECRET[OsRng.gen_range(0..SECRET.len())]))
        .collect()
}

/// An opaque token in Hydra's form, such as a registration access token.
pub(crate) fn hydra_token() -> String {
    format!("ory_at_{}.{}", base64(32), base64(32))
}

/// `n` bytes as hexadecimal digits: TokenSmith's refresh and bootstrap tokens.
pub(crate) fn hex_token(n: usize) -> String {
    hex(&bytes(n))
}

/// `n` bytes as base64url.
pub(crate) fn base64(n: usize) -> String {
    URL_SAFE_NO_PAD.encode(bytes(n))
}

fn bytes(n: usize) -> Vec<u8> {
    (0..n).map(|_| OsRng.r#gen()).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
