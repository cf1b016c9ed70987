//! The active pairs of client id and secret, their secrets, and which of them is preferred.

use super::{
    Outcome, TaskId,
    io::{Io, Owner},
};
use crate::{
    Code, Error, Event, Secret,
    config::{AuthMethod, BasicEncoding, ClientConfig, SecretReference},
    message::{ClientAuthentication, Registration},
};
use alloc::{string::String, vec::Vec};

/// Pairs of client id and secret. Secrets are read in rounds: all of them, once for each need.
pub(crate) struct Credentials {
    method: AuthMethod,
    encoding: BasicEncoding,
    pairs: Vec<Pair>,
    preferred: usize,
    started: u64,
    finished: u64,
    again: bool,
    /// When the last round began, on the monotonic clock.
    started_at: u64,
    /// Counts contents: another number means that a secret has changed since.
    generation: u64,
}

struct Pair {
    client_id: String,
    reference: Option<SecretReference>,
    secret: Option<Secret>,
    error: Option<Error>,
    reading: Option<TaskId>,
    /// The generation in which the secret got its present content.
    changed_in: u64,
}

/// A pair with one certain content, so that the same is not tried twice.
pub(crate) type Tried = (usize, u64);

impl Credentials {
    pub(crate) fn new(config: &ClientConfig) -> Credentials {
        let pairs = config
            .credentials
            .iter()
            .map(|credential| Pair {
                client_id: credential.client_id.clone(),
                reference: credential.client_secret.clone(),
                secret: None,
                error: None,
                reading: None,
                changed_in: 0,
            })
            .collect();
        Credentials {
            method: config.auth,
            encoding: config.basic_encoding,
            pairs,
            preferred: 0,
            started: 0,
            finished: 0,
            again: false,
            started_at: 0,
            generation: 0,
        }
    }

    /// Takes a registration as the one pair there is.
    pub(crate) fn register(&mut self, registration: &Registration) {
        // The same again is no reason to try again what failed.
        if let [pair] = self.pairs.as_slice()
            && pair.client_id == registration.client_id
            && pair.secret == registration.client_secret
        {
            return;
        }
        self.generation += 1;
        self.preferred = 0;
        self.pairs.clear();
        self.pairs.push(Pair {
            client_id: registration.client_id.clone(),
            reference: None,
            secret: registration.client_secret.clone(),
            error: None,
            reading: None,
            changed_in: self.generation,
        });
    }

    pub(crate) fn generation(&self) -> u64 {
        self.generation
    }

    /// Asks for all secrets to be read; the round whose end brings them. With `fresh` they are read after
    /// this call for certain, without it a reading that is under way will do.
    pub(crate) fn read(&mut self, io: &mut Io, timeout_ms: u64, fresh: bool) -> u64 {
        if self.started > self.finished {
            if !fresh {
                return self.started;
            }
            self.again = true;
            return self.started + 1;
        }
        self.start_round(io, timeout_ms);
        self.started
    }

    /// Has all secrets read unless that was done within `interval_ms`.
    pub(crate) fn look(&mut self, io: &mut Io, timeout_ms: u64, interval_ms: u64) {
        if self.started == 0 || io.now.mono_ms >= self.started_at.saturating_add(interval_ms) {
            self.read(io, timeout_ms, false);
        }
    }

    pub(crate) fn is_finished(&self, round: u64) -> bool {
        self.finished >= round
    }

    fn start_round(&mut self, io: &mut Io, timeout_ms: u64) {
        self.started += 1;
        self.started_at = io.now.mono_ms;
        for (position, pair) in self.pairs.iter_mut().enumerate() {
            match &pair.reference {
                None => {}
                Some(SecretReference::Value(secret)) => {
                    pair.secret = Some(secret.clone());
                }
                Some(reference) => {
                    let owner = Owner::Credentials(position);
                    pair.reading = Some(io.read_secret(owner, reference, timeout_ms));
                }
            }
        }
        self.end_round(io, timeout_ms);
    }

    fn end_round(&mut self, io: &mut Io, timeout_ms: u64) {
        if self.pairs.iter().all(|pair| pair.reading.is_none()) {
            self.finished = self.started;
            if core::mem::take(&mut self.again) {
                self.start_round(io, timeout_ms);
            }
        }
    }

    pub(crate) fn complete(
        &mut self,
        io: &mut Io,
        id: TaskId,
        position: usize,
        outcome: Outcome,
        timeout_ms: u64,
    ) {
        let Some(pair) = self
            .pairs
            .get_mut(position)
            .filter(|pair| pair.reading == Some(id))
        else {
            return;
        };
        pair.reading = None;
        if let Some(reference) = &pair.reference {
            match outcome.into_secret(reference) {
                Ok(secret) => {
                    pair.error = None;
                    if pair.secret.as_ref() != Some(&secret) {
                        self.generation += 1;
                        pair.changed_in = self.generation;
                        if pair.secret.is_some() {
                            io.event(Event::SecretChanged {
                                client_id: pair.client_id.clone(),
                            });
                        }
                        pair.secret = Some(secret);
                    }
                }
                // A secret that was read before stays in use: a file is often away for a moment while it is
                // replaced, and the server is the judge of whether it is still good.
                Err(error) => {
                    if pair.error.as_ref() != Some(&error) {
                        io.event(Event::SecretUnavailable {
                            error: error.clone(),
                        });
                    }
                    pair.error = Some(error);
                }
            }
        }
        self.end_round(io, timeout_ms);
    }

    /// The pair to use next: the preferred one, then the others, without those `tried`.
    ///
    /// # Errors
    /// None is left that has a secret; the first reason why, if a secret cannot be read.
    pub(crate) fn next(
        &self,
        tried: &[Tried],
    ) -> Result<(Tried, ClientAuthentication), Option<Error>> {
        if self.pairs.is_empty() && self.method == AuthMethod::None {
            return if tried.is_empty() {
                Ok(((0, 0), ClientAuthentication::None { client_id: None }))
            } else {
                Err(None)
            };
        }
        let mut unreadable = None;
        let others = (0..self.pairs.len()).filter(|position| *position != self.preferred);
        for position in core::iter::once(self.preferred).chain(others) {
            let Some(pair) = self.pairs.get(position) else {
                continue;
            };
            let candidate = (position, pair.changed_in);
            if tried.contains(&candidate) {
                continue;
            }
            match self.authentication(pair) {
                Ok(authentication) => return Ok((candidate, authentication)),
                Err(error) => unreadable = unreadable.or(Some(error)),
            }
        }
        Err(if tried.is_empty() { unreadable } else { None })
    }

    fn authentication(&self, pair: &Pair) -> Result<ClientAuthentication, Error> {
        let client_id = pair.client_id.clone();
        if self.method == AuthMethod::None {
            return Ok(ClientAuthentication::None {
                client_id: Some(client_id),
            });
        }
        let Some(client_secret) = pair.secret.clone() else {
            return Err(pair.error.clone().unwrap_or_else(|| {
                Error::new(
                    Code::SecretUnavailable,
                    "the client has no secret; the server gave none, or none is configured",
                )
                .at("client.credentials")
            }));
        };
        Ok(match self.method {
            AuthMethod::ClientSecretPost => ClientAuthentication::Post {
                client_id,
                client_secret,
            },
            _ => ClientAuthentication::Basic {
                client_id,
                client_secret,
                encoding: self.encoding,
            },
        })
    }

    /// The server took this pair: it comes first from now on.
    pub(crate) fn accepted(&mut self, (position, _): Tried, io: &mut Io) {
        if position != self.preferred
            && let Some(pair) = self.pairs.get(position)
        {
            self.preferred = position;
            io.event(Event::CredentialPromoted {
                client_id: pair.client_id.clone(),
                position,
            });
        }
    }

    /// The place of the pair that comes first.
    #[cfg(feature = "proxy")]
    pub(crate) fn preferred(&self) -> usize {
        self.preferred
    }

    /// The server took this pair from another client of the same configuration.
    #[cfg(feature = "proxy")]
    pub(crate) fn prefer(&mut self, position: usize, io: &mut Io) {
        self.accepted((position, 0), io);
    }
}
