//! Refresh tokens that can be used once: locked, loaded and marked as spent before one is sent, saved before its
//! successor's access token is used.

use super::{Ended, Fetch, Job, MOST_TRIES, Memory, Parts, Stage, fail};
use crate::{
    Event,
    client::{
        Outcome, StoreOperation, TaskId, TaskKind, io::SEND_GRACE_MS, refresh::Saved,
        registration::store_error, task::mismatched,
    },
};
use alloc::{format, string::String};

impl Fetch {
    pub(super) fn lock(&mut self, job: &Job<'_>, parts: &mut Parts<'_>) -> Stage {
        let timeouts = &parts.config.timeouts;
        let sending_ms = timeouts.request_ms + SEND_GRACE_MS;
        let ttl_ms = MOST_TRIES as u64 * sending_ms + 4 * timeouts.store_ms;
        Stage::Lock(store(StoreOperation::Lock { ttl_ms }, job, parts))
    }

    pub(super) fn locked(
        &mut self,
        outcome: Outcome,
        job: &Job<'_>,
        parts: &mut Parts<'_>,
    ) -> Ended {
        match outcome {
            Outcome::Locked { fence } => {
                self.fence = Some(fence);
                self.stage = Stage::Load(store(StoreOperation::Get, job, parts));
                None
            }
            Outcome::Held { retry_after_ms } => {
                let wait = retry_after_ms.unwrap_or(250).clamp(50, 250);
                self.stage = Stage::Held {
                    until: parts.io.now.mono_ms + wait,
                };
                None
            }
            other => fail(store_error(other)),
        }
    }

    pub(super) fn loaded(
        &mut self,
        outcome: Outcome,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        let Outcome::Record { value, version } = outcome else {
            return fail(store_error(outcome));
        };
        self.version = version;
        let saved = match value {
            None => Saved::Spent,
            Some(bytes) => match Saved::read(bytes.expose(), &key(job), self.endpoint()) {
                Ok(saved) => saved,
                Err(error) => return fail(error),
            },
        };
        // One that could not be saved is newer than what the store holds, unless the record has changed since:
        // then it was saved after all, and another process may have sent it.
        let unsaved = memory.unsaved.take().filter(|(_, at)| *at == version);
        let usable = unsaved.map(|(token, _)| token).or(match saved {
            Saved::Ready(token) => Some(token),
            Saved::Spent => None,
        });
        match usable.filter(|token| token.is_usable(parts.io.now.wall_ms)) {
            None => self.stage = Stage::Source,
            Some(token) => {
                self.refresh_token = Some(token);
                let value = Saved::Spent.write(self.endpoint()).into();
                self.stage =
                    Stage::Mark(store(StoreOperation::PutIf { version, value }, job, parts));
            }
        }
        None
    }

    /// Only once the store says that the refresh token is spent may it be sent.
    pub(super) fn marked(&mut self, outcome: Outcome, memory: &mut Memory) -> Ended {
        match outcome {
            Outcome::Stored { version } => {
                self.version = version;
                self.stage = Stage::Authenticate;
                None
            }
            other => {
                self.keep_unsaved(memory);
                fail(store_error(other))
            }
        }
    }

    pub(super) fn keep_unsaved(&mut self, memory: &mut Memory) {
        memory.unsaved = self.refresh_token.take().map(|token| (token, self.version));
    }

    pub(super) fn saved(
        &mut self,
        outcome: Outcome,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        self.keep_unless_stored(outcome, memory, parts);
        match self.gain.take() {
            Some(answer) => self.done(answer),
            None => fail(mismatched()),
        }
    }

    pub(super) fn restored(
        &mut self,
        outcome: Outcome,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        self.keep_unless_stored(outcome, memory, parts);
        self.failure.take().map(Err).or_else(|| fail(mismatched()))
    }

    /// A refresh token that cannot be saved stays in memory: the store says that the last one is spent, so no
    /// other process has it either.
    fn keep_unless_stored(&mut self, outcome: Outcome, memory: &mut Memory, parts: &mut Parts<'_>) {
        if !matches!(outcome, Outcome::Stored { .. }) {
            self.keep_unsaved(memory);
            parts.io.event(Event::StoreFailed {
                error: store_error(outcome),
            });
        }
    }

    pub(super) fn unlock(&mut self, job: &Job<'_>, parts: &mut Parts<'_>) {
        if let Some(fence) = self.fence.take() {
            store(StoreOperation::Unlock { fence }, job, parts);
        }
    }
}

pub(super) fn key(job: &Job<'_>) -> String {
    format!("refresh_token/{}", job.target.name)
}

pub(super) fn store(operation: StoreOperation, job: &Job<'_>, parts: &mut Parts<'_>) -> TaskId {
    let task = TaskKind::Store {
        key: key(job),
        operation,
    };
    parts
        .io
        .start(job.owner, task, parts.config.timeouts.store_ms)
}
