//! No secret is told, by any log at any level, by the configuration's dump or by a metric.

use serde_json::json;
use svcauth_envoy::Envoy;
use svcauth_lab::{Endpoint, Fault};

use crate::stage::{PLANTED, Stage, node};

#[test]
fn no_secret_and_no_token_is_told() {
    let stage = Stage::new(600);
    // What the server says on refusal goes to the log, cleaned.
    let echo = Fault::body(
        400,
        "application/json",
        json!({ "error": "invalid_scope", "error_description": format!("you sent {}", crate::stage::SECRET) }).to_string(),
    );
    stage.lab.faults().set(Endpoint::Token, echo.times(1));
    let settings = stage
        .settings(
            stage
                .sidecar(json!({ "schedule": { "refused_initial_s": 0.1, "refused_max_s": 0.1 } })),
        )
        .component_log_level("wasm:trace");
    let envoy = Envoy::start(&settings);
    let egress = envoy.address("egress");
    svcauth_envoy::until("calls get through", || {
        node().send(egress).unwrap().status == 200
    });
    stage.new_key();
    assert_eq!(node().send(egress).unwrap().status, 200);
    let alice = stage.lab.user_token("alice", &["read"], 600);
    assert_eq!(node().bearer(&alice).send(egress).unwrap().status, 200);

    let told = [
        ("log", envoy.log()),
        ("config_dump", envoy.admin("/config_dump").text()),
        ("stats", envoy.admin("/stats").text()),
        ("prometheus", envoy.admin("/stats/prometheus").text()),
    ];
    for (place, text) in told {
        assert!(!text.is_empty(), "{place}");
        for secret in [PLANTED, "eyJ"] {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {place}");
        }
    }
}
