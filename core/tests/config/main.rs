//! The configuration document: what is read, what is refused and how, and the schema beside it.

mod documents;
mod mutations;
mod refused;
mod schema;
mod secrets;

use documents::{MINIMAL, everything, patched, text};
use serde_json::json;
use svcauth_core::{
    Config,
    config::{
        AuthMethod, Discovery, Grant, Limits, Proxy, RefreshTokens, Schedule, SecretReference,
        Timeouts, UserToken,
    },
    wire::Method,
};

#[test]
fn the_documented_example_is_read_as_it_is_meant() {
    let config = Config::from_json(include_bytes!("../../svcauth.example.json")).unwrap();
    assert_eq!(
        config.issuer.unwrap().as_str(),
        "https://demo.openchami.cluster:8443"
    );
    assert_eq!(config.client.auth, AuthMethod::ClientSecretBasic);
    let files: Vec<_> = config
        .client
        .credentials
        .iter()
        .map(|credential| {
            (
                credential.client_id.as_str(),
                credential.client_secret.clone().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        files,
        [
            ("bss", SecretReference::File("/run/secrets/bss".into())),
            (
                "bss",
                SecretReference::File("/run/secrets/bss-previous".into())
            ),
        ]
    );
    let [smd] = &config.targets[..] else {
        panic!("one target")
    };
    assert_eq!(smd.name, "smd");
    assert_eq!(smd.urls.len(), 2);
    assert_eq!(smd.scopes, ["read"]);
    assert_eq!(smd.audience, ["smd"]);
    assert!(smd.require_scopes);
    assert_eq!(config.insecure_http[0].to_string(), "http://smd:27779");
    assert_eq!(config.schedule.backoff_max_ms, 30_000);
    assert_eq!(config.timeouts.connect_ms, 2_500);
    assert_eq!(config.tls.ca_file.as_deref(), Some("/etc/openchami/ca.pem"));
    assert_eq!(config.proxy, Proxy::None);
}

#[test]
fn what_is_left_out_has_its_default() {
    let config = Config::from_json(MINIMAL.as_bytes()).unwrap();
    assert_eq!(config.discovery, Discovery::Auto);
    assert_eq!(config.client.auth, AuthMethod::ClientSecretBasic);
    assert_eq!(config.schedule, Schedule::default());
    assert_eq!(config.timeouts, Timeouts::default());
    assert_eq!(config.limits, Limits::default());
    assert_eq!(config.proxy, Proxy::Environment);
    let smd = &config.targets[0];
    assert_eq!(smd.grant, Grant::ClientCredentials);
    assert_eq!(smd.user_token, UserToken::Pass);
    assert_eq!(smd.default_lifetime_ms, 60_000);
    assert!(!config.needs_durable_store());
}

#[test]
fn targets_are_found_by_name_and_point_at_each_other() {
    let config = Config::from_json(
        br#"{
            "issuer": "https://hydra.example",
            "client": {"credentials": [{"client_id": "bss", "client_secret": {"file": "s"}}]},
            "targets": {
                "smd": {"urls": ["https://smd.example/hsm/v2"]},
                "power": {"urls": ["https://smd.example/power"], "token_of": "smd"},
                "Zeta.1": {"urls": []},
                "aaa": {"urls": [], "token_of": "smd", "user_token": "never"}
            }
        }"#,
    )
    .unwrap();
    let names: Vec<_> = config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    assert_eq!(names, ["Zeta.1", "aaa", "power", "smd"]);
    for (name, index) in [
        ("smd", Some(3)),
        ("Zeta.1", Some(0)),
        ("zeta.1", None),
        ("", None),
    ] {
        assert_eq!(config.target_index(name), index, "{name}");
    }
    let of: Vec<_> = config
        .targets
        .iter()
        .map(|target| target.token_of)
        .collect();
    assert_eq!(of, [None, Some(3), Some(3), None]);
}

#[test]
fn grants_are_a_name_or_an_object() {
    for (grant, read) in [
        (json!("client_credentials"), Grant::ClientCredentials),
        (
            json!({"type": "client_credentials"}),
            Grant::ClientCredentials,
        ),
        (
            json!("bare"),
            Grant::Bare {
                method: Method::Post,
            },
        ),
        (
            json!({"type": "bare", "method": "GET"}),
            Grant::Bare {
                method: Method::Get,
            },
        ),
        (
            json!({"type": "token_exchange", "subject_token": {"env": "BOOTSTRAP"},
                   "subject_token_type": "urn:x:y"}),
            Grant::TokenExchange {
                subject_token: SecretReference::Env("BOOTSTRAP".into()),
                subject_token_type: "urn:x:y".into(),
                requested_token_type: None,
                refresh_tokens: RefreshTokens::OneUse,
            },
        ),
    ] {
        let patch = json!({
            "store": {"file": "state"},
            "targets": {"smd": {"grant": grant, "scopes": null}},
        });
        let config = Config::from_json(text(&patched(MINIMAL, &patch)).as_bytes()).unwrap();
        assert_eq!(config.targets[0].grant, read);
    }
}

#[test]
fn a_store_is_needed_for_registrations_and_for_one_use_refresh_tokens() {
    let exchange = |refresh_tokens: &str| {
        json!({"store": {"file": "state"}, "targets": {"smd": {"grant": {
            "type": "token_exchange", "subject_token": {"file": "t"}, "subject_token_type": "urn:x:y",
            "refresh_tokens": refresh_tokens,
        }}}})
    };
    let registration =
        json!({"store": {"file": "state"}, "client": {"credentials": null, "registration": {}}});
    for (patch, needed) in [
        (json!({"store": {"file": "state"}}), false),
        (registration, true),
        (exchange("one_use"), true),
        (exchange("reusable"), false),
        (exchange("ignore"), false),
    ] {
        let config = Config::from_json(text(&patched(MINIMAL, &patch)).as_bytes()).unwrap();
        assert_eq!(config.needs_durable_store(), needed, "{patch}");
    }
}

#[test]
fn seconds_become_milliseconds() {
    for (seconds, milliseconds) in [
        ("1", 1_000),
        ("0.1", 100),
        ("1.2344", 1_234),
        ("1.2346", 1_235),
        ("1e2", 100_000),
    ] {
        let patch = format!("{{\"timeouts\": {{\"request_s\": {seconds}}}}}");
        let document = patched(MINIMAL, &serde_json::from_str(&patch).unwrap());
        let config = Config::from_json(text(&document).as_bytes()).unwrap();
        assert_eq!(config.timeouts.request_ms, milliseconds, "{seconds}");
    }
}

#[test]
fn a_document_with_every_member_is_read() {
    for document in everything() {
        Config::from_json(text(&document).as_bytes()).unwrap();
    }
}

#[test]
fn a_byte_order_mark_and_white_space_do_no_harm() {
    let spaced = format!("\u{feff} \r\n{MINIMAL}\n\n");
    Config::from_json(spaced.as_bytes()).unwrap();
}
