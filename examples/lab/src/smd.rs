//! The SMD stand-in: a few of its paths behind real token verification.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::routing::{any, get, post};
use http::header::{CONTENT_TYPE, COOKIE, HeaderValue, WWW_AUTHENTICATE};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jsonwebtoken::jwk::{Jwk, JwkSet};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::config::{Flavor, KeyFetch, SmdConfig};
use crate::form::Form;
use crate::service::Service;
use crate::stats::Caller;
use crate::verify::{self, Claims, Invalid};
use crate::world::World;
use crate::{lock, reply};

/// Verified tokens kept, so that a call under load does not cost a signature check each.
const CACHE_LIMIT: usize = 1024;

/// The state of the SMD stand-in.
pub(crate) struct Smd {
    config: Mutex<SmdConfig>,
    keys: Mutex<Keys>,
    components: Mutex<BTreeMap<String, Component>>,
}

/// The key sets as they were when they were fetched.
#[derive(Default)]
struct Keys {
    issuer: Vec<Jwk>,
    tokensmith: Vec<Jwk>,
    verified: HashMap<String, Claims>,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Component {
    #[serde(rename = "ID")]
    id: String,
    #[serde(default = "node")]
    r#type: String,
    #[serde(default)]
    state: String,
    #[serde(default = "ok")]
    flag: String,
    #[serde(default = "yes")]
    enabled: bool,
    #[serde(default = "compute")]
    role: String,
    #[serde(rename = "NID", default)]
    nid: u64,
}

fn node() -> String {
    "Node".into()
}

fn ok() -> String {
    "OK".into()
}

fn yes() -> bool {
    true
}

fn compute() -> String {
    "Compute".into()
}

impl Smd {
    pub(crate) fn new(config: SmdConfig, inventory: bool) -> Smd {
        let nodes = if inventory { 0..4 } else { 0..0 };
        let components = nodes.map(|n| {
            let component = Component {
                id: format!("x0c0s0b0n{n}"),
                r#type: node(),
                state: "On".into(),
                flag: ok(),
                enabled: true,
                role: compute(),
                nid: n + 1,
            };
            (component.id.clone(), component)
        });
        Smd {
            config: Mutex::new(config),
            keys: Mutex::default(),
            components: Mutex::new(components.collect()),
        }
    }

    pub(crate) fn config(&self) -> SmdConfig {
        lock(&self.config).clone()
    }

    pub(crate) fn set_config(&self, config: SmdConfig) {
        *lock(&self.config) = config;
    }
}

/// The paths of SMD.
pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/hsm/v2/service/ready", get(ready))
        .route(
            "/hsm/v2/State/Components",
            get(components).post(post_components),
        )
        .route("/hsm/v2/State/Components/Query", post(query_components))
        .route("/hsm/v2/State/Components/{xname}", get(component))
        .route("/hsm/v2/memberships/{xname}", get(membership))
        .route("/hsm/v2/Inventory/RedfishEndpoints", get(redfish_endpoints))
        .route(
            "/hsm/v2/Inventory/ComponentEndpoints",
            get(component_endpoints),
        )
        .route(
            "/hsm/v2/Inventory/EthernetInterfaces",
            get(ethernet_interfaces),
        )
        .route("/redirect", any(redirect))
        .fallback(reply::not_found)
}

/// Fetches the key sets; what cannot be fetched stays as it was.
pub(crate) async fn fetch_keys(world: &Arc<World>) {
    world.recorder.keys_fetched();
    let issuer = fetch(world, Service::Issuer).await;
    let tokensmith = fetch(world, Service::Tokensmith).await;
    let mut keys = lock(&world.smd.keys);
    if let Some(fetched) = issuer {
        keys.issuer = fetched;
    }
    if let Some(fetched) = tokensmith {
        keys.tokensmith = fetched;
    }
    keys.verified.clear();
}

async fn fetch(world: &Arc<World>, service: Service) -> Option<Vec<Jwk>> {
    let request = Request::get("/.well-known/jwks.json")
        .body(Body::empty())
        .ok()?;
    let response = world.call(service, request).await.ok()?;
    let body = response.into_body().collect().await.ok()?.to_bytes();
    let set: JwkSet = serde_json::from_slice(&body).ok()?;
    Some(set.keys)
}

async fn ready() -> Response {
    reply::json(
        StatusCode::OK,
        &json!({ "code": 0, "message": "HSM is healthy" }),
    )
}

async fn components(State(world): State<Arc<World>>) -> Response {
    let all: Vec<_> = lock(&world.smd.components).values().cloned().collect();
    reply::json(StatusCode::OK, &json!({ "Components": all }))
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct NewComponents {
    components: Vec<Component>,
}

async fn post_components(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    guarded(&world, &headers, || {
        match serde_json::from_slice::<NewComponents>(&body) {
            Ok(new) => {
                let mut components = lock(&world.smd.components);
                for component in new.components {
                    components.insert(component.id.clone(), component);
                }
                let mut response = reply::empty(StatusCode::NO_CONTENT);
                response
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
                response
            }
            Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    })
    .await
}

#[derive(Deserialize)]
struct Query {
    #[serde(rename = "ComponentIDs")]
    component_ids: Vec<String>,
}

async fn query_components(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    guarded(&world, &headers, || {
        match serde_json::from_slice::<Query>(&body) {
            Ok(query) => {
                let components = lock(&world.smd.components);
                let found: Vec<_> = query
                    .component_ids
                    .iter()
                    .filter_map(|id| components.get(id))
                    .collect();
                reply::json(StatusCode::OK, &json!({ "Components": found }))
            }
            Err(error) => problem(StatusCode::BAD_REQUEST, &error.to_string()),
        }
    })
    .await
}

async fn component(
    State(world): State<Arc<World>>,
    Path(xname): Path<String>,
    headers: HeaderMap,
) -> Response {
    guarded(&world, &headers, || {
        match lock(&world.smd.components).get(&xname) {
            Some(component) => reply::json(StatusCode::OK, component),
            None => problem(StatusCode::NOT_FOUND, "no such xname."),
        }
    })
    .await
}

async fn membership(
    State(world): State<Arc<World>>,
    Path(xname): Path<String>,
    headers: HeaderMap,
) -> Response {
    guarded(&world, &headers, || {
        let membership = json!({ "id": xname, "partitionName": "", "groupLabels": [] });
        reply::json(StatusCode::OK, &membership)
    })
    .await
}

async fn redfish_endpoints(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    guarded(&world, &headers, || {
        reply::json(StatusCode::OK, &json!({ "RedfishEndpoints": [] }))
    })
    .await
}

async fn component_endpoints(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    guarded(&world, &headers, || {
        reply::json(StatusCode::OK, &json!({ "ComponentEndpoints": [] }))
    })
    .await
}

async fn ethernet_interfaces() -> Response {
    reply::json(StatusCode::OK, &json!([]))
}

/// `/redirect?to=URL&status=307` (302 when not said): SMD has no such path; it tempts clients to
/// take a token along.
async fn redirect(RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    let status = query
        .get("status")
        .parse()
        .ok()
        .filter(StatusCode::is_redirection)
        .unwrap_or(StatusCode::FOUND);
    reply::redirect(status, query.get("to"))
}

/// Answers with `handler` when the request carries a good token.
async fn guarded(
    world: &Arc<World>,
    headers: &HeaderMap,
    handler: impl FnOnce() -> Response,
) -> Response {
    match check(world, headers).await {
        Ok(claims) => {
            let mut response = handler();
            response.extensions_mut().insert(Caller {
                sub: claims.sub().map(str::to_owned),
                client_id: claims.client_id().map(str::to_owned),
            });
            response
        }
        Err(refusal) => refusal,
    }
}

async fn check(world: &Arc<World>, headers: &HeaderMap) -> Result<Claims, Response> {
    let config = world.smd.config();
    let cookie;
    let token = match (verify::bearer(headers), config.flavor) {
        (Some(token), _) => token,
        (None, Flavor::Legacy) => {
            cookie = jwt_cookie(headers);
            cookie
                .as_deref()
                .ok_or_else(|| missing(&config, "no token found"))?
        }
        (None, Flavor::Tokensmith) => return Err(missing(&config, "missing bearer token")),
    };

    if config.keys == KeyFetch::Always {
        fetch_keys(world).await;
    }
    let mut result = verify_cached(world, token, &config);
    if result.as_ref().err() == Some(&Invalid::UnknownKey) && config.keys == KeyFetch::UnknownKey {
        fetch_keys(world).await;
        result = verify_cached(world, token, &config);
    }
    let claims = result.map_err(|invalid| refused(&config, invalid))?;

    let named = ["sub", "iss", "aud"]
        .iter()
        .all(|name| claims.get(name).is_some());
    let addressed = config
        .audience
        .as_deref()
        .is_none_or(|audience| claims.has_audience(audience));
    if !named || !addressed {
        return Err(refused(&config, Invalid::Unauthorized));
    }
    match config.scope.as_deref() {
        Some(scope) if !claims.has_scope(scope) => Err(insufficient(&config, scope)),
        _ => Ok(claims),
    }
}

fn verify_cached(world: &World, token: &str, config: &SmdConfig) -> Result<Claims, Invalid> {
    let set = {
        let keys = lock(&world.smd.keys);
        if let Some(claims) = keys.verified.get(token) {
            return match claims.expired(config.skew) {
                true => Err(Invalid::Expired),
                false => Ok(claims.clone()),
            };
        }
        JwkSet {
            keys: keys
                .issuer
                .iter()
                .chain(&keys.tokensmith)
                .cloned()
                .collect(),
        }
    };
    let claims = verify::verify(&set, token, config.skew)?;
    let mut keys = lock(&world.smd.keys);
    let unchanged = keys.issuer.iter().chain(&keys.tokensmith).eq(&set.keys);
    if unchanged {
        if keys.verified.len() >= CACHE_LIMIT {
            keys.verified.clear();
        }
        keys.verified.insert(token.to_owned(), claims.clone());
    }
    Ok(claims)
}

fn jwt_cookie(headers: &HeaderMap) -> Option<String> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().strip_prefix("jwt="))
        .map(str::to_owned)
        .next()
}

fn missing(config: &SmdConfig, message: &str) -> Response {
    challenge(
        config,
        reply::text(StatusCode::UNAUTHORIZED, message),
        "Bearer realm=\"smd\"",
    )
}

fn refused(config: &SmdConfig, invalid: Invalid) -> Response {
    let message = match (config.flavor, invalid) {
        (Flavor::Legacy, Invalid::Expired) => "token is expired",
        (Flavor::Legacy, _) => "token is unauthorized",
        (Flavor::Tokensmith, _) => "invalid token",
    };
    challenge(
        config,
        reply::text(StatusCode::UNAUTHORIZED, message),
        &format!("Bearer realm=\"smd\", error=\"invalid_token\", error_description=\"{message}\""),
    )
}

fn insufficient(config: &SmdConfig, scope: &str) -> Response {
    challenge(
        config,
        reply::text(StatusCode::FORBIDDEN, "insufficient scope"),
        &format!("Bearer realm=\"smd\", error=\"insufficient_scope\", scope=\"{scope}\""),
    )
}

/// Adds the challenge of RFC 6750 section 3, which the real SMD does not send.
fn challenge(config: &SmdConfig, mut response: Response, challenge: &str) -> Response {
    if config.challenge
        && let Ok(value) = HeaderValue::try_from(challenge)
    {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

/// RFC 9457, as SMD writes it.
fn problem(status: StatusCode, detail: &str) -> Response {
    #[derive(Serialize)]
    struct Problem<'a> {
        r#type: &'a str,
        title: &'a str,
        detail: &'a str,
        status: u16,
    }
    let problem = Problem {
        r#type: "about:blank",
        title: status.canonical_reason().unwrap_or_default(),
        detail,
        status: status.as_u16(),
    };
    let mut response = reply::json(status, &problem);
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    response
}
