//! What all handles share: the core behind a lock, the tokens outside of it, and the threads.
//!
//! A *turn* holds the core for one call into it and for the polling that has to follow; what the polling
//! brings is carried out by the workers. No I/O, no callback and no waiting happens while the core is held.

use crate::{
    cell::{Answer, Cell, Held, Waiter},
    driver::Driver,
    events::Events,
    host::{Clock, Host},
    lease::Lease,
    names::Names,
    sync::{deadline, left, lock, wait_for},
    workers::Workers,
};
use arc_swap::ArcSwap;
use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use svcauth_core::{
    Client as Core, Code, Config, Error, Event, Now,
    client::{
        Calls, LeaseChange, LeaseId, LeaseState, Outcome, Output, Rejection, State, StoreOperation,
        Subject, SubjectId, TargetId, Task, TaskKind,
    },
};

pub(crate) struct Shared {
    pub(crate) config: Arc<Config>,
    pub(crate) calls: ArcSwap<Calls>,
    pub(crate) events: Arc<Events>,
    pub(crate) driver: Driver,
    pub(crate) workers: Arc<Workers>,
    /// How often the core was asked for a token.
    pub(crate) asked: AtomicU64,
    /// How often a caller had to wait.
    pub(crate) waited: AtomicU64,
    core: Mutex<Core>,
    pub(crate) host: Host,
    names: Names,
    /// Each target with the service's own token for it, in the order of their names.
    targets: Vec<(Box<str>, TargetId, Arc<Cell>)>,
    users: Mutex<HashMap<(TargetId, SubjectId), Arc<Cell>>>,
    /// Why the last attempt failed, by the target's name.
    failures: Mutex<HashMap<String, Error>>,
    pub(crate) clock: Clock,
    closed: AtomicBool,
    saving: Mutex<Saving>,
    saved: Condvar,
}

/// What is on its way into the store.
#[derive(Default)]
struct Saving {
    /// How many operations are under way.
    operations: usize,
    /// The locks that this client has: between two operations, a request may be under way whose answer cannot
    /// be had again.
    locks: Vec<u64>,
}

/// An operation on the store that is under way as long as this lives.
struct Storing(Arc<Shared>);

impl Storing {
    fn new(shared: &Arc<Shared>) -> Storing {
        lock(&shared.saving).operations += 1;
        Storing(Arc::clone(shared))
    }
}

impl Drop for Storing {
    fn drop(&mut self) {
        lock(&self.0.saving).operations -= 1;
        self.0.saved.notify_all();
    }
}

impl Shared {
    pub(crate) fn new(core: Core, host: Host, events: Events, clock: Clock) -> Shared {
        let config = Arc::clone(core.config());
        Shared {
            calls: ArcSwap::new(core.calls()),
            events: Arc::new(events),
            driver: Driver::default(),
            workers: Arc::new(Workers::default()),
            asked: AtomicU64::new(0),
            waited: AtomicU64::new(0),
            host,
            names: Names::new(config.targets.iter().map(|target| target.name.as_str())),
            targets: core
                .targets()
                .zip(&config.targets)
                .map(|(id, target)| (target.name.as_str().into(), id, Arc::default()))
                .collect(),
            users: Mutex::default(),
            failures: Mutex::default(),
            clock,
            closed: AtomicBool::new(false),
            saving: Mutex::default(),
            saved: Condvar::new(),
            core: Mutex::new(core),
            config,
        }
    }

    pub(crate) fn cell(&self, target: TargetId) -> Option<&Arc<Cell>> {
        self.targets.get(target.index()).map(|(_, _, cell)| cell)
    }

    #[inline]
    pub(crate) fn find(&self, name: &str) -> Option<(TargetId, &Arc<Cell>)> {
        let place = self.names.find(name)?;
        self.targets.get(place).map(|(_, id, cell)| (*id, cell))
    }

    pub(crate) fn target_name(&self, target: TargetId) -> &str {
        self.targets
            .get(target.index())
            .map_or("", |(name, _, _)| name)
    }

    pub(crate) fn target_ids(&self) -> impl ExactSizeIterator<Item = TargetId> {
        self.targets.iter().map(|(_, id, _)| *id)
    }

    /// The service's own tokens that are at hand. Takes no lock.
    pub(crate) fn leases(&self) -> Vec<(TargetId, svcauth_core::client::Lease)> {
        let held = |(_, id, cell): &(_, TargetId, Arc<Cell>)| Some((*id, cell.lease()?));
        self.targets.iter().filter_map(held).collect()
    }

    /// Does a task of the program's own.
    pub(crate) fn perform(&self, task: TaskKind) -> Outcome {
        self.host.perform(task)
    }

    /// Tells of a call that must not be made.
    pub(crate) fn note_refusal(&self, calls: &Calls, url: &str, error: &Error) {
        if error.code() == Code::UserTokenMissing {
            let target = calls.target(url);
            let target = target.map_or("", |target| calls.target_name(target));
            self.events.push(Event::UserTokenMissing {
                target: target.to_owned(),
            });
            self.emit_events();
        }
    }

    /// How long a caller waits unless it says otherwise.
    pub(crate) fn wait_time(&self) -> Duration {
        Duration::from_millis(self.config.timeouts.wait_ms)
    }

    pub(crate) fn mono_ms(&self) -> u64 {
        self.clock.mono_ms()
    }

    /// One call into the core and all that follows from it.
    pub(crate) fn turn<R>(self: &Arc<Shared>, call: impl FnOnce(&mut Core, Now) -> R) -> R {
        let mut tasks = Vec::new();
        let (result, start_driver) = {
            let mut core = lock(&self.core);
            let result = call(&mut core, self.clock.now());
            let start_driver = loop {
                match core.poll(self.clock.now()) {
                    Output::Task(task) => {
                        let storing = matches!(task.kind, TaskKind::Store { .. });
                        tasks.push((task, storing.then(|| Storing::new(self))));
                    }
                    Output::Lease(change) => self.deliver(change),
                    Output::CallsChanged => self.calls.store(core.calls()),
                    Output::Event(event) => self.note(event),
                    Output::Idle { until } => break self.driver.set(until),
                    _ => {}
                }
            };
            (result, start_driver)
        };
        if start_driver {
            self.driver.start(Arc::clone(self));
        }
        self.emit_events();
        for (task, storing) in tasks {
            self.start(task, storing);
        }
        result
    }

    /// Reads the core without changing anything.
    pub(crate) fn look<R>(&self, read: impl FnOnce(&Core) -> R) -> R {
        read(&lock(&self.core))
    }

    /// A token for the service itself or for a user, waited for until `deadline`.
    pub(crate) fn lease(
        self: &Arc<Shared>,
        target: TargetId,
        subject: Subject<'_>,
        deadline: Instant,
    ) -> Result<Lease, Error> {
        if let Some(lease) = self.fresh(target, subject) {
            return Ok(lease);
        }
        self.asked.fetch_add(1, Relaxed);
        let mut waited = false;
        loop {
            self.check_open()?;
            let (state, place) = self.turn(|core, now| {
                let cell = self.place(target, subject);
                let state = core.token(target, subject, now);
                let place = matches!(state, State::Pending).then(|| (cell.enlist(), cell));
                (state, place)
            });
            let answer = match (state, place) {
                (State::Ready(lease), _) => return Ok(Lease::owned(self.hold(lease))),
                (State::Failed { error, .. }, _) => return Err(error),
                (_, Some((waiter, cell))) => {
                    if !std::mem::replace(&mut waited, true) {
                        self.waited.fetch_add(1, Relaxed);
                    }
                    self.wait(&cell, &waiter, deadline)
                }
                _ => Some(Answer::Again),
            };
            match answer {
                Some(Answer::Lease(held)) => return Ok(Lease::owned(held)),
                Some(Answer::Failed(error)) => return Err(error),
                Some(Answer::Closed) => return Err(closed()),
                Some(Answer::Again) => {}
                None => return Err(self.reason(target)),
            }
        }
    }

    /// Reports that a called service answered 401 to the lease `id`; the lease to try once more with.
    pub(crate) fn reject(
        self: &Arc<Shared>,
        target: TargetId,
        subject: Subject<'_>,
        id: LeaseId,
        deadline: Instant,
    ) -> Option<Lease> {
        let mut last = false;
        loop {
            let (rejection, place) = self.turn(|core, now| {
                let cell = self.place(target, subject);
                let rejection = core.reject(target, subject, id, now);
                let place = matches!(rejection, Rejection::Wait).then(|| (cell.enlist(), cell));
                (rejection, place)
            });
            let (waiter, cell) = match (rejection, place) {
                (Rejection::Retry(lease), _) => return Some(Lease::owned(self.hold(lease))),
                (Rejection::Wait, Some(place)) => place,
                _ => return None,
            };
            if last || self.check_open().is_err() {
                cell.dismiss(&waiter);
                return None;
            }
            self.waited.fetch_add(1, Relaxed);
            last = matches!(
                self.wait(&cell, &waiter, deadline),
                None | Some(Answer::Closed)
            );
        }
    }

    /// Reports a rejected lease where the call is not made again.
    pub(crate) fn report(self: &Arc<Shared>, target: TargetId, subject: Subject<'_>, id: LeaseId) {
        self.turn(|core, now| {
            core.report(target, subject, id, now);
        });
    }

    /// The lease at hand, if it can be handed out without asking the core.
    pub(crate) fn fresh(&self, target: TargetId, subject: Subject<'_>) -> Option<Lease> {
        match subject {
            Subject::Service => self.cell(target)?.fresh(),
            Subject::User(token) => {
                let cell = lock(&self.users)
                    .get(&(target, SubjectId::of(token)))
                    .cloned();
                cell?.fresh()
            }
        }
    }

    /// Ends the threads and wakes all who wait; what is being saved is still saved.
    pub(crate) fn close(&self) {
        if self.closed.swap(true, Relaxed) {
            return;
        }
        self.driver.close();
        self.workers.close();
        let users: Vec<Arc<Cell>> = lock(&self.users).drain().map(|(_, cell)| cell).collect();
        for cell in self.targets.iter().map(|(_, _, cell)| cell).chain(&users) {
            cell.set(None);
            cell.wake(&Answer::Closed);
        }
        self.finish_saving();
        self.events.emit();
    }

    /// Waits until nothing is being saved, nor a request under way that the store's lock was taken for: its answer
    /// may be a token that nobody gets a second time. A process that ended with its lock in the store would keep others
    /// waiting until that ends by itself.
    fn finish_saving(&self) {
        // Whoever was given the last token may be here before its turn has started what follows.
        self.look(|_| ());
        let timeouts = &self.config.timeouts;
        let mut saving = lock(&self.saving);
        let request_ms = match saving.locks.is_empty() {
            true => 0,
            false => timeouts.request_ms.saturating_add(timeouts.store_ms),
        };
        let time = timeouts.store_ms.saturating_add(request_ms);
        let until = deadline(Duration::from_millis(time));
        let done = |saving: &Saving| saving.operations == 0 && saving.locks.is_empty();
        while let (false, Some(time)) = (done(&saving), left(until)) {
            saving = wait_for(&self.saved, saving, time);
        }
    }

    /// Notes which locks this client has in the store.
    fn note_lock(&self, unlocked: Option<u64>, outcome: Option<&Outcome>) {
        let mut saving = lock(&self.saving);
        saving.locks.retain(|fence| Some(*fence) != unlocked);
        if let Some(Outcome::Locked { fence }) = outcome {
            saving.locks.push(*fence);
        }
    }

    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.closed.load(Relaxed) {
            Err(closed())
        } else {
            Ok(())
        }
    }

    /// The place of a token, made if need be. To be called while the core is held: a place that the core
    /// has just cleared is not found again.
    fn place(&self, target: TargetId, subject: Subject<'_>) -> Arc<Cell> {
        match subject {
            Subject::Service => self.cell(target).cloned().unwrap_or_default(),
            Subject::User(token) => Arc::clone(
                lock(&self.users)
                    .entry((target, SubjectId::of(token)))
                    .or_default(),
            ),
        }
    }

    fn wait(&self, cell: &Cell, waiter: &Arc<Waiter>, deadline: Instant) -> Option<Answer> {
        // Closed between the question and the list: nobody would wake it.
        if self.closed.load(Relaxed) {
            return Some(Answer::Closed);
        }
        waiter.wait(deadline).or_else(|| cell.dismiss(waiter))
    }

    fn hold(&self, lease: svcauth_core::client::Lease) -> Arc<Held> {
        Arc::new(Held {
            ask_at: self.clock.instant(lease.ask_at_ms()),
            lease: Some(lease),
        })
    }

    fn deliver(&self, change: LeaseChange) {
        let cell = match change.subject {
            None => self.cell(change.target).cloned(),
            Some(subject) => lock(&self.users).get(&(change.target, subject)).cloned(),
        };
        let Some(cell) = cell else { return };
        match change.state {
            LeaseState::Ready(lease) => {
                let held = self.hold(lease);
                if !self.closed.load(Relaxed) {
                    cell.set(Some(Arc::clone(&held)));
                }
                cell.wake(&Answer::Lease(held));
            }
            LeaseState::Once(lease) => {
                cell.set(None);
                cell.wake(&Answer::Lease(self.hold(lease)));
            }
            LeaseState::Cleared => {
                cell.set(None);
                if let Some(subject) = change.subject {
                    lock(&self.users).remove(&(change.target, subject));
                    cell.wake(&Answer::Again);
                }
            }
            LeaseState::Failed { error, .. } => {
                cell.wake(&Answer::Failed(error));
            }
            _ => {}
        }
    }

    fn note(&self, event: Event) {
        match &event {
            Event::RefreshFailed { target, error, .. } => {
                lock(&self.failures).insert(target.clone(), error.clone());
            }
            Event::TokenReceived { target, .. } => {
                lock(&self.failures).remove(target);
            }
            _ => {}
        }
        self.events.push(event);
    }

    fn emit_events(&self) {
        if self.events.are_waiting() {
            let events = Arc::clone(&self.events);
            self.workers.submit(Box::new(move || events.emit()));
        }
    }

    fn start(self: &Arc<Shared>, task: Task, storing: Option<Storing>) {
        let Task {
            id,
            deadline_ms,
            kind,
        } = task;
        let failed = Host::failed(&kind, "no thread could be started for it");
        let shared = Arc::clone(self);
        let job = move || {
            // Ends after the turn that may start the next operation.
            let _storing = storing;
            let unlocked = match &kind {
                TaskKind::Store {
                    operation: StoreOperation::Unlock { fence },
                    ..
                } => Some(*fence),
                _ => None,
            };
            // Past its deadline nobody awaits the answer.
            if shared.mono_ms() < deadline_ms {
                let panicked = Host::failed(&kind, "the function for it panicked");
                let outcome = catch_unwind(AssertUnwindSafe(|| shared.host.perform(kind)))
                    .unwrap_or(panicked);
                shared.note_lock(unlocked, Some(&outcome));
                shared.turn(|core, now| core.complete(id, outcome, now));
            } else {
                shared.note_lock(unlocked, None);
            }
        };
        if !self.workers.submit(Box::new(job)) {
            self.turn(|core, now| core.complete(id, failed, now));
        }
    }

    /// Why a caller got no token until its deadline.
    fn reason(&self, target: TargetId) -> Error {
        let name = self.target_name(target);
        let owner = self
            .config
            .targets
            .get(target.index())
            .and_then(|target| target.token_of);
        let owner = owner
            .and_then(|owner| self.config.targets.get(owner))
            .map_or(name, |target| &target.name);
        lock(&self.failures).get(owner).cloned().unwrap_or_else(|| {
            let message = "no token in time; check the server, or wait longer (timeouts.wait_s)";
            Error::new(Code::Timeout, message).at(format!("targets.{name}"))
        })
    }
}

fn closed() -> Error {
    Error::new(Code::Closed, "the client was closed; open another one")
}
