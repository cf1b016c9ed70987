//! Secrets: read anew each time the core asks, so that a change is seen.

use crate::sync::{deadline, left, lock, wait_for};
use std::{
    env, fmt,
    fs::{self, File},
    io::Read,
    sync::{Arc, Condvar, Mutex},
    time::Duration,
};
use svcauth_core::{Secret, SecretBytes, config::SecretReference};
use zeroize::Zeroize;

/// A program's own function for secrets, by name.
pub type SecretFunction =
    Arc<dyn Fn(&str) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>> + Send + Sync>;

/// Reads secrets from where the configuration says.
pub struct Secrets {
    function: Option<SecretFunction>,
    /// What is being read.
    busy: Mutex<Vec<SecretReference>>,
    freed: Condvar,
    /// How long a reader waits for another one of the same secret.
    turn: Duration,
}

impl Secrets {
    /// The largest secret that is read, in bytes.
    pub const MOST_BYTES: u64 = 64 * 1024;

    /// Files, the environment and, where there is one, the function.
    pub fn new(function: Option<SecretFunction>) -> Secrets {
        Secrets {
            function,
            busy: Mutex::default(),
            freed: Condvar::new(),
            turn: Duration::from_secs(2),
        }
    }

    /// Those of a forked process.
    pub(super) fn after_fork(&self) -> Secrets {
        Secrets::new(self.function.clone())
    }

    pub(super) fn has_function(&self) -> bool {
        self.function.is_some()
    }

    /// Reads one secret; the error says why not, without any part of it.
    pub fn read(&self, reference: &SecretReference) -> Result<SecretBytes, String> {
        match reference {
            SecretReference::File(path) => self.alone(reference, || from_file(path)),
            SecretReference::Env(name) => from_environment(name),
            SecretReference::Callback(name) => self.alone(reference, || self.ask_function(name)),
            SecretReference::Value(secret) => Ok(SecretBytes::from(secret.expose())),
            _ => Err("this kind of reference is not known here".into()),
        }
    }

    /// One reader at a time. A function that hangs, or a file on a server that is away, is not asked again: it
    /// would take one thread after another.
    fn alone(
        &self,
        reference: &SecretReference,
        read: impl FnOnce() -> Result<SecretBytes, String>,
    ) -> Result<SecretBytes, String> {
        struct Turn<'a>(&'a Secrets, &'a SecretReference);
        impl Drop for Turn<'_> {
            fn drop(&mut self) {
                lock(&self.0.busy).retain(|busy| busy != self.1);
                self.0.freed.notify_all();
            }
        }
        let until = deadline(self.turn);
        let mut busy = lock(&self.busy);
        while busy.contains(reference) {
            let time = left(until).ok_or("reading it has not come back from the last time")?;
            busy = wait_for(&self.freed, busy, time);
        }
        busy.push(reference.clone());
        drop(busy);
        let _turn = Turn(self, reference);
        read()
    }

    fn ask_function(&self, name: &str) -> Result<SecretBytes, String> {
        let function = self
            .function
            .as_ref()
            .ok_or("the program gave no function for secrets")?;
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
    // A pipe is read once only, and opening one or a terminal would wait for ever.
    match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return Err("it is no regular file".into()),
        _ => {}
    }
    let file = File::open(path).map_err(|error| format!("it cannot be opened ({error})"))?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sync::FOREVER;
    use std::{sync::mpsc, thread};

    fn one() -> SecretReference {
        SecretReference::Callback("one".into())
    }

    /// Secrets from a function that tells of each call and comes back when it is let go.
    fn secrets(turn: Duration) -> (Arc<Secrets>, mpsc::Receiver<()>, mpsc::Sender<()>) {
        let (tell, told) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        let gate = Mutex::new(gate);
        let mut secrets = Secrets::new(Some(Arc::new(move |name| {
            if name == "one" {
                tell.send(()).unwrap();
                let _ = lock(&gate).recv();
            }
            Ok(Secret::from(name))
        })));
        secrets.turn = turn;
        (Arc::new(secrets), told, open)
    }

    #[test]
    fn a_secret_that_hangs_takes_one_thread_and_others_are_read() {
        let (secrets, told, open) = secrets(Duration::from_millis(1));
        let reader = Arc::clone(&secrets);
        let hanging = thread::spawn(move || reader.read(&one()));
        told.recv().unwrap();
        let again = secrets.read(&one()).unwrap_err();
        assert!(again.contains("not come back"), "{again}");
        assert!(
            secrets
                .read(&SecretReference::Callback("other".into()))
                .is_ok()
        );
        drop(open);
        assert!(hanging.join().unwrap().is_ok());
        assert!(secrets.read(&one()).is_ok());
    }

    #[test]
    fn who_comes_while_another_reads_the_same_waits_for_its_turn() {
        let (secrets, told, open) = secrets(FOREVER);
        let readers: Vec<_> = (0..4)
            .map(|_| {
                let secrets = Arc::clone(&secrets);
                thread::spawn(move || secrets.read(&one()).is_ok())
            })
            .collect();
        for _ in 0..4 {
            told.recv().unwrap();
            // One at a time.
            assert!(told.try_recv().is_err());
            open.send(()).unwrap();
        }
        for reader in readers {
            assert!(reader.join().unwrap());
        }
    }
}
