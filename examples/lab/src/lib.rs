//! An authorization server and an SMD stand-in on loopback, for the demo and the tests.
//!
//! The authorization server answers as Ory Hydra does; beside it stand OPAAL and TokenSmith. SMD
//! checks tokens for real. Everything can be disturbed on purpose, and everything is counted.
//!
//! ```
//! use svcauth_lab::{Endpoint, Fault, Lab, LabConfig};
//!
//! let lab = Lab::start(LabConfig::default());
//! lab.add_client("bss", "a-secret", "read");
//! lab.faults().set(Endpoint::Token, Fault::status(503).times(1));
//! // ... let a client get a token from lab.issuer_url() and call lab.smd_url() ...
//! assert_eq!(lab.stats().token_requests(), 0);
//! ```
//!
//! A lab is no model for a real server: it keeps secrets in clear and compares them as text.

mod clients;
mod config;
mod control;
mod door;
mod elsewhere;
mod exchange;
mod fault;
mod form;
mod hydra;
mod keys;
mod lab;
mod merge_patch;
mod opaal;
mod random;
mod reply;
mod service;
mod smd;
mod stats;
mod tls;
mod tokensmith;
mod verify;
mod world;

use std::sync::{Mutex, MutexGuard, PoisonError};

pub use config::{Flavor, KeyFetch, LabConfig, Ports, Signing, SmdConfig};
pub use fault::{Action, Answer, Fault, Faults, RetryAfter};
pub use lab::Lab;
pub use merge_patch::merge_patch;
pub use service::{Endpoint, Service};
pub use stats::{EndpointStats, LogEntry, Stats, TokenRequests};
pub use tls::Certificate;

/// Locks; a panic elsewhere does not take the lab down.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
