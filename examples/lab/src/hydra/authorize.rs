//! The authorization endpoint. Without a user it never ends in a token: it redirects to a login
//! page, to the callback with an error, or to an error page.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use axum::body::{Body, Bytes};
use axum::extract::{RawQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, SET_COOKIE};

use crate::form::{Form, escape};
use crate::service::Service;
use crate::world::World;
use crate::{lock, random, reply};

const STATE_MIN: usize = 8;
const LOGIN_SECONDS: u64 = 1800;

pub(super) async fn by_post(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    authorize(&world, &Form::from_body(&headers, &body))
}

pub(super) async fn by_get(State(world): State<Arc<World>>, RawQuery(query): RawQuery) -> Response {
    authorize(&world, &Form::parse(query.unwrap_or_default().as_bytes()))
}

/// Where failures end that cannot be told to the callback.
pub(super) async fn fallback() -> Response {
    let mut response = Response::new(Body::from(
        "<!DOCTYPE html><title>The request failed</title><p>The request failed.</p>\n",
    ));
    response.headers_mut().insert(
        CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

fn authorize(world: &World, form: &Form) -> Response {
    let clients = lock(&world.clients);
    let Some(client) = clients.get(form.get("client_id")) else {
        return error_page(
            world,
            "invalid_client",
            "Client authentication failed (e.g., unknown client, no client authentication \
             included, or unsupported authentication method). The requested OAuth 2.0 Client does \
             not exist.",
        );
    };
    let redirect_uri = form.get("redirect_uri");
    if !client.has_redirect_uri(redirect_uri) {
        return error_page(
            world,
            "invalid_request",
            "The request is missing a required parameter, includes an invalid parameter value, \
             includes a parameter more than once, or is otherwise malformed. The 'redirect_uri' \
             parameter does not match any of the OAuth 2.0 Client's pre-registered redirect urls.",
        );
    }
    let state = form.get("state");
    if state.len() < STATE_MIN {
        let separator = match form.get("response_type") {
            "code" => '?',
            _ => '#',
        };
        let description = "The state is missing or does not have enough characters and is \
                           therefore considered too weak. Request parameter 'state' must be at \
                           least be 8 characters long to ensure sufficient entropy.";
        let location = format!(
            "{redirect_uri}{separator}error=invalid_state&error_description={}&state={}",
            escape(description),
            escape(state)
        );
        return reply::no_store(reply::redirect(StatusCode::SEE_OTHER, &location));
    }
    login_page(world)
}

fn login_page(world: &World) -> Response {
    let location = format!(
        "{}/login?login_challenge={}",
        world.url(Service::Opaal),
        random::base64(240)
    );
    let expires = SystemTime::now() + Duration::from_secs(LOGIN_SECONDS);
    let cookie = format!(
        "ory_hydra_login_csrf_dev_3098467233={}; Path=/; Expires={}; Max-Age={LOGIN_SECONDS}; \
         HttpOnly; SameSite=Lax",
        random::base64(160),
        httpdate::fmt_http_date(expires)
    );
    let mut response = found(&location);
    if let Ok(cookie) = HeaderValue::try_from(cookie) {
        response.headers_mut().insert(SET_COOKIE, cookie);
    }
    response
}

fn error_page(world: &World, error: &str, description: &str) -> Response {
    found(&format!(
        "{}/oauth2/fallbacks/error?error={error}&error_description={}",
        world.url(Service::Issuer),
        escape(description)
    ))
}

fn found(location: &str) -> Response {
    let mut response = reply::redirect(StatusCode::FOUND, location);
    response.headers_mut().insert(CACHE_CONTROL, reply::PRIVATE);
    response
}
