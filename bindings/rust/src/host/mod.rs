//! What the client does for the sans-IO core: requests, secrets, random bytes, the durable store.
//!
//! Programs need none of this. It is public for those that drive the [core](crate::core) themselves and want
//! the same TLS, proxies, files and errors.

mod clock;
pub mod proxy;
pub mod secrets;
pub mod store;
pub mod tls;
pub mod transport;

use self::{
    secrets::{SecretFunction, Secrets},
    store::FileStore,
    transport::Transport,
};
use std::time::Duration;
use svcauth_core::{
    Config, Error, SecretBytes,
    client::{Capabilities, Outcome, SendFailure, TaskKind},
};

pub use clock::Clock;

/// Answers each [task](TaskKind) of the core. May be shared between threads.
#[derive(Debug)]
pub struct Host {
    transport: Transport,
    secrets: Secrets,
    store: Option<FileStore>,
    store_time: Duration,
}

impl Host {
    /// Reads what `config` says about TLS, proxy and store; the environment's proxies are read now.
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`](crate::Code::InvalidConfiguration) for certificates or a proxy that
    /// cannot be used.
    pub fn new(config: &Config, secrets: Option<SecretFunction>) -> Result<Host, Error> {
        Ok(Host {
            transport: Transport::new(config)?,
            secrets: Secrets::new(secrets),
            store: config
                .store
                .as_ref()
                .map(|store| FileStore::new(&store.file)),
            store_time: Duration::from_millis(config.timeouts.store_ms),
        })
    }

    /// The host of a forked process. Nothing is read anew, and no lock of this one is taken.
    pub(crate) fn after_fork(&self, config: &Config) -> Host {
        Host {
            transport: self.transport.after_fork(config),
            secrets: self.secrets.after_fork(),
            store: self.store.as_ref().map(FileStore::after_fork),
            store_time: self.store_time,
        }
    }

    /// What requests to the authorization server go through.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }

    /// What it can do, for [`Client::new`](svcauth_core::Client::new).
    pub fn capabilities(&self) -> Capabilities {
        let mut capabilities = Capabilities::none();
        capabilities.secret_files = true;
        capabilities.secret_env = true;
        capabilities.secret_callback = self.secrets.has_function();
        capabilities.durable_store = self.store.is_some();
        capabilities.client_certificate = true;
        capabilities
    }

    /// Does one task and waits for its end.
    pub fn perform(&self, task: TaskKind) -> Outcome {
        match task {
            TaskKind::Send {
                request,
                timeout_ms,
                max_bytes,
            } => {
                match self
                    .transport
                    .send(&request, Duration::from_millis(timeout_ms), max_bytes)
                {
                    Ok(response) => Outcome::Response(response),
                    Err((failure, detail)) => Outcome::SendFailed { failure, detail },
                }
            }
            TaskKind::ReadSecret { reference } => match self.secrets.read(&reference) {
                Ok(bytes) => Outcome::Bytes(bytes),
                Err(detail) => Outcome::Failed { detail },
            },
            TaskKind::Random { bytes } => {
                let mut buffer = vec![0; bytes];
                match getrandom::fill(&mut buffer) {
                    Ok(()) => Outcome::Bytes(SecretBytes::from(buffer)),
                    Err(error) => Outcome::Failed {
                        detail: format!("the system gives no random bytes: {error}"),
                    },
                }
            }
            TaskKind::Store { key, operation } => match &self.store {
                Some(store) => store.perform(&key, operation, self.store_time),
                None => Outcome::Unsupported,
            },
            _ => Outcome::Unsupported,
        }
    }

    /// The outcome of a task that was not done.
    pub(crate) fn failed(task: &TaskKind, why: &str) -> Outcome {
        let detail = why.to_owned();
        match task {
            TaskKind::Send { .. } => Outcome::SendFailed {
                failure: SendFailure::Broken,
                detail,
            },
            _ => Outcome::Failed { detail },
        }
    }
}
