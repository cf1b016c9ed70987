//! How much memory a client takes, and that it stays so.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};
use svcauth_core::{
    Client, Config, Now,
    client::{Capabilities, Outcome, Output, Subject, TaskKind},
    wire::Response,
};

/// The system's allocator, counting the bytes that are in use.
struct Counting;

static IN_USE: AtomicUsize = AtomicUsize::new(0);

// SAFETY: everything is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        IN_USE.fetch_add(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        IN_USE.fetch_sub(layout.size(), Relaxed);
        // SAFETY: the caller's promise is passed on.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const WALL: u64 = 1_795_400_000_000;

fn at(mono_ms: u64) -> Now {
    Now {
        mono_ms,
        wall_ms: WALL + mono_ms,
    }
}

fn client(targets: usize) -> Client {
    let targets: Vec<String> = (0..targets)
        .map(|n| {
            format!(
                r#""t{n}": {{ "urls": ["https://t{n}.example/api/v{n}"], "scopes": ["read", "write"] }}"#
            )
        })
        .collect();
    let document = format!(
        r#"{{
            "endpoints": {{ "token": "https://hydra.example/oauth2/token" }},
            "client": {{ "credentials": [
                {{ "client_id": "bss", "client_secret": {{ "value": "one" }} }},
                {{ "client_id": "bss", "client_secret": {{ "value": "two" }} }}
            ] }},
            "targets": {{ {} }}
        }}"#,
        targets.join(",")
    );
    let config = Config::from_json(document.as_bytes()).unwrap();
    Client::new(config, Capabilities::none(), 1, at(0)).unwrap()
}

/// Answers every task at once; how many tokens were given, and when there is something to do again.
fn serve(client: &mut Client, now: Now, serial: &mut u64) -> u64 {
    loop {
        match client.poll(now) {
            Output::Task(task) => {
                assert!(matches!(task.kind, TaskKind::Send { .. }));
                *serial += 1;
                // As long as a JWT of Hydra, and another one each time.
                let body = format!(
                    r#"{{"access_token":"{:0>1000}","expires_in":60,"scope":"read write","token_type":"bearer"}}"#,
                    *serial
                );
                let response = Response {
                    status: 200,
                    headers: vec![("Content-Type".into(), "application/json".into())],
                    body: body.into(),
                };
                client.complete(task.id, Outcome::Response(response), now);
            }
            Output::Idle { until } => return until.expect("tokens are kept fresh"),
            _ => {}
        }
    }
}

/// One test, so that no other one allocates meanwhile.
#[test]
fn a_client_with_100_targets_takes_less_than_1_mib_and_does_not_grow_over_a_million_refreshes() {
    let refreshes = std::env::var("SVCAUTH_REFRESHES")
        .map_or(1_000_000, |count| count.parse::<u64>().expect("a number"));
    let before = IN_USE.load(Relaxed);
    let mut client = client(100);
    let mut serial = 0;
    for target in client.targets().collect::<Vec<_>>() {
        client.token(target, Subject::Service, at(0));
    }
    let mut until = serve(&mut client, at(0), &mut serial);
    assert_eq!(serial, 100, "one token for each target");

    let settle = |client: &mut Client, until: &mut u64, serial: &mut u64, count: u64| {
        while *serial < count {
            *until = serve(client, at(*until), serial);
        }
        IN_USE.load(Relaxed) - before
    };
    let early = settle(&mut client, &mut until, &mut serial, 2_000);
    let late = settle(&mut client, &mut until, &mut serial, refreshes);
    println!("100 targets: {early} bytes in use after 2,000 tokens, {late} after {serial}");
    assert!(early < 1024 * 1024, "{early} bytes");
    // One predecessor more or less at the moment of counting.
    assert!(late < early + 150_000, "{early} bytes grew to {late}");

    drop(client);
    let left = IN_USE.load(Relaxed).saturating_sub(before);
    assert!(left < 4_096, "{left} bytes are left");
}
