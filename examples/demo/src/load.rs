//! Nodes that boot all the time: some threads that ask BSS for boot scripts.

use crate::bss::outsider;
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

pub(crate) const THREADS: usize = 4;

pub(crate) struct Load {
    tally: Arc<Tally>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Tally {
    ended: AtomicBool,
    calls: AtomicU64,
    failed: AtomicU64,
    first_failure: Mutex<Option<String>>,
}

/// What became of the calls.
pub(crate) struct Outcome {
    pub(crate) calls: u64,
    pub(crate) failed: u64,
    first_failure: Option<String>,
}

impl Load {
    /// Threads that each call `url` about a hundred times a second, until the end.
    pub(crate) fn start(url: &str) -> Load {
        let tally = Arc::<Tally>::default();
        let thread = |_| {
            let (tally, url) = (Arc::clone(&tally), url.to_owned());
            thread::spawn(move || tally.run(&url))
        };
        let threads = (0..THREADS).map(thread).collect();
        Load { tally, threads }
    }

    pub(crate) fn calls(&self) -> u64 {
        self.tally.calls.load(Relaxed)
    }

    pub(crate) fn end(mut self) -> Outcome {
        self.tally.ended.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            // A thread that panicked has made fewer calls; those are missing in the figures.
            let _ = thread.join();
        }
        let first_failure = &self.tally.first_failure;
        Outcome {
            calls: self.calls(),
            failed: self.tally.failed.load(Relaxed),
            first_failure: first_failure
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.tally.ended.store(true, Relaxed);
    }
}

impl Tally {
    fn run(&self, url: &str) {
        let agent = outsider();
        while !self.ended.load(Relaxed) {
            let failure = match agent.get(url).call() {
                Ok(mut response) => {
                    let status = response.status().as_u16();
                    let body = response.body_mut().read_to_string().unwrap_or_default();
                    (status != 200).then(|| format!("{status} {body}"))
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(failure) = failure {
                self.failed.fetch_add(1, Relaxed);
                let mut first = self
                    .first_failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner);
                first.get_or_insert(failure);
            }
            self.calls.fetch_add(1, Relaxed);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Outcome {
    /// The figures in words.
    pub(crate) fn seen(&self) -> String {
        let why = self
            .first_failure
            .as_ref()
            .map(|why| format!(", the first with {why}"));
        let (calls, failed, why) = (self.calls, self.failed, why.unwrap_or_default());
        format!("{calls} boot scripts asked for, {failed} failed{why}")
    }
}
