//! The few things a host does for the client, and what it answers.

use crate::{
    Code, Error, Secret, SecretBytes,
    config::SecretReference,
    wire::{Request, Response},
};
use alloc::{string::String, vec::Vec};
use core::fmt;

/// One thing for the host to do. It is answered through [`Client::complete`](super::Client::complete), on
/// any thread, in any order, once.
#[derive(Clone, Debug)]
pub struct Task {
    /// Names the task in its answer; never used again.
    pub id: TaskId,
    /// From here on, by the monotonic clock, the client counts the task as failed and ignores its answer. A
    /// request has a quarter of a second more than its timeout, so that a host that ends it by itself is heard.
    pub deadline_ms: u64,
    /// What to do.
    pub kind: TaskKind,
}

/// Names a task.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u64);

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}", self.0)
    }
}

/// What there is to do.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum TaskKind {
    /// Send the request as it is and follow no redirect. Answer: [`Outcome::Response`] or [`Outcome::SendFailed`].
    Send {
        /// The request.
        request: Request,
        /// How long it may take from the first byte sent to the last received, in milliseconds.
        timeout_ms: u64,
        /// How large the response's body may be, in bytes.
        max_bytes: usize,
    },
    /// Read a secret. Answer: [`Outcome::Bytes`] or [`Outcome::Failed`].
    ReadSecret {
        /// Where it is: a file, the environment, or the host's own function.
        reference: SecretReference,
    },
    /// Take fresh bytes from the system's generator. Answer: [`Outcome::Bytes`] or [`Outcome::Failed`].
    Random {
        /// How many.
        bytes: usize,
    },
    /// Use the durable store. Answer: the [`Outcome`] that the operation names, or [`Outcome::Failed`].
    Store {
        /// The record.
        key: String,
        /// What to do with it.
        operation: StoreOperation,
    },
    /// Use the shared store, which lives as long as the process and the monotonic clock in it; of its operations
    /// only [`StoreOperation::Get`] and [`StoreOperation::PutIf`]. Answer: the [`Outcome`] that the operation
    /// names, or [`Outcome::Failed`].
    #[cfg(feature = "proxy")]
    Shared {
        /// The record. Clients with the same key get the same tokens.
        key: String,
        /// What to do with it.
        operation: StoreOperation,
    },
}

impl TaskKind {
    /// The kind's name in logs and scenarios.
    pub const fn name(&self) -> &'static str {
        match self {
            TaskKind::Send { .. } => "send",
            TaskKind::ReadSecret { .. } => "read_secret",
            TaskKind::Random { .. } => "random",
            TaskKind::Store { .. } => "store",
            #[cfg(feature = "proxy")]
            TaskKind::Shared { .. } => "shared",
        }
    }
}

/// What is done with a record of the store.
///
/// A record's version is 0 while it does not exist, and another number after each write.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum StoreOperation {
    /// Read it: [`Outcome::Record`].
    Get,
    /// Write it if it still has this version: [`Outcome::Stored`] or [`Outcome::Conflict`]. What was written
    /// survives a crash of the process or the machine before the answer is given.
    PutIf {
        /// The version it must have.
        version: u64,
        /// Its new content.
        value: SecretBytes,
    },
    /// Lock it against other processes: [`Outcome::Locked`], or [`Outcome::Held`] while another has it.
    Lock {
        /// When the lock ends by itself, in milliseconds.
        ttl_ms: u64,
    },
    /// Give the lock back: [`Outcome::Done`]. A fence that is no longer valid is no error.
    Unlock {
        /// What [`Outcome::Locked`] gave.
        fence: u64,
    },
}

/// How a task ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Outcome {
    /// The response to a request, whatever its status.
    Response(Response),
    /// No response came.
    SendFailed {
        /// Why.
        failure: SendFailure,
        /// The system's words, without secrets.
        detail: String,
    },
    /// A secret, or random bytes.
    Bytes(SecretBytes),
    /// A record of the store; `value` is none and `version` 0 where it does not exist.
    Record {
        /// Its content.
        value: Option<SecretBytes>,
        /// Its version.
        version: u64,
    },
    /// The record was written and has this version now.
    Stored {
        /// Its version.
        version: u64,
    },
    /// The record had another version and was not written.
    Conflict,
    /// The record is locked by the caller.
    Locked {
        /// For [`StoreOperation::Unlock`].
        fence: u64,
    },
    /// Another process has the lock.
    Held {
        /// When it ends by itself at the latest, in milliseconds, as far as known.
        retry_after_ms: Option<u64>,
    },
    /// Done, and there is nothing to tell.
    Done,
    /// It could not be done.
    Failed {
        /// Why, without secrets.
        detail: String,
    },
    /// The host cannot do this at all.
    Unsupported,
}

impl Outcome {
    /// The answer to a [`TaskKind::ReadSecret`], for hosts that read a secret of the configuration themselves.
    ///
    /// # Errors
    /// [`Code::SecretUnavailable`]: it cannot be read, is empty, or holds what no secret has.
    pub fn into_secret(self, reference: &SecretReference) -> Result<Secret, Error> {
        let unavailable = |why: &str| {
            Error::new(
                Code::SecretUnavailable,
                alloc::format!("{why}; put the secret there, it is read again every few seconds"),
            )
            .at(describe(reference))
        };
        match self {
            Outcome::Bytes(bytes) => match Secret::from_bytes(bytes.into_vec()) {
                Some(secret) if secret.is_empty() => Err(unavailable("the secret is empty")),
                Some(secret) if secret.expose().chars().any(char::is_control) => {
                    Err(unavailable("the secret holds control characters"))
                }
                Some(secret) => Ok(secret),
                None => Err(unavailable("the secret is not UTF-8 text")),
            },
            Outcome::Failed { detail } => Err(unavailable(&detail)),
            Outcome::Unsupported => Err(Error::new(
                Code::Unsupported,
                "this host cannot read secrets from there; use another kind of reference",
            )
            .at(describe(reference))),
            _ => Err(mismatched()),
        }
    }

    /// The answer to a [`TaskKind::Send`], for hosts that send a [message](crate::message) of their own.
    ///
    /// # Errors
    /// The network's, about `url`.
    pub fn into_answer(self, url: &str) -> Result<Response, Error> {
        self.into_response(url).map_err(|(error, _)| error)
    }

    pub(crate) fn into_response(self, url: &str) -> Result<Response, (Error, Option<SendFailure>)> {
        match self {
            Outcome::Response(response) => Ok(response),
            Outcome::SendFailed { failure, detail } => {
                Err((failure.error(url, &detail), Some(failure)))
            }
            Outcome::Unsupported => Err((
                Error::new(Code::Unsupported, "this host cannot send this request")
                    .at(String::from(url)),
                Some(SendFailure::Refused),
            )),
            _ => Err((mismatched(), None)),
        }
    }
}

pub(crate) fn mismatched() -> Error {
    Error::new(
        Code::Internal,
        "the host answered a task with an outcome of another kind",
    )
}

/// Where a secret is, in words: `file /run/secrets/bss`.
pub(crate) fn describe(reference: &SecretReference) -> String {
    match reference {
        SecretReference::File(path) => alloc::format!("file {path}"),
        SecretReference::Env(name) => alloc::format!("environment variable {name}"),
        SecretReference::Callback(name) => alloc::format!("callback {name}"),
        SecretReference::Value(_) => String::from("configuration"),
    }
}

/// Why no response came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFailure {
    /// Nothing listens, the name is unknown, no route: the request was certainly not received.
    Refused,
    /// No response in time.
    Timeout,
    /// TLS could not be set up or verified: the request was certainly not received.
    Tls,
    /// The response is larger than allowed.
    TooLarge,
    /// The connection broke.
    Broken,
}

impl SendFailure {
    /// Whether the server cannot have seen the request.
    pub(crate) fn before_sending(self) -> bool {
        matches!(self, SendFailure::Refused | SendFailure::Tls)
    }

    fn error(self, url: &str, detail: &str) -> Error {
        let (code, advice) = match self {
            SendFailure::Refused => (
                Code::ConnectionFailed,
                "cannot connect; check the address and that the server runs",
            ),
            SendFailure::Timeout => (
                Code::Timeout,
                "no answer in time; check the server and timeouts.request_s",
            ),
            SendFailure::Tls => (
                Code::TlsFailed,
                "TLS failed; check the certificate, tls.ca_file and the clocks",
            ),
            SendFailure::TooLarge => (
                Code::AnswerTooLarge,
                "the answer is larger than limits.answer_bytes",
            ),
            SendFailure::Broken => (
                Code::ConnectionBroken,
                "the connection broke before the answer was whole",
            ),
        };
        let message = if detail.is_empty() {
            String::from(advice)
        } else {
            alloc::format!("{advice}: {detail}")
        };
        Error::new(code, message).at(String::from(url))
    }
}

/// What a host can do. A configuration that needs more is refused when the client is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Reads secrets from files.
    pub secret_files: bool,
    /// Reads secrets from the environment.
    pub secret_env: bool,
    /// Has a function of its own for secrets.
    pub secret_callback: bool,
    /// Has a store that outlives the process, with locks between processes.
    pub durable_store: bool,
    /// Shows a client certificate.
    pub client_certificate: bool,
    /// Has a store that several clients of one process share, so that they get their tokens together.
    #[cfg(feature = "proxy")]
    pub shared_store: bool,
}

impl Capabilities {
    /// Sending and random bytes, which every host can do, and nothing else.
    pub const fn none() -> Capabilities {
        Capabilities {
            secret_files: false,
            secret_env: false,
            secret_callback: false,
            durable_store: false,
            client_certificate: false,
            #[cfg(feature = "proxy")]
            shared_store: false,
        }
    }
}

pub(crate) fn random_text(bytes: &SecretBytes) -> String {
    use base64ct::{Base64UrlUnpadded, Encoding};
    Base64UrlUnpadded::encode_string(bytes.expose())
}

impl SecretBytes {
    pub(crate) fn into_vec(mut self) -> Vec<u8> {
        core::mem::take(self.inner_mut())
    }
}
