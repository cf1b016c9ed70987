//! Tokens that live one second, and 32 busy threads for a minute: how many tokens are asked for, how many
//! callers have to wait, and whether any call fails.
//!
//! `cargo bench -p svcauth --bench load -- 60`

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};
use svcauth::{Client, Config};
use svcauth_lab::{Lab, LabConfig};

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
    let document = format!(
        r#"{{ "issuer": "{}", "proxy": "none",
              "client": {{ "credentials": [{{ "client_id": "bss", "client_secret": {{ "value": "a-secret" }} }}] }},
              "targets": {{ "smd": {{ "urls": ["{}/hsm/v2"], "scopes": ["read"] }} }} }}"#,
        lab.issuer_url(),
        lab.smd_url(),
    );
    let client = Client::new(Config::from_json(document.as_bytes()).expect("a configuration"))
        .expect("a client");
    let smd = client.target("smd").expect("a target");
    smd.lease().expect("a token");
    let waited = client.stats().waited;
    let (leases, failures) = (AtomicU64::new(0), AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(seconds);
    thread::scope(|scope| {
        for _ in 0..32 {
            scope.spawn(|| {
                while Instant::now() < until {
                    for _ in 0..1000 {
                        let failed = smd.lease().is_err();
                        failures.fetch_add(u64::from(failed), Relaxed);
                    }
                    leases.fetch_add(1000, Relaxed);
                    thread::yield_now();
                }
            });
        }
    });
    let asked = lab.stats().token_requests();
    println!(
        "{} leases in {seconds} s on 32 threads",
        leases.load(Relaxed)
    );
    println!(
        "token requests a second: {:.2}, goal <= 1.5",
        asked as f64 / seconds as f64
    );
    println!(
        "callers that waited after the first token: {}, goal 0",
        client.stats().waited - waited
    );
    println!("failures: {}, goal 0", failures.load(Relaxed));
}
