#![doc = include_str!("../README.md")]
#![no_std]
#![forbid(unsafe_code)]
#![deny(missing_docs)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::panic)
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod client;
pub mod config;
mod error;
mod event;
pub mod message;
mod order;
mod secret;
mod time;
pub mod wire;

pub use client::Client;
pub use config::Config;
pub use error::{Code, Error, Fault, OauthError};
pub use event::{Event, Level};
pub use message::Exchange;
pub use secret::{Secret, SecretBytes};
pub use time::Now;
