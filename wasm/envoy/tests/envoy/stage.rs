//! Where a test takes place: a lab, and what Envoy needs to know of it.

use serde_json::{Value, json};
use svcauth_envoy::{Bootstrap, Envoy, Request, Settings, Svcauth};
use svcauth_lab::{Endpoint, Lab, LabConfig, Service, SmdConfig, merge_patch};

/// How every secret begins that a test makes up.
pub(crate) const PLANTED: &str = "planted-";
pub(crate) const SECRET: &str = "planted-secret-of-bss";
/// Where the filter finds it; [`Stage::settings`] sets it.
pub(crate) const VARIABLE: &str = "BSS_SECRET";

pub(crate) struct Stage {
    pub(crate) lab: Lab,
}

impl Stage {
    /// A lab that knows the client `bss`, with tokens of so many seconds.
    pub(crate) fn new(ttl: u64) -> Stage {
        let lab = Lab::start(LabConfig {
            ttl,
            ..LabConfig::default()
        });
        lab.add_client("bss", SECRET, "read");
        Stage { lab }
    }

    /// The same, where a call may be under way for long: SMD takes tokens that have expired meanwhile.
    pub(crate) fn patient(ttl: u64) -> Stage {
        let stage = Stage::new(ttl);
        stage.lab.set_smd(SmdConfig {
            skew: 600,
            ..stage.lab.smd()
        });
        stage
    }

    /// The server signs with a new key, and SMD takes no token of the old one any more.
    pub(crate) fn new_key(&self) {
        self.lab.rotate_signing_key();
        self.lab.smd_fetch_keys();
    }

    /// The configuration document; `patch` is merged in (RFC 7396).
    pub(crate) fn document(&self, patch: Value) -> Value {
        let mut document = json!({
            "issuer": self.lab.issuer_url(),
            "endpoints": { "token": format!("{}/oauth2/token", self.lab.issuer_url()) },
            "client": { "credentials": [{ "client_id": "bss", "client_secret": { "env": VARIABLE } }] },
            "targets": {
                "smd": { "urls": [format!("{}/hsm/v2", self.lab.smd_url())], "scopes": ["read"] },
            },
            // A busy machine is no reason to give up.
            "timeouts": { "request_s": 60, "wait_s": 60 },
            "envoy": {
                "server_cluster": "issuer",
                "target": "smd",
                "holding": { "wait_s": 60 },
            },
        });
        merge_patch(&mut document, patch);
        document
    }

    /// Envoy with the lab's services as clusters.
    pub(crate) fn bootstrap(&self) -> Bootstrap {
        Bootstrap::new()
            .cluster("issuer", self.lab.address(Service::Issuer))
            .cluster("smd", self.lab.address(Service::Smd))
            .cluster("elsewhere", self.lab.address(Service::Elsewhere))
    }

    /// The filter with [`document`](Stage::document).
    pub(crate) fn svcauth(&self, patch: Value) -> Svcauth {
        Svcauth::new(self.document(patch)).variable(VARIABLE)
    }

    /// Envoy with the secret in its environment.
    pub(crate) fn settings(&self, bootstrap: Bootstrap) -> Settings {
        Settings::of(bootstrap).variable(VARIABLE, SECRET)
    }

    /// Starts an Envoy through which programs call SMD, at the listener `egress`.
    pub(crate) fn start(&self, patch: Value) -> Envoy {
        Envoy::start(&self.settings(self.sidecar(patch)))
    }

    /// An Envoy through which programs call SMD, at the listener `egress`.
    pub(crate) fn sidecar(&self, patch: Value) -> Bootstrap {
        self.bootstrap()
            .sidecar("egress", "smd", &self.svcauth(patch))
    }

    /// The clients whose tokens SMD has accepted, each once, in the order of their first call.
    pub(crate) fn callers(&self) -> Vec<String> {
        let mut callers = Vec::new();
        for entry in self.lab.log_of(Service::Smd) {
            if let Some(client) = entry.client_id.filter(|client| !callers.contains(client)) {
                callers.push(client);
            }
        }
        callers
    }

    /// How often SMD has refused a token.
    pub(crate) fn refused(&self) -> u64 {
        let answers = self.lab.stats().endpoint(Endpoint::Smd).answers;
        answers.get(&401).copied().unwrap_or_default()
    }
}

/// A call that needs a token.
pub(crate) fn node() -> Request {
    Request::get("/hsm/v2/State/Components/x0c0s0b0n0")
}

/// A call with a body of about this size, which needs a token.
pub(crate) fn components(size: usize) -> Request {
    let body = format!("{{\"Components\":[]{}}}", " ".repeat(size));
    Request::post("/hsm/v2/State/Components", body).header("Content-Type", "application/json")
}

/// A schedule that refreshes after a ninth of a token's life or a second: what is left of it is the margin that
/// keeps a test true on a slow machine.
pub(crate) fn early() -> Value {
    json!({ "refresh_window_fraction": 0.89, "jitter": 0.0 })
}
