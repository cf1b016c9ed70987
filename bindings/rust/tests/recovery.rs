//! What goes wrong while a service is at work, and that its calls go on.

mod common;

use common::*;
use serde_json::json;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::Duration,
};
use svcauth::{Client, Code, Event};
use svcauth_lab::{Endpoint, Fault, KeyFetch, Lab, LabConfig, RetryAfter, Service, SmdConfig};

/// Calls SMD from four threads while `story` goes on; how many calls were made, each of which succeeded.
fn under_load(client: &Client, lab: &Lab, story: impl FnOnce()) -> u64 {
    let (calls, done) = (AtomicU64::new(0), AtomicBool::new(false));
    struct End<'a>(&'a AtomicBool);
    impl Drop for End<'_> {
        fn drop(&mut self) {
            self.0.store(true, Relaxed);
        }
    }
    thread::scope(|scope| {
        let _end = End(&done);
        for _ in 0..4 {
            scope.spawn(|| {
                while !done.load(Relaxed) {
                    let status = client
                        .agent()
                        .get(node(lab))
                        .call()
                        .map(|response| response.status().as_u16());
                    assert_eq!(status.map_err(|error| error.to_string()), Ok(200));
                    calls.fetch_add(1, Relaxed);
                }
            });
        }
        story();
    });
    calls.load(Relaxed)
}

#[test]
fn a_key_change_that_kills_all_tokens_costs_no_call() {
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let lab = lab(LabConfig {
        smd,
        ..LabConfig::default()
    });
    let client = client(&lab, json!({}));
    let calls = under_load(&client, &lab, || {
        eventually("calls were made", || lab.log_of(Service::Smd).len() > 20);
        lab.rotate_signing_key();
        let before = lab.log_of(Service::Smd).len();
        eventually("calls go on", || {
            lab.log_of(Service::Smd).len() > before + 20
        });
    });
    assert!(calls > 20);
    assert_eq!(lab.stats().token_requests(), 2);
}

#[test]
fn two_active_secrets_are_rotated_without_a_failed_call() {
    let lab = lab(LabConfig {
        ttl: 16,
        ..LabConfig::default()
    });
    let directory = Directory::new();
    let first = directory.write("first", &format!("{SECRET}\n"));
    let second = directory.write("second", "not-set-yet");
    let credentials = json!([
        { "client_id": "bss", "client_secret": { "file": first } },
        { "client_id": "bss", "client_secret": { "file": second } },
    ]);
    let heard = Heard::default();
    let builder = Client::builder().events(heard.listener());
    let mut patch = early();
    patch["client"] = json!({ "credentials": credentials });
    let client = build(builder, &lab, patch);
    under_load(&client, &lab, || {
        heard.wait_for("token_received");
        assert!(lab.add_secret("bss", "planted-second-secret", None));
        directory.write("second", "planted-second-secret");
        assert!(lab.revoke_secret("bss", Some(SECRET)));
        let Event::CredentialPromoted { position, .. } = heard.wait_for("credential_promoted")
        else {
            panic!()
        };
        assert_eq!(position, 1);
        // And the other way round.
        assert!(lab.add_secret("bss", "planted-third-secret", None));
        directory.write("first", "planted-third-secret");
        assert!(lab.revoke_secret("bss", Some("planted-second-secret")));
        eventually("promoted again", || {
            heard
                .names()
                .iter()
                .filter(|name| **name == "credential_promoted")
                .count()
                == 2
        });
        let received = heard
            .names()
            .iter()
            .filter(|name| **name == "token_received")
            .count();
        eventually("refreshed again", || {
            heard
                .names()
                .iter()
                .filter(|name| **name == "token_received")
                .count()
                > received
        });
    });
    assert!(
        !heard.names().contains(&"lease_expired"),
        "{:?}",
        heard.all()
    );
}

#[test]
fn the_server_may_be_away_while_the_token_lasts() {
    let lab = lab(LabConfig {
        ttl: 16,
        ..LabConfig::default()
    });
    let heard = Heard::default();
    let builder = Client::builder().events(heard.listener());
    let client = build(builder, &lab, early());
    under_load(&client, &lab, || {
        heard.wait_for("token_received");
        lab.away(Service::Issuer);
        let Event::RefreshFailed { serving, error, .. } = heard.wait_for("refresh_failed") else {
            panic!()
        };
        assert!(serving);
        assert_eq!(error.code(), Code::ConnectionFailed);
        let before = lab.log_of(Service::Smd).len();
        eventually("calls go on", || {
            lab.log_of(Service::Smd).len() > before + 10
        });
        lab.back(Service::Issuer);
        eventually("refreshed", || {
            heard
                .names()
                .iter()
                .filter(|name| **name == "token_received")
                .count()
                > 1
        });
    });
    assert!(!heard.names().contains(&"lease_expired"));
}

#[test]
fn a_secret_that_is_put_right_is_used_soon() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    let file = directory.write("secret", "wrong");
    let patch = json!({
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "file": file } }] },
        "schedule": { "secret_poll_s": 0.1 },
    });
    let client = client(&lab, patch);
    let smd = client.target("smd").unwrap();
    let error = smd.lease().unwrap_err();
    assert_eq!(
        (error.code(), error.status()),
        (Code::OauthError, Some(401))
    );
    directory.write("secret", SECRET);
    eventually("a token", || smd.lease().is_ok());
}

#[test]
fn a_missing_secret_is_one_clear_sentence() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    std::fs::create_dir(directory.file("folder")).unwrap();
    directory.write("large", &"x".repeat(70_000));
    directory.write("empty", "");
    for (reference, words) in [
        (
            json!({ "file": directory.file("nowhere") }),
            "cannot be opened (No such file",
        ),
        (
            json!({ "file": directory.file("folder") }),
            "is no regular file",
        ),
        (
            json!({ "file": directory.file("large") }),
            "larger than 65536 bytes",
        ),
        (json!({ "file": directory.file("empty") }), "is empty"),
        (json!({ "env": "SVCAUTH_TEST_NOT_SET" }), "is not set"),
    ] {
        let credentials = json!([{ "client_id": "bss", "client_secret": reference }]);
        let client = client(&lab, json!({ "client": { "credentials": credentials } }));
        let error = client.lease("smd").unwrap_err();
        assert_eq!(error.code(), Code::SecretUnavailable);
        assert!(error.to_string().contains(words), "{error}");
        assert!(error.member().is_some());
    }
    let credentials = json!([{ "client_id": "bss", "client_secret": { "callback": "vault" } }]);
    let document = document(&lab, json!({ "client": { "credentials": credentials } }));
    assert_eq!(
        Client::new(config(&document)).unwrap_err().code(),
        Code::Unsupported
    );
}

#[test]
fn odd_answers_are_told_apart() {
    let big = format!(r#"{{"access_token":"{}"}}"#, "a".repeat(3000));
    let rows = [
        (Fault::slow(20_000), Code::Timeout),
        (Fault::html(), Code::MalformedAnswer),
        (Fault::empty(), Code::MalformedAnswer),
        (Fault::truncated(), Code::MalformedAnswer),
        (
            Fault::body(200, "application/json", big),
            Code::AnswerTooLarge,
        ),
        (Fault::drop_connection(), Code::ConnectionBroken),
        (Fault::new(svcauth_lab::Action::Cut), Code::ConnectionBroken),
        (
            Fault::redirect(307, "http://127.0.0.1:9/"),
            Code::UnexpectedRedirect,
        ),
        (Fault::status(503), Code::ServerError),
        (
            Fault::too_many(Some(RetryAfter::Seconds(7))),
            Code::RateLimited,
        ),
        (Fault::error_in_200("invalid_request"), Code::OauthError),
        (
            Fault::merge(json!({ "expires_in": "soon" })),
            Code::InvalidExpiresIn,
        ),
        (
            Fault::merge(json!({ "token_type": "mac" })),
            Code::UnexpectedTokenType,
        ),
    ];
    thread::scope(|scope| {
        for (fault, code) in rows {
            scope.spawn(move || {
                let lab = lab(LabConfig::default());
                // Only who waits for a timeout needs a short one: a busy machine is not to make others.
                let request_s = if code == Code::Timeout { 0.5 } else { 60.0 };
                let patch = json!({
                    "timeouts": { "request_s": request_s }, "limits": { "answer_bytes": 2048 },
                });
                let client = client(&lab, patch);
                lab.faults().set(Endpoint::Token, fault.clone());
                let smd = client.target("smd").unwrap();
                let _ = smd.lease_within(Duration::ZERO);
                let failure = || client.health().targets[0].error.clone();
                eventually("the attempt fails", || failure().is_some());
                let error = failure().unwrap();
                assert_eq!(error.code(), code, "{fault:?}: {error}");
                assert!(error.retry_after_ms().is_none_or(|asked| asked == 7_000));
            });
        }
    });
}
