//! The client: one identity, the targets it calls, and the decision when to send what.
//!
//! ```text
//!              token(), reject()                 complete(id, outcome, now)
//!   callers ───────────────────────▶  Client  ◀────────────────────────────── host
//!           ◀───────────────────────          ──────────────────────────────▶
//!              Output::Lease                     poll(now): Output::Task, Event, Idle
//! ```
//!
//! It does nothing by itself: time comes in with each call, work comes out of [`Client::poll`]. The one rule:
//! **after any other call, poll until [`Output::Idle`]**, and again at the time it names.
//!
//! - A [`Task`] is done by the host, on any thread, and answered with [`Client::complete`].
//! - A [`LeaseChange`] is kept by the host: from its own copy it serves callers, without a lock, until
//!   [`Lease::ask_at_ms`]; those who wait for it are woken.
//! - An [`Event`] is logged or counted.
//!
//! ```
//! use svcauth_core::{Client, Config, Now, client::{Capabilities, Outcome, Output, State, Subject, TaskKind}};
//! use svcauth_core::wire::Response;
//!
//! let config = Config::from_json(br#"{
//!     "endpoints": { "token": "https://hydra.example/oauth2/token" },
//!     "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s3cr3t" } }] },
//!     "targets": { "smd": { "urls": ["https://smd.example/hsm/v2"] } }
//! }"#)?;
//! let now = Now { mono_ms: 0, wall_ms: 1_795_400_000_000 };
//! let mut client = Client::new(config, Capabilities::none(), 1, now)?;
//! let smd = client.target("smd").unwrap();
//!
//! assert!(matches!(client.token(smd, Subject::Service, now), State::Pending));
//! loop {
//!     match client.poll(now) {
//!         Output::Task(task) => match task.kind {
//!             TaskKind::Send { request, .. } => {
//!                 assert_eq!(request.url, "https://hydra.example/oauth2/token");
//!                 let response = Response {
//!                     status: 200,
//!                     headers: vec![("content-type".into(), "application/json".into())],
//!                     body: r#"{"access_token":"abc","token_type":"bearer","expires_in":60}"#.into(),
//!                 };
//!                 client.complete(task.id, Outcome::Response(response), now);
//!             }
//!             other => unreachable!("{}", other.name()),
//!         },
//!         Output::Idle { until } => {
//!             assert!(until.is_some(), "it wants to refresh the token");
//!             break;
//!         }
//!         _ => {}
//!     }
//! }
//! let State::Ready(lease) = client.token(smd, Subject::Service, now) else { unreachable!() };
//! assert_eq!(lease.value(), "abc");
//! # Ok::<(), svcauth_core::Error>(())
//! ```
//!
//! At most one token request is under way for each distinct token, however many callers wait. No failure is
//! final: what can be tried again is, at the times that the configured schedule gives.

mod awake;
mod call;
mod claims;
mod credentials;
mod discovery;
mod fetch;
mod io;
mod lease;
mod outage;
mod record;
mod refresh;
mod registration;
mod schedule;
#[cfg(feature = "proxy")]
mod shared;
mod task;
mod token;

use self::{
    awake::Awake,
    credentials::Credentials,
    discovery::Discovery,
    fetch::Parts,
    io::{Io, Owner},
    outage::Outage,
    registration::Registration,
    schedule::{Backoff, Jitter},
    token::{Token, too_many_subjects},
};
use crate::{
    Code, Config, Error, Event, Level, Now, Secret,
    config::{Grant, SecretReference},
    message,
};
use alloc::{string::String, sync::Arc, vec::Vec};

pub use self::{
    call::{Answered, Attempt, Call, Calls, Decision},
    claims::UnverifiedClaims,
    lease::{Lease, LeaseId, Subject, SubjectId},
    record::{LeaseRecord, RecordClock},
    task::{Capabilities, Outcome, SendFailure, StoreOperation, Task, TaskId, TaskKind},
};

/// How many times more users than [`Limits::subjects`](crate::config::Limits) are kept while their tokens are
/// being got.
const BUSY_SUBJECTS: usize = 4;

/// A user's token that is longer, in bytes, is not exchanged: each is kept beside what it is exchanged for.
const MOST_SUBJECT_TOKEN: usize = 16 * 1024;

/// Names a configured target within one [`Client`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetId(usize);

impl TargetId {
    #[cfg(feature = "proxy")]
    pub(crate) const fn new(index: usize) -> TargetId {
        TargetId(index)
    }

    /// The target's place among all targets in the order of their names.
    pub const fn index(self) -> usize {
        self.0
    }
}

/// What [`Client::poll`] wants of the host.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Output {
    /// Something to do.
    Task(Task),
    /// A token came, went or could not be had.
    Lease(LeaseChange),
    /// The rules for calls have changed: take [`Client::calls`] anew.
    CallsChanged,
    /// Something happened.
    Event(Event),
    /// Nothing to do before this time on the monotonic clock, or before the next call where it is none.
    Idle {
        /// When to poll again, in milliseconds.
        until: Option<u64>,
    },
}

/// A change of the token for a target and subject.
#[derive(Clone, Debug)]
pub struct LeaseChange {
    /// The target.
    pub target: TargetId,
    /// The user, where it is not the service's own token.
    pub subject: Option<SubjectId>,
    /// What is the case now.
    pub state: LeaseState,
}

/// What has become of a token.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum LeaseState {
    /// Here it is: for those who wait, and for all until [`Lease::ask_at_ms`].
    Ready(Lease),
    /// Here it is for those who wait now, and for nobody else.
    Once(Lease),
    /// The last one must not be served any more; ask the client.
    Cleared,
    /// None can be had now. Those who wait are to be told so.
    Failed {
        /// Why.
        error: Error,
        /// When it is tried again, on the monotonic clock, in milliseconds.
        retry_at_ms: u64,
    },
}

/// What [`Client::token`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum State {
    /// The token.
    Ready(Lease),
    /// It is being got: wait for [`Output::Lease`].
    Pending,
    /// None can be had before the next attempt.
    Failed {
        /// Why.
        error: Error,
        /// When it is tried again, on the monotonic clock, in milliseconds.
        retry_at_ms: u64,
    },
}

/// What [`Client::register`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum RegistrationState {
    /// There are credentials, or none are needed; [`Client::registration`] has them if the client was registered.
    Registered,
    /// It is under way: ask again after polling.
    Pending,
    /// It cannot be had before the next attempt.
    Failed {
        /// Why.
        error: Error,
        /// When it is tried again, on the monotonic clock, in milliseconds.
        retry_at_ms: u64,
    },
}

/// What [`Client::reject`] answers.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Rejection {
    /// Make the call once more, with this token.
    Retry(Lease),
    /// Another token is being got: when the next [`Output::Lease`] for the target comes, or at the caller's
    /// deadline, call [`Client::reject`] again for the same lease.
    Wait,
    /// Give the 401 to the caller.
    Deliver,
}

/// What [`Client::complete`] did with an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Completion {
    /// It was awaited.
    Accepted,
    /// The task is unknown, was answered before, or came to its deadline.
    Ignored,
}

/// How a target is doing, for probes. Its JSON form has these members, and null where there is nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Health {
    /// Whether a token can be served now.
    pub ready: bool,
    /// Whether anybody has asked for one yet.
    pub asked_for: bool,
    /// When it expires, in milliseconds since 1970.
    pub expires_at_wall_ms: Option<u64>,
    /// Why the last attempt failed, if it did.
    pub error: Option<Error>,
    /// When it is tried again, on the monotonic clock, in milliseconds.
    pub retry_at_ms: Option<u64>,
}

/// Counters since the client was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[non_exhaustive]
pub struct Stats {
    /// Requests of all kinds.
    pub requests: u64,
    /// Token requests among them.
    pub token_requests: u64,
    /// Tokens that came.
    pub tokens_received: u64,
    /// Attempts that brought none.
    pub failures: u64,
    /// Rejections by called services that were acted on.
    pub rejections: u64,
    /// Tasks that came to their deadline.
    pub tasks_overdue: u64,
    /// Outcomes that nobody awaited.
    pub outcomes_ignored: u64,
    /// Events lost because nobody fetched them.
    pub events_dropped: u64,
}

/// One identity and the targets it calls. See the [module](self) for how it is driven.
///
/// Not shared between threads: a host puts it behind a lock that is held for the length of one call.
pub struct Client {
    config: Arc<Config>,
    calls: Arc<Calls>,
    io: Io,
    credentials: Credentials,
    discovery: Discovery,
    registration: Registration,
    tokens: Vec<Option<Token>>,
    awake: Awake,
    /// Where the token of a target and user is, in the order of both.
    by_user: Vec<((usize, SubjectId), usize)>,
    /// Places in `tokens` that users left.
    free: Vec<usize>,
    outage: Outage,
    /// Whether anything may have to be done before `wake_at`.
    stirred: bool,
    wake_at: Option<u64>,
}

impl Client {
    /// Makes a client. Nothing is sent or read before a token is asked for.
    ///
    /// `seed` spreads schedules; give each process another one. Secrets do not depend on it.
    ///
    /// # Errors
    /// [`Code::Unsupported`]: the configuration needs what `capabilities` lacks.
    pub fn new(
        config: Config,
        capabilities: Capabilities,
        seed: u64,
        now: Now,
    ) -> Result<Client, Error> {
        check_capabilities(&config, capabilities)?;
        let tokens = (0..config.targets.len())
            .map(|index| {
                let owns = config
                    .targets
                    .get(index)
                    .is_some_and(|target| target.token_of.is_none());
                owns.then(|| Token::new(Owner::Token(index), index, sharers(&config, index), None))
            })
            .collect();
        #[cfg(feature = "proxy")]
        let tokens = share(tokens, &config, capabilities, seed);
        Ok(Client {
            calls: Arc::new(Calls::new(&config)),
            io: Io::new(now, seed, config.limits.events),
            credentials: Credentials::new(&config.client),
            discovery: Discovery::default(),
            registration: Registration::default(),
            tokens,
            awake: Awake::new(),
            by_user: Vec::new(),
            free: Vec::new(),
            outage: Outage::default(),
            stirred: false,
            wake_at: None,
            config: Arc::new(config),
        })
    }

    /// The configuration it was made with.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// The target of that name.
    pub fn target(&self, name: &str) -> Option<TargetId> {
        self.config.target_index(name).map(TargetId)
    }

    /// All targets, in the order of their names.
    pub fn targets(&self) -> impl Iterator<Item = TargetId> + use<> {
        (0..self.config.targets.len()).map(TargetId)
    }

    /// The rules for outgoing calls, to be shared between threads. Take them anew after
    /// [`Output::CallsChanged`].
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.calls)
    }

    /// Asks for the token of a target. Poll afterwards.
    pub fn token(&mut self, target: TargetId, subject: Subject<'_>, now: Now) -> State {
        self.arrive(now);
        match self.token_of(target, subject) {
            Ok((token, config, outage, io)) => token.ask(config, io, outage),
            Err((error, retry_at_ms)) => State::Failed { error, retry_at_ms },
        }
    }

    /// Gets credentials without asking for a token: the saved registration, or a new one where none is saved.
    /// Poll afterwards, and ask again until the answer is final.
    pub fn register(&mut self, now: Now) -> RegistrationState {
        self.arrive(now);
        let needed = self.registration.require(
            &self.config,
            &mut self.credentials,
            &mut self.discovery,
            &mut self.io,
        );
        match needed {
            Need::Met(()) => RegistrationState::Registered,
            Need::Waiting => RegistrationState::Pending,
            Need::Failed(error, retry_at_ms) => RegistrationState::Failed { error, retry_at_ms },
        }
    }

    /// The registration in use, secrets included; none before it was loaded or made.
    pub fn registration(&self) -> Option<&message::Registration> {
        self.registration.saved()
    }

    /// Says that a called service answered 401 to the lease `id`, where [`Calls::answered`] says
    /// [`Answered::Retry`]: the call can be made once more, and its caller waits for that. Poll afterwards.
    pub fn reject(
        &mut self,
        target: TargetId,
        subject: Subject<'_>,
        id: LeaseId,
        now: Now,
    ) -> Rejection {
        self.arrive(now);
        match self.token_of(target, subject) {
            Ok((token, config, outage, io)) => token.reject(id, config, io, outage),
            Err(_) => Rejection::Deliver,
        }
    }

    /// Says that a called service answered 401 to the lease `id`, where [`Calls::answered`] says
    /// [`Answered::Report`]: the call is not made once more, so nobody waits. Poll afterwards.
    pub fn report(&mut self, target: TargetId, subject: Subject<'_>, id: LeaseId, now: Now) {
        self.arrive(now);
        let owner = owner_of(&self.config, target.0);
        // A user whose token was forgotten has no lease to be refused.
        let index = match subject.id() {
            None => self.config.targets.get(owner).map(|_| owner),
            Some(user) => self.place_of_user(owner, user).ok(),
        };
        if let Some(index) = index
            && let Some(token) = self.tokens.get_mut(index).and_then(Option::as_mut)
        {
            self.awake.wake(index, token);
            token.report(id, &self.config, &mut self.io, &self.outage);
        }
    }

    /// Takes over a lease of another client of the same configuration, for the target's own token; whether it
    /// is served from now on. Poll afterwards.
    ///
    /// It is announced like any other, refreshed when it was to be, and rejected like any other. It is not
    /// taken where it has come to its end, where the record cannot be judged by `clock`, or where a fresher
    /// one is at hand.
    pub fn adopt(
        &mut self,
        target: TargetId,
        record: &LeaseRecord,
        clock: RecordClock,
        now: Now,
    ) -> bool {
        self.arrive(now);
        match self.token_of(target, Subject::Service) {
            Ok((token, config, _, io)) => token.adopt(record, clock, config, io),
            Err(_) => false,
        }
    }

    /// Has a look at what other clients have written to the shared store, where there is one: a token that one of
    /// them got is taken over, one that was refused to one of them is served no more. Poll afterwards.
    ///
    /// A host does this often: until then a token is served that others know to be refused.
    #[cfg(feature = "proxy")]
    pub fn look(&mut self, now: Now) {
        self.arrive(now);
        self.awake.wake_all();
        for token in self.tokens.iter_mut().flatten() {
            token.look(&self.config, &mut self.io);
        }
    }

    /// Says that secrets may have changed: what failed for want of a good one is tried at once. Poll afterwards.
    pub fn secrets_changed(&mut self, now: Now) {
        self.arrive(now);
        self.awake.wake_all();
        for token in self.tokens.iter_mut().flatten() {
            token.retry_now(self.io.now.mono_ms);
        }
    }

    /// Says which events somebody listens to: those below the level `least` are not made from now on. Without it
    /// all are.
    pub fn hear(&mut self, least: Level) {
        self.io.hear(least);
    }

    /// What there is to do next. Call it until it answers [`Output::Idle`].
    pub fn poll(&mut self, now: Now) -> Output {
        self.set_clock(now);
        if let Some(output) = self.io.next() {
            return self.hand_out(output);
        }
        let due = self.wake_at.is_some_and(|at| at <= self.io.now.mono_ms);
        if self.stirred || due {
            self.work();
        }
        match self.io.next() {
            Some(output) => self.hand_out(output),
            None => Output::Idle {
                until: self.wake_at,
            },
        }
    }

    /// Takes the outcome of a task, once. Poll afterwards.
    pub fn complete(&mut self, id: TaskId, outcome: Outcome, now: Now) -> Completion {
        self.arrive(now);
        self.end_overdue();
        match self.io.finish(id) {
            Some(owner) => {
                self.dispatch(owner, id, outcome);
                Completion::Accepted
            }
            None => {
                self.io.stats.outcomes_ignored += 1;
                self.io.event(Event::LateOutcome { task: id.0 });
                Completion::Ignored
            }
        }
    }

    /// How a target's own token is doing.
    pub fn health(&self, target: TargetId) -> Health {
        let owner = owner_of(&self.config, target.0);
        self.tokens
            .get(owner)
            .and_then(Option::as_ref)
            .map(|token| token.health(self.io.now.mono_ms))
            .unwrap_or_default()
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        self.io.stats
    }

    fn hand_out(&mut self, output: Output) -> Output {
        if matches!(output, Output::CallsChanged) {
            let mut calls = Calls::clone(&self.calls);
            let named = self.discovery.named().chain(self.registration.named());
            calls.never_decorate(named);
            self.calls = Arc::new(calls);
        }
        output
    }

    fn set_clock(&mut self, now: Now) {
        // A monotonic clock that goes back would bring schedules to life again that have passed.
        let mono_ms = self.io.now.mono_ms.max(now.mono_ms);
        self.io.now = Now {
            mono_ms,
            wall_ms: now.wall_ms,
        };
    }

    fn arrive(&mut self, now: Now) {
        self.set_clock(now);
        self.stirred = true;
    }

    /// Everything that can be done now: deadlines, what is due, fetches that can go on.
    fn work(&mut self) {
        self.end_overdue();
        let Client {
            config,
            io,
            credentials,
            discovery,
            registration,
            outage,
            tokens,
            awake,
            ..
        } = self;
        registration.tend(config, credentials, discovery, io);
        let mut parts = Parts {
            config,
            credentials,
            discovery,
            registration,
            outage,
            io,
        };
        let places = awake.take(parts.io.now, tokens);
        loop {
            parts.outage.take_changed();
            for place in &places {
                if let Some(token) = &mut tokens[*place]
                    && !token.rests(parts.io.now)
                {
                    token.tick(&mut parts);
                    token.advance(&mut parts);
                    token.rest();
                }
            }
            if !parts.outage.take_changed() {
                break;
            }
        }
        awake.give_back(places, tokens);
        self.make_room();
        self.stirred = false;
        self.wake_at = self.next_wake();
    }

    fn end_overdue(&mut self) {
        while let Some((id, owner, outcome)) = self.io.overdue() {
            self.dispatch(owner, id, outcome);
            self.stirred = true;
        }
    }

    fn dispatch(&mut self, owner: Owner, id: TaskId, outcome: Outcome) {
        let Client {
            config,
            io,
            credentials,
            discovery,
            registration,
            outage,
            tokens,
            awake,
            ..
        } = self;
        match owner {
            Owner::Credentials(position) => {
                credentials.complete(io, id, position, outcome, config.timeouts.secret_ms);
            }
            Owner::Discovery => discovery.complete(id, outcome, config, io),
            Owner::Registration => {
                registration.complete(id, outcome, config, credentials, discovery, io)
            }
            Owner::Token(index) => {
                if let Some(token) = tokens.get_mut(index).and_then(Option::as_mut) {
                    awake.wake(index, token);
                    let mut parts = Parts {
                        config,
                        credentials,
                        discovery,
                        registration,
                        outage,
                        io,
                    };
                    token.complete(id, outcome, &mut parts);
                }
            }
        }
    }

    fn next_wake(&self) -> Option<u64> {
        let awake = self.awake.of(&self.tokens);
        awake
            .filter_map(|token| token.next_wake(&self.outage))
            .chain(self.awake.soonest())
            .chain(self.io.next_deadline())
            .chain(self.registration.due(&self.io))
            .min()
    }

    /// The token of a target, made if need be; or why there is none, and when it may be asked for again.
    #[allow(clippy::type_complexity)]
    fn token_of(
        &mut self,
        target: TargetId,
        subject: Subject<'_>,
    ) -> Result<(&mut Token, &Config, &Outage, &mut Io), (Error, u64)> {
        let unknown = || {
            let error = Error::new(Code::UnknownTarget, "the target belongs to another client");
            (error, u64::MAX)
        };
        if target.0 >= self.config.targets.len() {
            return Err(unknown());
        }
        let owner = owner_of(&self.config, target.0);
        let index = match subject {
            Subject::Service => owner,
            Subject::User(token) => self.user_token(owner, token)?,
        };
        match self.tokens.get_mut(index).and_then(Option::as_mut) {
            Some(token) => {
                self.awake.wake(index, token);
                Ok((token, &self.config, &self.outage, &mut self.io))
            }
            None => Err(unknown()),
        }
    }

    /// The place of a user's token, made if need be; those that cannot be served and for which nothing is under
    /// way go for it.
    fn user_token(&mut self, target: usize, value: &str) -> Result<usize, (Error, u64)> {
        if value.len() > MOST_SUBJECT_TOKEN {
            let error = Error::new(
                Code::InvalidArgument,
                "the user's token is longer than 16 KiB",
            );
            return Err((error, u64::MAX));
        }
        let id = SubjectId::of(value);
        if let Ok(index) = self.place_of_user(target, id) {
            return Ok(index);
        }
        let now = self.io.now.mono_ms;
        // What the server said to the others is all there is to say, and nothing is kept for that.
        if let Some((error, retry_at)) = self.outage.told(now) {
            return Err((error.clone(), retry_at));
        }
        let limit = self.config.limits.subjects;
        while self.users() >= limit && self.evict(false) {}
        if self.users() >= limit.saturating_mul(BUSY_SUBJECTS) {
            let pause = now.saturating_add(self.config.schedule.backoff_initial_ms);
            let retry_at = pause.max(self.outage.until(now).unwrap_or(0));
            return Err((too_many_subjects(), retry_at));
        }
        let place = self.free.pop().unwrap_or(self.tokens.len());
        let user = Some((id, Secret::from(value)));
        let token = Token::new(
            Owner::Token(place),
            target,
            sharers(&self.config, target),
            user,
        );
        match self.tokens.get_mut(place) {
            Some(free) => *free = Some(token),
            None => self.tokens.push(Some(token)),
        }
        if let Err(at) = self.place_of_user(target, id) {
            self.by_user.insert(at, ((target, id), place));
        }
        Ok(place)
    }

    /// How many users' tokens there are.
    fn users(&self) -> usize {
        self.by_user.len()
    }

    /// Where a user's token is, or the place for it in `by_user`.
    fn place_of_user(&self, target: usize, id: SubjectId) -> Result<usize, usize> {
        self.by_user
            .binary_search_by_key(&(target, id), |(key, _)| *key)
            .map(|at| self.by_user[at].1)
    }

    /// Lets the tokens that were used least lately go where more users have one than are kept: one that is only
    /// asked for, perhaps by somebody who made it up, takes no place of those.
    fn make_room(&mut self) {
        let limit = self.config.limits.subjects;
        if self.users() > limit {
            let now = self.io.now.mono_ms;
            let tokens = self.tokens.iter().flatten();
            let served =
                tokens.filter(|token| token.subject_id().is_some() && token.is_served(now));
            let over = served.count().saturating_sub(limit);
            (0..over).any(|_| !self.evict(true));
        }
    }

    /// Forgets the user's token that was used least lately, of those for which nothing is under way and that can
    /// be served or not, as asked; whether there was one.
    ///
    /// A token that somebody waits for stays beyond the limit: users who drive out one another would ask
    /// again at once, and none would ever get a token.
    fn evict(&mut self, served: bool) -> bool {
        let now = self.io.now.mono_ms;
        let oldest = self
            .tokens
            .iter()
            .enumerate()
            .filter_map(|(index, token)| token.as_ref().map(|token| (index, token)))
            .filter(|(_, token)| {
                token.subject_id().is_some()
                    && token.is_served(now) == served
                    && !token.is_busy(&self.config, now)
            })
            .min_by_key(|(_, token)| token.used_at())
            .map(|(index, _)| index);
        let evicted = oldest
            .and_then(|index| self.tokens.get_mut(index))
            .and_then(Option::take);
        match (evicted, oldest) {
            (Some(mut token), Some(place)) => {
                self.by_user.retain(|(_, index)| *index != place);
                self.free.push(place);
                token.forget(&mut self.io);
                true
            }
            _ => false,
        }
    }
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("stats", &self.io.stats)
            .finish_non_exhaustive()
    }
}

/// Something that must be there before the next step.
pub(crate) enum Need<T> {
    Met(T),
    Waiting,
    /// It could not be had, and is tried again at this time.
    Failed(Error, u64),
}

/// Has clients of one process get their tokens together, except static ones, which nobody gets.
#[cfg(feature = "proxy")]
fn share(
    mut tokens: Vec<Option<Token>>,
    config: &Config,
    capabilities: Capabilities,
    seed: u64,
) -> Vec<Option<Token>> {
    if capabilities.shared_store && config.client.static_token.is_none() {
        for (token, target) in tokens.iter_mut().zip(&config.targets) {
            if let Some(token) = token {
                token.share(shared::Shared::new(config, target, seed));
            }
        }
    }
    tokens
}

fn owner_of(config: &Config, target: usize) -> usize {
    config
        .targets
        .get(target)
        .and_then(|target| target.token_of)
        .unwrap_or(target)
}

fn sharers(config: &Config, owner: usize) -> Vec<TargetId> {
    (0..config.targets.len())
        .filter(|index| owner_of(config, *index) == owner)
        .map(TargetId)
        .collect()
}

/// All references to secrets in a configuration, and the member each stands in.
pub fn secret_references(config: &Config) -> Vec<(&SecretReference, String)> {
    let client = &config.client;
    let secrets = client
        .credentials
        .iter()
        .enumerate()
        .filter_map(|(position, credential)| {
            let member = alloc::format!("client.credentials[{position}].client_secret");
            credential
                .client_secret
                .as_ref()
                .map(|reference| (reference, member))
        });
    let static_token = client
        .static_token
        .iter()
        .map(|reference| (reference, "client.static_token".into()));
    let initial = client
        .registration
        .iter()
        .filter_map(|registration| registration.initial_access_token.as_ref())
        .map(|reference| (reference, "client.registration.initial_access_token".into()));
    let subjects = config
        .targets
        .iter()
        .filter_map(|target| match &target.grant {
            Grant::TokenExchange { subject_token, .. } => Some((
                subject_token,
                alloc::format!("targets.{}.grant.subject_token", target.name),
            )),
            _ => None,
        });
    secrets
        .chain(static_token)
        .chain(initial)
        .chain(subjects)
        .collect()
}

fn check_capabilities(config: &Config, capabilities: Capabilities) -> Result<(), Error> {
    let lacks = |what: &str, member: String| {
        Err(Error::new(
            Code::Unsupported,
            alloc::format!("this host {what}; use another host, or configure it otherwise"),
        )
        .at(member))
    };
    for (reference, member) in secret_references(config) {
        match reference {
            SecretReference::File(_) if !capabilities.secret_files => {
                return lacks("reads no secrets from files", member);
            }
            SecretReference::Env(_) if !capabilities.secret_env => {
                return lacks("reads no secrets from the environment", member);
            }
            SecretReference::Callback(_) if !capabilities.secret_callback => {
                return lacks("was given no function for secrets", member);
            }
            _ => {}
        }
    }
    if config.needs_durable_store() && !capabilities.durable_store {
        return lacks(
            "has no durable store, which registration and one-use refresh tokens need",
            String::from("store"),
        );
    }
    if config.tls.certificate_file.is_some() && !capabilities.client_certificate {
        return lacks(
            "shows no client certificate",
            String::from("tls.certificate_file"),
        );
    }
    Ok(())
}
