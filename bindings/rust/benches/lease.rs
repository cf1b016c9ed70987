//! What a lease costs while it is fresh, against the least that could be done: an ArcSwap load and a look
//! at the clock. The variants take turns, so that a noisy machine is noisy for all; compared are medians.
//!
//! `cargo bench -p svcauth --bench lease`

use arc_swap::ArcSwapOption;
use std::{
    alloc::{GlobalAlloc, Layout, System},
    hint::black_box,
    sync::{
        Arc, Barrier,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use svcauth::{Client, Config};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const ROUNDS: usize = 301;
const TURNS: u32 = 10_000;

struct Kept {
    until: Instant,
    text: String,
}

fn main() {
    let client = client(&["bmc", "cloud-init", "power", "smd"].map(String::from));
    let large = self::client(&(0..100).map(|n| format!("service-{n}")).collect::<Vec<_>>());
    let smd = client.target("smd").expect("a target");
    let kept = Kept {
        until: Instant::now() + Duration::from_secs(3600),
        text: "token".into(),
    };
    let swap = ArcSwapOption::from(Some(Arc::new(kept)));

    let least = || {
        let guard = swap.load();
        let kept = guard
            .as_ref()
            .filter(|kept| Instant::now() < kept.until)
            .expect("fresh");
        black_box(kept.text.as_str().len());
    };
    let by_target = || {
        black_box(smd.lease().expect("fresh").value().len());
    };
    let by_name = || {
        black_box(client.lease(black_box("smd")).expect("fresh").value().len());
    };
    let by_name_of_many = || {
        black_box(
            large
                .lease(black_box("service-42"))
                .expect("fresh")
                .value()
                .len(),
        );
    };

    let times = compare(&[&least, &by_target, &by_name, &by_name_of_many]);
    println!("{:<34}{:>8.1} ns", "ArcSwap load and clock", times[0]);
    for (name, time, goal) in [
        ("target.lease()", times[1], 1.1),
        ("client.lease(name), 4 targets", times[2], 1.5),
        ("client.lease(name), 100 targets", times[3], 1.5),
    ] {
        let ratio = time / times[0];
        println!("{name:<34}{time:>8.1} ns   {ratio:>5.2} x, goal <= {goal}");
    }

    let before = ALLOCATIONS.load(Relaxed);
    for _ in 0..1000 {
        by_target();
        by_name();
    }
    println!(
        "{:<34}{:>8}",
        "allocations in 2000 leases",
        ALLOCATIONS.load(Relaxed) - before
    );

    let (one, two) = side_by_side(&by_target);
    println!("{:<34}{:>8.1} ns", "target.lease(), one thread", one);
    println!(
        "{:<34}{two:>8.1} ns   {:>5.2} x, goal <= 1 on two free cores",
        "target.lease(), each of two",
        two / one
    );
}

fn client(names: &[String]) -> Client {
    let targets: Vec<String> = names
        .iter()
        .map(|name| format!(r#""{name}": {{ "urls": ["http://127.0.0.1:1/{name}"] }}"#))
        .collect();
    let document = format!(
        r#"{{ "client": {{ "static_token": {{ "value": "token" }} }}, "targets": {{ {} }} }}"#,
        targets.join(",")
    );
    let client = Client::new(Config::from_json(document.as_bytes()).expect("a configuration"))
        .expect("a client");
    client.ready(Duration::from_secs(5)).expect("static tokens");
    client
}

/// Nanoseconds a turn of each, as medians over rounds in which they follow each other.
fn compare(variants: &[&dyn Fn()]) -> Vec<f64> {
    let mut times = vec![Vec::with_capacity(ROUNDS); variants.len()];
    for round in 0..ROUNDS {
        for step in 0..variants.len() {
            let variant = (round + step) % variants.len();
            times[variant].push(time(variants[variant]));
        }
    }
    times.into_iter().map(median).collect()
}

/// The same on one thread and on two at once.
fn side_by_side(variant: &(impl Fn() + Sync)) -> (f64, f64) {
    let (mut one, mut two) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        one.push(time(variant));
        let barrier = Barrier::new(2);
        thread::scope(|scope| {
            let other = scope.spawn(|| {
                barrier.wait();
                time(variant)
            });
            barrier.wait();
            two.push(time(variant));
            two.push(other.join().expect("no panic"));
        });
    }
    (median(one), median(two))
}

fn time(variant: impl Fn()) -> f64 {
    let started = Instant::now();
    for _ in 0..TURNS {
        variant();
    }
    started.elapsed().as_nanos() as f64 / f64::from(TURNS)
}

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
