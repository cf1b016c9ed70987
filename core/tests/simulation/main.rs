//! The client among servers, receivers, callers, operators and clocks that all misbehave, in virtual time.
//!
//! Each seed is a run of its own; README.md says what is checked. Environment variables:
//! `SVCAUTH_SEEDS` how many seeds are run, `SVCAUTH_FIRST_SEED` the first of them, `SVCAUTH_SEED` one alone.

mod chaos;
mod clock;
mod form;
mod host;
mod network;
mod odd;
mod random;
mod receiver;
mod server;
mod setup;
mod store;
mod traffic;
mod urls;
mod watch;
mod world;

use std::{
    collections::BTreeMap,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};
use world::{Failure, Report, run};

/// Seeds that found something once.
const FOUND: [u64; 0] = [];

/// Failing seeds that are reported in full.
const REPORTED: usize = 3;

#[test]
fn no_seed_breaks_a_promise() {
    if let Some(seed) = number("SVCAUTH_SEED") {
        match run(seed, true) {
            Ok(report) => println!("seed {seed}: {} steps, nothing wrong", report.steps),
            Err(failure) => panic!("{failure}"),
        }
        return;
    }
    let first = number("SVCAUTH_FIRST_SEED").unwrap_or(0);
    let count = number("SVCAUTH_SEEDS").unwrap_or(20_000);
    let seeds: Vec<u64> = FOUND.into_iter().chain(first..first + count).collect();
    let (reports, failed) = run_all(&seeds);
    println!("{} seeds, {} steps", seeds.len(), reports.steps);
    for (what, times) in &reports.seen {
        println!("    {times:>10} {what}");
    }
    for failure in failed.iter().take(REPORTED) {
        println!("{failure}\n");
    }
    for failure in &failed {
        println!("{} {}", failure.seed, failure.what);
    }
    let numbers: Vec<u64> = failed.iter().map(|failure| failure.seed).take(20).collect();
    assert!(
        failed.is_empty(),
        "{} of {} seeds failed: {numbers:?}",
        failed.len(),
        seeds.len()
    );
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Runs the seeds on all cores; what was seen in sum, and the failures in the order of their seeds.
fn run_all(seeds: &[u64]) -> (Report, Vec<Failure>) {
    let next = AtomicU64::new(0);
    let sum = Mutex::new((
        Report {
            steps: 0,
            seen: BTreeMap::new(),
        },
        Vec::new(),
    ));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let result = guarded(*seed, false);
                    let mut sum = sum.lock().unwrap();
                    match result {
                        Ok(report) => {
                            sum.0.steps += report.steps;
                            for (what, times) in report.seen {
                                *sum.0.seen.entry(what).or_default() += times;
                            }
                        }
                        Err(failure) => sum.1.push(failure),
                    }
                }
            });
        }
    });
    let (report, mut failures) = sum.into_inner().unwrap();
    failures.sort_by_key(|failure| failure.seed);
    // The story is told only where it is read: it costs time.
    for failure in failures.iter_mut().take(REPORTED) {
        if let Err(told) = guarded(failure.seed, true) {
            *failure = told;
        }
    }
    (report, failures)
}

/// A panic counts as a failure of its seed.
fn guarded(seed: u64, tell: bool) -> Result<Report, Failure> {
    catch_unwind(AssertUnwindSafe(|| run(seed, tell))).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what
            .or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        Err(Failure {
            seed,
            what: format!("panic: {what}"),
            steps: 0,
            story: vec![],
        })
    })
}
