//! What a token says of itself, unverified: for the audit trail and for schedules, never for access.

use crate::{
    Secret,
    wire::json::{self, Value},
};
use alloc::{string::String, vec::Vec};
use base64ct::{Base64UrlUnpadded, Encoding};

/// Claims of a JWT (RFC 9068 section 2.2) that nobody has checked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnverifiedClaims {
    /// `sub`
    pub subject: Option<String>,
    /// `client_id`, or `azp`
    pub client_id: Option<String>,
    /// `exp`, in seconds since 1970
    pub expires_at: Option<u64>,
}

impl UnverifiedClaims {
    /// Reads them from a compact JWT; all are none for any other text.
    pub fn of(token: &str) -> UnverifiedClaims {
        Self::read(token).unwrap_or_default()
    }

    fn read(token: &str) -> Option<UnverifiedClaims> {
        const LONGEST: usize = 16 * 1024;
        let mut parts = token.split('.');
        let (Some(_), Some(payload), Some(_), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return None;
        };
        if token.len() > LONGEST {
            return None;
        }
        let payload: Vec<u8> = Base64UrlUnpadded::decode_vec(payload).ok()?;
        let payload = Secret::new(String::from_utf8(payload).ok()?);
        let claims = json::parse_object(payload.expose().as_bytes()).ok()?;
        let text = |name: &str| {
            claims
                .get(name)
                .and_then(Value::as_str)
                .filter(|text| text.len() <= 256 && !text.chars().any(char::is_control))
                .map(String::from)
        };
        Some(UnverifiedClaims {
            subject: text("sub"),
            client_id: text("client_id").or_else(|| text("azp")),
            expires_at: claims.get("exp").and_then(Value::as_u64),
        })
    }
}
