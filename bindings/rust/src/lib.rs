#![doc = include_str!("../README.md")]
#![deny(missing_docs)]
#![forbid(unsafe_code)]

mod agent;
mod builder;
mod by_hand;
mod cell;
mod client;
mod driver;
mod events;
mod fork;
mod health;
pub mod host;
mod lease;
mod names;
mod quiet;
mod shared;
mod sync;
mod target;
mod workers;

pub use agent::{NoReplay, UserRequired, UserToken, error_of};
pub use builder::Builder;
pub use client::Client;
pub use health::{Health, Stats, TargetHealth};
pub use lease::Lease;
pub use svcauth_core::{Code, Config, Error, Event, Fault, Secret, client::LeaseId};
pub use target::Target;

/// The sans-IO core: messages, configuration, events.
pub use svcauth_core as core;
/// The HTTP client whose [`Agent`](ureq::Agent) carries the tokens.
pub use ureq;
