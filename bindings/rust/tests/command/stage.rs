//! A directory, a lab and the command. Every run is searched for secrets.

use serde_json::{Value, json};
use std::{
    env, fs,
    path::PathBuf,
    process::{Command, Stdio},
    sync::Mutex,
};
use svcauth_lab::{Lab, LabConfig, merge_patch};
use tempfile::TempDir;

/// Distinct, so that it is found wherever it does not belong.
pub(crate) const SECRET: &str = "planted-client-secret-Vw3";

pub(crate) struct Stage {
    pub(crate) lab: Lab,
    pub(crate) directory: PathBuf,
    /// Removes the directory.
    _temporary: TempDir,
    /// What must not be seen, besides all tokens.
    planted: Mutex<Vec<String>>,
}

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    /// The one document on stdout.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Itself, if it ended well.
    pub(crate) fn ok(self) -> Run {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl Stage {
    /// A lab with the client `bss`.
    pub(crate) fn new() -> Stage {
        Stage::with(LabConfig::default())
    }

    pub(crate) fn with(config: LabConfig) -> Stage {
        let temporary = tempfile::tempdir().unwrap();
        let directory = temporary.path().to_owned();
        let lab = Lab::start(config);
        lab.add_client("bss", SECRET, "read");
        let stage = Stage {
            lab,
            directory,
            _temporary: temporary,
            planted: Mutex::new(vec![SECRET.into()]),
        };
        stage.write("secret", SECRET);
        stage
    }

    /// What no run may show.
    pub(crate) fn plant(&self, secret: &str) {
        self.planted.lock().unwrap().push(secret.to_owned());
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        let path = self.directory.join(name);
        fs::write(&path, text).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        }
    }

    /// Writes svcauth.json: the client `bss` that calls SMD, with `patch` merged in (RFC 7396).
    pub(crate) fn configure(&self, patch: Value) {
        let mut document = json!({
            "issuer": self.lab.issuer_url(),
            "client": { "credentials": [{ "client_id": "bss", "client_secret": { "file": "secret" } }] },
            "targets": { "smd": { "urls": [format!("{}/hsm/v2", self.lab.smd_url())], "scopes": ["read"] } },
            "schedule": { "backoff_initial_s": 0.1, "backoff_max_s": 0.2 },
        });
        merge_patch(&mut document, patch);
        self.write("svcauth.json", &document.to_string());
    }

    /// Writes svcauth.json: a client that registers itself, saved in state.json.
    pub(crate) fn configure_registration(&self, patch: Value) {
        let mut document = json!({
            "endpoints": { "registration": format!("{}/oauth2/register", self.lab.issuer_url()) },
            "client": { "credentials": null, "registration": { "metadata": {
                "client_name": "bss",
                "grant_types": ["client_credentials"],
                "response_types": ["token"],
                "redirect_uris": ["http://127.0.0.1:5555/callback"],
                "scope": "read",
            } } },
            "store": { "file": "state.json" },
        });
        merge_patch(&mut document, patch);
        self.configure(document);
    }

    pub(crate) fn node(&self) -> String {
        format!("{}/hsm/v2/State/Components/x0c0s0b0n0", self.lab.smd_url())
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_svcauth"));
        command
            .args(arguments)
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        for (name, _) in env::vars_os() {
            let name = name.to_string_lossy().into_owned();
            if name.to_ascii_lowercase().ends_with("_proxy") || name.starts_with("SVCAUTH_") {
                command.env_remove(name);
            }
        }
        command
    }

    /// Runs the command to its end and searches what it said.
    pub(crate) fn run(&self, arguments: &[&str]) -> Run {
        self.finish(self.command(arguments), arguments)
    }

    pub(crate) fn run_with(&self, variable: (&str, &str), arguments: &[&str]) -> Run {
        let mut command = self.command(arguments);
        command.env(variable.0, variable.1);
        self.finish(command, arguments)
    }

    fn finish(&self, mut command: Command, arguments: &[&str]) -> Run {
        let ended = command.output().unwrap();
        let run = Run {
            code: ended.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&ended.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&ended.stderr).into_owned(),
        };
        let shows_token = arguments.contains(&"token");
        for (name, text, may_hold_token) in [
            ("stdout", &run.stdout, shows_token),
            ("stderr", &run.stderr, false),
        ] {
            let of = |what: &str| format!("{what} in {name} of {arguments:?}: {run:?}");
            for secret in self
                .planted
                .lock()
                .unwrap()
                .iter()
                .chain(&self.saved_secrets())
            {
                assert!(!text.contains(secret.as_str()), "{}", of(secret));
            }
            assert!(may_hold_token || !text.contains("eyJ"), "{}", of("a token"));
            assert!(!text.contains('\x1b'), "{}", of("an escape sequence"));
        }
        run
    }

    /// The secrets that a registration brought.
    fn saved_secrets(&self) -> Vec<String> {
        let members = self.saved();
        ["client_secret", "registration_access_token"]
            .iter()
            .filter_map(|name| members["registration"][name].as_str().map(str::to_owned))
            .collect()
    }

    /// The saved record of the registration; null where there is none.
    pub(crate) fn saved(&self) -> Value {
        use base64ct::{Base64UrlUnpadded, Encoding};
        let Ok(text) = fs::read(self.directory.join("state.json")) else {
            return Value::Null;
        };
        let document: Value = serde_json::from_slice(&text).unwrap();
        let value = document["records"]["registration"]["value"]
            .as_str()
            .unwrap_or_default();
        let bytes = Base64UrlUnpadded::decode_vec(value).unwrap();
        serde_json::from_slice(&bytes).unwrap_or_default()
    }
}
