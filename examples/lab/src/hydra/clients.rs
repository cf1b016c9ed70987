//! Clients: created and changed at the admin port, or by themselves (RFC 7591 and 7592).

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::response::Response;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, LOCATION};
use http::{StatusCode, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use crate::clients::{Client, Metadata};
use crate::service::Service;
use crate::stats::Caller;
use crate::world::World;
use crate::{lock, random, reply};

const MALFORMED: &str = "The request was malformed or contained invalid parameters";
const SECRET_MIN: usize = 6;
/// What stands unescaped in a path segment.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

pub(super) async fn create(State(world): State<Arc<World>>, body: Bytes) -> Response {
    match parse(&body) {
        Ok(metadata) => insert(&world, metadata),
        Err(refusal) => *refusal,
    }
}

pub(super) async fn register(State(world): State<Arc<World>>, body: Bytes) -> Response {
    if !world.config.dynamic_registration {
        return reply::not_found().await;
    }
    let mut metadata = match parse(&body) {
        Ok(metadata) => metadata,
        Err(refusal) => return *refusal,
    };
    if chose_secret(&metadata) {
        return reply::hydra_error(
            StatusCode::BAD_REQUEST,
            MALFORMED,
            "It is not allowed to choose your own OAuth2 Client secret.",
        );
    }
    metadata.client_id = None;
    // The id is not missing from the management URI here, only at the admin port.
    let client = Client::new(metadata, world.config.secret_lifetime);
    created(&world, client, true)
}

fn insert(world: &World, metadata: Metadata) -> Response {
    let complete_uri = metadata
        .client_id
        .as_deref()
        .is_some_and(|id| !id.is_empty())
        || !world.config.minimal_client_uri;
    let client = Client::new(metadata, world.config.secret_lifetime);
    created(world, client, complete_uri)
}

fn created(world: &World, client: Client, complete_uri: bool) -> Response {
    let base = format!("{}/oauth2/register/", world.url(Service::Issuer));
    let segment = utf8_percent_encode(&client.id, SEGMENT).to_string();
    let mut document = client.document(false);
    document.client_secret = client.secret();
    document.registration_access_token = client.registration_token.as_deref();
    document.registration_client_uri = Some(if complete_uri { base + &segment } else { base });
    let mut response = reply::hydra(StatusCode::CREATED, &document);
    if let Ok(location) = HeaderValue::try_from(format!("/admin/clients/{segment}")) {
        response.headers_mut().insert(LOCATION, location);
    }
    let mut clients = lock(&world.clients);
    if clients.contains_key(&client.id) {
        return reply::hydra_error(
            StatusCode::CONFLICT,
            "Unable to insert or update resource because a resource with that value exists already",
            "",
        );
    }
    let id = client.id.clone();
    clients.insert(id.clone(), client);
    called_by(response, id)
}

/// All of them on one page.
pub(super) async fn list(State(world): State<Arc<World>>) -> Response {
    let clients = lock(&world.clients);
    let documents: Vec<_> = clients
        .values()
        .map(|client| client.document(true))
        .collect();
    reply::hydra(StatusCode::OK, &documents)
}

pub(super) async fn get(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    match lock(&world.clients).get(&id) {
        Some(client) => reply::hydra(StatusCode::OK, &client.document(true)),
        None => missing(),
    }
}

pub(super) async fn put(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let metadata = match parse(&body) {
        Ok(metadata) => metadata,
        Err(refusal) => return *refusal,
    };
    let secret = metadata.client_secret.clone();
    match lock(&world.clients).get_mut(&id) {
        Some(client) => {
            client.replace(metadata);
            let mut document = client.document(false);
            document.client_secret = secret.as_deref();
            reply::hydra(StatusCode::OK, &document)
        }
        None => missing(),
    }
}

/// One operation of JSON Patch (RFC 6902).
#[derive(Deserialize)]
struct Operation {
    op: String,
    path: String,
    #[serde(default)]
    value: Value,
}

/// Only what a rotation needs: replacing `/client_secret`.
pub(super) async fn patch(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    body: Bytes,
) -> Response {
    let operations: Vec<Operation> = match serde_json::from_slice(&body) {
        Ok(operations) => operations,
        Err(error) => return undecodable(&error),
    };
    let mut secret = None;
    for operation in operations {
        match (
            operation.op.as_str(),
            operation.path.as_str(),
            operation.value,
        ) {
            ("replace" | "add", "/client_secret", Value::String(value))
                if value.len() >= SECRET_MIN =>
            {
                secret = Some(value);
            }
            ("replace" | "add", "/client_secret", _) => return bad_secret(),
            (_, path, _) => {
                return reply::hydra_error(
                    StatusCode::BAD_REQUEST,
                    MALFORMED,
                    &format!("the lab patches /client_secret only, not {path}"),
                );
            }
        }
    }
    match lock(&world.clients).get_mut(&id) {
        Some(client) => {
            if let Some(secret) = &secret {
                client.revoke_secret(None);
                client.add_secret(secret.clone(), None);
            }
            let mut document = client.document(true);
            document.client_secret = secret.as_deref();
            reply::hydra(StatusCode::OK, &document)
        }
        None => missing(),
    }
}

pub(super) async fn delete(State(world): State<Arc<World>>, Path(id): Path<String>) -> Response {
    match lock(&world.clients).remove(&id) {
        Some(_) => deleted(),
        None => missing(),
    }
}

pub(super) async fn rotate_secret(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
) -> Response {
    if !world.config.secret_rotation {
        return no_route();
    }
    match lock(&world.clients).get_mut(&id) {
        Some(client) => {
            client.add_secret(random::secret(), world.config.secret_lifetime);
            let mut document = client.document(true);
            document.client_secret = client.secret();
            reply::hydra(StatusCode::OK, &document)
        }
        None => missing(),
    }
}

pub(super) async fn drop_old_secrets(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
) -> Response {
    if !world.config.secret_rotation {
        return no_route();
    }
    match lock(&world.clients).get_mut(&id) {
        Some(client) => {
            client.drop_old_secrets();
            reply::hydra(StatusCode::OK, &client.document(true))
        }
        None => missing(),
    }
}

pub(super) async fn get_registration(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    match lock(&world.clients).get(&id) {
        Some(client) if owns(client, &headers) => {
            let mut document = client.document(true);
            document.metadata = None;
            called_by(reply::hydra(StatusCode::OK, &document), id)
        }
        _ => unauthorized(),
    }
}

pub(super) async fn put_registration(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let mut clients = lock(&world.clients);
    let Some(client) = clients.get_mut(&id).filter(|client| owns(client, &headers)) else {
        return unauthorized();
    };
    let metadata = match parse(&body) {
        Ok(metadata) => metadata,
        Err(refusal) => return *refusal,
    };
    if chose_secret(&metadata) {
        return reply::hydra_error(
            StatusCode::FORBIDDEN,
            "The requested action was forbidden",
            "It is not allowed to choose your own OAuth2 Client secret.",
        );
    }
    client.replace(metadata);
    client.registration_token = Some(random::hydra_token());
    let mut document = client.document(false);
    document.registration_access_token = client.registration_token.as_deref();
    called_by(reply::hydra(StatusCode::OK, &document), id)
}

pub(super) async fn delete_registration(
    State(world): State<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Response {
    let mut clients = lock(&world.clients);
    if clients
        .get(&id)
        .is_some_and(|client| owns(client, &headers))
    {
        clients.remove(&id);
        called_by(deleted(), id)
    } else {
        unauthorized()
    }
}

fn parse(body: &[u8]) -> Result<Metadata, Box<Response>> {
    // By way of a map: of a member given twice the last counts, as in Go.
    let metadata: Metadata = serde_json::from_slice(body)
        .and_then(|members| serde_json::from_value(Value::Object(members)))
        .map_err(|error| Box::new(undecodable(&error)))?;
    let too_short = |secret: &String| !secret.is_empty() && secret.len() < SECRET_MIN;
    if metadata.client_secret.as_ref().is_some_and(too_short) {
        return Err(Box::new(bad_secret()));
    }
    for uri in metadata.redirect_uris.iter().flatten() {
        if uri.parse::<Uri>().is_err() {
            return Err(Box::new(reply::hydra_error(
                StatusCode::BAD_REQUEST,
                "invalid_redirect_uri",
                &format!("The value of one or more redirect_uris is invalid: '{uri}'"),
            )));
        }
    }
    Ok(metadata)
}

fn chose_secret(metadata: &Metadata) -> bool {
    metadata
        .client_secret
        .as_ref()
        .is_some_and(|secret| !secret.is_empty())
}

/// Whether the request carries the registration access token of this client.
fn owns(client: &Client, headers: &HeaderMap) -> bool {
    let token = headers
        .get(AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    token.is_some() && token == client.registration_token.as_deref()
}

fn called_by(mut response: Response, client_id: String) -> Response {
    response.extensions_mut().insert(Caller {
        sub: None,
        client_id: Some(client_id),
    });
    response
}

fn deleted() -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    response.headers_mut().insert(CACHE_CONTROL, reply::PRIVATE);
    response
}

fn missing() -> Response {
    reply::hydra_error(StatusCode::NOT_FOUND, "Unable to locate the resource", "")
}

fn unauthorized() -> Response {
    reply::hydra_error(
        StatusCode::UNAUTHORIZED,
        "The request could not be authorized",
        "The requested OAuth 2.0 client does not exist or you provided incorrect credentials.",
    )
}

fn undecodable(error: &serde_json::Error) -> Response {
    let what = if error.is_eof() {
        "unexpected EOF".to_owned()
    } else {
        error.to_string()
    };
    reply::hydra_error(
        StatusCode::BAD_REQUEST,
        MALFORMED,
        &format!("Unable to decode the request body: {what}"),
    )
}

fn bad_secret() -> Response {
    reply::hydra_error(
        StatusCode::BAD_REQUEST,
        "invalid_client_metadata",
        "The value of one of the Client Metadata fields is invalid and the server has rejected \
         this request. Note that an Authorization Server MAY choose to substitute a valid value \
         for any requested parameter of a Client's Metadata. Field client_secret must contain a \
         secret that is at least 6 characters long.",
    )
}

/// Hydra's page for a path of the admin port that it does not know.
fn no_route() -> Response {
    let page = "<!DOCTYPE html>\n<html lang=\"en\">\n  <head>\n    <meta charset=\"UTF-8\" />\n    \
                <title>404 - Route not found</title>\n  </head>\n  <body>\n    \
                <h1>Error 404</h1>\n  </body>\n</html>\n";
    let mut response = Response::new(Body::from(page));
    *response.status_mut() = StatusCode::NOT_FOUND;
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}
