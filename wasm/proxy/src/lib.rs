//! A filter for Envoy and other proxy-wasm hosts: it puts service tokens on requests.
//!
//! ```text
//!   Envoy ──▶ abi (exports) ──▶ Filter ──▶ Engine, one for each configuration ──▶ svcauth_core::Client
//!         ◀── abi (imports) ◀── Host ◀────────┘
//! ```
//!
//! Everything but [`abi`](self) is plain code over the trait [`Host`], so that tests run it without a proxy. No
//! request and no answer may stop it: nothing here panics, and what the proxy refuses is dealt with.
//!
//! The proxy-wasm SDK is not used: it exports every callback, each of which Envoy then calls for every request, and
//! it panics where the proxy answers with a status that it does not expect.

#![cfg_attr(
    not(test),
    deny(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects
    )
)]
#![deny(missing_docs)]

#[cfg(target_arch = "wasm32")]
mod abi;
mod audit;
mod engine;
mod filter;
mod host;
mod metrics;
mod reply;
mod send;
mod settings;
mod shared;
mod structure;
mod wire;

pub use filter::{Action, Filter};
pub use host::{CallFailure, Host, Map, MetricKind, Severity, Shared};
pub use reply::Reply;
pub use settings::{Audience, Role, Servers, Settings};
