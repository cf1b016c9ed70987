//! One distinct token: the lease in use, what is wrong with it, and when it is fetched next.

#[cfg(feature = "proxy")]
use super::shared::{Advice, Change, Shared, Told};
use super::{
    Backoff, Health, LeaseChange, LeaseState, Outcome, Rejection, State, Subject, SubjectId,
    TargetId, TaskId,
    fetch::{Failure, Fetch, Gain, Job, Memory, Parts, missing_scopes},
    io::{Io, Owner},
    lease::{self, Lease, LeaseId},
    outage::Outage,
    record::{LeaseRecord, RecordClock},
    task::TaskKind,
};
use crate::{
    Code, Config, Error, Event, Level, Now, Secret,
    config::{Grant, Schedule, SecretReference},
};
use alloc::{string::String, vec::Vec};

pub(crate) struct Token {
    owner: Owner,
    target: usize,
    /// The target itself and those that use its token.
    sharers: Vec<TargetId>,
    user: Option<(SubjectId, Secret)>,

    current: Option<Lease>,
    /// A called service refused it: callers wait for another one.
    suspect: bool,
    /// The lease before, while it can still be served, unless it was refused.
    previous: Option<Lease>,
    /// A new lease that was refused while its predecessor is served, and when it is tried again.
    newer: Option<(Lease, u64)>,
    /// Until then the current lease counts as brand-new: a receiver may not know its key yet.
    unproven_until: u64,
    /// When a rejection was last acted on.
    acted_at: Option<u64>,
    clock_step_seen: bool,
    /// Before both of these times, each on its clock, there is nothing to do: none where that is not known.
    rests_until: Now,

    wanted: bool,
    waiting: bool,
    used_at: u64,
    due: Option<u64>,
    fetch: Option<Fetch>,
    memory: Memory,
    renewed_at: Option<u64>,
    failed: Option<Failed>,
    failures: u32,
    /// What it has to do with other clients' tokens.
    #[cfg(feature = "proxy")]
    shared: Option<Shared>,
}

struct Failed {
    error: Error,
    kind: Backoff,
    answered: bool,
    retry_at: u64,
    /// What the secrets were when it failed.
    generation: u64,
    look_at: u64,
    looking: Option<TaskId>,
}

impl Token {
    pub(crate) fn new(
        owner: Owner,
        target: usize,
        sharers: Vec<TargetId>,
        user: Option<(SubjectId, Secret)>,
    ) -> Token {
        Token {
            owner,
            target,
            sharers,
            user,
            current: None,
            suspect: false,
            previous: None,
            newer: None,
            unproven_until: 0,
            acted_at: None,
            clock_step_seen: false,
            rests_until: Now::default(),
            wanted: false,
            waiting: false,
            used_at: 0,
            due: None,
            fetch: None,
            memory: Memory::default(),
            renewed_at: None,
            failed: None,
            failures: 0,
            #[cfg(feature = "proxy")]
            shared: None,
        }
    }

    pub(crate) fn subject_id(&self) -> Option<SubjectId> {
        self.user.as_ref().map(|(id, _)| *id)
    }

    pub(crate) fn used_at(&self) -> u64 {
        self.used_at
    }

    /// Whether an attempt is under way, or will be made while somebody may be waiting for it.
    pub(crate) fn is_busy(&self, config: &Config, now: u64) -> bool {
        self.fetch.is_some() || self.due.is_some() && self.was_asked_lately(config, now)
    }

    /// Whether there is a token to be served.
    pub(crate) fn is_served(&self, now: u64) -> bool {
        self.servable(now).is_some()
    }

    fn was_asked_lately(&self, config: &Config, now: u64) -> bool {
        now.saturating_sub(self.used_at) < 2 * config.timeouts.wait_ms
    }

    /// Somebody wants the token.
    pub(crate) fn ask(&mut self, config: &Config, io: &Io, outage: &Outage) -> State {
        self.stir();
        let now = io.now.mono_ms;
        self.used_at = now;
        self.wanted = true;
        if let Some(lease) = self.servable(now) {
            let lease = lease.clone();
            // With a newer lease at hand that is tried again soon, another one would be refused like it.
            if now >= lease.refresh_at_ms() && self.newer.is_none() {
                self.want_fetch(config, now);
            }
            return State::Ready(lease);
        }
        if self.fetch.is_none()
            && let Some((error, retry_at_ms)) = self.told(outage, now)
        {
            return State::Failed {
                error: error.clone(),
                retry_at_ms,
            };
        }
        self.waiting = true;
        self.want_fetch(config, now);
        State::Pending
    }

    /// A called service answered 401 to the lease `id`, and the call can be made once more.
    pub(crate) fn reject(
        &mut self,
        id: LeaseId,
        config: &Config,
        io: &mut Io,
        outage: &Outage,
    ) -> Rejection {
        self.stir();
        let now = io.now.mono_ms;
        self.used_at = now;
        let rejection = match self.in_use(now) {
            None => self.reject_without_lease(config, outage, now),
            Some(_) if self.suspect => Rejection::Wait,
            Some(current) if current.id() != id => Rejection::Retry(current),
            Some(current) => self.doubt(current, config, io, outage),
        };
        self.waiting |= matches!(rejection, Rejection::Wait);
        rejection
    }

    /// A called service answered 401 to the lease `id`, and nobody waits for another one.
    pub(crate) fn report(&mut self, id: LeaseId, config: &Config, io: &mut Io, outage: &Outage) {
        self.stir();
        if let Some(current) = self.in_use(io.now.mono_ms)
            && !self.suspect
            && current.id() == id
        {
            self.used_at = io.now.mono_ms;
            self.doubt(current, config, io, outage);
        }
    }

    fn in_use(&self, now: u64) -> Option<Lease> {
        let current = self.current.as_ref();
        current
            .filter(|lease| now < lease.serve_until_ms())
            .cloned()
    }

    /// Why none can be had before a later attempt, as a server said, and when that is.
    fn told<'a>(&'a self, outage: &'a Outage, now: u64) -> Option<(&'a Error, u64)> {
        let own = self.failed.as_ref();
        let own = own
            .filter(|failed| failed.answered && now < failed.retry_at)
            .map(|failed| (&failed.error, failed.retry_at));
        let shared = outage.told(now).filter(|_| self.user.is_some());
        own.into_iter().chain(shared).max_by_key(|(_, at)| *at)
    }

    /// What is done about the refusal of the lease in use.
    fn doubt(
        &mut self,
        current: Lease,
        config: &Config,
        io: &mut Io,
        outage: &Outage,
    ) -> Rejection {
        let (id, now) = (current.id(), io.now.mono_ms);
        let cooldown = config.schedule.rejection_cooldown_ms;
        let cooling = self
            .acted_at
            .is_some_and(|at| now < at.saturating_add(cooldown));
        // That the predecessor is refused too is still the same rejection.
        if cooling && self.newer.is_none() {
            return Rejection::Deliver;
        }
        self.acted_at = Some(now);
        io.stats.rejections += 1;
        let brand_new = now < self.unproven_until;
        let previous = self
            .previous
            .take()
            .filter(|lease| brand_new && now < lease.serve_until_ms());
        if let Some(previous) = previous {
            self.note_rejection(id, "predecessor", config, io);
            self.newer = Some((current, now.saturating_add(cooldown)));
            self.current = Some(previous.clone());
            self.announce(LeaseState::Ready(previous.clone()), io);
            return Rejection::Retry(previous);
        }
        // The predecessor in use is refused as well: neither is any good, and the one that lives longer is kept
        // for the case that there will be no other.
        let newer = self.newer.take().map(|(lease, _)| lease);
        let newer = newer.filter(|lease| current.serve_until_ms() <= lease.serve_until_ms());
        if let Some(newer) = &newer {
            self.current = Some(newer.clone());
        }
        // While the server is away there is nothing better to be had.
        let shared = self.user.is_some() && outage.until(now).is_some();
        let failed = self.failed.as_ref();
        if self.fetch.is_none() && (shared || failed.is_some_and(|failed| now < failed.retry_at)) {
            self.note_rejection(id, "none", config, io);
            if let Some(newer) = newer {
                self.announce(LeaseState::Ready(newer), io);
            }
            return Rejection::Deliver;
        }
        self.note_rejection(id, "refresh", config, io);
        self.suspect = true;
        self.want_fetch(config, now);
        self.announce(LeaseState::Cleared, io);
        Rejection::Wait
    }

    /// The refused lease has expired, or was for its caller alone.
    fn reject_without_lease(&mut self, config: &Config, outage: &Outage, now: u64) -> Rejection {
        let cooldown = config.schedule.rejection_cooldown_ms;
        let cooling = self
            .acted_at
            .is_some_and(|at| now < at.saturating_add(cooldown));
        let backing_off = self.told(outage, now).is_some();
        if self.fetch.is_none() && (backing_off || cooling && self.due.is_none()) {
            return Rejection::Deliver;
        }
        if self.fetch.is_none() {
            self.acted_at = Some(now);
        }
        self.want_fetch(config, now);
        Rejection::Wait
    }

    fn note_rejection(&self, lease: LeaseId, action: &'static str, config: &Config, io: &mut Io) {
        io.event(Event::Rejected {
            target: self.name(config),
            lease,
            action,
        });
    }

    fn servable(&self, now: u64) -> Option<&Lease> {
        self.current
            .as_ref()
            .filter(|lease| !self.suspect && now < lease.serve_until_ms())
    }

    /// A fetch as soon as the floor and the back-off allow.
    fn want_fetch(&mut self, config: &Config, now: u64) {
        if self.fetch.is_some() {
            return;
        }
        let at = self.earliest(config, now);
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    fn earliest(&self, config: &Config, now: u64) -> u64 {
        let lifetime = self.current.as_ref().map_or(0, Lease::lifetime_ms);
        let floor = self
            .renewed_at
            .map_or(0, |at| at.saturating_add(config.schedule.floor(lifetime)));
        let retry_at = self.failed.as_ref().map_or(0, |failed| failed.retry_at);
        now.max(floor).max(retry_at)
    }

    /// Whether it is refreshed although nobody asks.
    fn is_kept_fresh(&self, schedule: &Schedule) -> bool {
        schedule.keep_fresh && self.user.is_none() && self.wanted
    }

    /// Whether there is nothing to do for it at this time. Most tokens rest most of the time.
    #[inline]
    pub(crate) fn rests(&self, now: Now) -> bool {
        let rests =
            now.mono_ms < self.rests_until.mono_ms && now.wall_ms < self.rests_until.wall_ms;
        debug_assert!(!rests || self.rest_ends() == self.rests_until);
        rests
    }

    /// Until when it rests, on each clock; none where that is not known.
    pub(crate) fn rests_until(&self) -> Option<Now> {
        Some(self.rests_until).filter(|until| until.mono_ms > 0)
    }

    /// Notes until when it rests; to be called after [`Self::tick`] and [`Self::advance`].
    pub(crate) fn rest(&mut self) {
        self.rests_until = self.rest_ends();
    }

    /// Until when [`Self::tick`] and [`Self::advance`] would certainly change nothing.
    fn rest_ends(&self) -> Now {
        let is_plain = self.fetch.is_none()
            && self.user.is_none()
            && self.failed.is_none()
            && self.newer.is_none()
            && self.previous.is_none();
        if !is_plain {
            return Now::default();
        }
        let current = self.current.as_ref();
        let ends = current.map_or(u64::MAX, Lease::serve_until_ms);
        Now {
            mono_ms: self.due.map_or(ends, |due| due.min(ends)),
            wall_ms: current.map_or(u64::MAX, Lease::expires_at_wall_ms),
        }
    }

    /// To be called where anything may change.
    #[inline]
    fn stir(&mut self) {
        self.rests_until = Now::default();
    }

    /// Does what has become due.
    pub(crate) fn tick(&mut self, parts: &mut Parts<'_>) {
        self.stir();
        let now = parts.io.now.mono_ms;
        self.expire(now, parts);
        self.try_newer(now, parts);
        self.compare_clocks(parts);
        self.look_for_secrets(parts);
        self.share_trouble(parts);
        #[cfg(feature = "proxy")]
        self.tick_shared(parts);
        if self.fetch.is_none() && self.due.is_some_and(|due| due <= now) {
            self.begin(parts);
        }
    }

    fn begin(&mut self, parts: &mut Parts<'_>) {
        let now = parts.io.now.mono_ms;
        if self.user.is_some() {
            // Whoever waited has given up by now.
            if self.waiting && !self.was_asked_lately(parts.config, now) {
                self.due = None;
                return;
            }
            if !parts.outage.begin(self.owner, self.yields(), now) {
                return;
            }
        }
        self.due = None;
        self.fetch = Some(Fetch::new());
        #[cfg(feature = "proxy")]
        self.consult(parts);
    }

    /// Whether others are to be first to see if the trouble is over: it may be the fault of this user's token.
    fn yields(&self) -> bool {
        self.failures > 1
    }

    /// What another user's attempt met is told to those who wait for this one.
    fn share_trouble(&mut self, parts: &mut Parts<'_>) {
        let now = parts.io.now.mono_ms;
        let concerned = self.waiting || self.suspect;
        if self.user.is_none()
            || self.fetch.is_some()
            || !concerned
            || parts.outage.until(now).is_none()
        {
            return;
        }
        self.restore(parts.config, parts.io);
        if self.waiting
            && self.servable(now).is_none()
            && let Some((error, retry_at_ms)) = parts.outage.told(now)
        {
            self.waiting = false;
            self.due = None;
            let error = error.clone();
            self.announce(LeaseState::Failed { error, retry_at_ms }, parts.io);
        }
    }

    /// Without another one to be had, the suspect lease is served again.
    fn restore(&mut self, config: &Config, io: &mut Io) {
        let now = io.now.mono_ms;
        if core::mem::take(&mut self.suspect)
            && let Some(lease) = self.in_use(now)
        {
            self.acted_at = Some(now);
            io.event(Event::SuspectRestored {
                target: self.name(config),
                lease: lease.id(),
            });
            self.announce(LeaseState::Ready(lease), io);
        }
    }

    fn expire(&mut self, now: u64, parts: &mut Parts<'_>) {
        self.previous.take_if(|lease| lease.serve_until_ms() <= now);
        self.newer
            .take_if(|(lease, _)| lease.serve_until_ms() <= now);
        let Some(expired) = self.current.take_if(|lease| lease.serve_until_ms() <= now) else {
            return;
        };
        self.suspect = false;
        if let Some((newer, _)) = self.newer.take() {
            self.current = Some(newer.clone());
            self.announce(LeaseState::Ready(newer), parts.io);
            return;
        }
        if self.is_kept_fresh(&parts.config.schedule) {
            parts.io.event(Event::LeaseExpired {
                target: self.name(parts.config),
                lease: expired.id(),
            });
            self.want_fetch(parts.config, now);
        }
        self.announce(LeaseState::Cleared, parts.io);
    }

    fn try_newer(&mut self, now: u64, parts: &mut Parts<'_>) {
        if let Some((newer, _)) = self.newer.take_if(|(_, at)| *at <= now) {
            self.previous = self.current.replace(newer.clone());
            self.unproven_until = now.saturating_add(parts.config.schedule.rejection_cooldown_ms);
            self.announce(LeaseState::Ready(newer), parts.io);
        }
    }

    /// Wall time past expiry and monotonic time not: the clock was set, or the machine slept.
    fn compare_clocks(&mut self, parts: &mut Parts<'_>) {
        let Some(lease) = &self.current else { return };
        if parts.io.now.wall_ms >= lease.expires_at_wall_ms() && !self.clock_step_seen {
            self.clock_step_seen = true;
            parts.io.event(Event::ClockStep {
                target: self.name(parts.config),
            });
            self.want_fetch(parts.config, parts.io.now.mono_ms);
        }
    }

    /// While a person has to act, a changed secret is reason enough to try at once.
    fn look_for_secrets(&mut self, parts: &mut Parts<'_>) {
        let now = parts.io.now.mono_ms;
        let timeout_ms = parts.config.timeouts.secret_ms;
        let changed = {
            let Some(failed) = self
                .failed
                .as_mut()
                .filter(|failed| failed.kind == Backoff::Refused)
            else {
                return;
            };
            if failed.look_at <= now && self.fetch.is_none() && self.due.is_some() {
                let interval_ms = parts.config.schedule.secret_poll_ms.max(1);
                failed.look_at = now.saturating_add(interval_ms);
                parts.credentials.look(parts.io, timeout_ms, interval_ms);
                if let (None, Some(reference)) = (
                    &failed.looking,
                    parts
                        .config
                        .targets
                        .get(self.target)
                        .filter(|_| self.user.is_none())
                        .and_then(subject_reference),
                ) {
                    let task = TaskKind::ReadSecret {
                        reference: reference.clone(),
                    };
                    failed.looking = Some(parts.io.start(self.owner, task, timeout_ms));
                }
            }
            failed.generation != parts.credentials.generation()
        };
        if changed {
            self.retry_now(parts.io.now.mono_ms);
        }
    }

    /// The reason for the last failure may be gone, if it was one that a person mends.
    pub(crate) fn retry_now(&mut self, now: u64) {
        self.stir();
        let wanted = self.fetch.is_none() && (self.wanted || self.waiting);
        if let Some(failed) = &mut self.failed
            && failed.kind == Backoff::Refused
            && wanted
        {
            // Until the attempt has ended callers wait for it.
            failed.retry_at = now;
            failed.kind = Backoff::Trouble;
            self.due = Some(now);
        }
    }

    /// Lets the fetch under way go on.
    pub(crate) fn advance(&mut self, parts: &mut Parts<'_>) {
        self.stir();
        self.drive(None, parts);
    }

    pub(crate) fn complete(&mut self, id: TaskId, outcome: Outcome, parts: &mut Parts<'_>) {
        self.stir();
        #[cfg(feature = "proxy")]
        if self.shared.as_ref().is_some_and(|shared| shared.awaits(id)) {
            return self.heard_of_others(outcome, parts);
        }
        if self
            .failed
            .as_ref()
            .is_some_and(|failed| failed.looking == Some(id))
        {
            self.looked(outcome, parts);
        } else {
            self.drive(Some((id, outcome)), parts);
        }
    }

    fn looked(&mut self, outcome: Outcome, parts: &mut Parts<'_>) {
        let Some(failed) = &mut self.failed else {
            return;
        };
        failed.looking = None;
        let was_unavailable = failed.error.code() == Code::SecretUnavailable;
        let reference = parts
            .config
            .targets
            .get(self.target)
            .and_then(subject_reference);
        let Some(Ok(secret)) = reference.map(|reference| outcome.into_secret(reference)) else {
            return;
        };
        let before = self.memory.subject_seen.replace(secret.clone());
        if was_unavailable || before.is_some_and(|before| before != secret) {
            self.retry_now(parts.io.now.mono_ms);
        }
    }

    fn drive(&mut self, answer: Option<(TaskId, Outcome)>, parts: &mut Parts<'_>) {
        let Some(target) = parts.config.targets.get(self.target) else {
            return;
        };
        let Some(fetch) = &mut self.fetch else { return };
        let subject = self
            .user
            .as_ref()
            .map_or(Subject::Service, |(_, token)| Subject::User(token.expose()));
        let job = Job {
            owner: self.owner,
            target,
            subject,
        };
        let ended = match answer {
            None => fetch.advance(&job, &mut self.memory, parts),
            Some((id, outcome)) => fetch.complete(id, outcome, &job, &mut self.memory, parts),
        };
        match ended {
            None if fetch.is_put_off() => {
                self.fetch = None;
                self.due = Some(parts.io.now.mono_ms);
            }
            None => {}
            Some(Ok(gain)) => {
                self.fetch = None;
                self.gained(gain, parts);
            }
            Some(Err(failure)) => {
                if self.user.is_some() {
                    let schedule = &parts.config.schedule;
                    let heard = fetch.heard();
                    parts
                        .outage
                        .failed(self.owner, &failure, heard, schedule, parts.io);
                }
                self.fetch = None;
                self.failed(failure, parts);
            }
        }
    }

    fn gained(&mut self, gain: Gain, parts: &mut Parts<'_>) {
        let Parts { config, io, .. } = parts;
        let Some(target) = config.targets.get(self.target) else {
            return;
        };
        let now = io.now.mono_ms;
        let lifetime = gain
            .answer
            .lifetime(gain.sent.wall_ms, target.default_lifetime_ms);
        let life = config
            .schedule
            .life(gain.sent.mono_ms, now, lifetime.ms, &mut io.jitter);
        if self.user.is_some() {
            parts.outage.gained();
        }
        let expired = lifetime.ms > 0 && now >= life.expires_at;
        if expired {
            let error = Error::new(
                Code::Timeout,
                "the answer took longer than the token lives; make the server faster or its tokens longer-lived",
            );
            let kind = Backoff::Trouble;
            return self.failed(
                Failure {
                    error,
                    kind,
                    answered: false,
                    retry_at: None,
                },
                parts,
            );
        }
        let missing = missing_scopes(&gain.answer, target);
        let kept_fresh = self.is_kept_fresh(&config.schedule);
        let lease = Lease::new(lease::Parts {
            value: gain.answer.access_token,
            lifetime_ms: life.expires_at.saturating_sub(gain.sent.mono_ms),
            refresh_at_ms: life.refresh_at,
            ask_at_ms: life.ask_at(kept_fresh),
            serve_until_ms: life.serve_until,
            expires_at_ms: life.expires_at,
            expires_at_wall_ms: gain.sent.wall_ms.saturating_add(lifetime.ms),
            scopes: gain.answer.scopes.unwrap_or_else(|| target.scopes.clone()),
            client_id: gain.client_id,
        });
        if lifetime.absolute {
            io.event(Event::AbsoluteExpiry {
                target: target.name.clone(),
            });
        }
        if gain.answer.content_type_mismatch {
            io.event(Event::ContentTypeMismatch {
                target: target.name.clone(),
            });
        }
        if !missing.is_empty() {
            io.event(Event::ScopeReduced {
                target: target.name.clone(),
                missing,
            });
        }
        io.stats.tokens_received += 1;
        if io.hears(Level::Info) {
            io.event(Event::TokenReceived {
                target: target.name.clone(),
                lease: lease.id(),
                lifetime_s: lifetime.ms as f64 / 1000.0,
                scopes: lease.scopes().to_vec(),
                client_id: lease.client_id().map(String::from),
                subject: self.user.as_ref().map(|(id, _)| *id),
            });
        }
        self.failed = None;
        self.failures = 0;
        self.renewed_at = Some(now);
        #[cfg(feature = "proxy")]
        let told = lease.clone();
        self.install(lease, kept_fresh, config, io);
        #[cfg(feature = "proxy")]
        self.tell_gained(&told, parts);
    }

    /// Takes over the lease of another client, unless there is a fresher one.
    pub(crate) fn adopt(
        &mut self,
        record: &LeaseRecord,
        clock: RecordClock,
        config: &Config,
        io: &mut Io,
    ) -> bool {
        self.stir();
        let Some(mut life) = record.life(clock, io.now) else {
            return false;
        };
        let newer = self.newer.as_ref().map(|(lease, _)| lease);
        let is_old = |ours: &Lease| record.is_of(ours) || ours.expires_at_ms() >= life.expires_at;
        if self.current.iter().chain(newer).any(is_old) {
            return false;
        }
        // Whoever had it before wanted it.
        self.wanted = true;
        let kept_fresh = self.is_kept_fresh(&config.schedule);
        config.schedule.part_ways(&mut life, &mut io.jitter);
        let lease = record.lease(&life, life.ask_at(kept_fresh));
        io.event(Event::LeaseAdopted {
            target: self.name(config),
            lease: lease.id(),
            remaining_s: life.serve_until.saturating_sub(io.now.mono_ms) as f64 / 1000.0,
            client_id: lease.client_id().map(String::from),
        });
        self.install(lease, kept_fresh, config, io);
        true
    }

    fn install(&mut self, lease: Lease, kept_fresh: bool, config: &Config, io: &mut Io) {
        let now = io.now.mono_ms;
        let waited = core::mem::take(&mut self.waiting);
        if waited {
            self.used_at = now;
        }
        if lease.serve_until_ms() <= now {
            // It is for those who wait and for nobody else; what is still good stays in use.
            if core::mem::take(&mut self.suspect) {
                self.current = None;
            }
            let ahead = self.current.as_ref().map(Lease::refresh_at_ms);
            self.due = ahead
                .filter(|at| kept_fresh && *at > now)
                .map(|at| at.max(self.earliest(config, now)));
            if waited {
                self.announce(LeaseState::Once(lease), io);
            }
            return;
        }
        let same = self
            .current
            .as_ref()
            .is_some_and(|current| current.is_of(lease.value()));
        let before = self.current.replace(lease.clone());
        if self.suspect {
            self.previous = None;
            if same {
                self.acted_at = Some(now);
            }
        } else if !same {
            self.previous = before.filter(|before| now < before.serve_until_ms());
        }
        self.suspect = false;
        self.clock_step_seen = false;
        self.newer = None;
        self.unproven_until = now.saturating_add(config.schedule.rejection_cooldown_ms);
        self.due = kept_fresh.then(|| lease.refresh_at_ms().max(self.earliest(config, now)));
        self.announce(LeaseState::Ready(lease), io);
    }

    fn failed(&mut self, failure: Failure, parts: &mut Parts<'_>) {
        let Parts {
            config,
            credentials,
            outage,
            io,
            ..
        } = parts;
        let now = io.now.mono_ms;
        let same_kind = self
            .failed
            .as_ref()
            .is_none_or(|failed| failed.kind == failure.kind);
        self.failures = if same_kind {
            self.failures.saturating_add(1)
        } else {
            1
        };
        io.stats.failures += 1;
        let retry_at = failure.retry_at(&config.schedule, self.failures, io);
        let mut told_at = retry_at;
        if self.user.is_some() {
            told_at = told_at.max(outage.until(now).unwrap_or(0));
        }
        #[cfg(feature = "proxy")]
        self.tell_failed(&failure, retry_at, config, io);
        self.restore(config, io);
        let serving = self.servable(now).is_some();
        io.event(Event::RefreshFailed {
            target: self.name(config),
            error: failure.error.clone(),
            retry_in_s: told_at.saturating_sub(now) as f64 / 1000.0,
            needs_action: failure.kind == Backoff::Refused,
            serving,
        });
        if failure.answered && !serving {
            self.waiting = false;
            let error = failure.error.clone();
            self.announce(
                LeaseState::Failed {
                    error,
                    retry_at_ms: told_at,
                },
                io,
            );
        }
        if self.is_kept_fresh(&config.schedule)
            || (self.waiting && (self.user.is_none() || self.was_asked_lately(config, now)))
        {
            self.due = Some(retry_at);
        }
        self.failed = Some(Failed {
            error: failure.error,
            kind: failure.kind,
            answered: failure.answered,
            retry_at,
            generation: credentials.generation(),
            look_at: now.saturating_add(config.schedule.secret_poll_ms),
            looking: None,
        });
    }

    fn announce(&self, state: LeaseState, io: &mut Io) {
        let subject = self.subject_id();
        for target in &self.sharers {
            io.lease(LeaseChange {
                target: *target,
                subject,
                state: state.clone(),
            });
        }
    }

    /// Tells the host that it is gone, and whoever still waits why.
    pub(crate) fn forget(&mut self, io: &mut Io) {
        if self.waiting && self.in_use(io.now.mono_ms).is_none() {
            let error = too_many_subjects();
            let retry_at_ms = io.now.mono_ms;
            self.announce(LeaseState::Failed { error, retry_at_ms }, io);
        }
        self.announce(LeaseState::Cleared, io);
    }

    fn name(&self, config: &Config) -> String {
        config
            .targets
            .get(self.target)
            .map(|target| target.name.clone())
            .unwrap_or_default()
    }

    pub(crate) fn health(&self, now: u64) -> Health {
        let serving = self.servable(now);
        Health {
            ready: serving.is_some(),
            asked_for: self.wanted,
            expires_at_wall_ms: serving.map(Lease::expires_at_wall_ms),
            error: self.failed.as_ref().map(|failed| failed.error.clone()),
            retry_at_ms: self.failed.as_ref().map(|failed| failed.retry_at),
        }
    }

    /// When [`Self::tick`] or [`Self::advance`] has something to do, where it does not rest.
    pub(crate) fn next_wake(&self, outage: &Outage) -> Option<u64> {
        let current = self.current.as_ref().map(Lease::serve_until_ms);
        let newer = self.newer.as_ref().map(|(_, at)| *at);
        let soonest = earlier(current, newer);
        if let Some(fetch) = &self.fetch {
            let due = fetch.due();
            #[cfg(feature = "proxy")]
            let due = earlier(due, self.shared.as_ref().and_then(Shared::due));
            return earlier(soonest, due);
        }
        let due = match self.user {
            Some(_) => self.due.and_then(|due| outage.opens_at(due, self.yields())),
            None => self.due,
        };
        let look = self
            .failed
            .as_ref()
            .filter(|failed| failed.kind == Backoff::Refused && self.due.is_some())
            .map(|failed| failed.look_at);
        earlier(earlier(soonest, due), look)
    }
}

/// What clients of one process that share a store do together.
#[cfg(feature = "proxy")]
impl Token {
    pub(crate) fn share(&mut self, shared: Shared) {
        self.shared = Some(shared);
    }

    /// Sees what others have written.
    pub(crate) fn look(&mut self, config: &Config, io: &mut Io) {
        if let Some(shared) = &mut self.shared {
            shared.look(self.owner, config.timeouts.store_ms, io);
        }
    }

    /// Before a fetch begins the others are asked.
    fn consult(&mut self, parts: &mut Parts<'_>) {
        if let (Some(shared), Some(fetch)) = (&mut self.shared, &mut self.fetch) {
            fetch.wait();
            shared.consult(self.owner, parts.config.timeouts.store_ms, parts.io);
        }
    }

    fn tick_shared(&mut self, parts: &mut Parts<'_>) {
        if let Some(shared) = &mut self.shared
            && self.fetch.is_some()
        {
            shared.tick(self.owner, parts.config.timeouts.store_ms, parts.io);
        }
    }

    fn heard_of_others(&mut self, outcome: Outcome, parts: &mut Parts<'_>) {
        let timeout_ms = parts.config.timeouts.store_ms;
        let Some(shared) = &mut self.shared else {
            return;
        };
        match shared.complete(outcome, self.owner, timeout_ms, parts.io) {
            Advice::None => {}
            Advice::Fetch => {
                if let Some(told) = &shared.record.failure {
                    self.failures = self.failures.max(told.failures);
                }
                if let Some(fetch) = &mut self.fetch {
                    fetch.go();
                }
                self.drive(None, parts);
            }
            Advice::Read { consult } => self.see_others(consult, parts),
        }
    }

    /// The record of the others is at hand: anew, or for a fetch that waits for it.
    fn see_others(&mut self, consult: bool, parts: &mut Parts<'_>) {
        let now = parts.io.now.mono_ms;
        let Some(shared) = &mut self.shared else {
            return;
        };
        let record = shared.record.clone();
        if let Some(position) = record.preferred {
            parts.credentials.prefer(position, parts.io);
        }
        self.acted_at = self.acted_at.max(record.acted_at);
        let lease = record
            .lease
            .as_ref()
            .filter(|lease| !record.refused.contains(&lease.id()));
        if let Some(lease) = lease
            && (consult || self.fetch.is_none())
            && self.take_over(lease, parts)
        {
            self.fetch = None;
            self.failed = None;
            self.failures = 0;
            if let Some(shared) = &mut self.shared {
                shared.rest();
            }
            return;
        }
        if !consult {
            // Another client's callers were refused what is served here.
            let refused = self
                .servable(now)
                .is_some_and(|lease| record.refused.contains(&lease.id()));
            if refused {
                self.suspect = true;
                self.want_fetch(parts.config, now);
                self.announce(LeaseState::Cleared, parts.io);
            }
            return;
        }
        if let Some(told) = record.failure.filter(|told| now < told.retry_at) {
            if let Some(shared) = &mut self.shared {
                shared.rest();
            }
            self.fetch = None;
            return self.told_by_others(told, parts);
        }
        let refused = self
            .current
            .as_ref()
            .filter(|_| self.suspect)
            .map(Lease::id);
        if let Some(shared) = &mut self.shared {
            shared.claim(
                refused,
                self.owner,
                parts.config.timeouts.store_ms,
                parts.io,
            );
        }
    }

    fn take_over(&mut self, lease: &LeaseRecord, parts: &mut Parts<'_>) -> bool {
        // Whatever is not refused is better than what is.
        let refused = self
            .current
            .take_if(|current| self.suspect && current.id() != lease.id());
        let adopted = self.adopt(lease, RecordClock::Same, parts.config, parts.io);
        if !adopted {
            self.current = refused.or(self.current.take());
        }
        adopted
    }

    /// Another client has tried, and it is too early to try again.
    fn told_by_others(&mut self, told: Told, parts: &mut Parts<'_>) {
        let now = parts.io.now.mono_ms;
        let retry_at_ms = told.retry_at;
        self.failures = told.failures;
        self.restore(parts.config, parts.io);
        if told.answered && self.servable(now).is_none() {
            self.waiting = false;
            let error = told.error.clone();
            self.announce(LeaseState::Failed { error, retry_at_ms }, parts.io);
        }
        if self.is_kept_fresh(&parts.config.schedule) || self.waiting {
            self.due = Some(retry_at_ms);
        }
        self.failed = Some(Failed {
            error: told.error,
            kind: told.kind,
            answered: told.answered,
            retry_at: retry_at_ms,
            generation: parts.credentials.generation(),
            look_at: now.saturating_add(parts.config.schedule.secret_poll_ms),
            looking: None,
        });
    }

    fn tell_gained(&mut self, lease: &Lease, parts: &mut Parts<'_>) {
        let now = parts.io.now;
        let record = (now.mono_ms < lease.serve_until_ms()).then(|| lease.record(now));
        let change = Change::Gained(record, parts.credentials.preferred());
        if let Some(shared) = &mut self.shared {
            shared.publish(change, self.owner, parts.config.timeouts.store_ms, parts.io);
        }
    }

    fn tell_failed(&mut self, failure: &Failure, retry_at: u64, config: &Config, io: &mut Io) {
        let told = Told {
            error: failure.error.clone(),
            kind: failure.kind,
            answered: failure.answered,
            failures: self.failures,
            retry_at,
        };
        if let Some(shared) = &mut self.shared {
            shared.publish(
                Change::Failed(told),
                self.owner,
                config.timeouts.store_ms,
                io,
            );
        }
    }
}

#[inline]
fn earlier(one: Option<u64>, other: Option<u64>) -> Option<u64> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Why nothing is done for one more user.
pub(crate) fn too_many_subjects() -> Error {
    Error::new(
        Code::TooManySubjects,
        "too many users' tokens wait to be exchanged; verify inbound tokens before they are passed on, or raise the limit",
    )
    .at("limits.subjects")
}

fn subject_reference(target: &crate::config::Target) -> Option<&SecretReference> {
    match &target.grant {
        Grant::TokenExchange { subject_token, .. } => {
            Some(subject_token).filter(|reference| !matches!(reference, SecretReference::Value(_)))
        }
        _ => None,
    }
}
