//! Documents that the tests start from.

use serde_json::{Value, json};

/// Little more than must be there.
pub(crate) const MINIMAL: &str = r#"{
  "issuer": "https://hydra.example",
  "client": {
    "credentials": [{"client_id": "bss", "client_secret": {"file": "/run/secrets/bss"}}]
  },
  "targets": {"smd": {"urls": ["https://smd.example/hsm/v2"], "scopes": ["read"]}}
}"#;

/// Documents that together hold every member, none of them with its default.
pub(crate) fn everything() -> Vec<Value> {
    vec![credentials(), registration(), static_token()]
}

fn credentials() -> Value {
    json!({
        "$schema": "svcauth.schema.json",
        "issuer": "http://hydra.example:4444",
        "endpoints": {
            "token": "https://hydra.example/oauth2/token",
            "authorization": "https://hydra.example/oauth2/auth",
            "registration": "https://hydra.example/oauth2/register"
        },
        "discovery": "oauth",
        "client": {
            "auth": "client_secret_post",
            "basic_encoding": "raw",
            "credentials": [
                {"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}},
                {"client_id": "bss:2", "client_secret": {"callback": "vault/bss"}}
            ]
        },
        "targets": {
            "smd": {
                "urls": ["http://smd.example:27779/hsm/v2", "https://smd.example/"],
                "scopes": ["read", "write"],
                "audience": ["smd"],
                "resource": ["https://smd.example", "urn:smd"],
                "parameters": {"tenant": "blue"},
                "grant": "client_credentials",
                "user_token": "exchange",
                "require_scopes": true,
                "default_lifetime_s": 30
            },
            "power": {
                "urls": ["https://power.example"],
                "token_of": "smd",
                "user_token": "never"
            },
            "opaal": {
                "urls": ["https://opaal.example"],
                "grant": {"type": "bare", "method": "GET"}
            },
            "boot": {
                "urls": ["https://boot.example"],
                "grant": {
                    "type": "token_exchange",
                    "subject_token": {"file": "/run/secrets/bootstrap"},
                    "subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token",
                    "requested_token_type": "urn:ietf:params:oauth:token-type:access_token",
                    "refresh_tokens": "reusable"
                }
            },
            "plain": {"urls": [], "grant": {"type": "client_credentials"}}
        },
        "insecure_http": ["http://hydra.example:4444", "http://smd.example:27779"],
        "allow_missing_token_type": true,
        "allow_form_answer": true,
        "allowed_registration_origins": ["https://admin.example"],
        "store": {"file": "/var/lib/bss/svcauth.json"},
        "schedule": {
            "refresh_window_s": 200,
            "refresh_window_fraction": 0.3,
            "jitter": 0.1,
            "serve_margin_s": 4,
            "serve_margin_fraction": 0.05,
            "refresh_floor_s": 2,
            "backoff_initial_s": 0.5,
            "backoff_max_s": 30,
            "rate_limited_initial_s": 5,
            "rate_limited_max_s": 50,
            "refused_initial_s": 20,
            "refused_max_s": 200,
            "retry_after_max_s": 100,
            "rejection_cooldown_s": 7,
            "secret_poll_s": 3,
            "metadata_lifetime_s": 600,
            "keep_fresh": false
        },
        "timeouts": {
            "connect_s": 2.5,
            "request_s": 6,
            "secret_s": 1,
            "store_s": 2,
            "wait_s": 15
        },
        "limits": {"answer_bytes": 65536, "subjects": 10, "events": 20},
        "tls": {
            "ca_file": "/etc/ssl/site.pem",
            "only_ca_file": true,
            "certificate_file": "/etc/ssl/bss.pem",
            "key_file": "/etc/ssl/bss.key"
        },
        "proxy": "http://proxy.example:3128"
    })
}

fn registration() -> Value {
    json!({
        "endpoints": {
            "token": "https://hydra.example/oauth2/token",
            "authorization": "https://hydra.example/oauth2/auth",
            "registration": "https://hydra.example/oauth2/register"
        },
        "client": {
            "registration": {
                "initial_access_token": {"value": "aW5pdGlhbA=="},
                "metadata": {"client_name": "bss", "redirect_uris": [], "token_endpoint_auth_method": "client_secret_basic"},
                "authorize": true
            }
        },
        "targets": {"smd": {"urls": ["https://smd.example/hsm/v2"], "scopes": ["read"]}},
        "insecure_http": ["http://smd.example"],
        "store": {"file": "state.json"}
    })
}

fn static_token() -> Value {
    json!({
        "client": {"auth": "none", "static_token": {"env": "ACCESS_TOKEN"}},
        "targets": {"smd": {"urls": ["https://smd.example/hsm/v2"]}},
        "proxy": "none"
    })
}

/// `document` changed by a merge patch (RFC 7396): `null` removes a member.
pub(crate) fn patched(document: &str, patch: &Value) -> Value {
    let mut value = serde_json::from_str(document).unwrap();
    merge(&mut value, patch);
    value
}

pub(crate) fn text(document: &Value) -> String {
    serde_json::to_string(document).unwrap()
}

fn merge(value: &mut Value, patch: &Value) {
    let Value::Object(patch) = patch else {
        *value = patch.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let members = value.as_object_mut().unwrap();
    for (name, patch) in patch {
        match patch {
            Value::Null => drop(members.remove(name)),
            patch => merge(members.entry(name).or_insert(Value::Null), patch),
        }
    }
}
