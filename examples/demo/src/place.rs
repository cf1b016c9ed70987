//! Where an act takes place: a lab of its own, a folder of its own, and BSS with its files there.

use crate::{
    bss::Bss,
    stage::{Act, Stop},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};
use svcauth::{
    core::client::{Outcome, StoreOperation},
    host::store::FileStore,
};
use svcauth_lab::{Lab, LabConfig, merge_patch};
use tempfile::TempDir;

/// How every secret begins that the demo makes up, so that it is found wherever it does not belong.
pub(crate) const PLANTED: &str = "planted-";

pub(crate) const NODE: &str = "x0c0s0b0n0";

pub(crate) struct Place {
    pub(crate) lab: Lab,
    folder: TempDir,
}

impl Place {
    pub(crate) fn new(config: LabConfig) -> Result<Place, Stop> {
        Ok(Place {
            lab: Lab::try_start(config)?,
            folder: tempfile::Builder::new().prefix("svcauth-demo-").tempdir()?,
        })
    }

    /// What every configuration of BSS has; `patch` is merged in (RFC 7396).
    pub(crate) fn document(&self, patch: Value) -> Value {
        let mut document = json!({
            "issuer": self.lab.issuer_url(),
            "client": {},
            "targets": {
                "smd": {
                    "urls": [format!("{}/hsm/v2", self.lab.smd_url())],
                    "scopes": ["read"],
                },
            },
            // A busy machine is no reason to give up.
            "timeouts": { "connect_s": 60, "request_s": 60, "wait_s": 60 },
            "proxy": "none",
        });
        merge_patch(&mut document, patch);
        document
    }

    /// The configuration of a BSS that registers itself, with the metadata of the how-to.
    pub(crate) fn registering(&self) -> Value {
        self.document(json!({
            "endpoints": { "registration": format!("{}/oauth2/register", self.lab.issuer_url()) },
            "client": {
                "registration": {
                    "metadata": {
                        "client_name": "bss",
                        "grant_types": ["client_credentials"],
                        "scope": "read",
                        "token_endpoint_auth_method": "client_secret_basic",
                        "response_types": ["token"],
                        "redirect_uris": ["http://127.0.0.1:5555/callback"],
                    },
                    "authorize": true,
                },
            },
            "store": { "file": self.path(STATE) },
        }))
    }

    /// Writes the configuration's file.
    pub(crate) fn configure(&self, document: &Value) -> Result<PathBuf, Stop> {
        Ok(self.write("svcauth.json", &readable(document))?.into())
    }

    /// Starts BSS with this configuration, which it reads from its file.
    pub(crate) fn start_bss(&self, act: &mut Act<'_>, document: &Value) -> Result<Bss, Stop> {
        let file = self.configure(document)?;
        Bss::start(&file, &self.lab.smd_url(), act.ear())
    }

    /// A BSS that an operator has given a client id and a secret in a file; the lab knows it.
    pub(crate) fn start_known_bss(&self, act: &mut Act<'_>, patch: Value) -> Result<Bss, Stop> {
        let secret = plant(act, "BSS's client secret", "only-secret-Xq7");
        self.lab.add_client("bss", &secret, "read");
        let file = self.write("client-secret", &secret)?;
        let credentials = json!([{ "client_id": "bss", "client_secret": { "file": file } }]);
        let mut document = self.document(json!({ "client": { "credentials": credentials } }));
        merge_patch(&mut document, patch);
        self.start_bss(act, &document)
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Writes a file as a careful operator does: beside the old one, then in its place.
    pub(crate) fn write(&self, name: &str, content: &str) -> Result<String, Stop> {
        let (path, new) = (self.path(name), self.path(&format!("{name}.new")));
        fs::write(&new, content)?;
        fs::rename(&new, &path)?;
        Ok(path)
    }

    /// What the state file says about the registration; none while there is nothing.
    pub(crate) fn saved_registration(&self) -> Option<Value> {
        let store = FileStore::new(self.path(STATE));
        match store.perform("registration", StoreOperation::Get, Duration::from_secs(5)) {
            Outcome::Record {
                value: Some(value), ..
            } => serde_json::from_slice(value.expose()).ok(),
            _ => None,
        }
    }
}

/// The file in which BSS keeps what must outlive it.
pub(crate) const STATE: &str = "state.json";

/// A schedule for impatient people: a token is replaced after a ninth of its life or a second, and what is left
/// of it is the margin that keeps the story true on a slow machine.
pub(crate) fn early() -> Value {
    json!({ "schedule": { "refresh_window_fraction": 0.89, "jitter": 0.0 } })
}

/// A lab whose tokens live for so many seconds.
pub(crate) fn tokens_of(ttl: u64) -> LabConfig {
    LabConfig {
        ttl,
        ..LabConfig::default()
    }
}

/// Makes up a secret that the last act looks for.
pub(crate) fn plant(act: &mut Act<'_>, what: &str, name: &str) -> String {
    let secret = format!("{PLANTED}{name}");
    act.plant(what, &secret);
    secret
}

/// JSON as people write it: what fits on a line stands on one.
pub(crate) fn readable(value: &Value) -> String {
    const WIDTH: usize = 70;
    let short = value.to_string();
    let members = match value {
        Value::Object(object) if short.len() > WIDTH => object,
        _ => return short,
    };
    let lines = members.iter().map(|(name, member)| {
        let member = readable(member).replace('\n', "\n  ");
        format!("  \"{name}\": {member}")
    });
    format!("{{\n{}\n}}", lines.collect::<Vec<_>>().join(",\n"))
}
