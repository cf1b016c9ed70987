//! A durable store with versions and locks, as several processes on one machine share it.

use std::collections::{BTreeMap, BTreeSet};
use svcauth_core::client::{Outcome, StoreOperation};

/// A process in one of its lives.
pub(crate) type Owner = (usize, u32);

#[derive(Default)]
pub(crate) struct Store {
    records: BTreeMap<String, (Vec<u8>, u64)>,
    locks: BTreeMap<String, Lock>,
    versions: u64,
    fences: u64,
    /// Whether a process that holds a lock gets it again.
    reentrant: bool,
    /// Everything that was ever written.
    written: BTreeSet<Vec<u8>>,
}

struct Lock {
    owner: Owner,
    fence: u64,
    until: u64,
}

impl Store {
    pub(crate) fn new(reentrant: bool) -> Store {
        Store {
            reentrant,
            ..Store::default()
        }
    }

    pub(crate) fn run(
        &mut self,
        owner: Owner,
        key: &str,
        operation: &StoreOperation,
        now: u64,
    ) -> Outcome {
        match operation {
            StoreOperation::Get => {
                let record = self.records.get(key);
                Outcome::Record {
                    value: record.map(|(bytes, _)| bytes.clone().into()),
                    version: record.map_or(0, |(_, version)| *version),
                }
            }
            StoreOperation::PutIf { version, value } => {
                if self.records.get(key).map_or(0, |(_, version)| *version) != *version {
                    return Outcome::Conflict;
                }
                self.versions += 1;
                self.written.insert(value.expose().to_vec());
                self.records
                    .insert(key.to_owned(), (value.expose().to_vec(), self.versions));
                Outcome::Stored {
                    version: self.versions,
                }
            }
            StoreOperation::Lock { ttl_ms } => {
                if let Some(lock) = self.locks.get(key) {
                    let mine = self.reentrant && lock.owner == owner;
                    if lock.until > now && !mine {
                        return Outcome::Held {
                            retry_after_ms: Some(lock.until - now),
                        };
                    }
                }
                self.fences += 1;
                let lock = Lock {
                    owner,
                    fence: self.fences,
                    until: now + ttl_ms,
                };
                self.locks.insert(key.to_owned(), lock);
                Outcome::Locked { fence: self.fences }
            }
            StoreOperation::Unlock { fence } => {
                if self.locks.get(key).is_some_and(|lock| lock.fence == *fence) {
                    self.locks.remove(key);
                }
                Outcome::Done
            }
            _ => Outcome::Unsupported,
        }
    }

    /// What the record holds now, as text.
    pub(crate) fn text(&self, key: &str) -> String {
        let bytes = self.records.get(key).map_or(&[][..], |(bytes, _)| bytes);
        String::from_utf8_lossy(bytes).into_owned()
    }

    /// Whether a record with this in it was ever written.
    pub(crate) fn ever_held(&self, text: &str) -> bool {
        self.written.iter().any(|bytes| {
            bytes
                .windows(text.len())
                .any(|window| window == text.as_bytes())
        })
    }
}
