//! Metadata (OpenID Connect Discovery) and the key set.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use http::StatusCode;
use serde_json::{Value, json};

use crate::reply;
use crate::service::Service;
use crate::world::World;

pub(super) async fn metadata(State(world): State<Arc<World>>) -> Response {
    reply::hydra(StatusCode::OK, &document(&world))
}

pub(super) async fn jwks(State(world): State<Arc<World>>) -> Response {
    reply::hydra(StatusCode::OK, &world.jwks())
}

/// As Hydra's: neither a registration nor an introspection endpoint is named.
fn document(world: &World) -> Value {
    let at = |path: &str| format!("{}{path}", world.url(Service::Issuer));
    json!({
        "issuer": world.issuer(),
        "authorization_endpoint": at("/oauth2/auth"),
        "token_endpoint": at("/oauth2/token"),
        "jwks_uri": at("/.well-known/jwks.json"),
        "subject_types_supported": ["public"],
        "response_types_supported":
            ["code", "code id_token", "id_token", "token id_token", "token", "token id_token code"],
        "claims_supported": ["sub"],
        "grant_types_supported":
            ["authorization_code", "implicit", "client_credentials", "refresh_token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "userinfo_endpoint": at("/userinfo"),
        "scopes_supported": ["offline_access", "offline", "openid"],
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "client_secret_basic", "private_key_jwt", "none"],
        "userinfo_signing_alg_values_supported": ["none", "RS256"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "id_token_signed_response_alg": ["RS256"],
        "userinfo_signed_response_alg": ["RS256"],
        "request_parameter_supported": true,
        "request_uri_parameter_supported": true,
        "require_request_uri_registration": true,
        "claims_parameter_supported": false,
        "revocation_endpoint": at("/oauth2/revoke"),
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
        "frontchannel_logout_supported": true,
        "frontchannel_logout_session_supported": true,
        "end_session_endpoint": at("/oauth2/sessions/logout"),
        "request_object_signing_alg_values_supported": ["none", "RS256", "ES256"],
        "code_challenge_methods_supported": ["plain", "S256"],
        "credentials_endpoint_draft_00": at("/credentials"),
        "credentials_supported_draft_00": [{
            "format": "jwt_vc_json",
            "types": ["VerifiableCredential", "UserInfoCredential"],
            "cryptographic_binding_methods_supported": ["jwk"],
            "cryptographic_suites_supported": [
                "PS256", "RS256", "ES256", "PS384", "RS384", "ES384", "PS512", "RS512", "ES512",
                "EdDSA"
            ],
        }],
    })
}
