//! What the client hands out, in the words of the scenarios: times from the start, tokens by their text.

use super::host::Clock;
use base64ct::{Base64, Encoding};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use svcauth_core::{
    client::{
        Decision, Lease, LeaseChange, LeaseState, RegistrationState, Rejection, State,
        StoreOperation, Subject, Task, TaskKind,
    },
    config::SecretReference,
    wire::{Request, form},
};

/// Texts by the id under which events and leases speak of them.
pub(crate) type Known = BTreeMap<String, String>;

pub(crate) fn task(task: &Task, clock: &Clock) -> Value {
    let mut shown = match &task.kind {
        TaskKind::Send {
            request,
            timeout_ms,
            max_bytes,
        } => {
            let mut shown = sent(request);
            shown.insert("timeout".into(), json!(timeout_ms));
            shown.insert("max_bytes".into(), json!(max_bytes));
            Value::Object(shown)
        }
        TaskKind::ReadSecret { reference: at } => json!({ "read_secret": reference(at) }),
        TaskKind::Random { bytes } => json!({ "random": bytes }),
        TaskKind::Store { key, operation } => match operation {
            StoreOperation::Get => json!({ "store": "get", "key": key }),
            StoreOperation::PutIf { version, value } => json!({
                "store": "put_if", "key": key, "version": version,
                "record": serde_json::from_slice::<Value>(value.expose()).unwrap(),
            }),
            StoreOperation::Lock { ttl_ms } => {
                json!({ "store": "lock", "key": key, "ttl": ttl_ms })
            }
            StoreOperation::Unlock { fence } => {
                json!({ "store": "unlock", "key": key, "fence": fence })
            }
            _ => json!({ "store": "unknown" }),
        },
        _ => json!({ "unknown": task.kind.name() }),
    };
    shown["deadline"] = json!(clock.since_start(task.deadline_ms));
    shown
}

fn sent(request: &Request) -> Map<String, Value> {
    let mut shown = Map::new();
    shown.insert(
        "send".into(),
        json!(format!("{} {}", request.method.as_str(), request.url)),
    );
    let headers = request
        .headers
        .iter()
        .map(|header| (header.name.into(), json!(header.value)));
    shown.insert(
        "headers".into(),
        headers.collect::<Map<String, Value>>().into(),
    );
    if let Some(pair) = request
        .header("authorization")
        .and_then(|value| value.strip_prefix("Basic "))
    {
        let pair = Base64::decode_vec(pair).unwrap();
        shown.insert("basic".into(), json!(String::from_utf8(pair).unwrap()));
    }
    let body = request.body.expose();
    match request.header("content-type") {
        None if body.is_empty() => {}
        Some("application/x-www-form-urlencoded") => {
            shown.insert("form".into(), pairs(form::parse(body).unwrap()));
        }
        Some("application/json") => {
            shown.insert("json".into(), serde_json::from_slice(body).unwrap());
        }
        _ => {
            shown.insert("body".into(), json!(String::from_utf8_lossy(body)));
        }
    }
    shown
}

/// A name that stands there more than once has a list.
fn pairs(pairs: Vec<(String, String)>) -> Value {
    let mut shown = Map::new();
    for (name, value) in pairs {
        match shown.get_mut(&name) {
            None => {
                shown.insert(name, json!(value));
            }
            Some(Value::Array(values)) => values.push(json!(value)),
            Some(first) => *first = json!([first.clone(), value]),
        }
    }
    shown.into()
}

/// `file /run/secrets/bss`, as secrets are named in scenarios.
pub(crate) fn reference(reference: &SecretReference) -> String {
    match reference {
        SecretReference::File(path) => format!("file {path}"),
        SecretReference::Env(name) => format!("env {name}"),
        SecretReference::Callback(name) => format!("callback {name}"),
        _ => "value".into(),
    }
}

pub(crate) fn lease(lease: &Lease, clock: &Clock) -> Value {
    json!({
        "token": lease.value(),
        "refresh_at": clock.since_start(lease.refresh_at_ms()),
        "ask_at": clock.since_start(lease.ask_at_ms()),
        "serve_until": clock.since_start(lease.serve_until_ms()),
        "expires_at": clock.since_start(lease.expires_at_ms()),
        "expires_at_wall": clock.wall_since_start(lease.expires_at_wall_ms()),
        "scopes": lease.scopes(),
        "client_id": lease.client_id(),
        "subject": lease.subject(),
    })
}

pub(crate) fn change(change: &LeaseChange, target: &str, clock: &Clock, known: &Known) -> Value {
    let mut shown = match &change.state {
        LeaseState::Ready(held) => json!({ "ready": lease(held, clock) }),
        LeaseState::Once(held) => json!({ "once": lease(held, clock) }),
        LeaseState::Cleared => json!({ "cleared": true }),
        LeaseState::Failed { error, retry_at_ms } => {
            json!({ "failed": { "error": error, "retry_at": clock.since_start(*retry_at_ms) } })
        }
        _ => json!({ "unknown": true }),
    };
    shown["target"] = json!(target);
    if let Some(subject) = change.subject {
        shown["user"] = json!(known.get(&subject.to_string()));
    }
    shown
}

pub(crate) fn state(state: &State, clock: &Clock) -> Value {
    match state {
        State::Ready(held) => json!({ "ready": lease(held, clock) }),
        State::Pending => json!("pending"),
        State::Failed { error, retry_at_ms } => {
            json!({ "failed": { "error": error, "retry_at": clock.since_start(*retry_at_ms) } })
        }
        _ => json!("unknown"),
    }
}

pub(crate) fn registration(state: &RegistrationState, clock: &Clock) -> Value {
    match state {
        RegistrationState::Registered => json!("registered"),
        RegistrationState::Pending => json!("pending"),
        RegistrationState::Failed { error, retry_at_ms } => {
            json!({ "failed": { "error": error, "retry_at": clock.since_start(*retry_at_ms) } })
        }
        _ => json!("unknown"),
    }
}

pub(crate) fn rejection(rejection: &Rejection, clock: &Clock) -> Value {
    match rejection {
        Rejection::Retry(held) => json!({ "retry": lease(held, clock) }),
        Rejection::Wait => json!("wait"),
        Rejection::Deliver => json!("deliver"),
        _ => json!("unknown"),
    }
}

pub(crate) fn decision<'a>(
    decision: &Decision<'a>,
    name: impl Fn(svcauth_core::client::TargetId) -> String,
) -> Value {
    match decision {
        Decision::Nothing => json!({ "carries": "nothing" }),
        Decision::UserToken { target, token } => {
            json!({ "carries": "user_token", "target": name(*target), "user": token })
        }
        Decision::Lease {
            target,
            subject: Subject::Service,
        } => {
            json!({ "carries": "lease", "target": name(*target) })
        }
        Decision::Lease {
            target,
            subject: Subject::User(token),
        } => {
            json!({ "carries": "lease", "target": name(*target), "user": token })
        }
        Decision::Refuse(error) => json!({ "refused": error }),
        _ => json!("unknown"),
    }
}
