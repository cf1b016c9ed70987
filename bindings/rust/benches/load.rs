//! Tokens that live one second, and 32 busy threads for a minute, each calling SMD and asking for leases all
//! the time: how many tokens are asked for, how many callers have to wait, and whether any call fails.
//!
//! `cargo bench -p svcauth --bench load -- 60`

use std::{
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};
use svcauth::{Client, Config};
use svcauth_lab::{Endpoint, Lab, LabConfig};

const THREADS: usize = 32;

/// Leases between two calls of a thread.
const LEASES: u64 = 1000;

fn main() {
    let seconds = std::env::args()
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(60);
    // The lab takes one second off what it says.
    let lab = Lab::start(LabConfig {
        ttl: 2,
        ..LabConfig::default()
    });
    lab.add_client("bss", "a-secret", "read");
    let client = client(&lab);
    let smd = client.target("smd").expect("a target");
    smd.lease().expect("a token");
    let url = format!("{}/hsm/v2/State/Components/x0c0s0b0n0", lab.smd_url());

    let waited = client.stats().waited;
    let (leases, failed_leases) = (AtomicU64::new(0), AtomicU64::new(0));
    let (calls, failed_calls) = (AtomicU64::new(0), AtomicU64::new(0));
    let first_failure = Mutex::new(None);
    let until = Instant::now() + Duration::from_secs(seconds);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                while Instant::now() < until {
                    if let Err(failure) = call(&client, &url) {
                        failed_calls.fetch_add(1, Relaxed);
                        let mut first = first_failure.lock().expect("no panic");
                        first.get_or_insert(failure);
                    }
                    calls.fetch_add(1, Relaxed);
                    for _ in 0..LEASES {
                        let failed = smd.lease().is_err();
                        failed_leases.fetch_add(u64::from(failed), Relaxed);
                    }
                    leases.fetch_add(LEASES, Relaxed);
                }
            });
        }
    });
    let waited = client.stats().waited - waited;
    let stats = lab.stats();
    let tokens = stats.token_requests();

    println!(
        "{} calls and {} leases in {seconds} s on {THREADS} threads",
        calls.load(Relaxed),
        leases.load(Relaxed)
    );
    println!(
        "token requests a second: {:.2}, goal <= 1.5",
        tokens as f64 / seconds as f64
    );
    println!("callers that waited after the first token: {waited}, goal 0");
    println!("failed leases: {}, goal 0", failed_leases.load(Relaxed));
    println!("failed calls: {}, goal 0", failed_calls.load(Relaxed));
    if let Some(failure) = first_failure.into_inner().expect("no panic") {
        println!("  the first with {failure}");
    }
    println!(
        "SMD's answers by status: {:?}",
        stats.endpoint(Endpoint::Smd).answers
    );
}

fn client(lab: &Lab) -> Client {
    let document = format!(
        r#"{{ "issuer": "{}", "proxy": "none",
              "client": {{ "credentials": [{{ "client_id": "bss", "client_secret": {{ "value": "a-secret" }} }}] }},
              "targets": {{ "smd": {{ "urls": ["{}/hsm/v2"], "scopes": ["read"] }} }} }}"#,
        lab.issuer_url(),
        lab.smd_url(),
    );
    // Each thread keeps its connection: a new one for each call would run out of ports.
    Client::builder()
        .agent(|settings| {
            settings
                .max_idle_connections(THREADS)
                .max_idle_connections_per_host(THREADS)
        })
        .build(Config::from_json(document.as_bytes()).expect("a configuration"))
        .expect("a client")
}

/// One call; why it failed, if it did. An answer other than 200 is a failure.
fn call(client: &Client, url: &str) -> Result<(), String> {
    let answer = client.agent().get(url).call();
    let mut response = answer.map_err(|error| error.to_string())?;
    let status = response.status();
    let body = response.body_mut().read_to_string();
    match body {
        Ok(body) if status == 200 && body.contains("x0c0s0b0n0") => Ok(()),
        Ok(body) => Err(format!("{status} {body}")),
        Err(error) => Err(error.to_string()),
    }
}
