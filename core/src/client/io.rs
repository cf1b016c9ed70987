//! What the parts of the client share: the clock, tasks under way, and what waits to be polled.

use super::{
    Jitter, LeaseChange, LeaseState, Outcome, Output, SendFailure, Stats, Task, TaskId, TaskKind,
};
use crate::{Event, Level, Now, config::SecretReference};
use alloc::{collections::VecDeque, string::String, vec::Vec};

/// Which part of the client a task belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Owner {
    Credentials(usize),
    Discovery,
    Registration,
    Token(usize),
}

/// How much later than its own end of time a request counts as failed, so that a host which gives up by itself
/// is heard.
pub(crate) const SEND_GRACE_MS: u64 = 250;

struct UnderWay {
    id: TaskId,
    owner: Owner,
    deadline_ms: u64,
    sends: bool,
}

pub(crate) struct Io {
    pub(crate) now: Now,
    pub(crate) jitter: Jitter,
    pub(crate) stats: Stats,
    /// In the order of their ids.
    under_way: Vec<UnderWay>,
    last_id: u64,
    tasks: VecDeque<Task>,
    leases: VecDeque<LeaseChange>,
    events: VecDeque<Event>,
    most_events: usize,
    /// Events below it are of interest to nobody.
    least: Level,
    calls_changed: bool,
}

impl Io {
    pub(crate) fn new(now: Now, seed: u64, most_events: usize) -> Io {
        Io {
            now,
            jitter: Jitter::new(seed),
            stats: Stats::default(),
            under_way: Vec::new(),
            last_id: 0,
            tasks: VecDeque::new(),
            leases: VecDeque::new(),
            events: VecDeque::new(),
            most_events,
            least: Level::Info,
            calls_changed: false,
        }
    }

    /// Hands a task to the host; without an answer within `timeout_ms`, and the grace of a request, it counts as
    /// failed.
    pub(crate) fn start(&mut self, owner: Owner, kind: TaskKind, timeout_ms: u64) -> TaskId {
        self.last_id += 1;
        let id = TaskId(self.last_id);
        let sends = matches!(kind, TaskKind::Send { .. });
        let grace_ms = if sends { SEND_GRACE_MS } else { 0 };
        let deadline_ms = self
            .now
            .mono_ms
            .saturating_add(timeout_ms)
            .saturating_add(grace_ms);
        self.under_way.push(UnderWay {
            id,
            owner,
            deadline_ms,
            sends,
        });
        self.tasks.push_back(Task {
            id,
            deadline_ms,
            kind,
        });
        id
    }

    /// Has the host read a secret that is not in the configuration itself.
    pub(crate) fn read_secret(
        &mut self,
        owner: Owner,
        reference: &SecretReference,
        timeout_ms: u64,
    ) -> TaskId {
        let task = TaskKind::ReadSecret {
            reference: reference.clone(),
        };
        self.start(owner, task, timeout_ms)
    }

    pub(crate) fn hear(&mut self, least: Level) {
        self.least = least;
    }

    /// Whether events of this level are of interest: the frequent ones are not even made where they are not.
    pub(crate) fn hears(&self, level: Level) -> bool {
        level >= self.least
    }

    pub(crate) fn event(&mut self, event: Event) {
        if !self.hears(event.level()) {
            return;
        }
        if self.events.len() < self.most_events {
            self.events.push_back(event);
        } else {
            self.stats.events_dropped += 1;
        }
    }

    pub(crate) fn lease(&mut self, change: LeaseChange) {
        self.leases.push_back(change);
    }

    pub(crate) fn calls_changed(&mut self) {
        self.calls_changed = true;
    }

    /// Forgets a task that was answered; whose it was.
    pub(crate) fn finish(&mut self, id: TaskId) -> Option<Owner> {
        let place = self.under_way.binary_search_by_key(&id, |task| task.id);
        Some(self.under_way.remove(place.ok()?).owner)
    }

    /// A task whose deadline has passed, forgotten, with the outcome that stands for that.
    pub(crate) fn overdue(&mut self) -> Option<(TaskId, Owner, Outcome)> {
        let now = self.now.mono_ms;
        let place = self
            .under_way
            .iter()
            .position(|task| task.deadline_ms <= now)?;
        let task = self.under_way.remove(place);
        let id = task.id;
        self.tasks.retain(|task| task.id != id);
        self.stats.tasks_overdue += 1;
        let detail = String::from("the host gave no answer in time");
        let outcome = if task.sends {
            Outcome::SendFailed {
                failure: SendFailure::Timeout,
                detail,
            }
        } else {
            Outcome::Failed { detail }
        };
        Some((id, task.owner, outcome))
    }

    pub(crate) fn next_deadline(&self) -> Option<u64> {
        self.under_way.iter().map(|task| task.deadline_ms).min()
    }

    /// What the host is to hear next. Leases come first: somebody waits for them.
    pub(crate) fn next(&mut self) -> Option<Output> {
        if let Some(mut change) = self.leases.pop_front() {
            // It may have waited here over a jump of the clock.
            if let LeaseState::Ready(lease) = &change.state
                && lease.serve_until_ms() <= self.now.mono_ms
            {
                change.state = LeaseState::Cleared;
            }
            return Some(Output::Lease(change));
        }
        if core::mem::take(&mut self.calls_changed) {
            return Some(Output::CallsChanged);
        }
        if let Some(task) = self.tasks.pop_front() {
            return Some(Output::Task(task));
        }
        self.events.pop_front().map(Output::Event)
    }
}
