//! Revocation (RFC 7009), introspection (RFC 7662) and userinfo.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use http::StatusCode;
use http::header::{CACHE_CONTROL, HeaderValue, PRAGMA, WWW_AUTHENTICATE};
use serde_json::{Value, json};

use super::token::authenticate;
use crate::form::Form;
use crate::verify::{self, Claims};
use crate::world::World;
use crate::{lock, reply};

/// 200 whatever the token is, as long as the client is known.
pub(super) async fn revoke(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::from_body(&headers, &body);
    let client = match authenticate(&world, &headers, &form) {
        Ok(client) => client,
        Err(refusal) => return refusal.short().response(),
    };
    if let Some(claims) = active(&world, form.get("token"))
        && claims.client_id() == Some(&client.id)
        && let Some(jti) = claims.text("jti")
    {
        lock(&world.revoked).insert(jti.to_owned());
    }
    reply::no_store(reply::empty(StatusCode::OK))
}

pub(super) async fn introspect(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::from_body(&headers, &body);
    let claims = active(&world, form.get("token")).filter(|claims| {
        form.get("scope")
            .split(' ')
            .filter(|scope| !scope.is_empty())
            .all(|scope| claims.has_scope(scope))
    });
    let Some(claims) = claims else {
        return reply::token(StatusCode::OK, &json!({ "active": false }));
    };
    let document = json!({
        "active": true,
        "scope": claims.scopes().join(" "),
        "client_id": claims.client_id(),
        "sub": claims.sub(),
        "exp": claims.get("exp"),
        "iat": claims.get("iat"),
        "nbf": claims.get("nbf"),
        "aud": claims.get("aud"),
        "iss": claims.get("iss"),
        "token_type": "Bearer",
        "token_use": "access_token",
    });
    let mut response = reply::token(StatusCode::OK, &document);
    response.headers_mut().remove(PRAGMA);
    response.headers_mut().insert(CACHE_CONTROL, reply::PRIVATE);
    response
}

pub(super) async fn userinfo(State(world): State<Arc<World>>, headers: HeaderMap) -> Response {
    let claims = verify::bearer(&headers).and_then(|token| active(&world, token));
    match claims {
        Some(claims) => {
            let audience = match claims.client_id() {
                Some(client_id) => json!([client_id]),
                None => Value::Array(Vec::new()),
            };
            reply::hydra(
                StatusCode::OK,
                &json!({ "aud": audience, "iat": claims.get("iat"), "iss": claims.get("iss") }),
            )
        }
        None => {
            let description = "The request could not be authorized. Check that you provided valid \
                               credentials in the right format.";
            let mut response = reply::hydra_error(
                StatusCode::UNAUTHORIZED,
                "request_unauthorized",
                description,
            );
            let challenge = format!(
                "Bearer error=\"request_unauthorized\",error_description=\"{description}\""
            );
            if let Ok(challenge) = HeaderValue::try_from(challenge) {
                response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
            }
            response
        }
    }
}

/// The claims of a token that this issuer signed, that has not expired and is not revoked.
fn active(world: &World, token: &str) -> Option<Claims> {
    let claims = verify::verify(&world.jwks(), token, 0).ok()?;
    let revoked = claims
        .text("jti")
        .is_some_and(|jti| lock(&world.revoked).contains(jti));
    (!revoked).then_some(claims)
}
