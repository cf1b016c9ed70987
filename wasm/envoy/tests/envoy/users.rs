//! Users' tokens, and calls that must not carry the service's.

use serde_json::{Value, json};
use svcauth_envoy::{Envoy, Settings};
use svcauth_lab::{Endpoint, Fault, Service};

use crate::stage::{Stage, node};

#[test]
fn a_callers_own_token_is_passed_on_and_its_401_is_its_own() {
    let stage = Stage::new(600);
    // It needs no token of the service's.
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let envoy = stage.start(json!({}));
    let egress = envoy.address("egress");
    let alice = stage.lab.user_token("alice", &["read"], 600);
    assert_eq!(node().bearer(&alice).send(egress).unwrap().status, 200);
    let expired = stage.lab.user_token("alice", &["read"], -100);
    assert_eq!(node().bearer(&expired).send(egress).unwrap().status, 401);
    let basic = node().header("Authorization", "Basic YWxpY2U6eA==");
    assert_eq!(basic.send(egress).unwrap().status, 401);

    let log = stage.lab.log_of(Service::Smd);
    let subjects: Vec<_> = log.iter().map(|entry| entry.sub.as_deref()).collect();
    assert_eq!(subjects, [Some("alice"), None, None]);
    assert_eq!(stage.lab.stats().tokens_issued(), 0);
}

/// Envoy's filter that checks users' tokens; a request without one passes.
fn jwt_authn(stage: &Stage, forward: bool) -> Value {
    json!({
        "name": "envoy.filters.http.jwt_authn",
        "typed_config": {
            "@type": "type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication",
            "providers": { "issuer": {
                "issuer": stage.lab.issuer_url(),
                "forward": forward,
                "payload_in_metadata": "jwt",
                "remote_jwks": {
                    "http_uri": {
                        "uri": format!("{}/.well-known/jwks.json", stage.lab.issuer_url()),
                        "cluster": "issuer",
                        "timeout": "20s",
                    },
                },
            } },
            "rules": [{
                "match": { "prefix": "/" },
                "requires": { "requires_any": { "requirements": [
                    { "provider_name": "issuer" },
                    { "allow_missing": {} },
                ] } },
            }],
        },
    })
}

#[test]
fn a_user_whose_token_was_taken_off_never_gets_the_services() {
    let stage = Stage::new(600);
    let svcauth = stage.svcauth(json!({}));
    let attach = svcauth.attach();
    let (retry, upstream) = svcauth.pair();
    let authn = jwt_authn(&stage, false);
    let bootstrap = stage
        .bootstrap()
        .listener("attach", "smd", &[authn.clone(), attach.clone()], &[])
        .listener("upstream", "smd", std::slice::from_ref(&authn), &[attach])
        .listener("pair", "smd", &[authn, retry], &[upstream]);
    let envoy = Envoy::start(&stage.settings(bootstrap));
    let alice = stage.lab.user_token("alice", &["read"], 600);
    for listener in ["attach", "upstream", "pair"] {
        let address = envoy.address(listener);
        let before = stage.lab.log_of(Service::Smd).len();
        let answer = node().bearer(&alice).send(address).unwrap();
        assert!(
            (400..600).contains(&answer.status),
            "{listener}: {}",
            answer.status
        );
        let log = stage.lab.log_of(Service::Smd);
        assert!(
            log[before..].iter().all(|entry| entry.client_id.is_none()),
            "{listener}: {log:?}"
        );
        // Without a user it is the service that calls.
        assert_eq!(node().send(address).unwrap().status, 200, "{listener}");
    }
    assert_eq!(stage.callers(), ["bss"]);
}

#[test]
fn a_user_whose_token_is_forwarded_is_seen_by_the_called_service() {
    let stage = Stage::new(600);
    let (retry, attach) = stage.svcauth(json!({})).pair();
    let filters = [jwt_authn(&stage, true), retry];
    let bootstrap = stage
        .bootstrap()
        .listener("gateway", "smd", &filters, &[attach]);
    let envoy = Envoy::start(&stage.settings(bootstrap));
    let alice = stage.lab.user_token("alice", &["read"], 600);
    let gateway = envoy.address("gateway");
    assert_eq!(node().bearer(&alice).send(gateway).unwrap().status, 200);
    let log = stage.lab.log_of(Service::Smd);
    assert_eq!(log[0].sub.as_deref(), Some("alice"));
}

#[test]
fn the_host_header_neither_brings_a_token_nor_takes_it_away() {
    let stage = Stage::new(600);
    let svcauth = stage.svcauth(json!({
        "envoy": { "target": null, "clusters": { "smd": "smd" } },
    }));
    let (retry, attach) = svcauth.pair();
    let mut gateway = svcauth_envoy::listener("gateway", "smd", &[retry], &[attach]);
    let manager = &mut gateway["filter_chains"][0]["filters"][0]["typed_config"];
    manager["route_config"]["virtual_hosts"][0]["routes"] = json!([
        { "match": { "prefix": "/hsm" }, "route": { "cluster": "smd" } },
        { "match": { "prefix": "/" }, "route": { "cluster": "elsewhere", "prefix_rewrite": "/hsm/v2/" } },
    ]);
    let bootstrap = stage.bootstrap().resource("listeners", gateway);
    let envoy = Envoy::start(&Settings::clone(&stage.settings(bootstrap)));
    let gateway = envoy.address("gateway");
    let smd = stage.lab.address(Service::Smd).to_string();

    assert_eq!(
        node().host("evil.example").send(gateway).unwrap().status,
        200
    );
    let elsewhere = svcauth_envoy::Request::get("/x").host(&smd);
    assert_eq!(elsewhere.send(gateway).unwrap().status, 200);
    let log = stage.lab.log_of(Service::Elsewhere);
    assert_eq!(log.len(), 1);
    assert!(log[0].authorization.is_none());
    assert_eq!(stage.callers(), ["bss"]);
}
