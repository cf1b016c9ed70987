//! One identity for the length of one command: the core's client, driven step by step on this thread.
//!
//! A service waits for its token in the background and keeps trying. A person who runs a command wants to
//! know at once why there is none, so a session ends at the first failure unless `--wait` says otherwise.

use crate::{arguments::Common, configuration, failure::Failure, output::Output};
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};
use svcauth::{
    Code, Config, Error, Event,
    core::{
        Client, Now,
        client::{
            Lease, LeaseState, Outcome, Output as Next, RegistrationState, Rejection, State,
            StoreOperation, Subject, TargetId, Task, TaskKind,
        },
        config::SecretReference,
        message::Registration,
        wire::{Request, Response},
    },
    host::{Clock, Host},
};

const INTERRUPTED: &str = "warning: an earlier run was interrupted between asking and saving; a client may be left \
                           over at the server: tell its operator";

/// A configuration and what it takes to act on it.
pub(crate) struct Session<'a> {
    pub(crate) config: Config,
    pub(crate) client: Client,
    pub(crate) path: PathBuf,
    host: Host,
    clock: Clock,
    /// How long failures that may pass are tried again.
    patience: Option<Duration>,
    output: &'a Output,
    /// What happened since the last look.
    events: Vec<Event>,
    /// Tokens for those who wait, with their places.
    arrived: Vec<(TargetId, Lease)>,
}

/// What polling led to.
struct Progress {
    /// When there is more to do.
    until: Option<u64>,
    /// Why something failed on the way.
    failure: Option<Error>,
    /// Whether there was anything to do.
    worked: bool,
}

impl<'a> Session<'a> {
    pub(crate) fn open(common: &Common, output: &'a Output) -> Result<Session<'a>, Failure> {
        let path = configuration::path(common);
        let config = configuration::read(&path)?;
        Session::new(config, path, common, output)
    }

    pub(crate) fn new(
        config: Config,
        path: PathBuf,
        common: &Common,
        output: &'a Output,
    ) -> Result<Session<'a>, Failure> {
        let patience = common.wait.map(seconds).transpose()?;
        let host = Host::new(&config, None)?;
        let clock = Clock::start();
        // The seed spreads the attempts of services that run for long; here there is nothing to spread.
        let client = Client::new(
            config.clone(),
            host.capabilities(),
            u64::from(std::process::id()),
            clock.now(),
        )?;
        Ok(Session {
            config,
            client,
            path,
            host,
            clock,
            patience,
            output,
            events: Vec::new(),
            arrived: Vec::new(),
        })
    }

    pub(crate) fn output(&self) -> &'a Output {
        self.output
    }

    /// The events since the last call.
    pub(crate) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// The target named on the command line, or the only one.
    pub(crate) fn target(&self, name: Option<&str>) -> Result<TargetId, Failure> {
        let targets = &self.config.targets;
        let known = || {
            let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
            if names.is_empty() {
                "there is none".to_owned()
            } else {
                format!("known are {}", names.join(", "))
            }
        };
        match (name, targets.as_slice()) {
            (Some(name), _) => self.client.target(name).ok_or_else(|| {
                let sentence = format!("no such target in {}: {}", self.path.display(), known());
                Failure::new(Code::UnknownTarget, format!("targets.{name}"), sentence)
            }),
            (None, [only]) => self.target(Some(&only.name)),
            (None, _) => Err(Failure::new(
                Code::InvalidArgument,
                "TARGET",
                format!("say which target the token is for: {}", known()),
            )),
        }
    }

    pub(crate) fn target_name(&self, target: TargetId) -> &str {
        self.config
            .targets
            .get(target.index())
            .map_or("", |target| &target.name)
    }

    /// Loads the saved registration, or registers.
    pub(crate) fn register(&mut self) -> Result<(), Failure> {
        let deadline = self.deadline();
        loop {
            let answer = self.client.register(self.now());
            let progress = self.advance();
            match answer {
                RegistrationState::Registered => return Ok(()),
                RegistrationState::Failed { error, .. } => {
                    self.endure(Some(error), progress.until, deadline)?;
                }
                // What was done may have been what had to be known first, such as the issuer's metadata.
                _ if progress.worked && progress.failure.is_none() => {}
                _ => self.endure(progress.failure, progress.until, deadline)?,
            }
        }
    }

    /// The token of a target.
    pub(crate) fn lease(
        &mut self,
        target: TargetId,
        subject: Subject<'_>,
    ) -> Result<Lease, Failure> {
        let deadline = self.deadline();
        self.arrived.clear();
        loop {
            let asked = self.client.token(target, subject, self.now());
            let progress = self.advance();
            if let State::Ready(lease) = asked {
                return Ok(lease);
            }
            if let Some(at) = self.arrived.iter().position(|(of, _)| *of == target) {
                return Ok(self.arrived.swap_remove(at).1);
            }
            match asked {
                State::Failed { error, .. } => {
                    self.endure(Some(error), progress.until, deadline)?
                }
                _ => self.endure(progress.failure, progress.until, deadline)?,
            }
        }
    }

    /// Another lease after a called service refused this one; none if there is none to be had.
    pub(crate) fn replace(
        &mut self,
        target: TargetId,
        subject: Subject<'_>,
        refused: &Lease,
    ) -> Option<Lease> {
        let deadline = self.deadline();
        let mut last = false;
        loop {
            self.arrived.clear();
            let answer = self
                .client
                .reject(target, subject, refused.id(), self.now());
            let progress = self.advance();
            match answer {
                Rejection::Retry(lease) => return Some(lease),
                Rejection::Wait if self.has_arrived(target) => {}
                Rejection::Wait if !last => {
                    last = self
                        .endure(progress.failure, progress.until, deadline)
                        .is_err();
                }
                _ => return None,
            }
        }
    }

    /// Sends one message of the command's own to the authorization server.
    pub(crate) fn send(&self, request: Request) -> Result<Response, Failure> {
        let url = request.url.clone();
        let kind = TaskKind::Send {
            request,
            timeout_ms: self.config.timeouts.request_ms,
            max_bytes: self.config.limits.answer_bytes,
        };
        Ok(self.perform(kind).into_answer(without_query(&url))?)
    }

    /// Reads a secret as the client would.
    pub(crate) fn secret(&self, reference: &SecretReference) -> Result<svcauth::Secret, Failure> {
        let kind = TaskKind::ReadSecret {
            reference: reference.clone(),
        };
        Ok(self.perform(kind).into_secret(reference)?)
    }

    /// One operation on the durable store.
    pub(crate) fn store(&self, key: &str, operation: StoreOperation) -> Outcome {
        self.perform(TaskKind::Store {
            key: key.to_owned(),
            operation,
        })
    }

    pub(crate) fn random(&self, bytes: usize) -> Outcome {
        self.perform(TaskKind::Random { bytes })
    }

    pub(crate) fn registration(&self) -> Option<&Registration> {
        self.client.registration()
    }

    /// Seconds from now to a time on the wall clock.
    pub(crate) fn remaining_s(&self, wall_ms: u64) -> u64 {
        wall_ms.saturating_sub(self.now().wall_ms) / 1000
    }

    fn has_arrived(&self, target: TargetId) -> bool {
        self.arrived.iter().any(|(of, _)| *of == target)
    }

    fn now(&self) -> Now {
        self.clock.now()
    }

    fn deadline(&self) -> Instant {
        let wait = Duration::from_millis(self.config.timeouts.wait_ms);
        Instant::now() + self.patience.unwrap_or(wait)
    }

    /// Does all that there is to do now. Events come before the tasks that they announce.
    fn advance(&mut self) -> Progress {
        let mut failure = None;
        let mut worked = false;
        let mut tasks = VecDeque::new();
        loop {
            match self.client.poll(self.now()) {
                Next::Task(task) => tasks.push_back(task),
                Next::Lease(change) => {
                    if let LeaseState::Ready(lease) | LeaseState::Once(lease) = change.state {
                        self.arrived.push((change.target, lease));
                    }
                }
                Next::Event(event) => {
                    self.output.event(&event);
                    if matches!(event, Event::RegistrationInterrupted) {
                        self.output.note(INTERRUPTED);
                    }
                    if let Event::RefreshFailed { error, .. }
                    | Event::RegistrationFailed { error, .. } = &event
                    {
                        failure = Some(error.clone());
                    }
                    self.events.push(event);
                }
                Next::Idle { until } => match tasks.pop_front() {
                    Some(Task {
                        id,
                        kind,
                        deadline_ms,
                    }) => {
                        worked = true;
                        let outcome = self.perform(kind);
                        // A secret or the store ends at its own limit, which is the core's deadline: what it
                        // ended with says more than that it was late.
                        let mut now = self.now();
                        now.mono_ms = now.mono_ms.min(deadline_ms.saturating_sub(1));
                        self.client.complete(id, outcome, now);
                    }
                    None => {
                        return Progress {
                            until,
                            failure,
                            worked,
                        };
                    }
                },
                _ => {}
            }
        }
    }

    fn perform(&self, kind: TaskKind) -> Outcome {
        if !self.output.shows_steps() {
            return self.host.perform(kind);
        }
        let what = describe(&kind);
        let started = Instant::now();
        let outcome = self.host.perform(kind);
        let took = started.elapsed().as_millis();
        self.output.step(&format!(
            "{what} -> {} ({took} ms)",
            describe_outcome(&outcome)
        ));
        outcome
    }

    /// Waits for the next attempt; not after a failure unless `--wait` was given, and not beyond the deadline.
    fn endure(
        &self,
        failure: Option<Error>,
        until: Option<u64>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let pause = until.map(|at| Duration::from_millis(at.saturating_sub(self.now().mono_ms)));
        let in_time = pause.is_some_and(|pause| Instant::now() + pause < deadline);
        match failure {
            Some(error) if self.patience.is_none() || !in_time => Err(error.into()),
            None if !in_time => Err(Error::new(
                Code::Timeout,
                "nothing came of it in time; another process may hold the store's lock: try again, or use --wait",
            )
            .at(self.path.display().to_string())
            .into()),
            _ => {
                thread::sleep(pause.unwrap_or_default());
                Ok(())
            }
        }
    }
}

/// A number of seconds from the command line.
pub(crate) fn seconds(number: f64) -> Result<Duration, Failure> {
    Duration::try_from_secs_f64(number)
        .ok()
        .filter(|time| *time <= Duration::from_secs(86_400))
        .ok_or_else(|| {
            let sentence = "must be a number of seconds between 0 and 86400";
            Failure::new(Code::InvalidArgument, number.to_string(), sentence)
        })
}

fn describe(kind: &TaskKind) -> String {
    match kind {
        TaskKind::Send { request, .. } => format!(
            "{} {}",
            request.method.as_str(),
            without_query(&request.url)
        ),
        TaskKind::ReadSecret { reference } => format!("read {}", place(reference)),
        TaskKind::Random { bytes } => format!("{bytes} random bytes"),
        TaskKind::Store { key, operation } => {
            let operation = match operation {
                StoreOperation::Get => "get",
                StoreOperation::PutIf { .. } => "put",
                StoreOperation::Lock { .. } => "lock",
                StoreOperation::Unlock { .. } => "unlock",
                _ => "use",
            };
            format!("store {operation} {key}")
        }
        other => other.name().to_owned(),
    }
}

fn describe_outcome(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Response(response) => response.status.to_string(),
        Outcome::SendFailed { detail, .. } if detail.is_empty() => "no answer".to_owned(),
        Outcome::SendFailed { detail, .. } | Outcome::Failed { detail } => detail.clone(),
        Outcome::Bytes(bytes) => format!("{} bytes", bytes.len()),
        Outcome::Record { value: None, .. } => "not there".to_owned(),
        Outcome::Record { version, .. } | Outcome::Stored { version } => {
            format!("version {version}")
        }
        Outcome::Conflict => "changed by another".to_owned(),
        Outcome::Held { .. } => "held by another process".to_owned(),
        Outcome::Unsupported => "not supported".to_owned(),
        _ => "done".to_owned(),
    }
}

/// Where a secret is, in words.
pub(crate) fn place(reference: &SecretReference) -> String {
    match reference {
        SecretReference::File(path) => format!("file {path}"),
        SecretReference::Env(name) => format!("environment variable {name}"),
        SecretReference::Callback(name) => format!("callback {name}"),
        _ => "the configuration itself".to_owned(),
    }
}

/// A URL as it may be shown: queries and fragments can hold what only the other side should see.
pub(crate) fn without_query(url: &str) -> &str {
    url.split(['?', '#']).next().unwrap_or(url)
}

/// A text that is no URL to call, as it may be shown: without what could be a password in it.
pub(crate) fn without_secrets(text: &str) -> String {
    let text = without_query(text);
    match (text.rfind('@'), text.find("://")) {
        (None, _) => text.to_owned(),
        (Some(at), Some(scheme)) if scheme < at => {
            format!("{}://{}", &text[..scheme], &text[at + 1..])
        }
        (Some(at), _) => text[at + 1..].to_owned(),
    }
}

/// A path in words, for sentences.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}
