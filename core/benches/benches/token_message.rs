//! Times a token request and its answer, all contenders in turn, and compares the medians.

use std::{hint::black_box, time::Instant};
use svcauth_bench::CONTENDERS;

/// Each contender does its work this many times in a row.
const BATCH: u32 = 2_000;

/// So often it is each contender's turn; a median of many short turns is little moved by a busy machine.
const TURNS: usize = 101;

fn main() {
    let works = CONTENDERS.map(|(_, make)| make());
    let mut times = CONTENDERS.map(|_| Vec::with_capacity(TURNS));
    for _ in 0..TURNS {
        for (work, times) in works.iter().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..BATCH {
                black_box(work());
            }
            times.push(start.elapsed() / BATCH);
        }
    }
    let medians = times.map(|mut times| {
        times.sort_unstable();
        times[TURNS / 2]
    });
    let ours = medians[0].as_secs_f64();
    println!("a token request built and its answer of 1.2 kB parsed, medians of {TURNS} turns:");
    for ((name, _), median) in CONTENDERS.iter().zip(medians) {
        let ratio = ours / median.as_secs_f64();
        let nanoseconds = median.as_nanos();
        println!("  {name:<18} {nanoseconds:>6} ns   svcauth takes {ratio:.2} of it");
    }
}
