//! Ory Hydra, as far as services without a user need it: the public port and the admin port.

mod authorize;
mod clients;
mod discovery;
mod introspect;
mod token;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use crate::reply;
use crate::world::World;

/// The paths of the public port.
pub(crate) fn public() -> Router<Arc<World>> {
    Router::new()
        .route(
            "/.well-known/openid-configuration",
            get(discovery::metadata),
        )
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .route("/oauth2/register", post(clients::register))
        .route(
            "/oauth2/register/{id}",
            get(clients::get_registration)
                .put(clients::put_registration)
                .delete(clients::delete_registration),
        )
        .route(
            "/oauth2/auth",
            get(authorize::by_get).post(authorize::by_post),
        )
        .route("/oauth2/fallbacks/error", get(authorize::fallback))
        .route(
            "/oauth2/token",
            post(token::token).fallback(token::wrong_method),
        )
        .route("/oauth2/revoke", post(introspect::revoke))
        .route("/userinfo", get(introspect::userinfo))
        .fallback(reply::not_found)
}

/// The paths of the admin port.
pub(crate) fn admin() -> Router<Arc<World>> {
    Router::new()
        .route("/admin/clients", get(clients::list).post(clients::create))
        .route(
            "/admin/clients/{id}",
            get(clients::get)
                .put(clients::put)
                .patch(clients::patch)
                .delete(clients::delete),
        )
        .route(
            "/admin/clients/{id}/secrets/rotate",
            post(clients::rotate_secret).delete(clients::drop_old_secrets),
        )
        .route("/admin/oauth2/introspect", post(introspect::introspect))
        .route("/.well-known/jwks.json", get(discovery::jwks))
        .fallback(reply::not_found)
}
