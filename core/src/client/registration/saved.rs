//! What the store holds of a registration.

use crate::{
    Code, Error, message,
    wire::json::{self, Object, Value},
};
use alloc::{boxed::Box, format, string::String, vec::Vec};

const DAY_MS: u64 = 86_400_000;

#[derive(Clone)]
pub(super) struct Record {
    pub(super) registration: message::Registration,
    pub(super) authorized: bool,
    /// In milliseconds since 1970.
    pub(super) saved_at: u64,
}

impl Record {
    /// When the secret is renewed: a day before its end, or a tenth of its life if that is shorter.
    pub(super) fn renew_at(&self) -> Option<u64> {
        let ends = self
            .registration
            .client_secret_expires_at?
            .saturating_mul(1000);
        let window = DAY_MS.min(ends.saturating_sub(self.saved_at) / 10);
        Some(ends - window.min(ends))
    }
}

/// What the store holds under [`RECORD`](super::RECORD).
pub(super) enum Saved {
    Intent,
    Registered(Box<Record>),
}

impl Saved {
    pub(super) fn intent(endpoint: &str, now: u64) -> Vec<u8> {
        Self::write("intent", endpoint, now, None, false)
    }

    pub(super) fn registered(endpoint: &str, record: &Record) -> Vec<u8> {
        let registration = record.registration.to_json();
        Self::write(
            "registered",
            endpoint,
            record.saved_at,
            Some(registration),
            record.authorized,
        )
    }

    fn write(
        state: &str,
        endpoint: &str,
        now: u64,
        registration: Option<Object>,
        authorized: bool,
    ) -> Vec<u8> {
        let mut object = Object::new();
        object.insert("format", Value::from(1u64));
        object.insert("state", Value::from(state));
        object.insert("endpoint", Value::from(endpoint));
        object.insert("saved_at", Value::from(now / 1000));
        object.insert("authorized", Value::from(authorized));
        if let Some(registration) = registration {
            object.insert("registration", Value::Object(registration));
        }
        Value::Object(object).to_json().into_bytes()
    }

    pub(super) fn read(bytes: &[u8], endpoint: &str) -> Result<Option<Saved>, Error> {
        let corrupt = |why: String| {
            Error::new(
                Code::StoreCorrupt,
                format!("{why}; move the store file away to register anew, or give this client a store of its own"),
            )
            .at("store, record registration")
        };
        let object = json::parse_object(bytes).map_err(|error| corrupt(format!("{error}")))?;
        if object.get("format").and_then(Value::as_u64) != Some(1) {
            return Err(corrupt(String::from(
                "it was written by another version of svcauth",
            )));
        }
        match object.get("endpoint").and_then(Value::as_str) {
            Some(saved) if saved == endpoint => {}
            other => {
                return Err(corrupt(format!(
                    "it holds a registration at {}, not at {endpoint}",
                    other.unwrap_or("an unknown place")
                )));
            }
        }
        match object.get("state").and_then(Value::as_str) {
            Some("intent") => Ok(Some(Saved::Intent)),
            // A record cannot be removed; this is what the command leaves of a deleted client.
            Some("deleted") => Ok(None),
            Some("registered") => {
                let Some(registration) = object.get("registration").and_then(Value::as_object)
                else {
                    return Err(corrupt(String::from("the registration is missing")));
                };
                Ok(Some(Saved::Registered(Box::new(Record {
                    registration: message::Registration::from_json(registration)
                        .map_err(|error| corrupt(format!("{error}")))?,
                    authorized: object.get("authorized").and_then(Value::as_bool) == Some(true),
                    saved_at: object
                        .get("saved_at")
                        .and_then(Value::as_u64)
                        .unwrap_or(0)
                        .saturating_mul(1000),
                }))))
            }
            _ => Err(corrupt(String::from("its state is unknown"))),
        }
    }
}
