//! From a configuration to calls with the right token.

mod common;

use common::*;
use serde_json::json;
use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
    time::{Duration, Instant},
};
use svcauth::{
    Client, Code, Event,
    core::{
        client::{Answered, Call, Decision},
        message::named,
    },
};
use svcauth_lab::{Endpoint, Fault, LabConfig, Service};

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
fn handles_may_be_shared_between_threads_and_leases_sent_to_them() {
    fn shared<T: Clone + Send + Sync + 'static>() {}
    fn sent<T: Send + Sync + 'static>() {}
    shared::<Client>();
    shared::<svcauth::Target>();
    sent::<svcauth::Lease>();
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

#[test]
fn a_service_never_seen_before_registers_is_authorized_gets_a_token_and_calls() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    let patch = json!({
        "endpoints": { "registration": format!("{}/oauth2/register", lab.issuer_url()) },
        "client": {
            "credentials": null,
            "registration": {
                "metadata": {
                    "client_name": "bss", "scope": "read", "grant_types": ["client_credentials"],
                    "token_endpoint_auth_method": "client_secret_basic",
                },
                "authorize": true,
            },
        },
        "store": { "file": directory.file("state.json") },
    });
    let heard = Heard::default();
    let first = build(
        Client::builder().events(heard.listener()),
        &lab,
        patch.clone(),
    );
    assert_eq!(first.agent().get(node(&lab)).call().unwrap().status(), 200);
    let Event::Registered { client_id } = heard.wait_for("registered") else {
        panic!()
    };
    heard.wait_for("authorization_answered");
    heard.wait_for("token_received");
    first.close();

    let heard = Heard::default();
    let again = build(Client::builder().events(heard.listener()), &lab, patch);
    assert_eq!(
        again.lease("smd").unwrap().client_id(),
        Some(client_id.as_str())
    );
    heard.wait_for("registration_loaded");
    assert_eq!(lab.stats().endpoint(Endpoint::Register).requests, 1);
}

#[test]
fn while_a_token_is_fresh_the_core_is_not_asked() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    let smd = client.target("smd").unwrap();
    for _ in 0..100 {
        smd.lease().unwrap();
        client.lease("smd").unwrap();
        client.agent().get(node(&lab)).call().unwrap();
    }
    let stats = client.stats();
    assert_eq!((stats.asked, stats.waited), (1, 1));
}

#[test]
fn sixty_four_threads_with_an_empty_cache_ask_for_one_token() {
    let lab = lab(LabConfig::default());
    lab.faults().set(Endpoint::Token, Fault::slow(20));
    let client = client(&lab, json!({}));
    thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| client.lease("smd").unwrap());
        }
    });
    assert_eq!(lab.stats().token_requests(), 1);
    assert_eq!(lab.stats().endpoint(Endpoint::Token).in_flight_max, 1);
}

#[test]
fn after_the_first_token_no_caller_waits_and_no_call_fails() {
    let lab = lab(LabConfig {
        ttl: 6,
        ..LabConfig::default()
    });
    // The benchmark `load` does this with tokens that live one second and the usual schedule.
    let client = client(&lab, early());
    let smd = client.target("smd").unwrap();
    smd.lease().unwrap();
    let waited = client.stats().waited;
    let (calls, until) = (AtomicU64::new(0), Instant::now() + Duration::from_secs(5));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while Instant::now() < until {
                    assert_eq!(client.agent().get(node(&lab)).call().unwrap().status(), 200);
                    calls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        for _ in 0..4 {
            scope.spawn(|| {
                while Instant::now() < until {
                    smd.lease().unwrap();
                    thread::yield_now();
                }
            });
        }
    });
    assert_eq!(client.stats().waited, waited);
    let asked = lab.stats().token_requests();
    assert!((3..=6).contains(&asked), "{asked}");
    assert!(calls.load(Ordering::Relaxed) > 50);
    assert_eq!(
        lab.stats()
            .endpoint(Endpoint::Smd)
            .answers
            .keys()
            .collect::<Vec<_>>(),
        [&200]
    );
}

#[test]
fn a_caller_that_gives_up_harms_nobody_and_hears_why_at_its_deadline() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    let smd = client.target("smd").unwrap();
    lab.faults().set(Endpoint::Token, Fault::hold());
    let error = smd.lease_within(Duration::from_millis(10)).unwrap_err();
    assert_eq!(
        (error.code(), error.member()),
        (Code::Timeout, Some("targets.smd"))
    );
    lab.faults().clear_all();
    smd.lease_within(Duration::from_secs(5)).unwrap();
    assert_eq!(lab.stats().token_requests(), 1);
}

#[test]
fn with_the_server_away_a_caller_waits_until_its_deadline_and_is_told_the_reason() {
    let lab = lab(LabConfig::default());
    let client = client(
        &lab,
        json!({ "endpoints": { "token": format!("{}/oauth2/token", lab.issuer_url()) } }),
    );
    lab.away(Service::Issuer);
    let error = client
        .target("smd")
        .unwrap()
        .lease_within(Duration::from_secs(1))
        .unwrap_err();
    assert_eq!(error.code(), Code::ConnectionFailed);
    assert!(error.to_string().contains("refused"), "{error}");
    lab.back(Service::Issuer);
    client
        .target("smd")
        .unwrap()
        .lease_within(Duration::from_secs(5))
        .unwrap();
}

#[test]
fn a_program_waits_until_it_is_ready_and_a_probe_sees_how_it_is() {
    let lab = lab(LabConfig::default());
    let bss = client(&lab, json!({}));
    let health = bss.health();
    assert!(health.is_ready() && !health.targets[0].asked_for && !health.targets[0].ready);
    bss.ready(Duration::from_secs(5)).unwrap();
    let health = bss.health();
    assert!(health.is_ready() && health.targets[0].ready && health.targets[0].expires_at.is_some());

    lab.faults()
        .set(Endpoint::Token, Fault::oauth_error(400, "invalid_scope"));
    let refused = client(&lab, json!({}));
    let error = refused.ready(Duration::from_secs(5)).unwrap_err();
    assert_eq!(
        error.oauth().map(|oauth| oauth.error.as_str()),
        Some("invalid_scope")
    );
    let health = refused.health();
    assert!(!health.is_ready() && health.targets[0].retry_in.is_some());
    assert_eq!(
        health.targets[0].error.as_ref().unwrap().code(),
        Code::OauthError
    );
}

#[test]
fn closing_ends_the_threads_and_wakes_those_who_wait() {
    let lab = lab(LabConfig::default());
    lab.faults().set(Endpoint::Token, Fault::hold());
    let client = client(&lab, json!({}));
    let waiting = thread::spawn({
        let smd = client.target("smd").unwrap();
        move || smd.lease().unwrap_err().code()
    });
    eventually("somebody waits", || client.stats().waited == 1);
    client.close();
    assert_eq!(waiting.join().unwrap(), Code::Closed);
    assert_eq!(client.lease("smd").unwrap_err().code(), Code::Closed);
    let error = client.agent().get(node(&lab)).call().unwrap_err();
    assert_eq!(svcauth::error_of(&error).unwrap().code(), Code::Closed);
    lab.faults().clear_all();
    eventually("the threads are gone", || client.stats().threads == 0);
}

#[test]
fn a_client_lives_as_long_as_a_target_or_an_agent_of_it() {
    let lab = lab(LabConfig::default());
    let (smd, agent) = {
        let client = client(&lab, json!({}));
        (client.target("smd").unwrap(), client.agent().clone())
    };
    smd.lease().unwrap();
    assert_eq!(agent.get(node(&lab)).call().unwrap().status(), 200);
}

#[test]
fn a_panic_in_a_callback_is_an_error_and_nothing_more() {
    let lab = lab(LabConfig::default());
    let calls = AtomicU64::new(0);
    let builder = Client::builder()
        .events(|_| panic!("listener"))
        .secrets(move |_| {
            assert!(calls.fetch_add(1, Ordering::Relaxed) > 0, "first call");
            Ok(SECRET.into())
        });
    let credentials = json!([{ "client_id": "bss", "client_secret": { "callback": "vault" } }]);
    let client = build(
        builder,
        &lab,
        json!({ "client": { "credentials": credentials } }),
    );
    let error = client.lease("smd").unwrap_err();
    assert_eq!(error.code(), Code::SecretUnavailable);
    assert!(error.to_string().contains("panicked"), "{error}");
    client.secrets_changed();
    client.lease("smd").unwrap();
}

#[test]
fn a_token_that_is_slow_to_come_does_not_hold_up_the_others() {
    let lab = lab(LabConfig::default());
    lab.faults().set(Endpoint::Token, Fault::hold().times(1));
    let slow = json!({ "urls": [format!("{}/slow", lab.smd_url())], "scopes": ["read"] });
    let client = client(&lab, json!({ "targets": { "slow": slow } }));
    let slow = client.target("slow").unwrap();
    assert_eq!(
        slow.lease_within(Duration::ZERO).unwrap_err().code(),
        Code::Timeout
    );
    eventually("the slow request is under way", || {
        lab.stats().endpoint(Endpoint::Token).in_flight == 1
    });
    client.lease("smd").unwrap();
    assert_eq!(lab.stats().endpoint(Endpoint::Token).in_flight, 1);
    lab.faults().clear_all();
    slow.lease().unwrap();
}

#[test]
fn a_program_with_another_http_client_decides_gets_leases_and_rejects_them() {
    let lab = lab(LabConfig::default());
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, json!({}));
    let names: Vec<String> = client
        .targets()
        .map(|target| target.name().into())
        .collect();
    assert_eq!(names, ["smd"]);

    let url = node(&lab);
    let call = Call {
        url: &url,
        ..Call::default()
    };
    let (calls, decision) = client.decide(&call).unwrap();
    let Decision::Lease { target, subject } = decision else {
        panic!("{decision:?}")
    };
    let target = client.target_of(target);
    let lease = target.lease_of(subject, client.wait_time()).unwrap();
    assert_eq!(lease.core().id(), lease.id());
    assert_eq!(
        calls.answered(&decision, 401, [].into_iter(), true),
        Answered::Retry
    );
    let other = target.reject_of(subject, lease.id(), client.wait_time());
    assert_ne!(other.unwrap().id(), lease.id());
    target.report(subject, lease.id());
    assert_eq!(lab.stats().token_requests(), 2);

    let refused = client.decide(&Call {
        user_required: true,
        ..call
    });
    assert_eq!(refused.unwrap_err().code(), Code::UserTokenMissing);
    heard.wait_for("user_token_missing");
}

#[test]
fn a_message_of_the_programs_own_is_sent_as_the_configuration_says() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    let parameters = json!({ "issuer": lab.issuer_url() }).to_string();
    let message = named::exchange("metadata", parameters.as_bytes()).unwrap();
    let answer = client.exchange(&*message).unwrap();
    assert!(answer.expose().contains("/oauth2/token"));
    lab.away(Service::Issuer);
    let error = client.exchange(&*message).unwrap_err();
    assert_eq!(error.code(), Code::ConnectionFailed);
    client.close();
    assert_eq!(client.exchange(&*message).unwrap_err().code(), Code::Closed);
}
