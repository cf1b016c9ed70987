//! The token endpoint, with the errors of Hydra's library fosite.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use http::header::AUTHORIZATION;
use serde::Serialize;

use crate::clients::Client;
use crate::form::{Form, unescape};
use crate::stats::Caller;
use crate::world::{Grant, World};
use crate::{lock, reply};

const INVALID_REQUEST: &str = "The request is missing a required parameter, includes an invalid \
     parameter value, includes a parameter more than once, or is otherwise malformed.";
const INVALID_CLIENT: &str = "Client authentication failed (e.g., unknown client, no client \
     authentication included, or unsupported authentication method).";
const HINT: &str = "Make sure that the various parameters are correct, be aware of case \
     sensitivity and trim your parameters. Make sure that the client you are using has exactly \
     whitelisted the redirect_uri you specified.";

/// A refusal in the form of RFC 6749 section 5.2.
pub(super) struct Refusal {
    status: StatusCode,
    error: &'static str,
    description: String,
}

impl Refusal {
    fn invalid_request(hint: impl AsRef<str>) -> Refusal {
        Refusal {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_request",
            description: join(INVALID_REQUEST, hint.as_ref()),
        }
    }

    fn invalid_client(hint: impl AsRef<str>) -> Refusal {
        Refusal {
            status: StatusCode::UNAUTHORIZED,
            error: "invalid_client",
            description: join(INVALID_CLIENT, hint.as_ref()),
        }
    }

    pub(super) fn response(self) -> Response {
        reply::token_error(self.status, self.error, &self.description)
    }

    /// Without the hint that says what exactly was wrong.
    pub(super) fn short(mut self) -> Refusal {
        if self.error == "invalid_client" {
            INVALID_CLIENT.clone_into(&mut self.description);
        }
        self
    }
}

fn join(text: &str, hint: &str) -> String {
    if hint.is_empty() {
        text.to_owned()
    } else {
        format!("{text} {hint}")
    }
}

#[derive(Serialize)]
struct TokenAnswer {
    access_token: String,
    expires_in: u64,
    scope: String,
    token_type: &'static str,
}

/// The lifetime that an answer tells: Hydra rounds down what is left of the token's.
fn token_lifetime(ttl: u64) -> u64 {
    ttl.saturating_sub(1).max(1)
}

pub(super) async fn token(
    State(world): State<Arc<World>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::from_body(&headers, &body);
    let client_id = presented_client_id(&headers, &form);
    let result = answer(&world, &headers, &form);
    world
        .recorder
        .token_request(form.get("grant_type"), &client_id, result.is_ok());
    let mut response = match result {
        Ok(answer) => reply::token(StatusCode::OK, &answer),
        Err(refusal) => refusal.response(),
    };
    response.extensions_mut().insert(Caller {
        sub: None,
        client_id: Some(client_id).filter(|id| !id.is_empty()),
    });
    response
}

pub(super) async fn wrong_method() -> Response {
    reply::method_not_allowed("OPTIONS, POST", Some("Method Not Allowed"))
}

fn answer(world: &World, headers: &HeaderMap, form: &Form) -> Result<TokenAnswer, Refusal> {
    if form.is_empty() {
        return Err(Refusal::invalid_request("The POST body can not be empty."));
    }
    let grant = form.get("grant_type");
    if grant.is_empty() {
        return Err(Refusal::invalid_request(
            "Request parameter 'grant_type' is missing",
        ));
    }
    let client = authenticate(world, headers, form);
    match grant {
        "client_credentials" => client_credentials(world, &client?, form),
        "authorization_code" | "refresh_token" => {
            let client = client?;
            if client.has_grant(grant) {
                Err(Refusal {
                    status: StatusCode::BAD_REQUEST,
                    error: "invalid_grant",
                    description: "The provided authorization grant (e.g., authorization code, \
                                  resource owner credentials) or refresh token is invalid, \
                                  expired, revoked, does not match the redirection URI used in \
                                  the authorization request, or was issued to another client."
                        .into(),
                })
            } else {
                Err(not_allowed(grant))
            }
        }
        _ => Err(Refusal::invalid_request(HINT)),
    }
}

fn client_credentials(world: &World, client: &Client, form: &Form) -> Result<TokenAnswer, Refusal> {
    let words = |text: &str| -> Vec<String> {
        text.split(' ')
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect()
    };
    let scopes = words(form.get("scope"));
    if let Some(scope) = scopes.iter().find(|scope| !client.has_scope(scope)) {
        return Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_scope",
            description: format!(
                "The requested scope is invalid, unknown, or malformed. The OAuth 2.0 Client is \
                 not allowed to request scope '{scope}'."
            ),
        });
    }
    let audience = match form.all("audience") {
        [] => Vec::new(),
        [one] => words(one),
        several => several.to_vec(),
    };
    if let Some(wrong) = audience.iter().find(|name| !client.has_audience(name)) {
        return Err(Refusal::invalid_request(format!(
            "Requested audience '{wrong}' has not been whitelisted by the OAuth 2.0 Client."
        )));
    }
    if client.is_public() && !world.config.public_clients {
        return Err(Refusal {
            status: StatusCode::BAD_REQUEST,
            error: "invalid_grant",
            description: "The provided authorization grant (e.g., authorization code, resource \
                          owner credentials) or refresh token is invalid, expired, revoked, does \
                          not match the redirection URI used in the authorization request, or \
                          was issued to another client. The OAuth 2.0 Client is marked as public \
                          and is thus not allowed to use authorization grant \
                          'client_credentials'."
                .into(),
        });
    }
    if !client.has_grant("client_credentials") {
        return Err(not_allowed("client_credentials"));
    }
    let access_token = world
        .access_token(&Grant {
            sub: &client.id,
            client_id: &client.id,
            scopes: &scopes,
            audience: &audience,
            lifetime: i64::try_from(world.config.ttl).unwrap_or(i64::MAX),
        })
        .map_err(|error| Refusal {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            error: "server_error",
            description: error,
        })?;
    Ok(TokenAnswer {
        access_token,
        expires_in: token_lifetime(world.config.ttl),
        scope: scopes.join(" "),
        token_type: "bearer",
    })
}

fn not_allowed(grant: &str) -> Refusal {
    Refusal {
        status: StatusCode::BAD_REQUEST,
        error: "unauthorized_client",
        description: format!(
            "The client is not authorized to request a token using this method. The OAuth 2.0 \
             Client is not allowed to use authorization grant '{grant}'."
        ),
    }
}

/// The client that proved who it is, with exactly the method it is registered for.
pub(super) fn authenticate(
    world: &World,
    headers: &HeaderMap,
    form: &Form,
) -> Result<Client, Refusal> {
    let basic = basic(headers);
    let (id, secret) = match &basic {
        Some((id, secret)) => {
            let decode = |text: &str, what: &str| {
                unescape(text).map_err(|escape| {
                    Refusal::invalid_request(format!(
                        "The client {what} in the HTTP authorization header could not be decoded \
                         from 'application/x-www-form-urlencoded'. invalid URL escape '{escape}'"
                    ))
                })
            };
            (decode(id, "id")?, decode(secret, "secret")?)
        }
        None => {
            let id = form.get("client_id");
            if id.is_empty() {
                return Err(Refusal::invalid_request(
                    "Client credentials missing or malformed in both HTTP Authorization header \
                     and HTTP POST body.",
                ));
            }
            (id.to_owned(), form.get("client_secret").to_owned())
        }
    };
    let client = lock(&world.clients)
        .get(&id)
        .cloned()
        .ok_or_else(|| Refusal::invalid_client("Unable to locate the resource"))?;

    let registered = client.auth_method();
    let in_body = !form.get("client_id").is_empty() && !form.get("client_secret").is_empty();
    let in_header = basic.is_some_and(|(_, secret)| !secret.is_empty());
    let used = if in_body && registered != "client_secret_post" {
        Some("client_secret_post")
    } else if in_header && registered != "client_secret_basic" {
        Some("client_secret_basic")
    } else {
        None
    };
    if let Some(used) = used {
        return Err(Refusal::invalid_client(format!(
            "The OAuth 2.0 Client supports client authentication method '{registered}', but \
             method '{used}' was requested. You must configure the OAuth 2.0 client's \
             'token_endpoint_auth_method' value to accept '{used}'."
        )));
    }
    if client.is_public() || client.accepts(&secret) {
        Ok(client)
    } else {
        Err(Refusal::invalid_client("passwords do not match"))
    }
}

/// Id and secret of a Basic header, still form-encoded.
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?;
    let (scheme, credentials) = value.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let bytes = STANDARD.decode(credentials).ok()?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (id, secret) = text.split_once(':')?;
    Some((id.to_owned(), secret.to_owned()))
}

/// Whom a token request says it comes from, right or wrong.
fn presented_client_id(headers: &HeaderMap, form: &Form) -> String {
    match basic(headers) {
        Some((id, _)) => unescape(&id).unwrap_or(id),
        None => form.get("client_id").to_owned(),
    }
}
