//! The token endpoint in trouble, as users' tokens see it together.
//!
//! Users' tokens are as many as callers bring, made-up ones among them. While the endpoint cannot be reached,
//! says that it cannot answer or asks for patience, they share one back-off, and when that is over one of them
//! tries for all. What is refused to one user is that user's own affair.
//!
//! A service's own tokens stay out of it: they are as many as are configured, and the trouble that one target
//! has is not to hold up another.

use super::{
    Backoff,
    fetch::Failure,
    io::{Io, Owner},
};
use crate::{Code, Error, Fault, config::Schedule};
use alloc::vec::Vec;

/// More users than this make the back-off no longer: at its full length a few whose tokens the server cannot bear
/// would shut out all others, and one request each few seconds is no burden.
const MOST_WITNESSES: usize = 3;

#[derive(Default)]
pub(crate) struct Outage {
    trouble: Option<Trouble>,
    /// Whose attempts have met this kind of trouble. The back-off grows with each of them, not with each attempt:
    /// one user whose token the server cannot bear is not to hold up the others for longer and longer.
    witnesses: Vec<Owner>,
    /// Whether others may go on, or are to be told, since it was last asked.
    changed: bool,
}

struct Trouble {
    error: Error,
    kind: Backoff,
    answered: bool,
    retry_at: u64,
    /// How much later it is for those who leave others the first attempt.
    courtesy_ms: u64,
    /// Whose attempt is made for all.
    probe: Option<Owner>,
}

impl Trouble {
    fn opens_at(&self, yields: bool) -> u64 {
        let courtesy_ms = if yields { self.courtesy_ms } else { 0 };
        self.retry_at.saturating_add(courtesy_ms)
    }
}

impl Outage {
    /// Whether an attempt may begin now; the first one after the back-off is made for all. Whoever
    /// `yields` leaves the others a moment to be first.
    pub(crate) fn begin(&mut self, owner: Owner, yields: bool, now: u64) -> bool {
        match &mut self.trouble {
            None => true,
            Some(trouble) if trouble.probe.is_none() && trouble.opens_at(yields) <= now => {
                trouble.probe = Some(owner);
                true
            }
            Some(_) => false,
        }
    }

    /// Whether an attempt that has begun may send its first request now; otherwise it is to begin anew.
    pub(crate) fn lets_send(&mut self, owner: Owner, now: u64) -> bool {
        let Some(trouble) = &mut self.trouble else {
            return true;
        };
        let probes = trouble.probe == Some(owner);
        // An answer to an earlier request may have come in the meantime.
        if probes && trouble.retry_at <= now {
            return true;
        }
        trouble.probe.take_if(|_| probes);
        self.changed = true;
        false
    }

    /// When an attempt that is due at `due` may begin; none while another is made for all.
    pub(crate) fn opens_at(&self, due: u64, yields: bool) -> Option<u64> {
        match &self.trouble {
            None => Some(due),
            Some(trouble) if trouble.probe.is_some() => None,
            Some(trouble) => Some(due.max(trouble.opens_at(yields))),
        }
    }

    /// Until when nothing is tried, while that is in the future.
    pub(crate) fn until(&self, now: u64) -> Option<u64> {
        let retry_at = self.trouble.as_ref().map(|trouble| trouble.retry_at);
        retry_at.filter(|at| now < *at)
    }

    /// What those who wait are told, and when it is tried again; nothing where no server has answered.
    pub(crate) fn told(&self, now: u64) -> Option<(&Error, u64)> {
        self.trouble
            .as_ref()
            .filter(|trouble| trouble.answered && now < trouble.retry_at)
            .map(|trouble| (&trouble.error, trouble.retry_at))
    }

    /// A user's token came.
    pub(crate) fn gained(&mut self) {
        self.changed |= self.trouble.take().is_some();
        self.witnesses.clear();
    }

    /// An attempt for a user's token failed; `heard` when the endpoint answered it last.
    pub(crate) fn failed(
        &mut self,
        owner: Owner,
        failure: &Failure,
        heard: Option<u64>,
        schedule: &Schedule,
        io: &mut Io,
    ) {
        let probes = match &mut self.trouble {
            Some(trouble) => trouble.probe.take_if(|probe| *probe == owner).is_some(),
            None => false,
        };
        self.changed |= probes;
        if !is_shared(failure) {
            // What the server says about one user, it says because it answers.
            if failure.error.fault() == Fault::Server && heard == Some(io.now.mono_ms) {
                self.gained();
            }
            return;
        }
        // Requests that were under way when the trouble began say nothing new.
        if probes || self.trouble.is_none() {
            let before = self.trouble.as_ref().map(|trouble| trouble.kind);
            if before.is_some_and(|kind| kind != failure.kind) {
                self.witnesses.clear();
            }
            if self.witnesses.len() < MOST_WITNESSES && !self.witnesses.contains(&owner) {
                self.witnesses.push(owner);
            }
        }
        let retry_at = failure.retry_at(schedule, self.witnesses.len() as u32, io);
        if self
            .trouble
            .as_ref()
            .is_none_or(|trouble| trouble.retry_at < retry_at)
        {
            self.trouble = Some(Trouble {
                error: failure.error.clone(),
                kind: failure.kind,
                answered: failure.answered,
                retry_at,
                courtesy_ms: schedule.backoff_initial_ms,
                probe: self.trouble.as_ref().and_then(|trouble| trouble.probe),
            });
            self.changed = true;
        }
    }

    /// Whether anything has changed for other users' tokens since it was last asked.
    pub(crate) fn take_changed(&mut self) -> bool {
        core::mem::take(&mut self.changed)
    }
}

/// Whether it would have happened to any user.
fn is_shared(failure: &Failure) -> bool {
    match failure.kind {
        Backoff::RateLimited => true,
        Backoff::Trouble => !matches!(
            failure.error.code(),
            Code::MalformedAnswer | Code::AnswerTooLarge | Code::Internal
        ),
        Backoff::Refused => false,
    }
}
