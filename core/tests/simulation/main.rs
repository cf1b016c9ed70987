//! The client among servers, receivers, callers, operators and clocks that all misbehave, in virtual time.
//!
//! Each seed is a run of its own; README.md says what is checked. Environment variables:
//! `SVCAUTH_SEEDS` how many seeds are run, `SVCAUTH_FIRST_SEED` the first of them, `SVCAUTH_SEED` one alone,
//! `SVCAUTH_STORY` how many lines a failing seed tells, `SVCAUTH_UNTIL` a promise at whose first violation to stop.

mod chaos;
mod clock;
mod form;
mod host;
mod network;
mod odd;
mod promise;
mod random;
mod receiver;
mod server;
mod setup;
mod store;
mod traffic;
mod urls;
mod watch;
mod world;

use promise::{Broken, Promise};
use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use world::{Failure, Report, run};

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
    let until = std::env::var("SVCAUTH_UNTIL").ok();
    let (ran, reports, failed) = run_all(first, count, until.as_deref());
    println!("{ran} seeds, {} steps", reports.steps);
    for (what, times) in &reports.seen {
        println!("    {times:>10} {what}");
    }
    for failure in failed.iter().take(REPORTED) {
        println!("{failure}\n");
    }
    for Failure { seed, broken, .. } in &failed {
        println!("seed {seed} broke {}: {}", broken.promise, broken.what);
    }
    let numbers: Vec<u64> = failed.iter().map(|failure| failure.seed).take(20).collect();
    assert!(
        failed.is_empty(),
        "{} of {ran} seeds failed: {numbers:?}",
        failed.len()
    );
}

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok()?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name}={text} is no number")),
    )
}

/// Runs the seeds on all cores, all of them or up to the first that breaks the promise `until`: how many ran,
/// what was seen in sum, and the failures in the order of their seeds.
fn run_all(first: u64, count: u64, until: Option<&str>) -> (usize, Report, Vec<Failure>) {
    let next = AtomicUsize::new(0);
    let end = AtomicUsize::new(count as usize);
    let sum = Mutex::new((Report::default(), Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(2, usize::from) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    if index >= end.load(Ordering::Relaxed) {
                        break;
                    }
                    let result = guarded(first + index as u64, false);
                    if let (Err(failure), Some(until)) = (&result, until)
                        && failure.broken.promise.to_string() == until
                    {
                        end.fetch_min(index + 1, Ordering::Relaxed);
                    }
                    let mut sum = sum.lock().unwrap();
                    match result {
                        Ok(report) => sum.0.add(report),
                        Err(failure) => sum.1.push(failure),
                    }
                }
            });
        }
    });
    let (report, mut failures) = sum.into_inner().unwrap();
    let ran = end.into_inner();
    failures.retain(|failure| failure.seed < first + ran as u64);
    failures.sort_by_key(|failure| failure.seed);
    // The story is told only where it is read: it costs time.
    for failure in failures.iter_mut().take(REPORTED) {
        if let Err(told) = guarded(failure.seed, true) {
            *failure = told;
        }
    }
    (ran, report, failures)
}

impl Report {
    fn add(&mut self, other: Report) {
        self.steps += other.steps;
        for (what, times) in other.seen {
            *self.seen.entry(what).or_default() += times;
        }
    }
}

/// A panic counts as a failure of its seed.
fn guarded(seed: u64, tell: bool) -> Result<Report, Failure> {
    catch_unwind(AssertUnwindSafe(|| run(seed, tell))).unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<String>().cloned();
        let what = what
            .or(panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
            .unwrap_or_default();
        let broken = Broken {
            promise: Promise::NoPanic,
            what,
        };
        Err(Failure {
            seed,
            broken,
            steps: 0,
            story: vec![],
        })
    })
}
