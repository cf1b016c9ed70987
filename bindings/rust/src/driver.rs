//! The thread that wakes the core at the times it names. It lives while there is such a time.

use crate::{
    shared::Shared,
    sync::{lock, wait_for},
};
use std::{
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

#[derive(Default)]
pub(crate) struct Driver {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// On the client's monotonic clock.
    wake_at_ms: Option<u64>,
    running: bool,
    closed: bool,
}

impl Driver {
    /// Sets the time of the next turn; whether a thread has to be started for it.
    ///
    /// To be called while the core is held, so that an earlier turn does not overwrite a later one's time.
    #[must_use]
    pub(crate) fn set(&self, wake_at_ms: Option<u64>) -> bool {
        let mut state = lock(&self.state);
        let sooner = wake_at_ms.is_some_and(|at| state.wake_at_ms.is_none_or(|before| at < before));
        state.wake_at_ms = wake_at_ms;
        if sooner && state.running {
            self.changed.notify_one();
        }
        let start = wake_at_ms.is_some() && !state.running && !state.closed;
        state.running |= start;
        start
    }

    /// Starts the thread that [`Driver::set`] asked for.
    pub(crate) fn start(&self, shared: Arc<Shared>) {
        let spawned = thread::Builder::new()
            .name("svcauth-driver".into())
            .spawn(move || shared.driver.run(&shared));
        if spawned.is_err() {
            // The next turn tries again.
            lock(&self.state).running = false;
        }
    }

    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// Whether the thread is there.
    pub(crate) fn is_running(&self) -> bool {
        lock(&self.state).running
    }

    fn run(&self, shared: &Arc<Shared>) {
        const LEAST: Duration = Duration::from_millis(1);
        let mut state = lock(&self.state);
        while let (false, Some(wake_at)) = (state.closed, state.wake_at_ms) {
            let now = shared.mono_ms();
            if now < wake_at {
                state = wait_for(
                    &self.changed,
                    state,
                    Duration::from_millis(wake_at - now).max(LEAST),
                );
                continue;
            }
            drop(state);
            shared.turn(|_, _| {});
            state = lock(&self.state);
            if state.wake_at_ms == Some(wake_at) {
                state = wait_for(&self.changed, state, LEAST);
            }
        }
        state.running = false;
    }
}
