//! What must hold of one process at every step, seen from outside its client.

use crate::{
    promise::{Broken, Promise, Verdict},
    server::Meaning,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use svcauth_core::{
    Config, Now,
    client::{Completion, Lease, LeaseId, LeaseState, Rejection, State, SubjectId, TaskId},
};

/// The target that owns the token, and whose it is.
pub(crate) type Key = (usize, Option<SubjectId>);

/// Tasks for one token in any window of a second: four requests with what each needs before and after it.
const TASKS_PER_SECOND: usize = 40;
/// Users that are kept while their tokens are being got, in so many times the configured limit.
pub(crate) const MOST_USERS: usize = 4;
/// Times in a window of a second at which the client wants to be polled and then does nothing.
const IDLE_WAKES_PER_SECOND: usize = 20;

#[derive(Default)]
pub(crate) struct Watch {
    held: BTreeMap<Key, Held>,
    flights: BTreeMap<TaskId, Flight>,
    last: BTreeMap<Key, Last>,
    users: BTreeSet<Key>,
    /// Those whose tokens the client has or is getting.
    kept: BTreeSet<Key>,
    /// The trouble that a user's token met last, while none has met anything else.
    trouble: Option<Together>,
    /// When a secret was last seen with another content, or the client was told to look.
    touched_at: Option<u64>,
    contents: BTreeMap<String, Vec<u8>>,
    tasks: VecDeque<u64>,
    idle_wakes: VecDeque<u64>,
    demands: BTreeMap<Key, u64>,
    known: BTreeSet<LeaseId>,
    wanted_again_at: BTreeMap<Key, u64>,
    acted_at: BTreeMap<usize, u64>,
    /// The token that has just come.
    received: Option<Key>,
}

struct Held {
    lease: Lease,
    /// A called service refused it, and another is being got.
    suspect: bool,
    /// A called service has just refused it, and nobody waits for another one.
    reported: bool,
    /// Another one was asked for because the wall clock is past its end.
    ended: bool,
}

struct Flight {
    begun: u64,
    deadline: u64,
    /// The token that is asked for.
    token: Option<Key>,
    /// The token in whose attempt the task is.
    attempt: Option<Key>,
}

/// What all users' tokens wait for together.
struct Together {
    since: u64,
    /// Before then no other request is sent for a user.
    until: u64,
}

/// The last request for a token, and what came of it.
struct Last {
    at: u64,
    meaning: Option<Meaning>,
    /// After a token: how long none is asked for.
    rest: Option<u64>,
    /// A token that lives for nobody but those who waited.
    once: bool,
    /// What was shown to the server since the last attempt began.
    shown: BTreeSet<Shown>,
    /// Whether it was sent in an attempt whose first request was refused.
    goes_on: bool,
}

/// Credentials and grant of a request: the same are not tried twice in one attempt.
pub(crate) type Shown = (Option<(String, String)>, String);

impl Watch {
    pub(crate) fn task_handed_out(
        &mut self,
        (id, deadline): (TaskId, u64),
        token: Option<Key>,
        attempt: Option<Key>,
        now: u64,
        tokens: usize,
    ) -> Verdict {
        self.flights.retain(|_, flight| flight.deadline > now);
        if let Some(key) = token
            && let Some((other, _)) = self
                .flights
                .iter()
                .find(|(_, flight)| flight.token == Some(key))
        {
            return Promise::OneRequest.broken(format!(
                "two token requests in flight for {key:?}: {other:?} and {id:?}"
            ));
        }
        if self.flights.contains_key(&id) {
            return Promise::Contract.broken(format!("task {id:?} handed out twice"));
        }
        if deadline <= now {
            return Promise::Contract.broken(format!("task {id:?} handed out after its deadline"));
        }
        self.flights.insert(
            id,
            Flight {
                begun: now,
                deadline,
                token,
                attempt,
            },
        );
        within(&mut self.tasks, now, TASKS_PER_SECOND * tokens, "tasks")?;
        // Reading, locking, loading, marking, asking, saving, unlocking: one at a time for each token, and
        // locks given back whose answers are still to come.
        if self.flights.len() > 8 * tokens + 8 {
            return Promise::NoStorm.broken(format!(
                "{} tasks under way for {tokens} tokens",
                self.flights.len()
            ));
        }
        Ok(())
    }

    /// What the client must make of an outcome, `received` whether a token came of it; whether it ends a request
    /// for a user's token.
    pub(crate) fn completed(
        &mut self,
        id: TaskId,
        done: Completion,
        meaning: Option<Meaning>,
        received: bool,
        now: u64,
    ) -> Result<bool, Broken> {
        let flight = self
            .flights
            .remove(&id)
            .filter(|flight| now < flight.deadline);
        let expected = if flight.is_some() {
            Completion::Accepted
        } else {
            Completion::Ignored
        };
        if done != expected {
            Promise::Contract.broken(format!(
                "the outcome of {id:?} was {done:?}, not {expected:?}"
            ))?;
        }
        let Some(flight) = flight else {
            return Ok(false);
        };
        if let Some(key) = flight.attempt
            && let Some(last) = self.last.get_mut(&key)
        {
            if flight.token.is_some() {
                last.meaning = Some(meaning.unwrap_or(Meaning::Odd));
                last.at = now;
            }
            if received {
                // What is announced now says more; nothing is where nobody waits.
                (last.at, last.rest, last.once) = (now, Some(0), true);
                self.received = Some(key);
            }
        }
        Ok(flight.attempt.is_some_and(|(_, user)| user.is_some()))
    }

    /// What a request for a user's token met: trouble that holds for all users, or anything else.
    pub(crate) fn users_met(&mut self, trouble: Option<Meaning>, now: u64, config: &Config) {
        let schedule = &config.schedule;
        let wait = match trouble {
            Some(Meaning::ServerError(Some(asked)) | Meaning::RateLimited(Some(asked))) => {
                asked.min(schedule.retry_after_max_ms)
            }
            Some(Meaning::RateLimited(None)) => schedule.rate_limited_initial_ms,
            Some(_) => schedule.backoff_initial_ms / 10,
            None => return self.trouble = None,
        };
        let before = self.trouble.as_ref().map_or(0, |trouble| trouble.until);
        self.trouble = Some(Together {
            since: now,
            until: before.max(now + wait),
        });
    }

    /// While users' tokens are in trouble one request at a time is sent for all of them.
    fn alone(&self, key: Key, now: u64) -> Verdict {
        let Some(trouble) = &self.trouble else {
            return Ok(());
        };
        let early = trouble.until.saturating_sub(now);
        if early > 0 {
            return Promise::NoStorm.broken(format!(
                "asked for the user's token {key:?} {early} ms too early: another one met trouble at {}",
                trouble.since
            ));
        }
        let mut flights = self.flights.values();
        let other = flights.find(|flight| {
            let user = flight.token.filter(|(_, user)| user.is_some());
            let is_first = user
                .and_then(|key| self.last.get(&key))
                .is_some_and(|last| !last.goes_on);
            is_first && flight.begun > trouble.since && now < flight.deadline
        });
        match other {
            Some(other) => Promise::NoStorm.broken(format!(
                "asked for the user's token {key:?} while {:?} is asked for, and trouble since {}",
                other.token, trouble.since
            )),
            None => Ok(()),
        }
    }

    /// Whether a token is asked for now rightly.
    pub(crate) fn token_requested(
        &mut self,
        key: Key,
        shown: Shown,
        clock: Now,
        config: &Config,
    ) -> Verdict {
        let now = clock.mono_ms;
        let goes_on = self.last.get(&key).is_some_and(|last| {
            matches!(
                last.meaning,
                Some(Meaning::ClientRefused | Meaning::GrantRefused)
            )
        });
        if key.1.is_some() && !goes_on {
            self.alone(key, now)?;
        }
        let demands = self.demands.insert(key, 0).unwrap_or(0);
        let mut attempt = BTreeSet::new();
        if let Some(last) = self.last.remove(&key) {
            let schedule = &config.schedule;
            let rest = now - last.at.min(now);
            let touched = self.touched_at.is_some_and(|at| at >= last.at);
            let capped = |asked: u64| asked.min(schedule.retry_after_max_ms);
            let trouble = schedule.backoff_initial_ms / 10;
            let anew = touched || rest >= schedule.refused_initial_ms;
            let need = match (&last.rest, &last.meaning) {
                (Some(rest), _) => *rest,
                (None, Some(Meaning::ClientRefused | Meaning::GrantRefused | Meaning::Refused))
                    if anew =>
                {
                    0
                }
                (None, Some(Meaning::ClientRefused | Meaning::GrantRefused))
                    if !last.shown.contains(&shown) =>
                {
                    attempt = last.shown;
                    0
                }
                (None, Some(Meaning::ClientRefused | Meaning::GrantRefused | Meaning::Refused)) => {
                    schedule.refused_initial_ms
                }
                (None, Some(Meaning::RateLimited(None))) if touched => trouble,
                (None, Some(Meaning::RateLimited(None))) => schedule.rate_limited_initial_ms,
                (
                    None,
                    Some(Meaning::RateLimited(Some(asked)) | Meaning::ServerError(Some(asked))),
                ) => capped(*asked),
                (None, _) if touched => 0,
                (None, _) => trouble,
            };
            if rest < need {
                return Promise::NoStorm.broken(format!(
                    "asked for {key:?} again after {rest} ms instead of {need} ms; the last answer was {:?}",
                    last.meaning
                ));
            }
            // The lease in use is refreshed in its time, whatever came of an attempt before, and once when the
            // wall clock says that it has ended.
            let wanted = self.held.get_mut(&key).is_some_and(|held| {
                let ended = clock.wall_ms >= held.lease.expires_at_wall_ms();
                let due = (last.at..=now).contains(&held.lease.refresh_at_ms());
                !held.suspect && (due || ended && !std::mem::replace(&mut held.ended, true))
            });
            if last.once && demands == 0 && !wanted {
                return Promise::NoStorm.broken(format!(
                    "asked for {key:?} although nobody wants it and it cannot be kept"
                ));
            }
        }
        attempt.insert(shown);
        if attempt.len() > 6 {
            return Promise::NoStorm.broken(format!(
                "{} requests in one attempt for {key:?}",
                attempt.len()
            ));
        }
        self.last.insert(
            key,
            Last {
                at: now,
                meaning: None,
                rest: None,
                once: false,
                shown: attempt,
                goes_on,
            },
        );
        Ok(())
    }

    pub(crate) fn secret_read(&mut self, name: &str, content: &[u8], now: u64) {
        let before = self.contents.insert(name.to_owned(), content.to_vec());
        if before.as_deref() != Some(content) {
            self.touched_at = Some(now);
        }
    }

    pub(crate) fn secrets_changed(&mut self, now: u64) {
        self.touched_at = Some(now);
    }

    pub(crate) fn wanted(&mut self, key: Key) {
        *self.demands.entry(key).or_default() += 1;
        if key.1.is_some() {
            self.users.insert(key);
        }
    }

    /// A caller that waited is told to wait on: for the request under way, or for another one, which is reason
    /// enough for one per cool-down.
    pub(crate) fn wanted_again(&mut self, key: Key, now: u64, cooldown_ms: u64) {
        let mut flights = self.flights.values();
        if flights.any(|flight| flight.token == Some(key) && now < flight.deadline) {
            return;
        }
        if self
            .wanted_again_at
            .get(&key)
            .is_none_or(|at| now >= at + cooldown_ms)
        {
            self.wanted_again_at.insert(key, now);
            *self.demands.entry(key).or_default() += 1;
        }
    }

    /// The lease that the client must be serving.
    pub(crate) fn served(&self, key: Key, now: u64) -> Option<&Lease> {
        let held = self.held.get(&key)?;
        (!held.suspect && now < held.lease.serve_until_ms()).then_some(&held.lease)
    }

    pub(crate) fn answered(&mut self, key: Key, state: &State, now: u64) -> Verdict {
        if key.1.is_some() && !matches!(state, State::Failed { .. }) {
            self.kept.insert(key);
        }
        match (state, self.served(key, now)) {
            (State::Ready(lease), served) => {
                in_time(lease, now)?;
                match served {
                    Some(served) if served.id() == lease.id() => Ok(()),
                    _ => Promise::RightToken.broken(format!(
                        "{key:?}: a token was handed out that was never announced"
                    )),
                }
            }
            (_, Some(lease)) => Promise::LeaseKept.broken(format!(
                "{key:?}: a valid lease {} was lost: the client answered {state:?}",
                lease.id()
            )),
            _ => Ok(()),
        }
    }

    pub(crate) fn rejected(
        &mut self,
        key: Key,
        id: LeaseId,
        answer: &Rejection,
        now: u64,
    ) -> Verdict {
        match answer {
            Rejection::Retry(lease) if lease.id() == id => {
                Promise::NoStorm.broken(format!("{key:?}: a rejected token is to be sent again"))
            }
            Rejection::Retry(lease) => {
                let once = self.last.get(&key).is_some_and(|last| last.once);
                if once { Ok(()) } else { in_time(lease, now) }
            }
            Rejection::Wait => match self.held.get_mut(&key) {
                Some(held) if held.lease.id() == id => {
                    held.suspect = true;
                    Ok(())
                }
                Some(held) if !held.suspect && now < held.lease.serve_until_ms() => {
                    Promise::LeaseKept.broken(format!(
                        "{key:?}: a rejection of another lease put {} in doubt",
                        held.lease.id()
                    ))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// It may be put in doubt now, and a refused lease is reason enough for a request.
    pub(crate) fn reported(&mut self, key: Key, id: LeaseId) {
        if let Some(held) = self.held.get_mut(&key).filter(|held| held.lease.id() == id) {
            held.reported = true;
            *self.demands.entry(key).or_default() += 1;
        }
    }

    /// A rejection was acted on.
    pub(crate) fn acted(
        &mut self,
        target: usize,
        action: &str,
        now: u64,
        config: &Config,
    ) -> Verdict {
        if action != "refresh" {
            return Ok(());
        }
        match self.acted_at.insert(target, now) {
            Some(before) if now < before + config.schedule.rejection_cooldown_ms => {
                Promise::NoStorm.broken(format!(
                    "t{target}: two rejections were acted on within {} ms",
                    now - before
                ))
            }
            _ => Ok(()),
        }
    }

    pub(crate) fn announced(
        &mut self,
        key: Key,
        state: &LeaseState,
        now: u64,
        config: &Config,
    ) -> Verdict {
        match state {
            LeaseState::Ready(lease) => {
                in_time(lease, now)?;
                if lease.ask_at_ms() > lease.serve_until_ms()
                    || lease.serve_until_ms() > lease.expires_at_ms()
                {
                    return Promise::LeaseInTime
                        .broken(format!("{key:?}: the times of {lease:?} are out of order"));
                }
                // The answer may have been slow, and the token half gone when it came.
                let half = (lease.expires_at_ms() - now) / 2;
                let rest = config
                    .schedule
                    .refresh_floor_ms
                    .min(half)
                    .min(lease.serve_until_ms() - now);
                self.rest(key, rest);
                self.held.insert(
                    key,
                    Held {
                        lease: lease.clone(),
                        suspect: false,
                        reported: false,
                        ended: false,
                    },
                );
                Ok(())
            }
            LeaseState::Once(_) => {
                // A suspect lease gives way; one that is still good stays in use.
                self.held
                    .retain(|held, lease| *held != key || !lease.suspect);
                Ok(())
            }
            LeaseState::Cleared => self.cleared(key, now, config),
            LeaseState::Failed { .. } => match self.held.get(&key) {
                Some(held) if now < held.lease.serve_until_ms() => {
                    let kind = if held.suspect { "suspect" } else { "valid" };
                    Promise::LeaseKept.broken(format!(
                        "{key:?}: a {kind} lease {} was lost to a failure",
                        held.lease.id()
                    ))
                }
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// How long none is asked for after a token that can be kept.
    fn rest(&mut self, key: Key, rest: u64) {
        if self.received.take_if(|received| *received == key).is_some()
            && let Some(last) = self.last.get_mut(&key)
        {
            (last.rest, last.once) = (Some(rest), false);
        }
    }

    /// The client has nothing more to say about what it was told.
    pub(crate) fn settled(&mut self, config: &Config) -> Verdict {
        // A token came that nobody waited for and that cannot be kept: a suspect lease gives way to it as well.
        if let Some(key) = self.received.take() {
            self.held
                .retain(|held, lease| *held != key || !lease.suspect);
        }
        self.held
            .values_mut()
            .for_each(|held| held.reported = false);
        if self.kept.len() > MOST_USERS * config.limits.subjects {
            return Promise::NoStorm.broken(format!("{} users are kept", self.kept.len()));
        }
        Ok(())
    }

    fn cleared(&mut self, key: Key, now: u64, config: &Config) -> Verdict {
        self.kept.remove(&key);
        // What was in use and came to its end is to be had again.
        *self.demands.entry(key).or_default() += 1;
        let mut held = self.held.remove(&key);
        if let Some(held) = &mut held {
            held.suspect |= held.reported;
        }
        if key.1.is_some()
            && self.users.len() > config.limits.subjects
            && !held.as_ref().is_some_and(|held| held.suspect)
        {
            // Another user's token took its place; what was under way for it is nobody's.
            for flight in self.flights.values_mut() {
                flight.token.take_if(|token| *token == key);
            }
            self.last.remove(&key);
            return Ok(());
        }
        match held {
            Some(held) if held.suspect && now < held.lease.serve_until_ms() => {
                self.held.insert(key, held);
                Ok(())
            }
            Some(held) if now < held.lease.serve_until_ms() => Promise::LeaseKept.broken(format!(
                "{key:?}: the valid lease {} was cleared",
                held.lease.id()
            )),
            _ => Ok(()),
        }
    }

    /// How many users' tokens there are.
    pub(crate) fn users(&self) -> usize {
        self.users.len()
    }

    /// Whether this token was not seen before.
    pub(crate) fn is_new(&mut self, id: LeaseId) -> bool {
        self.known.insert(id)
    }

    pub(crate) fn awaits(&self, id: TaskId) -> bool {
        self.flights.contains_key(&id)
    }

    pub(crate) fn idle_wake(&mut self, now: u64, tokens: usize) -> Verdict {
        within(
            &mut self.idle_wakes,
            now,
            IDLE_WAKES_PER_SECOND * tokens,
            "wakes for nothing",
        )
    }
}

fn in_time(lease: &Lease, now: u64) -> Verdict {
    if now < lease.serve_until_ms() {
        return Ok(());
    }
    Promise::LeaseInTime.broken(format!(
        "the lease {} was handed out {} ms late",
        lease.id(),
        now - lease.serve_until_ms()
    ))
}

fn within(times: &mut VecDeque<u64>, now: u64, most: usize, what: &str) -> Verdict {
    times.push_back(now);
    while times.front().is_some_and(|at| at + 1_000 <= now) {
        times.pop_front();
    }
    if times.len() > most {
        Promise::NoStorm.broken(format!("{} {what} within a second", times.len()))
    } else {
        Ok(())
    }
}
