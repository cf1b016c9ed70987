//! Checking access tokens against a key set.

use axum::http::HeaderMap;
use http::header::AUTHORIZATION;
use jsonwebtoken::jwk::JwkSet;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Map, Value};

use crate::stats::now_ms;

/// Longer tokens are refused unread.
const TOKEN_MAX: usize = 16 * 1024;

/// Why a token is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// Signed with a key that is not in the set.
    UnknownKey,
    /// Good once.
    Expired,
    /// Not a token, or not one of these keys' signatures.
    Unauthorized,
}

/// The claims of a token whose signature and times are in order.
#[derive(Clone, Debug)]
pub(crate) struct Claims(Map<String, Value>);

impl Claims {
    pub(crate) fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.get(name)?.as_str()
    }

    pub(crate) fn sub(&self) -> Option<&str> {
        self.text("sub")
    }

    pub(crate) fn client_id(&self) -> Option<&str> {
        self.text("client_id")
    }

    /// From `scp` or `scope`, a list or a text.
    pub(crate) fn scopes(&self) -> Vec<&str> {
        match self.get("scp").or_else(|| self.get("scope")) {
            Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
            Some(Value::String(text)) => text.split(' ').filter(|word| !word.is_empty()).collect(),
            _ => Vec::new(),
        }
    }

    pub(crate) fn has_scope(&self, scope: &str) -> bool {
        self.scopes().contains(&scope)
    }

    pub(crate) fn has_audience(&self, audience: &str) -> bool {
        match self.get("aud") {
            Some(Value::Array(list)) => list.iter().any(|one| one == audience),
            Some(Value::String(text)) => text == audience,
            _ => false,
        }
    }

    /// Whether the token is still good, `skew` seconds of grace included.
    pub(crate) fn expired(&self, skew: u64) -> bool {
        let expiry = self.get("exp").and_then(Value::as_f64).unwrap_or(0.0);
        now_ms() as f64 >= (expiry + skew as f64) * 1000.0
    }
}

/// The token of the first Authorization header.
pub(crate) fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then_some(token.trim())
}

/// Checks signature, `exp` and `nbf`; the other claims are the caller's to judge.
pub(crate) fn verify(keys: &JwkSet, token: &str, skew: u64) -> Result<Claims, Invalid> {
    if token.len() > TOKEN_MAX {
        return Err(Invalid::Unauthorized);
    }
    let header = jsonwebtoken::decode_header(token).map_err(|_| Invalid::Unauthorized)?;
    let jwk = header
        .kid
        .as_deref()
        .and_then(|kid| keys.find(kid))
        .ok_or(Invalid::UnknownKey)?;
    let algorithm: Algorithm = jwk
        .common
        .key_algorithm
        .and_then(|algorithm| algorithm.to_string().parse().ok())
        .ok_or(Invalid::Unauthorized)?;
    let key = DecodingKey::from_jwk(jwk).map_err(|_| Invalid::Unauthorized)?;
    let mut validation = Validation::new(algorithm);
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key, &validation)
        .map_err(|_| Invalid::Unauthorized)?
        .claims;
    let claims = Claims(claims);
    let not_before = claims.get("nbf").and_then(Value::as_f64).unwrap_or(0.0);
    if claims.expired(skew) {
        Err(Invalid::Expired)
    } else if (now_ms() as f64) < (not_before - skew as f64) * 1000.0 {
        Err(Invalid::Unauthorized)
    } else {
        Ok(claims)
    }
}
