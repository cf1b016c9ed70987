//! Finds and reads the configuration.

use crate::{arguments::Common, failure::Failure};
use std::{
    env,
    fs::File,
    io::{ErrorKind, Read},
    path::{Path, PathBuf},
};
use svcauth::{Code, Config, core::SecretBytes};

const VARIABLE: &str = "SVCAUTH_CONFIG";
const DEFAULT: &str = "svcauth.json";
const MOST: u64 = 1024 * 1024;

/// Where the configuration is looked for.
pub(crate) fn path(common: &Common) -> PathBuf {
    common
        .config
        .clone()
        .or_else(|| {
            env::var_os(VARIABLE)
                .filter(|name| !name.is_empty())
                .map(PathBuf::from)
        })
        .unwrap_or_else(|| PathBuf::from(DEFAULT))
}

/// What a command line says so that `path` is read: nothing where it is read anyway.
pub(crate) fn option(path: &Path) -> String {
    if path == self::path(&Common::default()) {
        return String::new();
    }
    format!(" -c {}", path.display())
}

/// Reads it.
pub(crate) fn read(path: &PathBuf) -> Result<Config, Failure> {
    let name = path.display().to_string();
    let unreadable = |why: String| Failure::new(Code::InvalidConfiguration, name.as_str(), why);
    let mut text = Vec::new();
    let read = File::open(path).and_then(|file| file.take(MOST + 1).read_to_end(&mut text));
    let text = SecretBytes::from(text);
    if let Err(error) = read {
        let advice = match error.kind() {
            ErrorKind::NotFound => {
                "write one with `svcauth init`, or name another with --config or SVCAUTH_CONFIG"
            }
            ErrorKind::PermissionDenied => {
                "let this user read it, or run svcauth as the service's user"
            }
            _ => "name a file with --config or SVCAUTH_CONFIG",
        };
        return Err(
            unreadable(format!("the configuration cannot be read: {error}")).with_advice(advice),
        );
    }
    if text.len() as u64 > MOST {
        return Err(unreadable(format!(
            "the configuration is larger than {MOST} bytes"
        )));
    }
    Config::from_json(text.expose()).map_err(|error| {
        let failure = Failure::from(error);
        let see = failure.advice.clone().unwrap_or_default();
        failure.with_advice(format!("mend {name}; {see}"))
    })
}
