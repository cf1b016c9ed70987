//! How a client is doing, for probes and counters.

use std::time::{Duration, SystemTime};
use svcauth_core::{Error, client};

/// How a client's targets are doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Health {
    /// Each target, in the order of their names.
    pub targets: Vec<TargetHealth>,
}

impl Health {
    /// Whether every target that was asked for a token can serve one now.
    pub fn is_ready(&self) -> bool {
        self.targets
            .iter()
            .all(|target| target.ready || !target.asked_for)
    }
}

/// How one target is doing.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TargetHealth {
    /// Its name.
    pub name: String,
    /// Whether a token can be served now.
    pub ready: bool,
    /// Whether anybody has asked for one yet.
    pub asked_for: bool,
    /// When the token expires.
    pub expires_at: Option<SystemTime>,
    /// Why the last attempt failed, if it did.
    pub error: Option<Error>,
    /// How long it is until the next attempt.
    pub retry_in: Option<Duration>,
}

/// Counters since the client was opened.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What the core counts: requests, tokens, failures.
    pub core: client::Stats,
    /// How often a caller found no token at hand and the core was asked.
    pub asked: u64,
    /// How often a caller had to wait for a token.
    pub waited: u64,
    /// Threads there are now: those that do I/O, and one that keeps time.
    pub threads: usize,
    /// Events that were not told because the listener was too slow.
    pub events_dropped: u64,
}
