//! The lab's own paths on the admin port, for tests in other languages.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::config::SmdConfig;
use crate::fault::Fault;
use crate::form::Form;
use crate::service::{Endpoint, Service};
use crate::tokensmith::Policy;
use crate::world::{Grant, World};
use crate::{lock, reply, smd};

/// Everything below `/lab`.
pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/lab/urls", get(urls))
        .route(
            "/lab/faults",
            get(get_faults).post(set_fault).delete(clear_faults),
        )
        .route("/lab/keys/rotate", post(rotate_key))
        .route("/lab/keys/fetch", post(fetch_keys))
        .route("/lab/stats", get(stats))
        .route("/lab/log", get(log))
        .route("/lab/reset", post(reset))
        .route("/lab/user-token", post(user_token))
        .route("/lab/bootstrap-token", post(bootstrap_token))
        .route("/lab/away", post(away))
        .route("/lab/back", post(back))
        .route("/lab/smd", get(get_smd).post(set_smd))
        .route("/lab/clients/{id}/secrets", post(secrets))
        .route("/lab/client-certificate", post(client_certificate))
}

/// The URLs of all services, as the program prints them when it is ready.
pub(crate) fn url_document(world: &World) -> Value {
    let mut document = json!({
        "issuer": world.url(Service::Issuer),
        "admin": world.url(Service::Admin),
        "opaal": world.url(Service::Opaal),
        "tokensmith": world.url(Service::Tokensmith),
        "smd": world.url(Service::Smd),
        "elsewhere": world.url(Service::Elsewhere),
    });
    if let Some(tls) = &world.tls {
        document["authority_pem"] = json!(tls.authority_pem);
    }
    document
}

async fn urls(State(world): State<Arc<World>>) -> Response {
    reply::json(StatusCode::OK, &url_document(&world))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SetFault {
    endpoint: Endpoint,
    #[serde(default)]
    fault: Fault,
    /// Behind the endpoint's other faults instead of in their place.
    #[serde(default)]
    push: bool,
}

async fn get_faults(State(world): State<Arc<World>>) -> Response {
    let faults: Vec<_> = world
        .faults
        .current()
        .into_iter()
        .map(|(endpoint, fault)| json!({ "endpoint": endpoint, "fault": fault }))
        .collect();
    reply::json(StatusCode::OK, &faults)
}

async fn set_fault(State(world): State<Arc<World>>, body: Bytes) -> Response {
    with(&body, |set: SetFault| {
        if set.push {
            world.faults.push(set.endpoint, set.fault);
        } else {
            world.faults.set(set.endpoint, set.fault);
        }
        done()
    })
}

/// `?endpoint=token` ends that endpoint's faults only.
async fn clear_faults(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    match query.get("endpoint") {
        "" => world.faults.clear_all(),
        name => match serde_json::from_value(json!(name)) {
            Ok(endpoint) => world.faults.clear(endpoint),
            Err(error) => return wrong(&error),
        },
    }
    done()
}

async fn rotate_key(State(world): State<Arc<World>>) -> Response {
    match world.rotate_signing_key() {
        Ok(kid) => reply::json(StatusCode::OK, &json!({ "kid": kid })),
        Err(error) => reply::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "error": error.to_string() }),
        ),
    }
}

async fn fetch_keys(State(world): State<Arc<World>>) -> Response {
    smd::fetch_keys(&world).await;
    done()
}

async fn stats(State(world): State<Arc<World>>) -> Response {
    reply::json(StatusCode::OK, &world.recorder.snapshot())
}

/// `?service=smd` gives that service's requests only.
async fn log(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let mut entries = world.recorder.log();
    match query.get("service") {
        "" => {}
        name => match serde_json::from_value::<Service>(json!(name)) {
            Ok(service) => entries.retain(|entry| entry.service == service),
            Err(error) => return wrong(&error),
        },
    }
    reply::json(StatusCode::OK, &entries)
}

async fn reset(State(world): State<Arc<World>>) -> Response {
    match world.reset().await {
        Ok(()) => done(),
        Err(error) => reply::json(
            StatusCode::INTERNAL_SERVER_ERROR,
            &json!({ "error": error.to_string() }),
        ),
    }
}

/// A user's token to be minted.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UserToken {
    sub: String,
    #[serde(default)]
    scopes: Vec<String>,
    /// Seconds; below zero for a token that has expired.
    #[serde(default = "an_hour")]
    lifetime: i64,
    #[serde(default = "user_agent")]
    client_id: String,
    #[serde(default)]
    audience: Vec<String>,
}

fn an_hour() -> i64 {
    3600
}

fn user_agent() -> String {
    "user-agent".into()
}

async fn user_token(State(world): State<Arc<World>>, body: Bytes) -> Response {
    with(&body, |user: UserToken| {
        let token = world.access_token(&Grant {
            sub: &user.sub,
            client_id: &user.client_id,
            scopes: &user.scopes,
            audience: &user.audience,
            lifetime: user.lifetime,
        });
        match token {
            Ok(token) => reply::json(StatusCode::OK, &json!({ "access_token": token })),
            Err(error) => reply::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": error }),
            ),
        }
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BootstrapToken {
    subject: String,
    #[serde(default = "smd_audience")]
    audience: String,
    #[serde(default)]
    scopes: Vec<String>,
}

fn smd_audience() -> String {
    "smd".into()
}

async fn bootstrap_token(State(world): State<Arc<World>>, body: Bytes) -> Response {
    with(&body, |request: BootstrapToken| {
        let token = world.tokensmith.bootstrap_token(Policy {
            subject: request.subject,
            audience: request.audience,
            scopes: request.scopes,
        });
        reply::json(StatusCode::OK, &json!({ "bootstrap_token": token }))
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    service: Service,
}

async fn away(State(world): State<Arc<World>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Which>(&body) {
        Ok(Which {
            service: Service::Admin,
        }) => reply::json(
            StatusCode::BAD_REQUEST,
            &json!({ "error": "the admin port is needed to come back; it goes with the issuer" }),
        ),
        Ok(Which { service }) => {
            world.door(service).close().await;
            done()
        }
        Err(error) => wrong(&error),
    }
}

async fn back(State(world): State<Arc<World>>, body: Bytes) -> Response {
    match serde_json::from_slice::<Which>(&body) {
        Ok(Which { service }) => match world.open(service).await {
            Ok(()) => done(),
            Err(error) => reply::json(
                StatusCode::INTERNAL_SERVER_ERROR,
                &json!({ "error": error.to_string() }),
            ),
        },
        Err(error) => wrong(&error),
    }
}

async fn get_smd(State(world): State<Arc<World>>) -> Response {
    reply::json(StatusCode::OK, &world.smd.config())
}

async fn set_smd(State(world): State<Arc<World>>, body: Bytes) -> Response {
    with(&body, |config: SmdConfig| {
        world.smd.set_config(config);
        done()
    })
}

/// What is to happen to a client's secrets, in this order.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Secrets {
    /// Revoke all.
    revoke_all: bool,
    /// Revoke this one.
    revoke: Option<String>,
    /// Accept this one too.
    add: Option<String>,
    /// Seconds until the added one expires.
    lifetime: Option<u64>,
}

async fn secrets(State(world): State<Arc<World>>, Path(id): Path<String>, body: Bytes) -> Response {
    with(&body, |secrets: Secrets| {
        let mut clients = lock(&world.clients);
        let Some(client) = clients.get_mut(&id) else {
            return reply::json(StatusCode::NOT_FOUND, &json!({ "error": "no such client" }));
        };
        if secrets.revoke_all {
            client.revoke_secret(None);
        }
        if let Some(secret) = &secrets.revoke {
            client.revoke_secret(Some(secret));
        }
        if let Some(secret) = secrets.add {
            client.add_secret(secret, secrets.lifetime);
        }
        done()
    })
}

/// Whom a client certificate names.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CommonName {
    common_name: String,
}

async fn client_certificate(State(world): State<Arc<World>>, body: Bytes) -> Response {
    with(&body, |name: CommonName| {
        let made = match &world.tls {
            Some(tls) => tls
                .client_certificate(&name.common_name)
                .map_err(|error| error.to_string()),
            None => Err("the lab was started without TLS".to_owned()),
        };
        match made {
            Ok(made) => reply::json(
                StatusCode::OK,
                &json!({
                    "certificate_pem": made.certificate_pem,
                    "key_pem": made.key_pem,
                }),
            ),
            Err(error) => reply::json(StatusCode::BAD_REQUEST, &json!({ "error": error })),
        }
    })
}

fn with<T: DeserializeOwned>(body: &[u8], handler: impl FnOnce(T) -> Response) -> Response {
    match serde_json::from_slice(body) {
        Ok(value) => handler(value),
        Err(error) => wrong(&error),
    }
}

fn wrong(error: &serde_json::Error) -> Response {
    reply::json(
        StatusCode::BAD_REQUEST,
        &json!({ "error": error.to_string() }),
    )
}

fn done() -> Response {
    reply::json(StatusCode::OK, &json!({}))
}
