//! Registers the client when it has neither credentials nor a saved registration, and renews a secret that
//! comes to its end.
//!
//! ```text
//! Lock ─▶ Load ─┬─ saved ────────────────────────────────────▶ Authorize ─▶ Settled
//!               └─ none ─▶ InitialToken ─▶ Intent ─▶ Send ─▶ Save ─┘
//! ```
//! The record of the intent proves that the store can be written before a client comes into being, and what
//! the server gave is saved before it is used.

mod authorization;
mod saved;

use self::saved::{Record, Saved};
use super::{
    Need, Outcome, StoreOperation, TaskId, TaskKind,
    credentials::Credentials,
    discovery::{Discovery, Endpoint},
    io::{Io, Owner, SEND_GRACE_MS},
    schedule::Backoff,
    task::mismatched,
};
use crate::{
    Code, Config, Error, Event, Exchange, Fault, Secret,
    config::{RegistrationConfig, SecretReference},
    message::{self, RegistrationRequest, UpdateRegistration},
    wire::{Request, Url},
};
use alloc::{format, string::String, vec::Vec};

const RECORD: &str = "registration";

#[derive(Default)]
pub(crate) struct Registration {
    step: Step,
    goal: Goal,
    fence: Option<u64>,
    version: u64,
    endpoint: Option<Url>,
    initial_access_token: Option<Secret>,
    saved: Option<Record>,
    /// Got from the server, and not yet in the store.
    unsaved: Option<Record>,
    /// Whether the server has ever taken the saved credentials.
    accepted: bool,
    failed: Option<(Error, u64)>,
    failures: u32,
    renew_after: u64,
}

#[derive(Clone, Copy, Default, PartialEq)]
enum Step {
    #[default]
    Idle,
    Lock(TaskId),
    Held {
        until: u64,
    },
    Load(TaskId),
    InitialToken(TaskId),
    Intent(TaskId),
    Send(TaskId),
    Save(TaskId),
    State(TaskId),
    Authorize(TaskId),
    SaveAuthorized(TaskId),
}

#[derive(Clone, Default, PartialEq)]
enum Goal {
    /// Any registration will do.
    #[default]
    Have,
    /// The server knows this client no more.
    Replace(String),
    /// The secret comes to its end.
    Renew,
}

struct Parts<'a> {
    config: &'a Config,
    settings: &'a RegistrationConfig,
    credentials: &'a mut Credentials,
    discovery: &'a mut Discovery,
    io: &'a mut Io,
}

impl Registration {
    /// Whether there are credentials; begins to get some if not.
    pub(crate) fn require(
        &mut self,
        config: &Config,
        credentials: &mut Credentials,
        discovery: &mut Discovery,
        io: &mut Io,
    ) -> Need<()> {
        let Some(settings) = &config.client.registration else {
            return Need::Met(());
        };
        let mut parts = Parts {
            config,
            settings,
            credentials,
            discovery,
            io,
        };
        if self.step == Step::Idle {
            if self.is_settled(settings) && self.goal == Goal::Have {
                return Need::Met(());
            }
            if let Some((error, retry_at)) = &self.failed
                && parts.io.now.mono_ms < *retry_at
            {
                return match (&self.saved, &self.goal) {
                    (Some(_), Goal::Renew) => Need::Met(()),
                    _ => Need::Failed(error.clone(), *retry_at),
                };
            }
            match parts
                .discovery
                .endpoint(Endpoint::Registration, config, parts.io)
            {
                Need::Met(url) => {
                    // Where the metadata names it, the authorization endpoint is asked for before anything
                    // is begun: the step that needs it comes while the lock is held.
                    let authorizes = settings.authorize && self.goal != Goal::Renew;
                    let endpoint = Endpoint::Authorization;
                    if authorizes
                        && let Need::Waiting = parts.discovery.endpoint(endpoint, config, parts.io)
                    {
                        return Need::Waiting;
                    }
                    self.endpoint = Some(url);
                    self.lock(&mut parts);
                }
                Need::Waiting => return Need::Waiting,
                Need::Failed(error, retry_at) => return Need::Failed(error, retry_at),
            }
        }
        match (self.step, &self.saved, &self.goal) {
            (_, Some(_), Goal::Renew) => Need::Met(()),
            (Step::Idle, Some(_), Goal::Have) => Need::Met(()),
            (Step::Idle, ..) => match &self.failed {
                Some((error, retry_at)) => Need::Failed(error.clone(), *retry_at),
                None => Need::Waiting,
            },
            _ => Need::Waiting,
        }
    }

    fn is_settled(&self, settings: &RegistrationConfig) -> bool {
        self.saved
            .as_ref()
            .is_some_and(|record| record.authorized || !settings.authorize)
    }

    /// What was loaded or made.
    /// Where the registration is managed, which is an endpoint of the client's own.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Url> {
        self.saved()
            .and_then(|registration| registration.registration_client_uri.as_ref())
            .into_iter()
    }

    pub(crate) fn saved(&self) -> Option<&message::Registration> {
        self.saved.as_ref().map(|record| &record.registration)
    }

    /// The server took the credentials.
    pub(crate) fn accepted(&mut self) {
        self.accepted = true;
    }

    /// The server refused the registered client. Whether another one is being got: not for a client that
    /// never worked, or each refusal would leave one more behind on the server.
    pub(crate) fn refused(&mut self) -> bool {
        match &self.saved {
            Some(record) if self.accepted => {
                self.goal = Goal::Replace(record.registration.client_id.clone());
                self.accepted = false;
                self.failed = None;
                true
            }
            _ => false,
        }
    }

    /// What is due: a lock to ask for again, a secret to renew.
    pub(crate) fn tend(
        &mut self,
        config: &Config,
        credentials: &mut Credentials,
        discovery: &mut Discovery,
        io: &mut Io,
    ) {
        let Some(settings) = &config.client.registration else {
            return;
        };
        if let Step::Held { until } = self.step {
            if io.now.mono_ms >= until {
                let mut parts = Parts {
                    config,
                    settings,
                    credentials,
                    discovery,
                    io,
                };
                self.lock(&mut parts);
            }
            return;
        }
        let renew_at = self.saved.as_ref().and_then(Record::renew_at);
        if self.step == Step::Idle
            && self.goal == Goal::Have
            && renew_at.is_some_and(|at| io.now.wall_ms >= at)
            && io.now.mono_ms >= self.renew_after
        {
            self.goal = Goal::Renew;
        }
        if self.step == Step::Idle && self.goal == Goal::Renew {
            self.require(config, credentials, discovery, io);
        }
    }

    /// When [`Self::tend`] has something to do, on the monotonic clock.
    pub(crate) fn due(&self, io: &Io) -> Option<u64> {
        match self.step {
            Step::Held { until } => Some(until),
            Step::Idle if !matches!(self.goal, Goal::Replace(_)) => {
                let renew_at = self.saved.as_ref().and_then(Record::renew_at)?;
                let wait = renew_at.saturating_sub(io.now.wall_ms);
                let retry_at = self.failed.as_ref().map_or(0, |(_, retry_at)| *retry_at);
                Some(
                    io.now
                        .mono_ms
                        .saturating_add(wait)
                        .max(self.renew_after)
                        .max(retry_at),
                )
            }
            _ => None,
        }
    }

    fn lock(&mut self, parts: &mut Parts<'_>) {
        let timeouts = &parts.config.timeouts;
        let ttl_ms = 2 * (timeouts.request_ms + SEND_GRACE_MS) + 6 * timeouts.store_ms;
        self.step = Step::Lock(parts.store(StoreOperation::Lock { ttl_ms }));
    }

    pub(crate) fn complete(
        &mut self,
        id: TaskId,
        outcome: Outcome,
        config: &Config,
        credentials: &mut Credentials,
        discovery: &mut Discovery,
        io: &mut Io,
    ) {
        let Some(settings) = &config.client.registration else {
            return;
        };
        let mut parts = Parts {
            config,
            settings,
            credentials,
            discovery,
            io,
        };
        let result = match self.step {
            Step::Lock(task) if task == id => self.locked(outcome, &mut parts),
            Step::Load(task) if task == id => self.loaded(outcome, &mut parts),
            Step::InitialToken(task) if task == id => self.initial_token(outcome, &mut parts),
            Step::Intent(task) if task == id => self.intended(outcome, &mut parts),
            Step::Send(task) if task == id => self.answered(outcome, &mut parts),
            Step::Save(task) if task == id => self.written(outcome, &mut parts),
            Step::State(task) if task == id => self.authorize(outcome, &mut parts),
            Step::Authorize(task) if task == id => self.authorized(outcome, &mut parts),
            Step::SaveAuthorized(task) if task == id => self.settled(outcome, &mut parts),
            _ => Ok(()),
        };
        if let Err(error) = result {
            self.fail(error, &mut parts);
        }
    }

    fn locked(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        match outcome {
            Outcome::Locked { fence } => {
                self.fence = Some(fence);
                self.step = Step::Load(parts.store(StoreOperation::Get));
                Ok(())
            }
            Outcome::Held { retry_after_ms } => {
                let wait = retry_after_ms.unwrap_or(1_000).clamp(50, 1_000);
                self.step = Step::Held {
                    until: parts.io.now.mono_ms + wait,
                };
                Ok(())
            }
            other => Err(store_error(other)),
        }
    }

    fn loaded(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        let Outcome::Record { value, version } = outcome else {
            return Err(store_error(outcome));
        };
        self.version = version;
        // What was got and could not be saved the last time comes before anything new.
        if self.unsaved.is_some() {
            return self.save(parts);
        }
        let endpoint = self.endpoint.as_ref().map_or("", Url::as_str);
        let saved = match value {
            None => None,
            Some(bytes) => Saved::read(bytes.expose(), endpoint)?,
        };
        match (saved, &self.goal) {
            (None | Some(Saved::Intent), Goal::Renew) => {
                self.unsaved = self.saved.clone();
                self.save(parts)
            }
            (Some(Saved::Registered(record)), goal) => {
                let same = |ours: &Record| {
                    ours.registration.client_id == record.registration.client_id
                        && ours.registration.client_secret == record.registration.client_secret
                };
                let ours = self.saved.as_ref().is_some_and(same);
                match goal {
                    Goal::Replace(refused) if *refused == record.registration.client_id && ours => {
                        self.begin(parts)
                    }
                    Goal::Renew if ours => self.renew(*record, parts),
                    _ => {
                        parts.io.event(Event::RegistrationLoaded {
                            client_id: record.registration.client_id.clone(),
                        });
                        self.accepted = true;
                        self.adopt(*record, parts)
                    }
                }
            }
            (Some(Saved::Intent), _) => {
                parts.io.event(Event::RegistrationInterrupted);
                self.begin(parts)
            }
            (None, _) => self.begin(parts),
        }
    }

    fn begin(&mut self, parts: &mut Parts<'_>) -> Result<(), Error> {
        match &parts.settings.initial_access_token {
            None => self.intend(parts),
            Some(SecretReference::Value(token)) => {
                self.initial_access_token = Some(token.clone());
                self.intend(parts)
            }
            Some(reference) => {
                let task = TaskKind::ReadSecret {
                    reference: reference.clone(),
                };
                let timeout_ms = parts.config.timeouts.secret_ms;
                self.step =
                    Step::InitialToken(parts.io.start(Owner::Registration, task, timeout_ms));
                Ok(())
            }
        }
    }

    fn initial_token(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        if let Some(reference) = &parts.settings.initial_access_token {
            self.initial_access_token = Some(outcome.into_secret(reference)?);
        }
        self.intend(parts)
    }

    fn intend(&mut self, parts: &mut Parts<'_>) -> Result<(), Error> {
        let endpoint = self.endpoint.as_ref().map_or("", Url::as_str);
        let value = Saved::intent(endpoint, parts.io.now.wall_ms);
        self.step = Step::Intent(parts.put(self.version, value));
        Ok(())
    }

    fn intended(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        let Outcome::Stored { version } = outcome else {
            return Err(store_error(outcome));
        };
        self.version = version;
        let Some(endpoint) = &self.endpoint else {
            return Err(mismatched());
        };
        let request = RegistrationRequest {
            endpoint,
            initial_access_token: self.initial_access_token.as_ref(),
            metadata: &parts.settings.metadata,
            allowed_origins: &parts.config.allowed_registration_origins,
        }
        .request()?;
        self.step = Step::Send(parts.send(request));
        Ok(())
    }

    fn renew(&mut self, record: Record, parts: &mut Parts<'_>) -> Result<(), Error> {
        let request = UpdateRegistration {
            registration: &record.registration,
            metadata: None,
            allowed_origins: &parts.config.allowed_registration_origins,
        }
        .request()?;
        self.saved = Some(record);
        self.step = Step::Send(parts.send(request));
        Ok(())
    }

    fn answered(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        let Some(endpoint) = &self.endpoint else {
            return Err(mismatched());
        };
        let response = outcome
            .into_response(endpoint.without_query())
            .map_err(|(error, _)| error)?;
        let allowed_origins = &parts.config.allowed_registration_origins;
        let now = parts.io.now.wall_ms;
        let record = match (&self.goal, &self.saved) {
            (Goal::Renew, Some(saved)) => {
                let answer = UpdateRegistration {
                    registration: &saved.registration,
                    metadata: None,
                    allowed_origins,
                }
                .parse(&response)?;
                let mut registration = saved.registration.clone();
                registration.merge(answer);
                Record {
                    registration,
                    authorized: saved.authorized,
                    saved_at: now,
                }
            }
            _ => {
                let registration = RegistrationRequest {
                    endpoint,
                    initial_access_token: self.initial_access_token.as_ref(),
                    metadata: &parts.settings.metadata,
                    allowed_origins,
                }
                .parse(&response)?;
                Record {
                    registration,
                    authorized: false,
                    saved_at: now,
                }
            }
        };
        if let Some(error) = &record.registration.refused_uri {
            parts.io.event(Event::ManagementUriRefused {
                client_id: record.registration.client_id.clone(),
                error: error.clone(),
            });
        }
        self.unsaved = Some(record);
        self.save(parts)
    }

    fn save(&mut self, parts: &mut Parts<'_>) -> Result<(), Error> {
        let endpoint = self.endpoint.as_ref().map_or("", Url::as_str);
        let Some(record) = &self.unsaved else {
            return Err(mismatched());
        };
        self.step = Step::Save(parts.put(self.version, Saved::registered(endpoint, record)));
        Ok(())
    }

    fn written(&mut self, outcome: Outcome, parts: &mut Parts<'_>) -> Result<(), Error> {
        let Outcome::Stored { version } = outcome else {
            return Err(store_error(outcome));
        };
        self.version = version;
        let Some(record) = self.unsaved.take() else {
            return Err(mismatched());
        };
        let client_id = record.registration.client_id.clone();
        // A renewal that could not be saved at first, and the server refused the old secret in the meantime.
        let refused_before = self.goal == Goal::Replace(client_id.clone());
        // Only a client that has worked is replaced.
        self.accepted |= refused_before;
        if self.goal == Goal::Renew || refused_before {
            let renewed = self.saved.as_ref().is_some_and(|saved| {
                saved.registration.client_secret != record.registration.client_secret
                    || saved.registration.client_secret_expires_at
                        != record.registration.client_secret_expires_at
            });
            let wall_ms = parts.io.now.wall_ms;
            let still_due = record.renew_at().is_some_and(|at| wall_ms >= at);
            // By a clock that is wrong each new secret has ended: another one would be no better.
            if !renewed || still_due {
                self.renew_after = parts.io.now.mono_ms + parts.config.schedule.refused_max_ms;
            }
            if renewed {
                parts.io.event(Event::RegistrationRenewed { client_id });
            } else {
                let expires_at = record.registration.client_secret_expires_at.unwrap_or(0);
                parts.io.event(Event::ClientSecretExpiring {
                    client_id,
                    expires_at,
                });
            }
        } else {
            parts.io.event(Event::Registered { client_id });
            self.accepted = false;
        }
        self.adopt(record, parts)
    }

    fn adopt(&mut self, record: Record, parts: &mut Parts<'_>) -> Result<(), Error> {
        parts.credentials.register(&record.registration);
        let authorize = parts.settings.authorize && !record.authorized;
        let uri = |record: &Record| record.registration.registration_client_uri.clone();
        if self.saved.as_ref().and_then(uri) != uri(&record) {
            parts.io.calls_changed();
        }
        self.saved = Some(record);
        if authorize {
            let task = TaskKind::Random { bytes: 16 };
            let timeout_ms = parts.config.timeouts.secret_ms;
            self.step = Step::State(parts.io.start(Owner::Registration, task, timeout_ms));
        } else {
            self.finish(parts);
        }
        Ok(())
    }

    fn finish(&mut self, parts: &mut Parts<'_>) {
        self.goal = Goal::Have;
        self.failed = None;
        self.failures = 0;
        self.rest(parts);
    }

    fn fail(&mut self, error: Error, parts: &mut Parts<'_>) {
        self.failures = self.failures.saturating_add(1);
        let kind = match (error.fault(), error.code()) {
            (Fault::Network, _)
            | (_, Code::ServerError | Code::AnswerTooLarge | Code::StoreUnavailable) => {
                Backoff::Trouble
            }
            (_, Code::RateLimited) => Backoff::RateLimited,
            _ => Backoff::Refused,
        };
        let wait = parts.config.schedule.backoff(
            kind,
            self.failures,
            error.retry_after_ms(),
            &mut parts.io.jitter,
        );
        parts.io.event(Event::RegistrationFailed {
            error: error.clone(),
            retry_in_s: wait as f64 / 1000.0,
        });
        let retry_at = parts.io.now.mono_ms + wait;
        self.failed = Some((error, retry_at));
        self.rest(parts);
    }

    fn rest(&mut self, parts: &mut Parts<'_>) {
        self.step = Step::Idle;
        self.initial_access_token = None;
        if let Some(fence) = self.fence.take() {
            parts.store(StoreOperation::Unlock { fence });
        }
    }
}

impl Parts<'_> {
    fn store(&mut self, operation: StoreOperation) -> TaskId {
        let task = TaskKind::Store {
            key: RECORD.into(),
            operation,
        };
        self.io
            .start(Owner::Registration, task, self.config.timeouts.store_ms)
    }

    fn put(&mut self, version: u64, value: Vec<u8>) -> TaskId {
        self.store(StoreOperation::PutIf {
            version,
            value: value.into(),
        })
    }

    fn send(&mut self, request: Request) -> TaskId {
        let timeout_ms = self.config.timeouts.request_ms;
        self.io.stats.requests += 1;
        let task = TaskKind::Send {
            request,
            timeout_ms,
            max_bytes: self.config.limits.answer_bytes,
        };
        self.io.start(Owner::Registration, task, timeout_ms)
    }
}

pub(crate) fn store_error(outcome: Outcome) -> Error {
    match outcome {
        Outcome::Failed { detail } => Error::new(
            Code::StoreUnavailable,
            format!("the store cannot be used: {detail}; check store.file"),
        )
        .at("store"),
        Outcome::Unsupported => Error::new(
            Code::Unsupported,
            "this host has no durable store; use another host or another grant",
        )
        .at("store"),
        Outcome::Conflict => Error::new(
            Code::StoreUnavailable,
            "another process changed the record in spite of the lock; it is read again",
        )
        .at("store"),
        _ => mismatched(),
    }
}
