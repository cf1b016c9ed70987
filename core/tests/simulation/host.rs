//! A host as thin as a real one: cells that serve leases, a wait list with deadlines, tasks that are done
//! somewhere else. Every answer of the client is held against the watch.

use crate::{
    promise::{Broken, Promise, Verdict},
    server::Meaning,
    setup::{ISSUER, Kind, PLANTED, Refresh},
    watch::{Key, MOST_USERS, Watch},
    world::{Call, Happening, World},
};
use std::{collections::BTreeMap, fmt::Debug, sync::Arc};
use svcauth_core::{
    Client, Error, Event, Fault, Now, Secret,
    client::{
        Calls, Capabilities, Completion, Lease, LeaseChange, LeaseRecord, LeaseState, Outcome,
        Output, RecordClock, Rejection, SendFailure, State, Subject, SubjectId, TargetId, TaskId,
    },
    config::SecretReference,
};

/// Outputs of the client after one call into it.
const MOST_OUTPUTS: usize = 200;

pub(crate) struct Process {
    pub(crate) service: usize,
    pub(crate) machine: usize,
    pub(crate) store: Option<usize>,
    pub(crate) incarnation: u32,
    pub(crate) client: Option<Client>,
    pub(crate) calls: Option<Arc<Calls>>,
    pub(crate) cells: BTreeMap<(usize, Option<SubjectId>), Lease>,
    pub(crate) waiters: BTreeMap<u64, Waiter>,
    pub(crate) watch: Watch,
    pub(crate) last_task: Option<TaskId>,
    /// The client id with which it got a token in this life.
    pub(crate) works_as: Option<String>,
    /// Whether metadata has named the client's endpoints.
    pub(crate) discovered: bool,
    /// Whether a token was announced whose refresh token is not in the store.
    unsaved: bool,
    /// The leases that were served by those before, by target.
    left: Vec<(usize, Secret)>,
    /// A secret's name and content, on the way to the client.
    pub(crate) reading: Option<(String, Vec<u8>)>,
    next_waiter: u64,
    wake: u64,
    wake_at: Option<u64>,
}

pub(crate) struct Waiter {
    target: usize,
    user: Option<String>,
    /// By the monotonic clock.
    deadline: u64,
    want: Want,
}

/// Why somebody wants a lease.
#[derive(Clone)]
pub(crate) enum Want {
    Token,
    Call,
    Patient(usize),
    /// To make a call again.
    Retry(Call),
}

impl Process {
    pub(crate) fn new(service: usize, machine: usize, store: Option<usize>) -> Process {
        Process {
            service,
            machine,
            store,
            incarnation: 0,
            client: None,
            calls: None,
            cells: BTreeMap::new(),
            waiters: BTreeMap::new(),
            watch: Watch::default(),
            last_task: None,
            works_as: None,
            discovered: false,
            unsaved: false,
            left: vec![],
            reading: None,
            next_waiter: 0,
            wake: 0,
            wake_at: None,
        }
    }

    /// Ends the process; `now` is the time at which what it served is noted down.
    pub(crate) fn crash(&mut self, now: Now) {
        let own = self.cells.iter().filter(|((_, user), _)| user.is_none());
        self.left
            .extend(own.map(|((target, _), lease)| (*target, lease.record(now).to_json())));
        self.client = None;
        self.cells.clear();
        self.waiters.clear();
        self.watch = Watch::default();
        self.works_as = None;
        self.discovered = false;
    }
}

impl World {
    pub(crate) fn start_process(&mut self, p: usize) {
        if self.processes[p].client.is_some() {
            return;
        }
        let now = self.clock(p);
        let seed = self.random.next();
        let config = self.services[self.processes[p].service].config.clone();
        let mut capabilities = Capabilities::none();
        capabilities.secret_files = true;
        capabilities.durable_store = self.processes[p].store.is_some();
        let process = &mut self.processes[p];
        process.crash(now);
        process.incarnation += 1;
        match Client::new(config, capabilities, seed, now) {
            Ok(client) => {
                process.calls = Some(client.calls());
                process.client = Some(client);
            }
            Err(error) => return self.fail(Promise::Contract, format!("p{p}: {error}")),
        }
        self.tell(|| format!("p{p} starts"));
        let left = std::mem::take(&mut self.processes[p].left);
        if self.random.chance(300) {
            self.adopt(p, left);
        }
        let life = self.life(p);
        let at = self.now + self.random.below(1_000);
        self.at(at, Happening::Traffic(life));
        self.settle(p);
    }

    /// The process takes over what the one before it served.
    fn adopt(&mut self, p: usize, left: Vec<(usize, Secret)>) {
        let now = self.clock(p);
        for (target, json) in left {
            let Some(id) = self.target_id(p, target) else {
                return;
            };
            let record = match LeaseRecord::from_json(json.expose().as_bytes()) {
                Ok(record) => record,
                Err(error) => return self.fail(Promise::Contract, format!("p{p}: {error}")),
            };
            let Process {
                client: Some(client),
                watch,
                ..
            } = &mut self.processes[p]
            else {
                return;
            };
            // Whether its refresh token was saved was the concern of those before.
            watch.is_new(record.id());
            let adopted = client.adopt(id, &record, RecordClock::Same, now);
            self.saw(if adopted {
                "(adopted)"
            } else {
                "(not adopted)"
            });
            self.tell(|| format!("p{p} t{target} adopts {}: {adopted}", record.id()));
        }
    }

    pub(crate) fn target_id(&self, p: usize, target: usize) -> Option<TargetId> {
        self.processes[p].client.as_ref()?.targets().nth(target)
    }

    fn key(&self, p: usize, target: usize, user: Option<&str>) -> Key {
        let owner = self.services[self.processes[p].service].targets[target].owner;
        (owner, user.map(SubjectId::of))
    }

    /// A caller wants a token: from the cell if it is fresh, else from the client, else it waits.
    pub(crate) fn ask(
        &mut self,
        p: usize,
        target: usize,
        user: Option<String>,
        wait_ms: u64,
        want: Want,
    ) {
        let now = self.clock(p);
        let subject_id = user.as_deref().map(SubjectId::of);
        if let Some(lease) = self.processes[p].cells.get(&(target, subject_id)).cloned()
            && now.mono_ms < lease.ask_at_ms()
        {
            self.saw("(served from the cell)");
            return self.hand_over(p, target, user, lease, want);
        }
        let Some(id) = self.target_id(p, target) else {
            return;
        };
        let key = self.key(p, target, user.as_deref());
        self.processes[p].watch.wanted(key);
        let subject = user.as_deref().map_or(Subject::Service, Subject::User);
        let Some(client) = &mut self.processes[p].client else {
            return;
        };
        let state = client.token(id, subject, now);
        self.tell(|| {
            format!(
                "p{p} t{target} asked{}: {}",
                if user.is_some() { " (user)" } else { "" },
                brief(&state)
            )
        });
        let verdict = self.processes[p].watch.answered(key, &state, now.mono_ms);
        self.judge(p, verdict);
        match state {
            State::Ready(lease) => self.hand_over(p, target, user, lease, want),
            State::Failed { error, retry_at_ms } => {
                let others = self.processes[p].waiters.values();
                let untold = others
                    .filter(|waiter| self.key(p, waiter.target, waiter.user.as_deref()) == key)
                    .count();
                if untold > 0 {
                    let what = format!("p{p} {key:?}: {untold} wait and are not told that {error}");
                    self.fail(Promise::WaitersAnswered, what);
                }
                self.told(p, &error, retry_at_ms, &want);
            }
            _ => {
                self.saw("(waits)");
                self.wait(
                    p,
                    Waiter {
                        target,
                        user,
                        deadline: now.mono_ms + wait_ms,
                        want,
                    },
                );
            }
        }
        self.settle(p);
    }

    fn wait(&mut self, p: usize, waiter: Waiter) {
        let deadline = self.machines[self.processes[p].machine]
            .true_ms(waiter.deadline)
            .max(self.now);
        let process = &mut self.processes[p];
        process.next_waiter += 1;
        let id = process.next_waiter;
        process.waiters.insert(id, waiter);
        let life = self.life(p);
        self.at(deadline, Happening::Deadline(life, id));
    }

    /// A caller's own deadline: it hears of it whatever the client does.
    pub(crate) fn give_up(&mut self, p: usize, id: u64) {
        let now = self.clock(p).mono_ms;
        match self.processes[p].waiters.get(&id) {
            Some(waiter) if waiter.deadline > now => {
                let at = self.machines[self.processes[p].machine].true_ms(waiter.deadline);
                let life = self.life(p);
                return self.at(at, Happening::Deadline(life, id));
            }
            Some(_) => {}
            None => return,
        }
        let Some(waiter) = self.forget_waiter(p, id) else {
            return;
        };
        match waiter.want {
            Want::Retry(call) => {
                if let Some(Rejection::Retry(lease)) = self.reject(p, &call, false) {
                    self.send_call(
                        p,
                        Call {
                            lease: lease.id(),
                            value: lease.value().to_owned(),
                            replayable: false,
                            ..call
                        },
                    );
                }
                self.settle(p);
            }
            Want::Patient(patient) => self.at(self.now, Happening::AskAgain { patient }),
            Want::Token | Want::Call => self.saw("(gave up)"),
        }
    }

    fn told(&mut self, p: usize, error: &Error, retry_at: u64, want: &Want) {
        self.saw("(told of a failure)");
        self.check_secrets(p, &format!("{error} {error:?}"));
        if let Want::Patient(patient) = want {
            // What was told is the latest: a secret that is renewed ends other troubles earlier.
            let at = self.machines[self.processes[p].machine]
                .true_ms(retry_at)
                .clamp(self.now + 1, self.now + 60_000);
            self.at(at, Happening::AskAgain { patient: *patient });
        }
    }

    pub(crate) fn ask_patiently(&mut self, patient: usize) {
        let Some(entry) = self.patient.get(patient).filter(|entry| !entry.served) else {
            return;
        };
        let (p, target, user) = (entry.process, entry.target, entry.user.clone());
        // A user's caller gives up after a while and comes back.
        let config = &self.services[self.processes[p].service].config;
        let wait_ms = match user {
            Some(_) => config.timeouts.wait_ms,
            None => 600_000,
        };
        self.ask(p, target, user, wait_ms, Want::Patient(patient));
    }

    fn hand_over(
        &mut self,
        p: usize,
        target: usize,
        user: Option<String>,
        lease: Lease,
        want: Want,
    ) {
        self.check_alive(p, &lease);
        match want {
            Want::Token => {}
            Want::Patient(patient) => {
                if let Some(entry) = self.patient.get_mut(patient) {
                    entry.served = true;
                }
            }
            Want::Call => {
                let deadline = self.clock(p).mono_ms + 5_000;
                let call = Call {
                    target,
                    user,
                    lease: lease.id(),
                    value: lease.value().to_owned(),
                    replayable: !self.random.chance(100),
                    deadline,
                };
                self.send_call(p, call);
            }
            Want::Retry(_) => {}
        }
    }

    fn send_call(&mut self, p: usize, call: Call) {
        let life = self.life(p);
        let at = self.now + self.random.between(1, 30);
        self.at(at, Happening::CallArrives { life, call });
    }

    /// The called service answered.
    pub(crate) fn call_answered(
        &mut self,
        p: usize,
        call: Call,
        status: u16,
        challenge: &'static str,
    ) {
        use svcauth_core::client::{Answered, Decision};
        let (Some(target), Some(calls)) = (
            self.target_id(p, call.target),
            self.processes[p].calls.clone(),
        ) else {
            return;
        };
        let subject = call.user.as_deref().map_or(Subject::Service, Subject::User);
        let decision = Decision::Lease { target, subject };
        let answered = calls.answered(
            &decision,
            status,
            std::iter::once(challenge),
            call.replayable,
        );
        match answered {
            Answered::Deliver => return,
            Answered::Report => {
                self.report(p, &call);
                self.settle(p);
                return;
            }
            _ => {}
        }
        match self.reject(p, &call, true) {
            Some(Rejection::Retry(lease)) => {
                self.saw("(call made again)");
                self.send_call(
                    p,
                    Call {
                        lease: lease.id(),
                        value: lease.value().to_owned(),
                        replayable: false,
                        ..call
                    },
                );
            }
            Some(Rejection::Wait) => {
                let (target, user, deadline) = (call.target, call.user.clone(), call.deadline);
                self.wait(
                    p,
                    Waiter {
                        target,
                        user,
                        deadline,
                        want: Want::Retry(call),
                    },
                );
            }
            _ => {}
        }
        self.settle(p);
    }

    /// Tells of a refused lease whose call is not made again.
    fn report(&mut self, p: usize, call: &Call) {
        let now = self.clock(p);
        let Some(id) = self.target_id(p, call.target) else {
            return;
        };
        let key = self.key(p, call.target, call.user.as_deref());
        self.processes[p].watch.reported(key, call.lease);
        self.saw("(reported)");
        self.tell(|| format!("p{p} t{} reported {}", call.target, call.lease));
        let subject = call.user.as_deref().map_or(Subject::Service, Subject::User);
        if let Some(client) = &mut self.processes[p].client {
            client.report(id, subject, call.lease, now);
        }
    }

    /// Reports a refused lease; `first` unless it is a caller that waited.
    fn reject(&mut self, p: usize, call: &Call, first: bool) -> Option<Rejection> {
        let now = self.clock(p);
        let id = self.target_id(p, call.target)?;
        let key = self.key(p, call.target, call.user.as_deref());
        if first {
            self.processes[p].watch.wanted(key);
        }
        let subject = call.user.as_deref().map_or(Subject::Service, Subject::User);
        let answer = self.processes[p]
            .client
            .as_mut()?
            .reject(id, subject, call.lease, now);
        self.tell(|| format!("p{p} t{} rejected {}: {answer:?}", call.target, call.lease));
        if !first && matches!(answer, Rejection::Wait) {
            let cooldown = self.services[self.processes[p].service]
                .config
                .schedule
                .rejection_cooldown_ms;
            self.processes[p]
                .watch
                .wanted_again(key, now.mono_ms, cooldown);
        }
        let verdict = self.processes[p]
            .watch
            .rejected(key, call.lease, &answer, now.mono_ms);
        self.judge(p, verdict);
        Some(answer)
    }

    pub(crate) fn answer(
        &mut self,
        p: usize,
        task: TaskId,
        outcome: Outcome,
        meaning: Option<Meaning>,
    ) {
        let now = self.clock(p);
        let note = if self.is_telling() {
            format!("{outcome:?}")
        } else {
            String::new()
        };
        let met = match (&outcome, meaning.clone()) {
            (Outcome::SendFailed { failure, .. }, _) if *failure != SendFailure::TooLarge => {
                Some(Meaning::ServerError(None))
            }
            (
                Outcome::Response(_),
                Some(met @ (Meaning::ServerError(_) | Meaning::RateLimited(_))),
            ) => Some(met),
            _ => None,
        };
        let Some(client) = &mut self.processes[p].client else {
            return;
        };
        let before = client.stats().tokens_received;
        let done = client.complete(task, outcome, now);
        let received = client.stats().tokens_received > before;
        self.tell(|| format!("p{p} task {task:?} answered: {note} {done:?}"));
        let process = &mut self.processes[p];
        let verdict = process
            .watch
            .completed(task, done, meaning, received, now.mono_ms)
            .map(|user| {
                let config = &self.services[process.service].config;
                if user {
                    process.watch.users_met(met, now.mono_ms, config);
                }
            });
        if let Some((name, content)) = process.reading.take()
            && done == Completion::Accepted
        {
            process.watch.secret_read(&name, &content, now.mono_ms);
        }
        self.judge(p, verdict);
        self.settle(p);
    }

    pub(crate) fn wake(&mut self, p: usize, stamp: u64) {
        let now = self.clock(p).mono_ms;
        let process = &self.processes[p];
        if process.wake != stamp {
            return;
        }
        match process.wake_at {
            Some(at) if at > now => self.schedule_wake(p, at),
            _ => {
                if self.settle(p) == 0 {
                    let tokens = self.tokens(p);
                    let verdict = self.processes[p].watch.idle_wake(now, tokens);
                    self.judge(p, verdict);
                }
            }
        }
    }

    fn schedule_wake(&mut self, p: usize, mono_ms: u64) {
        let process = &mut self.processes[p];
        process.wake += 1;
        process.wake_at = Some(mono_ms);
        let stamp = process.wake;
        let at = self.machines[process.machine]
            .true_ms(mono_ms)
            .max(self.now);
        let life = self.life(p);
        self.at(at, Happening::Wake(life, stamp));
    }

    pub(crate) fn tokens(&self, p: usize) -> usize {
        let service = &self.services[self.processes[p].service];
        let most = MOST_USERS * service.config.limits.subjects;
        service.targets.len() + self.processes[p].watch.users().min(most)
    }

    /// Polls until the client is idle, as after every call into it; how many outputs there were.
    pub(crate) fn settle(&mut self, p: usize) -> usize {
        let mut outputs = 0;
        loop {
            let now = self.clock(p);
            let Some(client) = &mut self.processes[p].client else {
                return outputs;
            };
            let output = client.poll(now);
            outputs += 1;
            if outputs > MOST_OUTPUTS {
                self.fail(
                    Promise::Contract,
                    format!("p{p}: poll did not come to an end"),
                );
                return outputs;
            }
            if !matches!(output, Output::Idle { .. }) {
                self.check_secrets(p, &format!("{output:?}"));
            }
            match output {
                Output::Task(task) => self.start_task(p, task),
                Output::Lease(change) => self.lease_changed(p, change),
                Output::CallsChanged => {
                    self.processes[p].calls = self.processes[p].client.as_ref().map(Client::calls);
                }
                Output::Event(event) => self.event(p, &event),
                Output::Idle { until } => {
                    let config = &self.services[self.processes[p].service].config;
                    let verdict = self.processes[p].watch.settled(config);
                    self.judge(p, verdict);
                    if std::mem::take(&mut self.processes[p].unsaved) {
                        self.fail(
                            Promise::SavedFirst,
                            format!("p{p}: a token is used whose refresh token was not saved"),
                        );
                    }
                    self.idle(p, until);
                    return outputs - 1;
                }
                _ => {}
            }
        }
    }

    fn idle(&mut self, p: usize, until: Option<u64>) {
        let now = self.clock(p).mono_ms;
        match until {
            Some(until) if until <= now => self.fail(
                Promise::Contract,
                format!("p{p}: idle until {} ms ago", now - until),
            ),
            Some(until) => self.schedule_wake(p, until),
            None => self.processes[p].wake += 1,
        }
        self.check_waiters(p, until.is_some());
        let service = &self.services[self.processes[p].service];
        for (n, target) in service.targets.iter().enumerate() {
            let (Some(client), Some(id)) = (&self.processes[p].client, self.target_id(p, n)) else {
                return;
            };
            let ready = client.health(id).ready;
            let served = self.processes[p]
                .watch
                .served((target.owner, None), now)
                .is_some();
            if ready != served {
                let promise = if served {
                    Promise::LeaseKept
                } else {
                    Promise::Contract
                };
                let what =
                    format!("p{p} t{n}: health says ready: {ready}, announced was: {served}");
                return self.fail(promise, what);
            }
        }
    }

    /// Whoever still waits has reason to: an attempt is under way or to come, and there is nothing to be told.
    fn check_waiters(&mut self, p: usize, wakes: bool) {
        let now = self.clock(p).mono_ms;
        let process = &self.processes[p];
        let wrong = process.waiters.values().find_map(|waiter| {
            let key = self.key(p, waiter.target, waiter.user.as_deref());
            let asks = !matches!(waiter.want, Want::Retry(_));
            if let Some(lease) = process.watch.served(key, now) {
                return Some((key, format!("although {} is there", lease.id())));
            }
            if waiter.user.is_some() {
                return None;
            }
            if asks && !wakes {
                return Some((key, "and the client does not want to be woken".to_owned()));
            }
            let client = process.client.as_ref()?;
            let health = client.health(client.targets().nth(waiter.target)?);
            let (error, retry_at) = (health.error?, health.retry_at_ms?);
            let told = error.fault() != Fault::Network && now < retry_at;
            told.then(|| (key, format!("and is not told that {error}")))
        });
        if let Some((key, what)) = wrong {
            self.fail(
                Promise::WaitersAnswered,
                format!("p{p} {key:?}: somebody waits {what}"),
            );
        }
    }

    fn lease_changed(&mut self, p: usize, change: LeaseChange) {
        let now = self.clock(p).mono_ms;
        let target = change.target.index();
        let service = self.processes[p].service;
        let key = (self.services[service].targets[target].owner, change.subject);
        self.tell(|| {
            format!(
                "p{p} t{target} {}: {}",
                if change.subject.is_some() {
                    "(user)"
                } else {
                    ""
                },
                brief_change(&change.state)
            )
        });
        if key.0 == target {
            let config = &self.services[service].config;
            let verdict = self.processes[p]
                .watch
                .announced(key, &change.state, now, config);
            self.judge(p, verdict);
        }
        if let LeaseState::Ready(lease) | LeaseState::Once(lease) = &change.state {
            self.check_truth(p, target, change.subject, lease);
        }
        let cells = &mut self.processes[p].cells;
        match &change.state {
            LeaseState::Ready(lease) => {
                cells.insert((target, change.subject), lease.clone());
            }
            LeaseState::Cleared => {
                cells.remove(&(target, change.subject));
            }
            _ => {}
        }
        self.wake_waiters(p, target, &change);
    }

    fn wake_waiters(&mut self, p: usize, target: usize, change: &LeaseChange) {
        let concerned: Vec<u64> = self.processes[p]
            .waiters
            .iter()
            .filter(|(_, waiter)| {
                waiter.target == target
                    && waiter.user.as_deref().map(SubjectId::of) == change.subject
            })
            .map(|(id, _)| *id)
            .collect();
        for id in concerned {
            let Some(waiter) = self.forget_waiter(p, id) else {
                continue;
            };
            match (&waiter.want, &change.state) {
                (Want::Retry(call), _) => {
                    let call = call.clone();
                    match self.reject(p, &call, false) {
                        Some(Rejection::Retry(lease)) => {
                            self.saw("(call made again)");
                            let again = Call {
                                lease: lease.id(),
                                value: lease.value().to_owned(),
                                replayable: false,
                                ..call
                            };
                            self.send_call(p, again);
                        }
                        Some(Rejection::Wait) => {
                            self.processes[p].waiters.insert(id, waiter);
                        }
                        _ => {}
                    }
                }
                (_, LeaseState::Ready(lease) | LeaseState::Once(lease)) => {
                    self.hand_over(
                        p,
                        target,
                        waiter.user.clone(),
                        lease.clone(),
                        waiter.want.clone(),
                    );
                }
                (_, LeaseState::Failed { error, retry_at_ms }) => {
                    self.told(p, error, *retry_at_ms, &waiter.want)
                }
                _ => {
                    self.processes[p].waiters.insert(id, waiter);
                }
            }
        }
    }

    /// The lease against what the server knows of the token.
    fn check_truth(&mut self, p: usize, target: usize, subject: Option<SubjectId>, lease: &Lease) {
        let service = &self.services[self.processes[p].service];
        let owner = &service.targets[service.targets[target].owner];
        let Some(record) = self.server.tokens.get(lease.value()) else {
            return self.fail(
                Promise::RightToken,
                format!("p{p} t{target}: a token that the server never made"),
            );
        };
        if record.audience != owner.audience || record.user.as_deref().map(SubjectId::of) != subject
        {
            return self.fail(
                Promise::RightToken,
                format!("p{p} t{target}: a token for somebody else"),
            );
        }
        if let (Some(refresh_token), Some(store)) =
            (record.refresh_token.clone(), self.processes[p].store)
            && owner.refresh == Refresh::OneUse
            && self.processes[p].watch.is_new(lease.id())
        {
            let saved = self.stores[store].ever_held(&refresh_token);
            self.saw(if saved {
                "(refresh token saved first)"
            } else {
                "(refresh token not saved)"
            });
            self.processes[p].unsaved |= !saved;
        }
    }

    /// A token that a caller gets is alive at the server, unless the machine's clocks cannot know.
    fn check_alive(&mut self, p: usize, lease: &Lease) {
        let slept = self.machines[self.processes[p].machine].uncounted_ms > 0;
        if let Some(record) = self.server.tokens.get(lease.value())
            && record.truthful
            && !slept
            && record.expires_at <= self.now
        {
            let late = self.now - record.expires_at;
            self.fail(
                Promise::LeaseInTime,
                format!(
                    "p{p}: a caller got {} {late} ms after its end at the server",
                    lease.id()
                ),
            );
        }
    }

    fn event(&mut self, p: usize, event: &Event) {
        self.saw(event.name());
        match event {
            Event::StoreFailed { .. } => self.processes[p].unsaved = false,
            Event::MetadataReceived { .. } => self.processes[p].discovered = true,
            Event::LeaseExpired { .. } => {
                let recovered = self
                    .calm_since
                    .is_some_and(|since| self.now > since + self.recovery_ms());
                // Another process may hold the lock for longer than what is left of a token that short.
                let service = &self.services[self.processes[p].service];
                if recovered && (service.life_s >= 5 || !service.has_store) {
                    self.fail(
                        Promise::Recovery,
                        format!(
                            "p{p}: a token came to its end although nothing is wrong: {event:?}"
                        ),
                    );
                }
            }
            _ => {}
        }
        let json = serde_json::to_string(event).unwrap_or_default();
        self.check_secrets(p, &json);
        self.tell(|| format!("p{p} event {json}"));
        if let Event::TokenReceived { client_id, .. } = event {
            self.processes[p].works_as = client_id.clone();
        }
        if let Event::Rejected { target, action, .. } = event {
            let now = self.clock(p).mono_ms;
            let config = &self.services[self.processes[p].service].config;
            // Users' tokens share the target's name, so the cool-down is seen only where there are none.
            if let Some(index) = config.target_index(target)
                && self.processes[p].watch.users() == 0
            {
                let verdict = self.processes[p].watch.acted(index, action, now, config);
                self.judge(p, verdict);
            }
        }
    }

    pub(crate) fn check_secrets(&mut self, p: usize, text: &str) {
        let leak = text.contains(PLANTED)
            || self
                .encoded_secrets
                .iter()
                .any(|secret| text.contains(secret.as_str()));
        if leak {
            self.fail(Promise::Secrecy, format!("p{p}: a secret in {text}"));
        }
    }

    pub(crate) fn judge(&mut self, p: usize, verdict: Verdict) {
        if let Err(Broken { promise, what }) = verdict {
            self.fail(promise, format!("p{p}: {what}"));
        }
    }

    pub(crate) fn is_registered(&self, p: usize) -> bool {
        self.services[self.processes[p].service].kind == Kind::Registered
    }
}

/// The file that a reference names, and its name in stories.
pub(crate) fn file(reference: &SecretReference) -> String {
    match reference {
        SecretReference::File(name) => name.clone(),
        _ => String::new(),
    }
}

pub(crate) fn is_token_endpoint(url: &str) -> bool {
    url.strip_prefix(ISSUER) == Some("/oauth2/token")
}

fn brief(state: &State) -> String {
    match state {
        State::Ready(lease) => format!("ready {}", lease.id()),
        other => shorten(other),
    }
}

fn brief_change(state: &LeaseState) -> String {
    match state {
        LeaseState::Ready(lease) => format!(
            "ready {} until {} (ask at {})",
            lease.id(),
            lease.serve_until_ms(),
            lease.ask_at_ms()
        ),
        other => shorten(other),
    }
}

fn shorten(text: &dyn Debug) -> String {
    let text = format!("{text:?}");
    text.chars().take(160).collect()
}
