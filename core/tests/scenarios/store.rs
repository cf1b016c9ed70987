//! A durable store in memory, shared with processes that only the scenario knows.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use svcauth_core::client::{Outcome, StoreOperation};

#[derive(Default)]
pub(crate) struct Store {
    records: BTreeMap<String, (Vec<u8>, u64)>,
    locks: BTreeMap<String, (u64, u64)>,
    fails: Option<String>,
    last_fence: u64,
    last_version: u64,
}

impl Store {
    /// Other processes write records and hold locks until a time; the store fails or works again.
    pub(crate) fn change(&mut self, change: &Value, start: u64) {
        for (key, record) in change["records"].as_object().into_iter().flatten() {
            match record {
                Value::Null => self.records.remove(key),
                record => self.write(key, record.to_string().into_bytes()),
            };
        }
        for (key, until) in change["locks"].as_object().into_iter().flatten() {
            match until.as_u64() {
                None => self.locks.remove(key),
                Some(until) => self.locks.insert(key.clone(), (0, start + until)),
            };
        }
        if let Some(fails) = change.get("fails") {
            self.fails = fails.as_str().map(String::from);
        }
    }

    fn write(&mut self, key: &str, value: Vec<u8>) -> Option<(Vec<u8>, u64)> {
        self.last_version += 1;
        self.records.insert(key.into(), (value, self.last_version))
    }

    pub(crate) fn run(&mut self, key: &str, operation: &StoreOperation, now: u64) -> Outcome {
        if let Some(detail) = &self.fails {
            return Outcome::Failed {
                detail: detail.clone(),
            };
        }
        match operation {
            StoreOperation::Get => match self.records.get(key) {
                None => Outcome::Record {
                    value: None,
                    version: 0,
                },
                Some((value, version)) => Outcome::Record {
                    value: Some(value.clone().into()),
                    version: *version,
                },
            },
            StoreOperation::PutIf { version, value } => {
                if self.records.get(key).map_or(0, |(_, version)| *version) != *version {
                    return Outcome::Conflict;
                }
                self.write(key, value.expose().to_vec());
                Outcome::Stored {
                    version: self.last_version,
                }
            }
            StoreOperation::Lock { ttl_ms } => match self.locks.get(key) {
                Some((_, until)) if *until > now => Outcome::Held {
                    retry_after_ms: Some(*until - now),
                },
                _ => {
                    self.last_fence += 1;
                    self.locks
                        .insert(key.into(), (self.last_fence, now + ttl_ms));
                    Outcome::Locked {
                        fence: self.last_fence,
                    }
                }
            },
            StoreOperation::Unlock { fence } => {
                if self.locks.get(key).is_some_and(|(held, _)| held == fence) {
                    self.locks.remove(key);
                }
                Outcome::Done
            }
            _ => Outcome::Unsupported,
        }
    }

    /// The records, and until when each lock is held.
    pub(crate) fn show(&self, start: u64, now: u64) -> Value {
        let records: Map<String, Value> = self
            .records
            .iter()
            .map(|(key, (value, _))| (key.clone(), serde_json::from_slice(value).unwrap()))
            .collect();
        let locks: Map<String, Value> = self
            .locks
            .iter()
            .filter(|(_, (_, until))| *until > now)
            .map(|(key, (_, until))| (key.clone(), json!(until - start)))
            .collect();
        json!({ "records": records, "locks": locks })
    }
}
