//! Each fault, as a client sees it.

mod http;

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::json;
use svcauth_lab::{
    Action, Endpoint, Fault, KeyFetch, Lab, LabConfig, RetryAfter, Service, SmdConfig,
};

const NODE: &str = "/hsm/v2/State/Components/x0c0s0b0n0";

fn lab() -> Lab {
    let lab = Lab::start(LabConfig::default());
    lab.add_client("bss", "a-secret", "read");
    lab
}

fn token(lab: &Lab, secret: &str) -> io::Result<http::Answer> {
    use base64::Engine as _;
    let credentials = base64::engine::general_purpose::STANDARD.encode(format!("bss:{secret}"));
    http::form(
        &format!("{}/oauth2/token", lab.issuer_url()),
        &[&format!("Authorization: Basic {credentials}")],
        &[("grant_type", "client_credentials"), ("scope", "read")],
    )
}

#[test]
fn each_fault_of_an_answer_is_seen_by_the_client() {
    type Check = fn(&io::Result<http::Answer>) -> bool;
    let rows: Vec<(&str, Fault, Check)> = vec![
        ("503", Fault::status(503), |seen| {
            seen.as_ref().is_ok_and(|answer| answer.status == 503)
        }),
        ("429 without Retry-After", Fault::too_many(None), |seen| {
            seen.as_ref()
                .is_ok_and(|answer| answer.status == 429 && answer.header("retry-after").is_none())
        }),
        (
            "429 with seconds",
            Fault::too_many(Some(RetryAfter::Seconds(7))),
            |seen| {
                seen.as_ref()
                    .is_ok_and(|answer| answer.header("retry-after") == Some("7"))
            },
        ),
        (
            "429 with a date",
            Fault::too_many(Some(RetryAfter::DateIn(7))),
            |seen| {
                seen.as_ref().is_ok_and(|answer| {
                    answer
                        .header("retry-after")
                        .is_some_and(|date| httpdate::parse_http_date(date).is_ok())
                })
            },
        ),
        ("HTML", Fault::html(), |seen| {
            seen.as_ref().is_ok_and(|answer| {
                answer.status == 200 && answer.header("content-type").unwrap().contains("html")
            })
        }),
        ("empty", Fault::empty(), |seen| {
            seen.as_ref().is_ok_and(|answer| {
                answer.status == 200
                    && answer.body.is_empty()
                    && answer.header("content-type").is_none()
            })
        }),
        ("truncated", Fault::truncated(), |seen| {
            seen.as_ref().is_ok_and(|answer| {
                answer.body.starts_with("{\"access_token\"")
                    && serde_json::from_str::<serde_json::Value>(&answer.body).is_err()
            })
        }),
        ("cut", Fault::new(Action::Cut), Result::is_err),
        ("dropped", Fault::drop_connection(), Result::is_err),
        ("lost", Fault::new(Action::Lose), Result::is_err),
        (
            "error in 200",
            Fault::error_in_200("invalid_client"),
            |seen| {
                seen.as_ref().is_ok_and(|answer| {
                    answer.status == 200 && answer.json()["error"] == "invalid_client"
                })
            },
        ),
        (
            "redirect",
            Fault::redirect(307, "http://127.0.0.1:1/"),
            |seen| {
                seen.as_ref().is_ok_and(|answer| {
                    answer.status == 307 && answer.header("location") == Some("http://127.0.0.1:1/")
                })
            },
        ),
        (
            "merged",
            Fault::merge(json!({ "expires_in": "3600", "token_type": null })),
            |seen| {
                seen.as_ref().is_ok_and(|answer| {
                    let document = answer.json();
                    document["expires_in"] == "3600"
                        && document.get("token_type").is_none()
                        && document["access_token"].is_string()
                })
            },
        ),
    ];
    let lab = lab();
    for (name, fault, check) in rows {
        lab.faults().set(Endpoint::Token, fault.times(1));
        let seen = token(&lab, "a-secret");
        assert!(check(&seen), "{name}: {seen:?}");
        let after = token(&lab, "a-secret").unwrap();
        assert_eq!(after.status, 200, "after {name}");
    }
}

#[test]
fn a_lost_answer_was_acted_on_and_a_dropped_request_was_not() {
    let lab = lab();
    for (fault, issued) in [
        (Fault::drop_connection(), 0),
        (Fault::new(Action::Lose), 1),
        (Fault::new(Action::Cut), 1),
        (Fault::status(500), 0),
    ] {
        lab.reset();
        lab.faults().set(Endpoint::Token, fault.clone());
        let _ = token(&lab, "a-secret");
        assert_eq!(lab.stats().tokens_issued(), issued, "{fault:?}");
        let numbers = lab.stats().endpoint(Endpoint::Token);
        assert_eq!((numbers.requests, numbers.faults), (1, 1), "{fault:?}");
    }
}

#[test]
fn a_slow_endpoint_answers_late_and_the_others_in_time() {
    let lab = lab();
    lab.faults().set(Endpoint::Token, Fault::slow(200));
    let started = Instant::now();
    assert_eq!(token(&lab, "a-secret").unwrap().status, 200);
    assert!(started.elapsed() >= Duration::from_millis(200));
    let jwks = format!("{}/.well-known/jwks.json", lab.issuer_url());
    assert_eq!(http::get(&jwks, None).unwrap().status, 200);
}

#[test]
fn every_endpoint_has_faults_of_its_own() {
    let lab = lab();
    let rows = [
        (Endpoint::Register, lab.issuer_url() + "/oauth2/register/x"),
        (Endpoint::Register, lab.admin_url() + "/admin/clients/x"),
        (Endpoint::Authorize, lab.issuer_url() + "/oauth2/auth"),
        (Endpoint::Revoke, lab.issuer_url() + "/oauth2/revoke"),
        (
            Endpoint::Discovery,
            lab.issuer_url() + "/.well-known/openid-configuration",
        ),
        (
            Endpoint::Jwks,
            lab.issuer_url() + "/.well-known/jwks.json?x=y",
        ),
        (Endpoint::Opaal, lab.opaal_url() + "/status"),
        (Endpoint::Tokensmith, lab.tokensmith_url() + "/health"),
        (Endpoint::Smd, lab.smd_url() + "/hsm/v2/service/ready"),
        (Endpoint::Elsewhere, lab.elsewhere_url() + "/anything"),
        (Endpoint::Other, lab.issuer_url() + "/nothing"),
    ];
    for (endpoint, url) in rows {
        lab.faults().set(endpoint, Fault::status(599));
        assert_eq!(http::get(&url, None).unwrap().status, 599, "{endpoint:?}");
        lab.faults().clear(endpoint);
        assert_ne!(http::get(&url, None).unwrap().status, 599, "{endpoint:?}");
    }
}

#[test]
fn a_server_that_is_away_refuses_connections_and_comes_back_on_its_port() {
    let lab = lab();
    for round in 0..3 {
        assert_eq!(token(&lab, "a-secret").unwrap().status, 200, "{round}");
        lab.away(Service::Issuer);
        let refused = token(&lab, "a-secret").unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused, "{round}");
        let admin = format!("{}/admin/clients/bss", lab.admin_url());
        assert!(http::get(&admin, None).is_err(), "admin goes with it");
        let control = format!("{}/lab/stats", lab.admin_url());
        assert_eq!(http::get(&control, None).unwrap().status, 200);
        lab.back(Service::Issuer);
    }
}

#[test]
fn a_server_that_goes_away_cuts_the_connections_it_had() {
    let lab = lab();
    let mut stream = TcpStream::connect(lab.address(Service::Smd)).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let request = b"GET /hsm/v2/service/ready HTTP/1.1\r\nHost: lab\r\n\r\n";
    stream.write_all(request).unwrap();
    let mut answer = [0; 4096];
    assert!(stream.read(&mut answer).unwrap() > 0);
    lab.away(Service::Smd);
    let ended = match stream.read(&mut answer) {
        Ok(read) => read == 0,
        Err(error) => error.kind() == io::ErrorKind::ConnectionReset,
    };
    assert!(ended, "the connection is still there");
}

#[test]
fn a_lab_that_is_dropped_refuses_connections() {
    let lab = lab();
    let url = lab.smd_url();
    drop(lab);
    let refused = http::get(&url, None).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
}

#[test]
fn secrets_are_added_revoked_and_expire() {
    let lab = lab();
    let status = |secret: &str| token(&lab, secret).unwrap().status;
    assert!(lab.add_secret("bss", "second", None));
    assert_eq!((status("a-secret"), status("second")), (200, 200));
    assert!(lab.revoke_secret("bss", Some("a-secret")));
    assert_eq!((status("a-secret"), status("second")), (401, 200));
    assert!(lab.add_secret("bss", "expired", Some(0)));
    assert_eq!((status("second"), status("expired")), (200, 401));
    assert!(lab.revoke_secret("bss", None));
    assert_eq!(status("second"), 401);
    assert!(!lab.add_secret("nobody", "x", None));
}

#[test]
fn rotation_keeps_the_old_secret_until_it_is_deleted() {
    let lab = lab();
    let rotate = format!("{}/admin/clients/bss/secrets/rotate", lab.admin_url());
    let status = |secret: &str| token(&lab, secret).unwrap().status;
    let rotated = http::send(&rotate, "POST", &[], b"").unwrap();
    let document = rotated.json();
    let new = document["client_secret"].as_str().unwrap();
    assert_eq!((status("a-secret"), status(new)), (200, 200));
    for _ in 0..5 {
        http::send(&rotate, "POST", &[], b"").unwrap();
    }
    assert_eq!(status("a-secret"), 401, "six rotations later");
    assert_eq!(status(new), 200);
    let deleted = http::send(&rotate, "DELETE", &[], b"").unwrap();
    assert_eq!((deleted.status, status(new)), (200, 401));
}

#[test]
fn smd_sends_a_challenge_when_asked_to() {
    let lab = Lab::start(LabConfig {
        smd: SmdConfig {
            challenge: true,
            scope: Some("write".into()),
            ..SmdConfig::default()
        },
        ..LabConfig::default()
    });
    let url = format!("{}{NODE}", lab.smd_url());
    let reader = lab.user_token("alice", &["read"], 60);
    let writer = lab.user_token("alice", &["read", "write"], 60);
    let rows = [
        (None, 401, Some("Bearer realm=\"smd\"")),
        (
            Some("x"),
            401,
            Some(
                "Bearer realm=\"smd\", error=\"invalid_token\", \
                 error_description=\"token is unauthorized\"",
            ),
        ),
        (
            Some(&reader),
            403,
            Some("Bearer realm=\"smd\", error=\"insufficient_scope\", scope=\"write\""),
        ),
        (Some(&writer), 200, None),
    ];
    for (token, status, challenge) in rows {
        let answer = http::get(&url, token).unwrap();
        assert_eq!(answer.status, status, "{challenge:?}");
        assert_eq!(answer.header("www-authenticate"), challenge);
    }
    let log = lab.log_of(Service::Smd);
    assert_eq!(log.last().unwrap().sub.as_deref(), Some("alice"));
}

#[test]
fn a_failed_fetch_leaves_smd_with_the_keys_it_had() {
    let lab = lab();
    lab.set_smd(SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    });
    let token = lab.user_token("alice", &["read"], 60);
    let call = || {
        let url = format!("{}{NODE}", lab.smd_url());
        http::get(&url, Some(&token)).unwrap().status
    };
    for fault in [Fault::status(500), Fault::html(), Fault::drop_connection()] {
        lab.faults().set(Endpoint::Jwks, fault.clone());
        assert_eq!(call(), 200, "{fault:?}");
    }
    lab.faults().clear_all();
    lab.rotate_signing_key();
    assert_eq!(call(), 401);
}

#[test]
fn a_token_taken_elsewhere_stands_in_the_log_but_not_in_its_debug_output() {
    let lab = lab();
    let to = format!("{}/somewhere", lab.elsewhere_url());
    let redirect = format!("{}/redirect?status=307&to={to}", lab.smd_url());
    let answer = http::get(&redirect, Some("a-token")).unwrap();
    assert_eq!(
        (answer.status, answer.header("location")),
        (307, Some(&*to))
    );
    assert_eq!(lab.log_of(Service::Elsewhere).len(), 0);
    http::get(answer.header("location").unwrap(), Some("a-token")).unwrap();
    let log = lab.log_of(Service::Elsewhere);
    assert_eq!(log[0].authorization.as_deref(), Some("Bearer a-token"));
    assert!(!format!("{log:?}").contains("a-token"));
}

#[test]
fn a_one_second_token_is_good_for_the_second_it_promises() {
    let lab = Lab::start(LabConfig {
        ttl: 1,
        ..LabConfig::default()
    });
    lab.add_client("bss", "a-secret", "read");
    let asked = Instant::now();
    let document = token(&lab, "a-secret").unwrap().json();
    assert_eq!(document["expires_in"], 1);
    let access_token = document["access_token"].as_str().unwrap();
    let url = format!("{}{NODE}", lab.smd_url());
    loop {
        let answer = http::get(&url, Some(access_token)).unwrap();
        let age = asked.elapsed();
        match answer.status {
            200 => {}
            _ => {
                assert!(age >= Duration::from_secs(1), "dead after {age:?}");
                assert_eq!(answer.body.trim_end(), "token is expired");
                break;
            }
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}
