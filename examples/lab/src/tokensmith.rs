//! TokenSmith: a bootstrap token, good once, is exchanged for an access token and a refresh token;
//! each refresh token is good once and brings the next.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{get, post};
use http::StatusCode;
use jsonwebtoken::jwk::JwkSet;
use serde::Serialize;
use serde_json::json;

use crate::form::Form;
use crate::keys::SigningKey;
use crate::reply::{self, OAuthError};
use crate::service::Service;
use crate::stats::{Caller, now_ms};
use crate::world::World;
use crate::{lock, random};

const EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const BOOTSTRAP_TOKEN: &str = "urn:openchami:params:oauth:token-type:bootstrap-token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access-token";
const CLUSTER: &str = "cl-F00F00F00";
const OPENCHAMI: &str = "oc-F00F00F00";

/// The state of TokenSmith.
pub(crate) struct Tokensmith {
    key: SigningKey,
    tokens: Mutex<Tokens>,
}

#[derive(Default)]
struct Tokens {
    bootstrap: HashMap<String, Policy>,
    refresh: HashMap<String, Family>,
    spent: HashSet<String>,
}

/// What a bootstrap token is good for.
#[derive(Clone)]
pub(crate) struct Policy {
    pub(crate) subject: String,
    pub(crate) audience: String,
    pub(crate) scopes: Vec<String>,
}

/// What came of one bootstrap token; the lifetime is not prolonged by refreshing.
#[derive(Clone)]
struct Family {
    policy: Policy,
    /// Milliseconds since 1970.
    ends_at: u64,
}

impl Tokensmith {
    pub(crate) fn new(key: SigningKey) -> Tokensmith {
        Tokensmith {
            key,
            tokens: Mutex::default(),
        }
    }

    pub(crate) fn bootstrap_token(&self, policy: Policy) -> String {
        let token = random::hex_token(32);
        lock(&self.tokens).bootstrap.insert(token.clone(), policy);
        token
    }
}

/// The paths of TokenSmith.
pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/health", get(health))
        .route("/.well-known/jwks.json", get(jwks))
        .route("/oauth/token", post(token).fallback(wrong_method))
        .route("/token", post(token).fallback(wrong_method))
        .fallback(reply::not_found)
}

async fn health(State(world): State<Arc<World>>) -> Response {
    reply::json(
        StatusCode::OK,
        &json!({
            "cluster_id": CLUSTER,
            "issuer": world.url(Service::Tokensmith),
            "oidc_issuer": world.issuer(),
            "openchami_id": OPENCHAMI,
            "service": "tokensmith",
            "service_identity_ca_configured": false,
            "status": "healthy",
        }),
    )
}

async fn jwks(State(world): State<Arc<World>>) -> Response {
    let set = JwkSet {
        keys: vec![world.tokensmith.key.jwk().clone()],
    };
    reply::json(StatusCode::OK, &set)
}

async fn wrong_method() -> Response {
    reply::method_not_allowed("POST", None)
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    token_type: &'static str,
    expires_in: u64,
    refresh_token: String,
    refresh_expires_in: u64,
    scope: String,
    issued_token_type: &'static str,
}

struct Refusal(&'static str, String);

async fn token(State(world): State<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    let form = Form::from_body(&headers, &body);
    let family = match form.get("grant_type") {
        "" => Err(Refusal(
            "invalid_request",
            "Missing grant_type parameter".into(),
        )),
        EXCHANGE => exchange(&world, &form),
        "refresh_token" => refresh(&world, &form),
        other => Err(Refusal(
            "unsupported_grant_type",
            format!("Grant type '{other}' is not supported"),
        )),
    };
    let subject = family
        .as_ref()
        .map(|family| family.policy.subject.clone())
        .unwrap_or_default();
    let result = family.and_then(|family| issue(&world, family));
    world
        .recorder
        .token_request(form.get("grant_type"), &subject, result.is_ok());
    let response = match result {
        Ok(answer) => reply::json(StatusCode::OK, &answer),
        Err(Refusal(error, description)) => reply::json(
            StatusCode::BAD_REQUEST,
            &OAuthError::new(error, &description),
        ),
    };
    let mut response = reply::no_store(response);
    response.extensions_mut().insert(Caller {
        sub: Some(subject).filter(|subject| !subject.is_empty()),
        client_id: None,
    });
    response
}

fn exchange(world: &World, form: &Form) -> Result<Family, Refusal> {
    let invalid = |text: &str| Refusal("invalid_request", text.to_owned());
    if form.get("subject_token").is_empty() {
        return Err(invalid("Missing or empty subject_token parameter"));
    }
    if form.get("subject_token_type") != BOOTSTRAP_TOKEN {
        return Err(invalid("Invalid subject_token_type parameter"));
    }
    let policy = lock(&world.tokensmith.tokens)
        .bootstrap
        .remove(form.get("subject_token"))
        .ok_or_else(|| {
            let text = "The provided token is invalid or has already been used";
            Refusal("invalid_grant", text.to_owned())
        })?;
    let ends_at = now_ms() + world.config.refresh_ttl.saturating_mul(1000);
    Ok(Family { policy, ends_at })
}

fn refresh(world: &World, form: &Form) -> Result<Family, Refusal> {
    let presented = form.get("refresh_token");
    if presented.is_empty() {
        let text = "Missing or empty refresh_token parameter";
        return Err(Refusal("invalid_request", text.to_owned()));
    }
    let mut tokens = lock(&world.tokensmith.tokens);
    match tokens.refresh.remove(presented) {
        Some(family) => {
            tokens.spent.insert(presented.to_owned());
            if now_ms() < family.ends_at {
                return Ok(family);
            }
        }
        None if tokens.spent.contains(presented) => world.recorder.refresh_reused(),
        None => {}
    }
    let text = "The provided refresh token is invalid or has expired";
    Err(Refusal("invalid_grant", text.to_owned()))
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: [&'a str; 1],
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: &'a str,
    nonce: &'a str,
    scope: &'a [String],
    auth_level: &'a str,
    auth_factors: u8,
    auth_methods: [&'a str; 1],
    session_id: &'a str,
    session_exp: u64,
    auth_events: [&'a str; 1],
    cluster_id: &'a str,
    openchami_id: &'a str,
}

fn issue(world: &World, family: Family) -> Result<TokenAnswer, Refusal> {
    let Policy {
        subject,
        audience,
        scopes,
    } = &family.policy;
    let now_ms = now_ms();
    let expiry = now_ms.div_ceil(1000).saturating_add(world.config.ttl);
    let id = random::base64(12);
    let claims = Claims {
        iss: &world.url(Service::Tokensmith),
        sub: subject,
        aud: [audience],
        exp: expiry,
        nbf: now_ms / 1000,
        iat: now_ms / 1000,
        jti: &format!("st-{id}"),
        nonce: &random::base64(32),
        scope: scopes,
        auth_level: "IAL2",
        auth_factors: 2,
        auth_methods: ["bootstrap_exchange"],
        session_id: &format!("bootstrap-exchange-{subject}-{id}"),
        session_exp: expiry,
        auth_events: ["bootstrap_token_exchange"],
        cluster_id: CLUSTER,
        openchami_id: OPENCHAMI,
    };
    let access_token = world
        .tokensmith
        .key
        .sign(&claims)
        .map_err(|error| Refusal("server_error", error))?;
    let answer = TokenAnswer {
        access_token,
        token_type: "Bearer",
        expires_in: world.config.ttl,
        refresh_token: random::hex_token(32),
        refresh_expires_in: family.ends_at.saturating_sub(now_ms) / 1000,
        scope: scopes.join(" "),
        issued_token_type: ACCESS_TOKEN,
    };
    lock(&world.tokensmith.tokens)
        .refresh
        .insert(answer.refresh_token.clone(), family);
    Ok(answer)
}
