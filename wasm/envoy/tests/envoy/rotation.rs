//! A secret is replaced.

use serde_json::json;
use svcauth_envoy::{Envoy, Load, until};
use svcauth_lab::LabConfig;

use crate::stage::{SECRET, Stage, VARIABLE, early, node};

const NEXT: &str = "planted-next-secret-of-bss";

#[test]
fn a_secret_is_replaced_under_load_and_no_call_fails() {
    let stage = Stage::new(LabConfig::default().ttl);
    let document = json!({
        "schedule": early(),
        "client": { "credentials": [
            { "client_id": "bss", "client_secret": { "env": VARIABLE } },
            { "client_id": "bss", "client_secret": { "env": "BSS_SECRET_NEXT" } },
        ] },
    });
    let svcauth = stage.svcauth(document).variable("BSS_SECRET_NEXT");
    let bootstrap = stage.bootstrap().sidecar("egress", "smd", &svcauth);
    let settings = stage.settings(bootstrap).variable("BSS_SECRET_NEXT", NEXT);
    let envoy = Envoy::start(&settings);
    let load = Load::start(envoy.address("egress"), &node(), 8, None);
    load.more(50);

    assert!(stage.lab.add_secret("bss", NEXT, None));
    assert!(stage.lab.revoke_secret("bss", Some(SECRET)));
    let before = stage.lab.stats();
    until("tokens come with the new secret", || {
        stage.lab.stats().tokens_issued() >= before.tokens_issued() + 2
    });
    load.more(50);
    let tally = load.end();
    assert_eq!(tally.failed(), 0, "{tally:?}");
    let after = stage.lab.stats();
    let refused = (after.token_requests() - after.tokens_issued())
        - (before.token_requests() - before.tokens_issued());
    assert_eq!(refused, 1, "the pair that works comes first from then on");
}
