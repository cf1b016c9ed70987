//! What the filter costs, against Envoy's own credential_injector in the same run.
//!
//! wrk drives each Envoy in turn, 16 connections against one worker with an upstream hop; what counts is the CPU time
//! that the Envoy used for a request, as the kernel tells it. Rounds are short and alternate, and the middle one
//! counts, so that other work on the machine weighs on all alike. SVCAUTH_ROUNDS and SVCAUTH_ROUND_S change how many
//! there are and how long.

use std::{
    env,
    net::SocketAddr,
    process::{Command, ExitCode},
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use svcauth_envoy::{Bootstrap, Envoy, Request, Settings, Svcauth, injector};
use svcauth_lab::{Lab, LabConfig, Service};

const SECRET: &str = "a-secret";
const PATH: &str = "/hsm/v2/State/Components/x0c0s0b0n0";

struct Contender {
    name: &'static str,
    envoy: Envoy,
    /// CPU time of a request in microseconds, one a round.
    costs: Vec<f64>,
}

fn main() -> ExitCode {
    // `cargo test --all-targets` builds and runs benchmarks with this.
    if env::args().any(|argument| argument == "--test") {
        return ExitCode::SUCCESS;
    }
    if Command::new("wrk").arg("-v").output().is_err() {
        eprintln!("the benchmark needs wrk (Debian: apt-get install wrk)");
        return ExitCode::FAILURE;
    }
    let lab = lab();
    let answering =
        Envoy::start(&Settings::of(Bootstrap::new().answering("answering")).concurrency(1));
    let upstream = answering.address("answering");

    let rounds = number("SVCAUTH_ROUNDS", 7);
    let seconds = number("SVCAUTH_ROUND_S", 2);
    let mut contenders = contenders(&lab, upstream, 1);
    for contender in &mut contenders {
        contender.round(1);
    }
    for contender in &mut contenders {
        contender.costs.clear();
    }
    for _ in 0..rounds {
        for contender in &mut contenders {
            contender.round(seconds);
        }
    }
    println!(
        "CPU time of a request ({rounds} rounds of {seconds} s, 16 connections, 1 worker, upstream hop)"
    );
    let native = median(&contenders[1].costs);
    let mut held = true;
    for contender in &contenders {
        let cost = median(&contender.costs);
        let ratios: Vec<f64> = contender
            .costs
            .iter()
            .zip(&contenders[1].costs)
            .map(|(cost, native)| native / cost)
            .collect();
        let ratio = median(&ratios);
        let promise = promise(contender.name);
        held &= promise.is_none_or(|least| ratio >= least);
        println!(
            "  {:<28} {cost:6.1} µs  {ratio:.2} of native's throughput{}",
            contender.name,
            promise.map_or(String::new(), |least| format!(" (promised: {least:.2})"))
        );
    }
    println!("  native: {native:.1} µs");
    drop(contenders);

    println!("Memory with 8 workers, after load");
    let contenders = self::contenders(&lab, upstream, 8);
    let mut native = 0.0;
    for mut contender in contenders {
        contender.round(1);
        thread::sleep(Duration::from_secs(5));
        let memory = contender.envoy.memory().unwrap_or_default() as f64 / f64::from(1 << 20);
        if contender.name == NATIVE {
            native = memory;
        }
        let ratio = if native > 0.0 { memory / native } else { 0.0 };
        let promised = contender.name == PAIR;
        held &= !promised || ratio <= 1.7;
        println!(
            "  {:<28} {memory:6.1} MiB  {ratio:.2} of native's{}",
            contender.name,
            if promised {
                " (promised: at most 1.70)"
            } else {
                ""
            }
        );
    }
    if held {
        ExitCode::SUCCESS
    } else {
        eprintln!("a promise was not held");
        ExitCode::FAILURE
    }
}

const NATIVE: &str = "native credential_injector";
const ATTACH: &str = "svcauth, attach only";
const UPSTREAM: &str = "svcauth, attach upstream";
const PAIR: &str = "svcauth, with the retry pair";

fn promise(name: &str) -> Option<f64> {
    match name {
        ATTACH => Some(0.78),
        PAIR => Some(0.70),
        _ => None,
    }
}

fn lab() -> Lab {
    let lab = Lab::start(LabConfig {
        ttl: 3600,
        ..LabConfig::default()
    });
    for (id, method) in [
        ("bss", "client_secret_basic"),
        ("native", "client_secret_post"),
    ] {
        lab.create_client(json!({
            "client_id": id,
            "client_secret": SECRET,
            "scope": "read",
            "grant_types": ["client_credentials"],
            "token_endpoint_auth_method": method,
        }));
    }
    lab
}

fn contenders(lab: &Lab, upstream: SocketAddr, workers: u32) -> Vec<Contender> {
    let endpoint = format!("{}/oauth2/token", lab.issuer_url());
    let svcauth = Svcauth::new(json!({
        "endpoints": { "token": endpoint },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "env": "BSS_SECRET" } }] },
        "targets": { "smd": { "urls": [format!("http://{upstream}/hsm/v2")], "scopes": ["read"] } },
        "envoy": { "server_cluster": "issuer", "target": "smd" },
    }))
    .variable("BSS_SECRET");
    let native = injector("issuer", &endpoint, "native", "client-secret");
    let (retry, upstream_half) = svcauth.pair();
    let rows: [(&'static str, Vec<Value>, Vec<Value>); 5] = [
        ("no filter", vec![], vec![]),
        (NATIVE, vec![native], vec![]),
        (ATTACH, vec![svcauth.attach()], vec![]),
        (UPSTREAM, vec![], vec![svcauth.attach()]),
        (PAIR, vec![retry], vec![upstream_half]),
    ];
    rows.into_iter()
        .map(|(name, filters, upstream_filters)| {
            let bootstrap = Bootstrap::new()
                .cluster("issuer", lab.address(Service::Issuer))
                .cluster("smd", upstream)
                .secret("client-secret", SECRET)
                // As in examples/envoy.
                .member(
                    "memory_allocator_manager",
                    json!({ "bytes_to_release": 10 << 20, "memory_release_interval": "1s" }),
                )
                .listener("egress", "smd", &filters, &upstream_filters);
            let settings = Settings::of(bootstrap)
                .concurrency(workers)
                .log_level("error")
                .variable("BSS_SECRET", SECRET);
            let envoy = Envoy::start(&settings);
            svcauth_envoy::until("calls get through", || {
                let answer = Request::get(PATH).send(envoy.address("egress"));
                answer.is_ok_and(|answer| answer.status == 200)
            });
            Contender {
                name,
                envoy,
                costs: Vec::new(),
            }
        })
        .collect()
}

impl Contender {
    /// Drives it for so many seconds.
    fn round(&mut self, seconds: u64) {
        let url = format!("http://{}{PATH}", self.envoy.address("egress"));
        let before = self.envoy.cpu_time().unwrap_or_default();
        let output = Command::new("wrk")
            .args(["-t", "1", "-c", "16", "-d", &format!("{seconds}s"), &url])
            .output();
        let used = self.envoy.cpu_time().unwrap_or_default() - before;
        let Ok(output) = output else { return };
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            !text.contains("Non-2xx"),
            "{}: calls failed\n{text}",
            self.name
        );
        let requests: f64 = text
            .lines()
            .find_map(|line| line.trim().split_once(" requests in")?.0.parse().ok())
            .unwrap_or_else(|| panic!("wrk says no number of requests: {text}"));
        self.costs.push(used.as_secs_f64() * 1e6 / requests);
        thread::sleep(Duration::from_millis(50));
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

fn number(variable: &str, default: u64) -> u64 {
    env::var(variable)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(default)
}
