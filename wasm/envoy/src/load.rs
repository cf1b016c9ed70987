//! Many callers at once.

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crate::http::{Connection, Request};

/// Callers that ask one after the other, each on a connection that is kept, until the load ends.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    so_far: Arc<Mutex<Tally>>,
    threads: Vec<JoinHandle<()>>,
}

/// What the callers saw.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    /// Answers by status.
    pub statuses: BTreeMap<u16, u64>,
    /// Requests whose connection broke before the answer was whole.
    pub broken: u64,
    /// Why the last of them broke.
    pub reason: Option<String>,
    /// The longest wait for an answer.
    pub slowest: Duration,
}

impl Load {
    /// Starts `callers` that send the request again as soon as it is answered, or at the `pace` given.
    pub fn start(
        to: SocketAddr,
        request: &Request,
        callers: usize,
        pace: Option<Duration>,
    ) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let answered = Arc::new(AtomicU64::new(0));
        let so_far = Arc::new(Mutex::new(Tally::default()));
        let threads = (0..callers)
            .map(|_| {
                let caller = Caller {
                    to,
                    request: request.clone(),
                    pace,
                    stop: Arc::clone(&stop),
                    answered: Arc::clone(&answered),
                    so_far: Arc::clone(&so_far),
                };
                thread::Builder::new()
                    .stack_size(128 << 10)
                    .spawn(move || caller.call())
            })
            .map(|thread| thread.unwrap_or_else(|error| panic!("no thread for a caller: {error}")))
            .collect();
        Load {
            stop,
            answered,
            so_far,
            threads,
        }
    }

    /// How many requests have ended, well or not.
    pub fn calls(&self) -> u64 {
        self.answered.load(Ordering::Relaxed)
    }

    /// What was seen until now.
    pub fn so_far(&self) -> Tally {
        lock(&self.so_far).clone()
    }

    /// Waits until `calls` more requests have ended. A slow machine takes its time over them.
    ///
    /// # Panics
    /// When none ends for [`PATIENCE`](crate::PATIENCE).
    pub fn more(&self, calls: u64) {
        let goal = self.calls() + calls;
        while self.calls() < goal {
            let before = self.calls();
            crate::until("another request was answered", || self.calls() > before);
        }
    }

    /// Waits until every caller has its answer, and ends.
    pub fn end(mut self) -> Tally {
        self.finish();
        self.so_far()
    }

    fn finish(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A caller's panic is told on standard error, and its requests are missing.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

impl Tally {
    /// All requests that have ended.
    pub fn calls(&self) -> u64 {
        self.broken + self.statuses.values().sum::<u64>()
    }

    /// The answers with this status.
    pub fn of(&self, status: u16) -> u64 {
        self.statuses.get(&status).copied().unwrap_or_default()
    }

    /// The requests that did not get a 2xx.
    pub fn failed(&self) -> u64 {
        let good: u64 = self.statuses.range(200..300).map(|(_, count)| count).sum();
        self.calls() - good
    }
}

struct Caller {
    to: SocketAddr,
    request: Request,
    pace: Option<Duration>,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU64>,
    so_far: Arc<Mutex<Tally>>,
}

impl Caller {
    fn call(&self) {
        let mut connection = None;
        while !self.stop.load(Ordering::Relaxed) {
            let started = Instant::now();
            let answer = match connection.take() {
                Some(kept) => Ok(kept),
                None => Connection::open(self.to),
            }
            .and_then(|mut opened| {
                let answer = opened.send(&self.request)?;
                if !opened.ends() {
                    connection = Some(opened);
                }
                Ok(answer.status)
            });
            let took = started.elapsed();
            {
                let mut tally = lock(&self.so_far);
                tally.slowest = tally.slowest.max(took);
                match &answer {
                    Ok(status) => *tally.statuses.entry(*status).or_default() += 1,
                    Err(error) => {
                        tally.broken += 1;
                        tally.reason = Some(error.to_string());
                    }
                }
            }
            self.answered.fetch_add(1, Ordering::Relaxed);
            if let Some(rest) = self.pace.and_then(|pace| pace.checked_sub(took)) {
                thread::sleep(rest);
            }
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> std::sync::MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}
