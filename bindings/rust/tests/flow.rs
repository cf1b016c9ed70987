//! From a configuration to calls with the right token.

mod common;

use common::*;
use serde_json::json;
use std::{
    thread,
    time::{Duration, Instant},
};
use svcauth::{Client, Code, Event};
use svcauth_lab::{Endpoint, Fault, KeyFetch, LabConfig, Service, SmdConfig};

#[test]
fn opening_touches_no_network_and_starts_no_thread() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    let smd = client.target("smd").unwrap();
    thread::sleep(Duration::from_millis(20));
    assert_eq!(lab.log().len(), 0);
    assert_eq!(client.stats().threads, 0);
    assert_eq!(smd.name(), "smd");
    let error = client.target("smt").unwrap_err();
    assert_eq!(
        (error.code(), error.member()),
        (Code::UnknownTarget, Some("targets.smt"))
    );
}

#[test]
fn calls_carry_one_token_that_was_asked_for_once() {
    let lab = lab(LabConfig::default());
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, json!({}));
    for _ in 0..3 {
        let mut response = client.agent().get(node(&lab)).call().unwrap();
        assert_eq!(response.status(), 200);
        assert!(
            response
                .body_mut()
                .read_to_string()
                .unwrap()
                .contains("x0c0s0b0n0")
        );
    }
    assert_eq!(lab.stats().token_requests(), 1);
    assert!(
        lab.log_of(Service::Smd)
            .iter()
            .all(|entry| entry.client_id.as_deref() == Some("bss"))
    );
    assert_eq!(
        client.lease("smd").unwrap().value(),
        client.target("smd").unwrap().lease().unwrap().value()
    );

    heard.wait_for("token_received");
    let calls: Vec<_> = heard
        .all()
        .into_iter()
        .filter(|event| event.name() == "call")
        .collect();
    assert_eq!(calls.len(), 3);
    let Event::Call {
        target,
        method,
        url,
        status,
        kind,
        client_id,
        retried,
        ..
    } = &calls[0]
    else {
        panic!()
    };
    assert_eq!(
        (target.as_deref(), method.as_str(), *status),
        (Some("smd"), "GET", Some(200))
    );
    assert_eq!(
        (*kind, client_id.as_deref(), *retried),
        ("service", Some("bss"), false)
    );
    assert_eq!(*url, node(&lab));
}
