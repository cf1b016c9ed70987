//! A few threads for what blocks: requests, files, callbacks. Made on demand, gone when idle.

use crate::sync::{left, lock, wait_for};
use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex},
    thread,
    time::{Duration, Instant},
};

const MOST_THREADS: usize = 8;
const IDLE: Duration = Duration::from_secs(5);

pub(crate) type Job = Box<dyn FnOnce() + Send>;

#[derive(Default)]
pub(crate) struct Workers {
    state: Mutex<State>,
    ready: Condvar,
}

#[derive(Default)]
struct State {
    queue: VecDeque<Job>,
    threads: usize,
    idle: usize,
    closed: bool,
}

impl Workers {
    /// Runs the job on some thread. False where no thread can be made and none is there.
    pub(crate) fn submit(self: &Arc<Workers>, job: Job) -> bool {
        let mut state = lock(&self.state);
        state.queue.push_back(job);
        let wanted = state.queue.len() > state.idle && state.threads < MOST_THREADS;
        if wanted {
            state.threads += 1;
            drop(state);
            let workers = Arc::clone(self);
            let spawned = thread::Builder::new()
                .name("svcauth-worker".into())
                .spawn(move || workers.work());
            state = lock(&self.state);
            if spawned.is_err() {
                state.threads -= 1;
                if state.threads == 0 {
                    state.queue.pop_back();
                    return false;
                }
            }
        }
        drop(state);
        self.ready.notify_one();
        true
    }

    /// Lets idle threads end now; the others end with their job.
    pub(crate) fn close(&self) {
        lock(&self.state).closed = true;
        self.ready.notify_all();
    }

    /// How many threads there are.
    pub(crate) fn threads(&self) -> usize {
        lock(&self.state).threads
    }

    fn work(&self) {
        let mut state = lock(&self.state);
        loop {
            if let Some(job) = state.queue.pop_front() {
                drop(state);
                job();
                state = lock(&self.state);
                continue;
            }
            if state.closed {
                break;
            }
            let until = Instant::now() + IDLE;
            state.idle += 1;
            while let (true, false, Some(time)) =
                (state.queue.is_empty(), state.closed, left(until))
            {
                state = wait_for(&self.ready, state, time);
            }
            state.idle -= 1;
            // A job that came in the last moment is still taken.
            if state.queue.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn jobs_run_side_by_side_on_no_more_threads_than_allowed() {
        let workers = Arc::new(Workers::default());
        let (started, starts) = mpsc::channel();
        let gate = Arc::new((Mutex::new(false), Condvar::new()));
        for _ in 0..20 {
            let (started, gate) = (started.clone(), Arc::clone(&gate));
            workers.submit(Box::new(move || {
                started.send(()).unwrap();
                let mut open = lock(&gate.0);
                while !*open {
                    open = gate.1.wait(open).unwrap();
                }
            }));
        }
        for _ in 0..MOST_THREADS {
            starts.recv().unwrap();
        }
        assert_eq!(workers.threads(), MOST_THREADS);
        assert!(starts.try_recv().is_err());
        *lock(&gate.0) = true;
        gate.1.notify_all();
        for _ in MOST_THREADS..20 {
            starts.recv().unwrap();
        }
        workers.close();
    }
}
