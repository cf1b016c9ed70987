//! Refresh tokens: what the store holds of them, so that one that can be used once is never sent twice,
//! not after a crash and not by another process.

use crate::{
    Code, Error, Secret,
    wire::json::{self, Object, Value},
};
use alloc::{format, string::String, vec::Vec};

/// The record of one token's refresh token.
pub(crate) enum Saved {
    /// There is none, or the last one was sent and its answer was never saved.
    Spent,
    /// It may be sent once.
    Ready(RefreshToken),
}

#[derive(Clone)]
pub(crate) struct RefreshToken {
    pub(crate) value: Secret,
    /// In milliseconds since 1970; none where the server does not tell.
    pub(crate) expires_at: Option<u64>,
}

impl RefreshToken {
    pub(crate) fn is_usable(&self, wall_ms: u64) -> bool {
        self.expires_at.is_none_or(|at| wall_ms < at)
    }
}

impl Saved {
    /// The record, with the token endpoint whose token it is.
    pub(crate) fn write(&self, endpoint: &str) -> Vec<u8> {
        let mut object = Object::new();
        object.insert("format", Value::from(1u64));
        match self {
            Saved::Spent => {
                object.insert("state", Value::from("spent"));
            }
            Saved::Ready(token) => {
                object.insert("state", Value::from("ready"));
                object.insert("endpoint", Value::from(endpoint));
                object.insert("refresh_token", Value::from(token.value.expose()));
                if let Some(at) = token.expires_at {
                    object.insert("expires_at", Value::from(at / 1000));
                }
            }
        }
        Value::Object(object).to_json().into_bytes()
    }

    /// Reads a record. A token that another server gave counts as spent: it must not be sent to this one.
    pub(crate) fn read(bytes: &[u8], key: &str, endpoint: &str) -> Result<Saved, Error> {
        let corrupt = |why: String| {
            Error::new(
                Code::StoreCorrupt,
                format!("{why}; move the store file away to start anew"),
            )
            .at(format!("store, record {key}"))
        };
        let object = json::parse_object(bytes).map_err(|error| corrupt(format!("{error}")))?;
        if object.get("format").and_then(Value::as_u64) != Some(1) {
            return Err(corrupt(String::from(
                "it was written by another version of svcauth",
            )));
        }
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        match (text("state"), text("refresh_token")) {
            (Some("spent"), _) => Ok(Saved::Spent),
            (Some("ready"), Some(_)) if text("endpoint") != Some(endpoint) => Ok(Saved::Spent),
            (Some("ready"), Some(value)) => Ok(Saved::Ready(RefreshToken {
                value: Secret::from(value),
                expires_at: object
                    .get("expires_at")
                    .and_then(Value::as_u64)
                    .map(|at| at.saturating_mul(1000)),
            })),
            _ => Err(corrupt(String::from("its state is unknown"))),
        }
    }
}
