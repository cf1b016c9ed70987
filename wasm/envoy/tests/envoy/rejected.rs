//! Tokens that SMD refuses.

use std::time::Duration;

use serde_json::json;
use svcauth_envoy::{Envoy, Load, until};
use svcauth_lab::{Endpoint, Fault, Service};

use crate::stage::{Stage, components, node};

/// A body of this size does not fit into the buffer that [`small_buffers`] leaves.
const LARGE: usize = 200_000;

#[test]
fn all_tokens_die_under_load_and_no_call_that_can_be_repeated_fails() {
    let stage = Stage::new(600);
    let envoy = stage.start(json!({}));
    let egress = envoy.address("egress");
    // A thousand a second, as fast as the machine allows.
    let pace = Some(Duration::from_millis(24));
    let gets = Load::start(egress, &node(), 16, pace);
    let posts = Load::start(egress, &components(500), 8, pace);
    gets.more(200);
    posts.more(100);

    // No token of the new key comes before one of the old key was refused.
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    stage.new_key();
    until("SMD has refused a token", || stage.refused() > 0);
    stage.lab.faults().clear(Endpoint::Token);
    gets.more(1000);
    posts.more(500);
    let (gets, posts) = (gets.end(), posts.end());
    assert_eq!(
        (gets.failed(), posts.failed()),
        (0, 0),
        "{gets:?} {posts:?}"
    );
    assert_eq!(stage.lab.stats().tokens_issued(), 2);
    println!(
        "{} calls, {} refused and made once more",
        gets.calls() + posts.calls(),
        stage.refused()
    );
}

#[test]
fn a_call_that_cannot_be_repeated_gets_the_401_once() {
    let stage = Stage::new(600);
    let (retry, attach) = stage.svcauth(json!({})).pair();
    let mut egress = svcauth_envoy::listener("egress", "smd", &[retry], &[attach]);
    egress["per_connection_buffer_limit_bytes"] = json!(32768);
    // A second worker would find out by itself.
    let settings = stage.settings(stage.bootstrap().resource("listeners", egress));
    let envoy = Envoy::start(&settings.concurrency(1));
    let egress = envoy.address("egress");
    assert_eq!(components(LARGE).send(egress).unwrap().status, 204);

    stage.new_key();
    let answer = components(LARGE).send(egress).unwrap();
    assert_eq!(answer.status, 401);
    assert_eq!(stage.refused(), 1);
    assert_eq!(stage.lab.log_of(Service::Smd).len(), 2);
    // It has told that the token is no good.
    assert_eq!(components(LARGE).send(egress).unwrap().status, 204);
    assert_eq!(stage.lab.stats().tokens_issued(), 2);
}

#[test]
fn a_second_401_goes_to_the_caller() {
    let stage = Stage::new(600);
    let envoy = stage.start(json!({}));
    let egress = envoy.address("egress");
    assert_eq!(node().send(egress).unwrap().status, 200);

    let refusal = Fault::body(401, "application/json", r#"{"detail":"never"}"#);
    stage.lab.faults().set(Endpoint::Smd, refusal);
    let answer = node().send(egress).unwrap();
    assert_eq!(
        (answer.status, answer.text()),
        (401, r#"{"detail":"never"}"#.to_owned())
    );
    assert_eq!(answer.header("x-envoy-ratelimited"), None);
    assert_eq!(stage.lab.log_of(Service::Smd).len(), 3);
    stage.lab.faults().clear(Endpoint::Smd);
    assert_eq!(node().send(egress).unwrap().status, 200);
}

#[test]
fn a_403_goes_to_the_caller_and_asks_for_nothing() {
    let stage = Stage::new(600);
    let envoy = stage.start(json!({}));
    let egress = envoy.address("egress");
    assert_eq!(node().send(egress).unwrap().status, 200);
    stage
        .lab
        .faults()
        .set(Endpoint::Smd, Fault::status(403).times(1));
    assert_eq!(node().send(egress).unwrap().status, 403);
    assert_eq!(node().send(egress).unwrap().status, 200);
    assert_eq!(stage.lab.stats().token_requests(), 1);
    assert_eq!(stage.lab.log_of(Service::Smd).len(), 3);
}

#[test]
fn without_the_pair_a_401_goes_to_the_caller_and_the_next_call_has_another_token() {
    for upstream in [false, true] {
        let stage = Stage::new(600);
        let attach = stage.svcauth(json!({})).attach();
        let (filters, upstream) = match upstream {
            false => (vec![attach], vec![]),
            true => (vec![], vec![attach]),
        };
        let bootstrap = stage
            .bootstrap()
            .listener("egress", "smd", &filters, &upstream);
        // A second worker would find out by itself.
        let envoy = Envoy::start(&stage.settings(bootstrap).concurrency(1));
        let egress = envoy.address("egress");
        assert_eq!(node().send(egress).unwrap().status, 200);
        stage.new_key();
        assert_eq!(node().send(egress).unwrap().status, 401);
        assert_eq!(node().send(egress).unwrap().status, 200);
        assert_eq!(stage.lab.stats().tokens_issued(), 2);
    }
}
