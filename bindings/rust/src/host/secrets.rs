//! Secrets: read anew each time the core asks, so that a change is seen.

use crate::sync::lock;
use std::{
    collections::HashSet,
    env, fmt,
    fs::File,
    io::Read,
    sync::{Arc, Mutex},
};
use svcauth_core::{Secret, SecretBytes, config::SecretReference};
use zeroize::Zeroize;

/// A program's own function for secrets, by name.
pub type SecretFunction =
    Arc<dyn Fn(&str) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Reads secrets from where the configuration says.
pub struct Secrets {
    function: Option<SecretFunction>,
    /// The names that the function is busy with.
    busy: Mutex<HashSet<String>>,
}

impl Secrets {
    /// The largest secret that is read, in bytes.
    pub const MOST_BYTES: u64 = 64 * 1024;

    /// Files, the environment and, where there is one, the function.
    pub fn new(function: Option<SecretFunction>) -> Secrets {
        Secrets {
            function,
            busy: Mutex::default(),
        }
    }

    /// Reads one secret; the error says why not, without any part of it.
    pub fn read(&self, reference: &SecretReference) -> Result<SecretBytes, String> {
        match reference {
            SecretReference::File(path) => from_file(path),
            SecretReference::Env(name) => from_environment(name),
            SecretReference::Callback(name) => self.ask_function(name),
            SecretReference::Value(secret) => Ok(SecretBytes::from(secret.expose())),
            _ => Err("this kind of reference is not known here".into()),
        }
    }

    /// A function that hangs is not called again for the same name: it would take one thread after another.
    fn ask_function(&self, name: &str) -> Result<SecretBytes, String> {
        struct Busy<'a>(&'a Secrets, &'a str);
        impl Drop for Busy<'_> {
            fn drop(&mut self) {
                lock(&self.0.busy).remove(self.1);
            }
        }
        let function = self
            .function
            .as_ref()
            .ok_or("the program gave no function for secrets")?;
        if !lock(&self.busy).insert(name.to_owned()) {
            return Err(
                "the program's function for secrets has not come back from the last call".into(),
            );
        }
        let _busy = Busy(self, name);
        match function(name) {
            Ok(secret) => Ok(SecretBytes::from(secret.expose())),
            Err(error) => Err(format!("the program's function for secrets says: {error}")),
        }
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("function", &self.function.is_some())
            .finish()
    }
}

fn from_file(path: &str) -> Result<SecretBytes, String> {
    let file = File::open(path).map_err(|error| format!("it cannot be opened ({error})"))?;
    // A pipe is read once only, and opening a terminal would wait for ever.
    match file.metadata() {
        Ok(metadata) if metadata.is_file() => {}
        Ok(_) => return Err("it is no regular file".into()),
        Err(error) => return Err(format!("it cannot be examined ({error})")),
    }
    let mut bytes = Vec::with_capacity(1024);
    let read = file.take(Secrets::MOST_BYTES + 1).read_to_end(&mut bytes);
    if read.is_ok() && bytes.len() as u64 <= Secrets::MOST_BYTES {
        return Ok(SecretBytes::from(bytes));
    }
    bytes.zeroize();
    Err(match read {
        Ok(_) => format!(
            "it is larger than {} bytes, which is no secret",
            Secrets::MOST_BYTES
        ),
        Err(error) => format!("it cannot be read ({error})"),
    })
}

fn from_environment(name: &str) -> Result<SecretBytes, String> {
    let value = env::var_os(name).ok_or("it is not set")?;
    Ok(SecretBytes::from(value.into_encoded_bytes()))
}
