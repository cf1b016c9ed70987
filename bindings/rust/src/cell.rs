//! The place of one token: what callers read without a lock, and those who wait for it.

use crate::{
    lease::Lease,
    sync::{left, lock, wait_for},
};
use arc_swap::ArcSwap;
use std::{
    sync::{Arc, Condvar, Mutex},
    time::Instant,
};
use svcauth_core::Error;

/// A lease and until when it is handed out without asking the core.
///
/// An empty cell holds one without lease whose time has passed, so that the way to a fresh one has a single
/// branch.
pub(crate) struct Held {
    pub(crate) ask_at: Instant,
    pub(crate) lease: Option<svcauth_core::client::Lease>,
}

/// What those who wait are told.
#[derive(Clone)]
pub(crate) enum Answer {
    Lease(Arc<Held>),
    Failed(Error),
    /// Ask the core again.
    Again,
    Closed,
}

pub(crate) struct Cell {
    held: ArcSwap<Held>,
    empty: Arc<Held>,
    waiters: Mutex<Vec<Arc<Waiter>>>,
}

#[derive(Default)]
pub(crate) struct Waiter {
    answer: Mutex<Option<Answer>>,
    woken: Condvar,
}

impl Default for Cell {
    fn default() -> Cell {
        let empty = Arc::new(Held {
            ask_at: Instant::now(),
            lease: None,
        });
        Cell {
            held: ArcSwap::new(Arc::clone(&empty)),
            empty,
            waiters: Mutex::default(),
        }
    }
}

impl Cell {
    /// The lease, if it can be handed out now.
    #[inline]
    pub(crate) fn fresh(&self) -> Option<Lease> {
        Lease::borrow(self.held.load(), |held| Instant::now() < held.ask_at)
    }

    /// The lease, whether or not it can be handed out.
    pub(crate) fn lease(&self) -> Option<svcauth_core::client::Lease> {
        self.held.load().lease.clone()
    }

    pub(crate) fn set(&self, held: Option<Arc<Held>>) {
        self.held
            .store(held.unwrap_or_else(|| Arc::clone(&self.empty)));
    }

    /// Puts a waiter on the list. Whoever holds the core while it asks misses no answer.
    pub(crate) fn enlist(&self) -> Arc<Waiter> {
        let waiter = Arc::new(Waiter::default());
        lock(&self.waiters).push(Arc::clone(&waiter));
        waiter
    }

    /// Takes a waiter off the list who gives up; the answer, if it came after all.
    pub(crate) fn dismiss(&self, waiter: &Arc<Waiter>) -> Option<Answer> {
        lock(&self.waiters).retain(|other| !Arc::ptr_eq(other, waiter));
        lock(&waiter.answer).take()
    }

    /// Gives the answer to all who wait now; whether anybody did.
    pub(crate) fn wake(&self, answer: &Answer) -> bool {
        let waiters = std::mem::take(&mut *lock(&self.waiters));
        for waiter in &waiters {
            *lock(&waiter.answer) = Some(answer.clone());
            waiter.woken.notify_one();
        }
        !waiters.is_empty()
    }
}

impl Waiter {
    /// Waits for the answer, until `deadline` at the most.
    pub(crate) fn wait(&self, deadline: Instant) -> Option<Answer> {
        let mut answer = lock(&self.answer);
        loop {
            if let Some(answer) = answer.take() {
                return Some(answer);
            }
            answer = wait_for(&self.woken, answer, left(deadline)?);
        }
    }
}
