//! No secret is told, by any log at any level, by the configuration's dump or by a metric.

use serde_json::{Value, json};
use svcauth_envoy::{Envoy, Settings, until};
use svcauth_lab::{Endpoint, Fault};

use crate::stage::{PLANTED, SECRET, Stage, VARIABLE, node};

/// Calls of all kinds; then everything that can be read of this Envoy.
fn everything_told(stage: &Stage, settings: &Settings) -> [(&'static str, String); 4] {
    // What the server says on refusal goes to the log, cleaned.
    let echo =
        json!({ "error": "invalid_scope", "error_description": format!("you sent {SECRET}") });
    let echo = Fault::body(400, "application/json", echo.to_string());
    stage.lab.faults().set(Endpoint::Token, echo.times(1));
    let envoy = Envoy::start(settings);
    let egress = envoy.address("egress");
    until("calls get through", || {
        node().send(egress).unwrap().status == 200
    });
    stage.new_key();
    assert_eq!(node().send(egress).unwrap().status, 200);
    [
        ("log", envoy.log()),
        ("config_dump", envoy.admin("/config_dump").text()),
        ("stats", envoy.admin("/stats").text()),
        ("prometheus", envoy.admin("/stats/prometheus").text()),
    ]
}

fn assert_nothing_told(told: [(&str, String); 4]) {
    for (place, text) in told {
        assert!(!text.is_empty(), "{place}");
        // "bss:planted-" in Basic.
        for secret in [PLANTED, "eyJ", "YnNzOnBsYW50ZWQt"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {place}");
        }
    }
}

#[test]
fn the_filter_tells_no_secret_and_no_token_at_any_level() {
    let stage = Stage::new(600);
    let bootstrap = stage.sidecar(impatient());
    let settings = stage.settings(bootstrap).component_log_level("wasm:trace");
    assert_nothing_told(everything_told(&stage, &settings));
}

/// Envoy itself logs the headers of requests at level debug: those that filters before the router see, and those of
/// the filter's own requests. So the token is attached behind the router, and the secret stands in the body.
#[test]
fn envoy_tells_none_either_where_the_token_is_attached_upstream_and_the_secret_is_in_the_body() {
    let stage = Stage::new(600);
    stage.lab.create_client(json!({
        "client_id": "bss-post",
        "client_secret": SECRET,
        "scope": "read",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    }));
    let mut patch = impatient();
    patch["client"] = json!({
        "auth": "client_secret_post",
        "credentials": [{ "client_id": "bss-post", "client_secret": { "env": VARIABLE } }],
    });
    let settings = stage.settings(stage.sidecar(patch)).log_level("trace");
    assert_nothing_told(everything_told(&stage, &settings));
}

fn impatient() -> Value {
    json!({ "schedule": { "refused_initial_s": 0.1, "refused_max_s": 0.1 } })
}
