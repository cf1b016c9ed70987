//! The flow of a service: register, authorize, token, call. And what the lab counts meanwhile.

mod http;

use std::thread;

use serde_json::json;
use svcauth_lab::{Endpoint, Fault, KeyFetch, Lab, LabConfig, Service, SmdConfig};

const NODE: &str = "/hsm/v2/State/Components/x0c0s0b0n0";

fn token(lab: &Lab, id: &str, secret: &str) -> http::Answer {
    http::form(
        &format!("{}/oauth2/token", lab.issuer_url()),
        &[],
        &[
            ("grant_type", "client_credentials"),
            ("client_id", id),
            ("client_secret", secret),
            ("scope", "read"),
        ],
    )
    .unwrap()
}

fn access_token(answer: &http::Answer) -> String {
    let document = answer.json();
    document["access_token"]
        .as_str()
        .unwrap_or_else(|| panic!("no token in {document}"))
        .to_owned()
}

fn post_client(lab: &Lab, id: &str, secret: &str) {
    let answer = lab.create_client(json!({
        "client_id": id,
        "client_secret": secret,
        "scope": "read",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    }));
    assert_eq!(answer["client_id"], id);
}

#[test]
fn a_service_registers_gets_a_token_and_calls_smd_with_it() {
    let lab = Lab::start(LabConfig::default());

    let registered = http::json(
        &format!("{}/oauth2/register", lab.issuer_url()),
        "POST",
        &json!({
            "client_name": "bss",
            "token_endpoint_auth_method": "client_secret_post",
            "scope": "openid read",
            "grant_types": ["client_credentials"],
            "redirect_uris": ["http://hydra:5555/callback"],
        }),
    )
    .unwrap();
    assert_eq!(registered.status, 201);
    let client = registered.json();
    let (id, secret) = (
        client["client_id"].as_str().unwrap(),
        client["client_secret"].as_str().unwrap(),
    );

    let answer = token(&lab, id, secret);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.json()["expires_in"], 19);
    let access_token = access_token(&answer);

    let node = format!("{}{NODE}", lab.smd_url());
    assert_eq!(http::get(&node, None).unwrap().status, 401);
    for _ in 0..3 {
        let answer = http::get(&node, Some(&access_token)).unwrap();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.json()["ID"], "x0c0s0b0n0");
    }

    let seen: Vec<_> = lab
        .log_of(Service::Smd)
        .iter()
        .map(|entry| (entry.status, entry.client_id.clone()))
        .collect();
    let by_client = (Some(200), Some(id.to_owned()));
    assert_eq!(
        seen,
        [
            (Some(401), None),
            by_client.clone(),
            by_client.clone(),
            by_client
        ]
    );
    assert_eq!(lab.stats().token_requests_of(id), 1);
    assert_eq!(lab.stats().endpoint(Endpoint::Smd).answers[&200], 3);
}

#[test]
fn requests_in_flight_are_counted_at_their_maximum() {
    let lab = Lab::start(LabConfig::default());
    post_client(&lab, "bss", "a-secret");
    lab.faults().set(Endpoint::Token, Fault::hold());
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| token(&lab, "bss", "a-secret"));
        }
        assert!(lab.wait_for(|stats| stats.endpoint(Endpoint::Token).in_flight == 8));
        assert_eq!(lab.stats().tokens_issued(), 0);
        lab.faults().clear(Endpoint::Token);
    });
    let numbers = lab.stats().endpoint(Endpoint::Token);
    assert_eq!((numbers.requests, numbers.in_flight), (8, 0));
    assert_eq!(numbers.in_flight_max, 8);
    assert_eq!(lab.stats().tokens_issued(), 8);
}

#[test]
fn after_a_key_change_smd_takes_what_its_key_set_says() {
    let rows = [
        (KeyFetch::Once, false, (200, 401)),
        (KeyFetch::Once, true, (401, 200)),
        (KeyFetch::UnknownKey, false, (200, 200)),
        (KeyFetch::Always, false, (401, 200)),
    ];
    for (keys, fetched, expected) in rows {
        let lab = Lab::start(LabConfig {
            smd: SmdConfig {
                keys,
                ..SmdConfig::default()
            },
            ..LabConfig::default()
        });
        post_client(&lab, "bss", "a-secret");
        let old = access_token(&token(&lab, "bss", "a-secret"));
        lab.rotate_signing_key();
        let new = access_token(&token(&lab, "bss", "a-secret"));
        if fetched {
            lab.smd_fetch_keys();
        }
        let call = |token: &str| {
            let url = format!("{}{NODE}", lab.smd_url());
            http::get(&url, Some(token)).unwrap().status
        };
        assert_eq!((call(&old), call(&new)), expected, "{keys:?} {fetched}");
    }
}
