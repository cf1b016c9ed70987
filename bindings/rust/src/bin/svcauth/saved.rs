//! The saved registration: the record that the core keeps in the durable store.

use crate::{failure::Failure, session::Session};
use std::{
    thread,
    time::{Duration, Instant},
};
use svcauth::{
    Code, Error,
    core::{
        client::{Outcome, StoreOperation},
        message::Registration,
        wire::json::{self, Object, Value},
    },
};

const RECORD: &str = "registration";

/// Keeps other processes from registering, updating or deleting; ends by itself.
pub(crate) struct Lock<'s, 'o> {
    session: &'s Session<'o>,
    fence: u64,
}

impl<'s, 'o> Lock<'s, 'o> {
    /// Takes the lock, waiting for it as long as the configuration lets callers wait.
    pub(crate) fn take(session: &'s Session<'o>) -> Result<Lock<'s, 'o>, Failure> {
        let timeouts = &session.config.timeouts;
        let ttl_ms = 2 * timeouts.request_ms + 6 * timeouts.store_ms;
        let deadline = Instant::now() + Duration::from_millis(timeouts.wait_ms);
        loop {
            match session.store(RECORD, StoreOperation::Lock { ttl_ms }) {
                Outcome::Locked { fence } => return Ok(Lock { session, fence }),
                Outcome::Held { retry_after_ms } if Instant::now() < deadline => {
                    let pause = retry_after_ms.unwrap_or(1_000).clamp(50, 1_000);
                    thread::sleep(Duration::from_millis(pause));
                }
                Outcome::Held { .. } => {
                    return Err(unavailable(
                        "another process has locked it; try again when that has ended",
                    ));
                }
                other => return Err(failed(other)),
            }
        }
    }

    pub(crate) fn release(self) {
        self.session
            .store(RECORD, StoreOperation::Unlock { fence: self.fence });
    }
}

/// The record as it is in the store.
pub(crate) struct Saved<'s, 'o> {
    session: &'s Session<'o>,
    object: Option<Object>,
    version: u64,
}

impl<'s, 'o> Saved<'s, 'o> {
    pub(crate) fn load(session: &'s Session<'o>) -> Result<Saved<'s, 'o>, Failure> {
        let (value, version) = match session.store(RECORD, StoreOperation::Get) {
            Outcome::Record { value, version } => (value, version),
            other => return Err(failed(other)),
        };
        let object = value
            .map(|bytes| json::parse_object(bytes.expose()))
            .transpose()
            .map_err(|error| corrupt(error.message()))?;
        Ok(Saved {
            session,
            object,
            version,
        })
    }

    /// The registration in it, where one was completed.
    pub(crate) fn registration(&self) -> Option<Registration> {
        let object = self.object.as_ref()?;
        if object.get("state").and_then(Value::as_str) != Some("registered") {
            return None;
        }
        Registration::from_json(object.get("registration")?.as_object()?).ok()
    }

    pub(crate) fn replace(&mut self, registration: &Registration) -> Result<(), Failure> {
        let mut object = self.object.clone().unwrap_or_default();
        object.insert("registration", Value::Object(registration.to_json()));
        self.put(object)
    }

    pub(crate) fn remove(&mut self) -> Result<(), Failure> {
        let mut object = self.object.clone().unwrap_or_default();
        object.remove("registration");
        object.insert("state", Value::from("deleted"));
        self.put(object)
    }

    fn put(&mut self, object: Object) -> Result<(), Failure> {
        let value = Value::Object(object.clone()).to_json().into_bytes().into();
        match self.session.store(
            RECORD,
            StoreOperation::PutIf {
                version: self.version,
                value,
            },
        ) {
            Outcome::Stored { version } => {
                self.version = version;
                self.object = Some(object);
                Ok(())
            }
            other => Err(failed(other)),
        }
    }
}

fn failed(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed { detail } => {
            unavailable(&format!("it cannot be used: {detail}; check store.file"))
        }
        Outcome::Conflict => {
            unavailable("another process changed it in spite of the lock; try again")
        }
        _ => Failure::from(Error::new(
            Code::Internal,
            "the store answered something else than was asked",
        )),
    }
}

fn unavailable(sentence: &str) -> Failure {
    Failure::new(Code::StoreUnavailable, "store.file", sentence)
}

fn corrupt(why: &str) -> Failure {
    let sentence = format!(
        "the saved registration cannot be read: {why}; move the store file away to register anew"
    );
    Failure::new(Code::StoreCorrupt, "store.file", sentence)
}
