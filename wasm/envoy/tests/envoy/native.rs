//! Envoy's own filter for client credentials, to know what is compared with.

use serde_json::json;
use svcauth_envoy::{Envoy, Load, Settings, injector, until};
use svcauth_lab::{Endpoint, Fault};

use crate::stage::{SECRET, Stage, node};

#[test]
fn the_native_filter_refuses_calls_until_its_first_token() {
    let stage = Stage::new(600);
    stage.lab.create_client(json!({
        "client_id": "native",
        "client_secret": SECRET,
        "scope": "read",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "client_secret_post",
    }));
    stage.lab.faults().set(Endpoint::Token, Fault::hold());
    let endpoint = format!("{}/oauth2/token", stage.lab.issuer_url());
    let filter = injector("issuer", &endpoint, "native", "client-secret");
    let bootstrap =
        stage
            .bootstrap()
            .secret("client-secret", SECRET)
            .listener("egress", "smd", &[filter], &[]);
    let envoy = Envoy::start(&Settings::of(bootstrap));

    let load = Load::start(envoy.address("egress"), &node(), 8, None);
    load.more(8);
    assert_eq!(load.so_far().statuses.keys().collect::<Vec<_>>(), [&401]);
    stage.lab.faults().clear(Endpoint::Token);
    until("calls get through", || load.so_far().of(200) > 0);
    load.end();
    assert_eq!(stage.callers(), ["native"]);
}
