//! OPAAL in front of the issuer: it registers itself, gets a token and passes the answer on, all
//! for one request without any authentication.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::response::Response;
use axum::routing::{any, get};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::json;

use crate::exchange::Dropped;
use crate::form::Form;
use crate::reply;
use crate::service::Service;
use crate::world::World;

const CLIENT_ID: &str = "opaal";
const CLIENT_SECRET: &str = "opaal-client-secret";
const CALLBACK: &str = "http://127.0.0.1:3333/callback";

/// The paths of OPAAL.
pub(crate) fn router() -> Router<Arc<World>> {
    Router::new()
        .route("/token", any(token))
        .route("/keys", any(keys))
        .route("/status", get(status))
        .fallback(reply::not_found)
}

async fn token(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    let query = Form::parse(query.unwrap_or_default().as_bytes());
    if !query.all("refresh-token").is_empty() {
        // The real one panics here and closes the connection.
        let mut response = reply::empty(StatusCode::OK);
        response.extensions_mut().insert(Dropped);
        return response;
    }
    match flow(&world).await {
        Ok(body) => {
            let mut response = Response::new(Body::from(body));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(Dropped) => reply::redirect(StatusCode::INTERNAL_SERVER_ERROR, "/error"),
    }
}

async fn keys(State(world): State<Arc<World>>) -> Response {
    match send(&world, Service::Issuer, "/.well-known/jwks.json", None).await {
        Ok(body) => {
            let mut response = Response::new(Body::from(body.trim_ascii_end().to_vec()));
            response
                .headers_mut()
                .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        Err(Dropped) => reply::empty(StatusCode::OK),
    }
}

async fn status() -> Response {
    reply::json(
        StatusCode::OK,
        &json!({ "code": 200, "message": "OPAAL is healthy" }),
    )
}

/// Registers, authorizes, gets a token; looks at none of the answers, as the real one.
async fn flow(world: &Arc<World>) -> Result<Bytes, Dropped> {
    let client = json!({
        "client_id": CLIENT_ID,
        "client_name": CLIENT_ID,
        "client_secret": CLIENT_SECRET,
        "token_endpoint_auth_method": "client_secret_post",
        "scope": "openid email profile read",
        "grant_types": ["client_credentials"],
        "response_types": ["token"],
        "redirect_uris": [CALLBACK],
    });
    let json = ("application/json", client.to_string());
    send(world, Service::Admin, "/admin/clients", Some(json)).await?;

    let form = |fields: &[(&str, &str)]| {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        ("application/x-www-form-urlencoded", body)
    };
    let credentials = [
        ("grant_type", "client_credentials"),
        ("client_id", CLIENT_ID),
        ("client_secret", CLIENT_SECRET),
        ("scope", "read"),
    ];
    let mut authorization = credentials.to_vec();
    authorization.extend([
        ("redirect_uri", CALLBACK),
        ("response_type", "token"),
        ("state", "12345678910"),
    ]);
    let authorization = Some(form(&authorization));
    send(world, Service::Issuer, "/oauth2/auth", authorization).await?;

    let credentials = Some(form(&credentials));
    send(world, Service::Issuer, "/oauth2/token", credentials).await
}

/// Asks the issuer and returns the body, whatever the status.
async fn send(
    world: &Arc<World>,
    service: Service,
    path: &str,
    content: Option<(&str, String)>,
) -> Result<Bytes, Dropped> {
    let request = match content {
        Some((content_type, body)) => Request::post(path)
            .header(CONTENT_TYPE, content_type)
            .body(Body::from(body)),
        None => Request::get(path).body(Body::empty()),
    };
    let response = world.call(service, request.map_err(|_| Dropped)?).await?;
    let body = response.into_body().collect().await.map_err(|_| Dropped)?;
    Ok(body.to_bytes())
}
