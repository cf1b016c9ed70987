//! The part of a configuration that is the host's own business.

use super::{Config, Limits, Proxy, StoreConfig, Timeouts, Tls};
use alloc::vec::Vec;
use serde::{Serialize, Serializer};

/// What the host itself does as configured, defaults filled in, for hosts that take it as JSON. Nothing in it
/// is secret.
///
/// ```
/// let config = svcauth_core::Config::from_json(br#"{
///     "endpoints": { "token": "https://hydra.example/oauth2/token" },
///     "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s3cr3t" } }] },
///     "targets": { "smd": { "urls": [] }, "bss": { "urls": [] } },
///     "timeouts": { "request_s": 2.5 }
/// }"#)?;
/// assert_eq!(serde_json::to_value(config.host_settings()).unwrap(), serde_json::json!({
///     "targets": ["bss", "smd"],
///     "store": null,
///     "needs_durable_store": false,
///     "tls": { "ca_file": null, "only_ca_file": false, "certificate_file": null, "key_file": null },
///     "proxy": "environment",
///     "timeouts": {
///         "connect_ms": 5000, "request_ms": 2500, "secret_ms": 5000, "store_ms": 5000, "wait_ms": 30000
///     },
///     "limits": { "answer_bytes": 1048576, "subjects": 256, "events": 256 }
/// }));
/// # Ok::<(), svcauth_core::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[non_exhaustive]
pub struct HostSettings<'a> {
    /// The targets' names in their order, which is that of their indices.
    pub targets: Vec<&'a str>,
    /// Where state is kept that outlives the process.
    pub store: Option<&'a StoreConfig>,
    /// Whether the client cannot be made without a store.
    pub needs_durable_store: bool,
    /// How TLS is spoken.
    pub tls: &'a Tls,
    /// Which proxy is used: `environment`, `none` or a URL.
    pub proxy: &'a Proxy,
    /// How long things may take, in milliseconds.
    pub timeouts: &'a Timeouts,
    /// How large things may get.
    pub limits: &'a Limits,
}

impl Config {
    /// What the host itself does as configured.
    pub fn host_settings(&self) -> HostSettings<'_> {
        HostSettings {
            targets: self
                .targets
                .iter()
                .map(|target| target.name.as_str())
                .collect(),
            store: self.store.as_ref(),
            needs_durable_store: self.needs_durable_store(),
            tls: &self.tls,
            proxy: &self.proxy,
            timeouts: &self.timeouts,
            limits: &self.limits,
        }
    }
}

impl Serialize for Proxy {
    /// As it stands in the document.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Proxy::Environment => "environment",
            Proxy::None => "none",
            Proxy::Url(url) => url,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_told_what_is_configured_and_no_secret() {
        for (proxy, told) in [
            ("environment", "environment"),
            ("none", "none"),
            ("http://proxy.example:3128/", "http://proxy.example:3128"),
        ] {
            let document = serde_json::json!({
                "client": { "registration": { "initial_access_token": { "value": "s3cr3t" }, "metadata": {} } },
                "targets": { "smd": { "urls": [] } },
                "store": { "file": "/var/lib/bss/svcauth.json" },
                "tls": { "ca_file": "/ca.pem", "only_ca_file": true, "certificate_file": "/c.pem", "key_file": "/k.pem" },
                "proxy": proxy,
                "timeouts": { "connect_s": 1, "request_s": 2, "secret_s": 3, "store_s": 4, "wait_s": 5 },
                "limits": { "answer_bytes": 4096, "subjects": 7, "events": 8 },
                "endpoints": { "token": "https://hydra.example/t", "registration": "https://hydra.example/r" },
            });
            let config =
                Config::from_json(serde_json::to_string(&document).unwrap().as_bytes()).unwrap();
            let settings = serde_json::to_value(config.host_settings()).unwrap();
            assert_eq!(
                settings,
                serde_json::json!({
                    "targets": ["smd"],
                    "store": { "file": "/var/lib/bss/svcauth.json" },
                    "needs_durable_store": true,
                    "tls": { "ca_file": "/ca.pem", "only_ca_file": true, "certificate_file": "/c.pem", "key_file": "/k.pem" },
                    "proxy": told,
                    "timeouts": { "connect_ms": 1000, "request_ms": 2000, "secret_ms": 3000, "store_ms": 4000, "wait_ms": 5000 },
                    "limits": { "answer_bytes": 4096, "subjects": 7, "events": 8 },
                })
            );
        }
    }
}
