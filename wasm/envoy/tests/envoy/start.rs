//! Before the first token, and from one token to the next.

use std::time::Instant;

use serde_json::json;
use svcauth_envoy::{Envoy, Load, until};
use svcauth_lab::{Endpoint, Fault};

use crate::stage::{Stage, node};

#[test]
fn calls_that_come_before_the_first_token_are_held_and_all_workers_ask_for_one() {
    const CALLERS: usize = 256;
    // The server says that they live for one second.
    let stage = Stage::patient(2);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let envoy = Envoy::start(&stage.settings(stage.sidecar(json!({}))).concurrency(4));

    let load = Load::start(envoy.address("egress"), &node(), CALLERS, None);
    until("all calls are held", || {
        envoy.stat("wasmcustom.svcauth.smd.held") == Some(CALLERS as u64)
    });
    assert_eq!(load.calls(), 0);
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Token).requests, 1);

    stage.lab.faults().clear(Endpoint::Token);
    let started = Instant::now();
    load.more(CALLERS as u64);
    while started.elapsed().as_secs() < 3 {
        load.more(1);
    }
    let tally = load.end();
    let seconds = started.elapsed().as_secs_f64();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    let token = stage.lab.stats().endpoint(Endpoint::Token);
    assert_eq!(token.in_flight_max, 1);
    // Between two refreshes lies half of a token's life at least.
    let most = 2 + (seconds / 0.5) as u64;
    assert!(token.requests <= most, "{token:?} in {seconds} s");
    println!(
        "{} calls, {} token requests in {seconds:.1} s",
        tally.calls(),
        token.requests
    );
}

#[test]
fn a_client_that_hangs_up_takes_nobody_elses_token_with_it() {
    let stage = Stage::new(600);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let envoy = stage.start(json!({ "envoy": { "eager": false } }));
    let egress = envoy.address("egress");

    // The first to come is the one whose call wakes the filter.
    let first =
        std::thread::spawn(move || node().abandon(egress, std::time::Duration::from_millis(300)));
    until("the token is asked for", || {
        stage.lab.stats().endpoint(Endpoint::Token).in_flight == 1
    });
    first.join().unwrap().unwrap();
    let load = Load::start(egress, &node(), 8, None);
    stage.lab.faults().clear(Endpoint::Token);
    load.more(8);
    assert_eq!(load.end().failed(), 0);
    assert_eq!(stage.lab.stats().token_requests(), 1);
}

#[test]
fn calls_beyond_the_cap_are_answered_503_at_once() {
    let stage = Stage::new(600);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let patch = json!({ "envoy": { "holding": { "most": 4 } } });
    let envoy = Envoy::start(&stage.settings(stage.sidecar(patch)).concurrency(1));
    let egress = envoy.address("egress");

    let held = Load::start(egress, &node(), 4, None);
    until("four calls are held", || {
        envoy.stat("wasmcustom.svcauth.smd.held") == Some(4)
    });
    let answer = node().send(egress).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    assert_eq!(held.calls(), 0);
    stage.lab.faults().clear(Endpoint::Token);
    held.more(4);
    assert_eq!(held.end().failed(), 0);
}

#[test]
fn a_call_is_held_no_longer_than_configured() {
    let stage = Stage::new(600);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let envoy = stage.start(json!({ "envoy": { "holding": { "wait_s": 0.3 } } }));
    let egress = envoy.address("egress");

    let answer = node().send(egress).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    assert!(answer.json()["code"].is_string(), "{}", answer.text());
    stage.lab.faults().clear(Endpoint::Token);
    until("calls get through", || {
        node().send(egress).unwrap().status == 200
    });
}

#[test]
fn the_filter_that_attaches_alone_holds_calls_too() {
    let stage = Stage::new(600);
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let attach = stage.svcauth(json!({})).attach();
    let bootstrap = stage
        .bootstrap()
        .listener(
            "before the router",
            "smd",
            std::slice::from_ref(&attach),
            &[],
        )
        .listener("upstream", "smd", &[], &[attach]);
    let envoy = Envoy::start(&stage.settings(bootstrap));

    let loads = ["before the router", "upstream"]
        .map(|listener| Load::start(envoy.address(listener), &node(), 4, None));
    until("all calls are held", || {
        envoy.stat("wasmcustom.svcauth.smd.held") == Some(8)
    });
    stage.lab.faults().clear(Endpoint::Token);
    for load in loads {
        load.more(4);
        assert_eq!(load.end().failed(), 0);
    }
    assert_eq!(stage.lab.stats().token_requests(), 1);
}
