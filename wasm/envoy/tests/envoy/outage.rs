//! The authorization server is away.

use serde_json::json;
use svcauth_envoy::{Load, until};
use svcauth_lab::{Endpoint, Fault, Service};

use crate::stage::{Stage, early, node};

#[test]
fn an_outage_shorter_than_a_tokens_life_fails_no_call() {
    let stage = Stage::new(60);
    let envoy = stage.start(json!({ "schedule": early() }));
    let load = Load::start(envoy.address("egress"), &node(), 8, None);
    load.more(20);

    stage.lab.away(Service::Issuer);
    until("a refresh has failed", || {
        envoy.stat("wasmcustom.svcauth.smd.failures") > Some(0)
    });
    load.more(200);
    stage.lab.back(Service::Issuer);
    let issued = stage.lab.stats().tokens_issued();
    until("another token came", || {
        stage.lab.stats().tokens_issued() > issued
    });
    load.more(200);
    let tally = load.end();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    assert_eq!(stage.refused(), 0);
}

#[test]
fn an_outage_longer_than_a_tokens_life_is_503_with_retry_after_until_the_server_is_back() {
    let stage = Stage::new(2);
    let envoy = stage.start(json!({
        "envoy": { "holding": { "wait_s": 1 } },
        "schedule": { "backoff_max_s": 2 },
    }));
    let egress = envoy.address("egress");
    assert_eq!(node().send(egress).unwrap().status, 200);

    stage.lab.away(Service::Issuer);
    let mut refusal = node().send(egress).unwrap();
    until("the token has expired", || {
        refusal = node().send(egress).unwrap();
        refusal.status != 200
    });
    assert_eq!(refusal.status, 503, "{}", refusal.text());
    let retry_after: u64 = refusal.header("Retry-After").unwrap().parse().unwrap();
    assert!((1..=300).contains(&retry_after), "{retry_after}");

    stage.lab.back(Service::Issuer);
    until("calls get through", || {
        node().send(egress).unwrap().status == 200
    });
    assert_eq!(stage.refused(), 0, "an expired token was sent");
}

#[test]
fn a_server_that_fails_answers_those_who_wait_at_once() {
    let stage = Stage::new(600);
    stage
        .lab
        .faults()
        .set(Endpoint::Token, Fault::status(503).times(1));
    let envoy = stage.start(json!({ "envoy": { "eager": false, "holding": { "wait_s": 50 } } }));
    let answer = node().send(envoy.address("egress")).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.header("Retry-After").is_some(), "{answer:?}");
    until("calls get through", || {
        node().send(envoy.address("egress")).unwrap().status == 200
    });
}
