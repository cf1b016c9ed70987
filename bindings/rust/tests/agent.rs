//! What the agent does to a call, whatever the settings it was made with.

mod common;

use common::*;
use serde_json::json;
use std::{
    io::{Read, Write},
    sync::mpsc,
    thread,
    time::Duration,
};
use svcauth::{Client, Code, Event, NoReplay, UserRequired, UserToken, ureq};
use svcauth_lab::{Endpoint, Fault, KeyFetch, Lab, LabConfig, Service, SmdConfig};
use ureq::http::Request;

/// A lab whose SMD notices a key change at once.
fn strict_lab() -> Lab {
    lab(LabConfig {
        smd: SmdConfig {
            keys: KeyFetch::Always,
            ..SmdConfig::default()
        },
        ..LabConfig::default()
    })
}

fn smd_statuses(lab: &Lab) -> Vec<u16> {
    lab.log_of(Service::Smd)
        .iter()
        .filter_map(|entry| entry.status)
        .collect()
}

/// The tokens that the place which is nobody's target has seen.
fn leaked(lab: &Lab) -> Vec<String> {
    lab.log_of(Service::Elsewhere)
        .into_iter()
        .filter_map(|entry| entry.authorization)
        .collect()
}

fn status_of(result: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Result<u16, String> {
    result
        .map(|response| response.status().as_u16())
        .map_err(|error| error.to_string())
}

#[test]
fn after_a_401_the_call_is_made_once_more_with_a_new_token() {
    for method in ["GET", "POST"] {
        let lab = strict_lab();
        let client = client(&lab, json!({}));
        let call = || match method {
            "GET" => client.agent().get(node(&lab)).call(),
            _ => client
                .agent()
                .post(format!("{}/hsm/v2/State/Components/Query", lab.smd_url()))
                .content_type("application/json")
                .send(r#"{"ComponentIDs":["x0c0s0b0n0"]}"#),
        };
        assert_eq!(status_of(call()), Ok(200));
        lab.rotate_signing_key();
        assert_eq!(status_of(call()), Ok(200), "{method}");
        assert_eq!(smd_statuses(&lab), [200, 401, 200]);
        assert_eq!(lab.stats().token_requests(), 2);
    }
}

#[test]
fn the_second_401_is_the_callers() {
    let lab = strict_lab();
    let client = client(&lab, json!({}));
    lab.faults().set(
        Endpoint::Smd,
        Fault::body(401, "text/plain", "token is unauthorized"),
    );
    for _ in 0..3 {
        assert_eq!(
            status_of(client.agent().get(node(&lab)).call()),
            Err("http status: 401".into())
        );
    }
    // One rejection is acted on in ten seconds.
    assert_eq!(lab.stats().token_requests(), 2);
    assert_eq!(smd_statuses(&lab), [401, 401, 401, 401]);
}

#[test]
fn a_401_that_a_new_token_would_not_mend_goes_to_the_caller() {
    let lab = lab(LabConfig {
        smd: SmdConfig {
            challenge: true,
            scope: Some("write".into()),
            ..SmdConfig::default()
        },
        ..LabConfig::default()
    });
    let client = client(&lab, json!({}));
    assert_eq!(
        status_of(client.agent().get(node(&lab)).call()),
        Err("http status: 403".into())
    );
    let challenge = r#"Bearer error="insufficient_scope""#;
    let mut fault = Fault::body(401, "text/plain", "");
    if let svcauth_lab::Action::Answer(answer) = &mut fault.action {
        answer
            .headers
            .push(("WWW-Authenticate".into(), challenge.into()));
    }
    lab.faults().set(Endpoint::Smd, fault);
    assert_eq!(
        status_of(client.agent().get(node(&lab)).call()),
        Err("http status: 401".into())
    );
    assert_eq!(lab.stats().token_requests(), 1);
    assert_eq!(smd_statuses(&lab), [403, 401]);
}

#[test]
fn a_receiver_with_stale_keys_gets_the_predecessor() {
    let lab = lab(LabConfig {
        ttl: 16,
        ..LabConfig::default()
    });
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, early());
    assert_eq!(status_of(client.agent().get(node(&lab)).call()), Ok(200));
    let old = client.lease("smd").unwrap().id();
    lab.rotate_signing_key();
    eventually("the token was refreshed", || {
        client.lease("smd").unwrap().id() != old
    });
    assert_eq!(status_of(client.agent().get(node(&lab)).call()), Ok(200));
    assert_eq!(smd_statuses(&lab), [200, 401, 200]);
    let Event::Rejected { action, .. } = heard.wait_for("rejected") else {
        panic!()
    };
    assert_eq!(action, "predecessor");
}

#[test]
fn a_body_that_cannot_be_sent_again_is_sent_once_and_the_next_call_has_a_new_token() {
    let lab = strict_lab();
    let client = client(&lab, json!({}));
    let query = format!("{}/hsm/v2/State/Components/Query", lab.smd_url());
    let post = |keep: bool| {
        let mut body: &[u8] = br#"{"ComponentIDs":["x0c0s0b0n0"]}"#;
        let request = client.agent().post(&query).content_type("application/json");
        let request = if keep {
            request
        } else {
            request.extension(NoReplay)
        };
        status_of(request.send(ureq::SendBody::from_reader(&mut body)))
    };
    assert_eq!(post(false), Ok(200));
    lab.rotate_signing_key();
    assert_eq!(post(false), Err("http status: 401".into()));
    assert_eq!(post(true), Ok(200));
    assert_eq!(smd_statuses(&lab), [200, 401, 200]);
}

#[test]
fn a_body_larger_than_is_kept_arrives_whole() {
    const SIZE: u64 = 9 * 1024 * 1024;
    let lab = lab(LabConfig::default());
    let (send, received) = mpsc::channel();
    let port = accept(move |mut stream| {
        let head = read_head(&mut stream);
        let spaces = std::io::copy(&mut (&stream).take(SIZE), &mut std::io::sink()).unwrap();
        send.send((head, spaces)).unwrap();
        stream
            .write_all(b"HTTP/1.1 204 No Content\r\n\r\n")
            .unwrap();
    });
    let url = format!("http://127.0.0.1:{port}");
    let client = client(&lab, json!({ "targets": { "smd": { "urls": [url] } } }));
    let mut large = std::io::repeat(b' ').take(SIZE);
    let request = client
        .agent()
        .put(&url)
        .header("content-length", SIZE.to_string());
    assert_eq!(
        status_of(request.send(ureq::SendBody::from_reader(&mut large))),
        Ok(204)
    );
    let (head, spaces) = received.recv().unwrap();
    assert!(
        head.contains("authorization: Bearer ") && spaces == SIZE,
        "{spaces} bytes"
    );
}

#[test]
fn an_authorization_of_the_callers_own_is_left_alone() {
    let lab = strict_lab();
    let client = client(&lab, json!({}));
    let result = client
        .agent()
        .get(node(&lab))
        .header("authorization", "Bearer mine")
        .call();
    assert_eq!(status_of(result), Err("http status: 401".into()));
    assert_eq!(
        (lab.stats().token_requests(), smd_statuses(&lab)),
        (0, vec![401])
    );
}

#[test]
fn a_url_of_no_target_gets_no_token() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    client.ready(Duration::from_secs(5)).unwrap();
    for url in [
        lab.elsewhere_url(),
        format!("{}/hsm/v2/x", lab.elsewhere_url()),
        lab.elsewhere_url().replace("127.0.0.1", "localhost"),
        format!("{}/?hsm/v2", lab.elsewhere_url()),
    ] {
        assert_eq!(status_of(client.agent().get(&url).call()), Ok(200), "{url}");
    }
    assert_eq!(
        (lab.log_of(Service::Elsewhere).len(), leaked(&lab)),
        (4, vec![])
    );
    // The client's own endpoints, and what only looks like the target's path.
    let token = format!("{}/oauth2/token", lab.issuer_url());
    assert!(status_of(client.agent().post(&token).send_empty()).is_err());
    for path in ["/hsm/v20/x", "/hsm/v2/../v3", "/hsm/v2/%2e%2e/x"] {
        let _ = client
            .agent()
            .get(format!("{}{path}", lab.smd_url()))
            .call();
    }
    assert!(
        lab.log_of(Service::Smd)
            .iter()
            .all(|entry| entry.client_id.is_none())
    );
}

#[test]
fn redirects_are_followed_with_the_token_within_the_target_and_without_it_elsewhere() {
    let lab = lab(LabConfig::default());
    let target = json!({ "urls": [lab.smd_url()], "scopes": ["read"] });
    let client = client(&lab, json!({ "targets": { "smd": target } }));
    let user = lab.user_token("alice", &["read"], 60);
    let away = format!("{}/catch", lab.elsewhere_url());
    let home = node(&lab);
    for status in [301, 302, 303, 307, 308] {
        for (to, authorized) in [(&home, true), (&away, false)] {
            for user in [None, Some(UserToken::new(user.clone()))] {
                lab.reset();
                let url = format!("{}/redirect?to={to}&status={status}", lab.smd_url());
                let request = client.agent().get(url);
                let by_user = user.is_some();
                let request = match user {
                    Some(user) => request.extension(user),
                    None => request,
                };
                assert_eq!(status_of(request.call()), Ok(200), "{status} {to}");
                assert_eq!(leaked(&lab), Vec::<String>::new());
                let last = lab.log().pop().unwrap();
                let expected = authorized.then_some(if by_user { "alice" } else { "bss" });
                assert_eq!(last.sub.as_deref(), expected, "{status} {to} {by_user}");
            }
        }
    }
}

#[test]
fn once_out_of_the_target_a_redirect_back_brings_no_token() {
    let lab = lab(LabConfig::default());
    let target = json!({ "urls": [lab.smd_url()], "scopes": ["read"] });
    let client = client(&lab, json!({ "targets": { "smd": target } }));
    lab.faults()
        .set(Endpoint::Elsewhere, Fault::redirect(302, &node(&lab)));
    let url = format!("{}/redirect?to={}/x", lab.smd_url(), lab.elsewhere_url());
    assert_eq!(
        status_of(client.agent().get(url).call()),
        Err("http status: 401".into())
    );
    assert_eq!((lab.stats().token_requests(), leaked(&lab)), (1, vec![]));
}

#[test]
fn the_agent_keeps_to_the_settings_of_agent_and_request() {
    let lab = lab(LabConfig::default());
    let target = json!({ "urls": [lab.smd_url()], "scopes": ["read"] });
    let patch = json!({ "targets": { "smd": target } });
    let missing = format!("{}/hsm/v2/State/Components/x9", lab.smd_url());
    let redirect = format!("{}/redirect?to={}", lab.smd_url(), node(&lab));
    let plain = client(&lab, patch.clone());
    let lenient = build(
        Client::builder().agent(|agent| agent.http_status_as_error(false).max_redirects(0)),
        &lab,
        patch,
    );

    assert_eq!(
        status_of(plain.agent().get(&missing).call()),
        Err("http status: 404".into())
    );
    assert_eq!(status_of(lenient.agent().get(&missing).call()), Ok(404));
    assert_eq!(status_of(plain.agent().get(&redirect).call()), Ok(200));
    assert_eq!(status_of(lenient.agent().get(&redirect).call()), Ok(302));

    let own = |url: &str| {
        plain
            .agent()
            .get(url)
            .config()
            .http_status_as_error(false)
            .max_redirects(0)
            .build()
            .call()
    };
    assert_eq!(status_of(own(&missing)), Ok(404));
    assert_eq!(status_of(own(&redirect)), Ok(302));
    let own = |url: &str| {
        lenient
            .agent()
            .get(url)
            .config()
            .http_status_as_error(true)
            .max_redirects(5)
            .build()
            .call()
    };
    assert_eq!(status_of(own(&missing)), Err("http status: 404".into()));
    assert_eq!(status_of(own(&redirect)), Ok(200));

    let round = format!("{}/redirect?to={}/redirect", lab.smd_url(), lab.smd_url());
    lab.faults()
        .set(Endpoint::Smd, Fault::redirect(302, &round));
    assert_eq!(
        status_of(plain.agent().get(&round).call()),
        Err("too many redirects".into())
    );
    assert_eq!(
        lab.stats().endpoint(Endpoint::Smd).requests,
        5 + 1 + 2 + 1 + 2 + 11 - 1
    );
}

#[test]
fn a_requests_own_time_limit_covers_the_wait_for_a_token() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    lab.faults().set(Endpoint::Token, Fault::hold());
    let request = client
        .agent()
        .get(node(&lab))
        .config()
        .timeout_global(Some(Duration::from_millis(50)))
        .build();
    let error = request.call().unwrap_err();
    assert_eq!(svcauth::error_of(&error).unwrap().code(), Code::Timeout);
    assert_eq!(smd_statuses(&lab), Vec::<u16>::new());
}

#[test]
fn a_request_of_the_http_crate_works_as_well() {
    let lab = lab(LabConfig::default());
    let client = client(&lab, json!({}));
    let request = Request::get(node(&lab)).body(()).unwrap();
    assert_eq!(status_of(client.agent().run(request)), Ok(200));
}

#[test]
fn a_users_token_goes_where_the_target_says() {
    // user_token, who SMD sees
    for (mode, sub) in [("pass", "alice"), ("never", "bss")] {
        let lab = lab(LabConfig::default());
        let client = client(
            &lab,
            json!({ "targets": { "smd": { "user_token": mode } } }),
        );
        let user = UserToken::new(lab.user_token("alice", &["read"], 60));
        let call = |url: String| {
            client
                .agent()
                .get(url)
                .extension(user.clone())
                .extension(UserRequired)
                .call()
        };
        assert_eq!(status_of(call(node(&lab))), Ok(200));
        assert_eq!(
            lab.log_of(Service::Smd)[0].sub.as_deref(),
            Some(sub),
            "{mode}"
        );
        assert_eq!(status_of(call(lab.elsewhere_url())), Ok(200));
        assert_eq!(leaked(&lab), Vec::<String>::new());
    }
}

#[test]
fn a_users_token_is_exchanged_once_for_each_user() {
    let lab = lab(LabConfig::default());
    let client = client(
        &lab,
        json!({ "targets": { "smd": { "user_token": "exchange" } } }),
    );
    for (user, requests) in [("alice", 1), ("alice", 1), ("bob", 2), ("alice", 2)] {
        // The lab exchanges no users' tokens: this is what a server that does would answer.
        let exchanged = json!({
            "access_token": lab.user_token(&format!("{user}-at-smd"), &["read"], 60),
            "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
            "token_type": "Bearer", "expires_in": 60,
        });
        lab.faults().set(
            Endpoint::Token,
            Fault::body(200, "application/json", exchanged.to_string()),
        );
        let call = client
            .agent()
            .get(node(&lab))
            .extension(UserToken::new(format!("token-of-{user}")));
        assert_eq!(status_of(call.call()), Ok(200));
        let seen = lab.log_of(Service::Smd).pop().unwrap().sub;
        assert_eq!(seen, Some(format!("{user}-at-smd")));
        assert_eq!(
            lab.stats().endpoint(Endpoint::Token).requests,
            requests,
            "{user}"
        );
        assert_eq!(
            client
                .target("smd")
                .unwrap()
                .lease_for(&format!("token-of-{user}"))
                .unwrap()
                .subject(),
            seen.as_deref()
        );
    }
}

#[test]
fn more_users_than_are_kept_at_once_all_get_their_token() {
    let lab = lab(LabConfig::default());
    let patch =
        json!({ "targets": { "smd": { "user_token": "exchange" } }, "limits": { "subjects": 2 } });
    let client = client(&lab, patch);
    let answer = json!({
        "access_token": lab.user_token("somebody", &["read"], 60), "token_type": "Bearer", "expires_in": 60,
        "issued_token_type": "urn:ietf:params:oauth:token-type:access_token",
    });
    lab.faults().set(
        Endpoint::Token,
        Fault::body(200, "application/json", answer.to_string()).delay(20),
    );
    let smd = client.target("smd").unwrap();
    thread::scope(|scope| {
        for user in 0..8 {
            let smd = smd.clone();
            scope.spawn(move || {
                for _ in 0..3 {
                    smd.lease_for(&format!("token-of-{user}")).unwrap();
                }
            });
        }
    });
    assert!(lab.stats().endpoint(Endpoint::Token).requests >= 8);
}

#[test]
fn a_users_401_never_falls_back_to_the_services_token() {
    let lab = strict_lab();
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, json!({}));
    let expired = UserToken::new(lab.user_token("alice", &["read"], -10));
    let result = client.agent().get(node(&lab)).extension(expired).call();
    assert_eq!(status_of(result), Err("http status: 401".into()));
    let error = client
        .agent()
        .get(node(&lab))
        .extension(UserRequired)
        .call()
        .unwrap_err();
    assert_eq!(
        svcauth::error_of(&error).unwrap().code(),
        Code::UserTokenMissing
    );
    assert_eq!(
        (lab.stats().token_requests(), smd_statuses(&lab)),
        (0, vec![401])
    );
    heard.wait_for("user_token_missing");
}

#[test]
fn an_http_stack_of_ones_own_reports_a_rejected_lease_and_gets_another() {
    let lab = strict_lab();
    let smd = client(&lab, json!({})).target("smd").unwrap();
    let call = |lease: &svcauth::Lease| {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .proxy(None)
            .build()
            .into();
        let header = format!("Bearer {}", lease.value());
        agent
            .get(node(&lab))
            .header("authorization", header)
            .call()
            .unwrap()
            .status()
            .as_u16()
    };
    let lease = smd.lease().unwrap();
    assert_eq!(call(&lease), 200);
    lab.rotate_signing_key();
    assert_eq!(call(&lease), 401);
    let next = smd.reject(&lease).unwrap();
    assert_eq!(call(&next), 200);
    assert_eq!(smd.reject(&lease).unwrap().id(), next.id());
    assert_eq!(lab.stats().token_requests(), 2);
}

#[test]
fn the_audit_trail_names_user_and_service_without_query() {
    let lab = strict_lab();
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, json!({}));
    let user = UserToken::new(lab.user_token("alice", &["read"], 60));
    let url = format!("{}?token=not-for-the-log", node(&lab));
    client.agent().get(&url).extension(user).call().unwrap();
    client.agent().get(&url).call().unwrap();
    lab.rotate_signing_key();
    client.agent().get(&url).call().unwrap();
    client.agent().get(lab.elsewhere_url()).call().unwrap();
    let calls: Vec<_> = heard
        .all()
        .into_iter()
        .filter_map(|event| match event {
            Event::Call {
                target,
                url,
                status,
                kind,
                subject,
                retried,
                ..
            } => {
                assert!(!url.contains("not-for"), "{url}");
                Some((target, status, kind, subject, retried))
            }
            _ => None,
        })
        .collect();
    let smd = || Some("smd".to_owned());
    let by = |name: &str| Some(name.to_owned());
    assert_eq!(
        calls,
        [
            (smd(), Some(200), "user", by("alice"), false),
            (smd(), Some(200), "service", by("bss"), false),
            (smd(), Some(401), "service", by("bss"), false),
            (smd(), Some(200), "service", by("bss"), true),
            (None, Some(200), "none", None, false),
        ]
    );
}
