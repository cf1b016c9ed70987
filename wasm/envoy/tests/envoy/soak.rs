//! Everything at once: clients that hang up, a slow and failing token server, new keys, Envoy's drains and its
//! configuration replaced. SVCAUTH_SOAK_S says for how long; `make envoy-soak` for ten minutes.

use std::{
    env,
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::json;
use svcauth_envoy::{Envoy, Load, until};
use svcauth_lab::{Endpoint, Fault};

use crate::{
    input::no_vm_has_failed,
    replaced::Files,
    stage::{SECRET, Stage, components, node},
};

/// Ends the clients that hang up.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn mixed_faults_lose_no_call_and_no_vm() {
    let seconds = env::var("SVCAUTH_SOAK_S").map_or(8, |text| text.parse().unwrap());
    let stage = Stage::patient(3);
    stage.lab.add_client("bss-next", SECRET, "read");
    let client = |id: &str| {
        let credentials = json!([{ "client_id": id, "client_secret": { "env": "BSS_SECRET" } }]);
        let patch = json!({
            "client": { "credentials": credentials },
            "schedule": { "rejection_cooldown_s": 0.1, "backoff_initial_s": 0.1, "backoff_max_s": 0.5 },
        });
        stage.svcauth(patch).pair()
    };
    let mut files = Files::new();
    files.write_pair(client("bss"));
    let mut drains = 0;
    let listener = |files: &Files, drains: u32| {
        let mut listener = files.listener("egress");
        listener["@type"] = json!("type.googleapis.com/envoy.config.listener.v3.Listener");
        listener["filter_chains"][0]["name"] = json!(format!("chain {drains}"));
        listener
    };
    let first = listener(&files, drains);
    files.write("listeners.json", &[first]);
    let bootstrap = files.listeners(stage.bootstrap(), "listeners.json");
    let mut envoy = Envoy::start(&stage.settings(bootstrap));
    until("the listener is there", || {
        envoy.admin("/listeners").text().contains("egress")
    });
    let egress = envoy.address("egress");

    let pace = Some(Duration::from_millis(25));
    let gets = Load::start(egress, &node(), 12, pace);
    let posts = Load::start(egress, &components(100), 4, pace);
    let stop = AtomicBool::new(false);
    let mut memory = Vec::new();
    thread::scope(|scope| {
        for delay in [0, 1, 7] {
            let stop = &stop;
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    // Envoy may be draining: there is nobody to lose then.
                    let _ = node().abandon(egress, Duration::from_millis(delay));
                    thread::sleep(Duration::from_millis(20));
                }
            });
        }
        // Also when something below does not hold.
        let _stop = Stop(&stop);
        let started = Instant::now();
        let mut round = 0;
        while started.elapsed().as_secs() < seconds {
            round += 1;
            let fault = match round % 5 {
                0 => Fault::hold(),
                1 => Fault::slow(400),
                2 => Fault::drop_connection(),
                3 => Fault::truncated().times(1),
                _ => Fault::slow(0),
            };
            stage.lab.faults().set(Endpoint::Token, fault);
            if round % 3 == 0 {
                files.write_pair(client(if round % 2 == 0 { "bss" } else { "bss-next" }));
            }
            if round % 10 == 4 {
                drains += 1;
                let next = listener(&files, drains);
                files.write("listeners.json", &[next]);
            }
            if round % 25 == 24 {
                // A token can be had, so no call may fail.
                stage.lab.faults().clear_all();
                gets.more(12);
                stage.new_key();
                gets.more(100);
            }
            thread::sleep(Duration::from_millis(400));
            if round % 25 == 0 {
                memory.push(envoy.memory().unwrap() >> 20);
            }
        }
        stage.lab.faults().clear_all();
        gets.more(100);
        posts.more(100);
    });
    let (gets, posts) = (gets.end(), posts.end());
    let refused = stage.refused();
    println!(
        "{seconds} s, {drains} drains, {refused} tokens refused: {gets:?} {posts:?}, MB: {memory:?}"
    );
    for tally in [gets, posts] {
        assert_eq!(tally.broken, 0, "{tally:?}");
        assert!(
            tally
                .statuses
                .keys()
                .all(|status| [200, 204, 401, 503].contains(status)),
            "{tally:?}"
        );
        // A refused token is used on where no other can be had: the key was new, and the server failed.
        assert!(tally.of(401) * 100 <= tally.calls(), "{tally:?}");
    }
    until("no call is held", || {
        envoy.stat("http.egress.downstream_rq_active").unwrap_or(0) == 0
    });
    assert!(envoy.runs());
    no_vm_has_failed(&envoy);
    // What a short run shows is its own start.
    if let [_, .., middle, _, _, _, last] = memory[..] {
        assert!(last <= middle * 5 / 4 + 8, "memory grows: {memory:?} MB");
    }
}
