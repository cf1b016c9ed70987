//! Every message by its name: parameters in and answers out as JSON, for hosts in other languages and for
//! whoever sends single messages without a [`Client`](crate::Client).
//!
//! ```
//! use svcauth_core::{message::named, wire::Response};
//! let exchange = named::exchange("token", br#"{
//!     "endpoint": "https://hydra.example/oauth2/token",
//!     "client_id": "bss", "client_secret": "s3cr3t", "scopes": ["read"]
//! }"#)?;
//! let request = exchange.request()?;
//! assert_eq!(request.body.expose(), b"grant_type=client_credentials&scope=read");
//!
//! let answer = exchange.parse(&Response {
//!     status: 200,
//!     headers: vec![("Content-Type".into(), "application/json".into())],
//!     body: r#"{"access_token":"abc","token_type":"bearer","expires_in":"3600","x":1}"#.into(),
//! })?;
//! assert_eq!(
//!     answer.expose(),
//!     r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600,"content_type_mismatch":false,"x":1}"#
//! );
//!
//! let error = named::exchange("token", br#"{"endpont": "https://hydra.example"}"#).err().unwrap();
//! assert_eq!(error.to_string(), "endpont: unknown, did you mean endpoint? (invalid_argument)");
//! # Ok::<(), svcauth_core::Error>(())
//! ```
//!
//! # Names
//!
//! Parameters and answers are JSON objects. In the table `?` marks a member that may be left out; a parameter
//! that is not listed is an error. A member of an answer that is left out was not told by the server. What
//! the server's answer says besides is kept beside the documented members; where a name is taken, the
//! documented member stands.
//!
//! | name | parameters | answer |
//! |---|---|---|
//! | `register` | `endpoint`, `metadata`?, `initial_access_token`?, `allowed_origins`?, `insecure_http`? | `registration`, `refused_uri`? |
//! | `read_registration` | `registration`, `allowed_origins`?, `insecure_http`? | `registration`, `refused_uri`? |
//! | `update_registration` | `registration`, `metadata`?, `allowed_origins`?, `insecure_http`? | `registration`, `refused_uri`? |
//! | `delete_registration` | `registration`, `insecure_http`? | none |
//! | `authorize` | `endpoint`, `state`, `registration`?, `registration_access_token`?, `client_id`?, `client_secret`?, `redirect_uri`?, `scopes`?, `response_type`?, `insecure_http`? | `kind`, `location`?, `error`?, `has_code`?, `status`? |
//! | `token` | `endpoint`, `auth`?, `basic_encoding`?, `client_id`?, `client_secret`?, `grant`?, `scopes`?, `audience`?, `resource`?, `parameters`?, `allow_missing_token_type`?, `allow_form_answer`?, `insecure_http`? | `access_token`, `token_type`, `expires_in`?, `scope`?, `refresh_token`?, `refresh_expires_in`?, `issued_token_type`?, `content_type_mismatch` |
//! | `metadata` | `issuer`, `document`?, `insecure_http`? | `issuer`, `token_endpoint`?, `authorization_endpoint`?, `registration_endpoint`?, `jwks_uri`?, `revocation_endpoint`?, `introspection_endpoint`?, `token_endpoint_auth_methods_supported`? |
//!
//! # Parameters
//!
//! | parameter | what |
//! |---|---|
//! | `endpoint`, `issuer` | a URL; `https`, or `http` of this machine |
//! | `insecure_http` | origins that may be spoken to without TLS besides |
//! | `metadata` | the client metadata (RFC 7591 section 2); of an update the members to change |
//! | `registration` | what an answer calls so, whole: the answer of RFC 7591 section 3.2.1. For `authorize` it gives what is not given by itself |
//! | `allowed_origins` | origins where the management of the client may live, besides the endpoint's own |
//! | `state` | a fresh random text |
//! | `response_type` | `token` unless given |
//! | `auth` | `client_secret_basic` unless given, `client_secret_post` or `none` |
//! | `basic_encoding` | `form` unless given, or `raw` |
//! | `grant` | `"client_credentials"` unless given; `"bare"` or `{"type": "bare", "method": "GET"}`; `{"type": "refresh_token", "refresh_token"}`; `{"type": "token_exchange", "subject_token", "subject_token_type", "requested_token_type"?}` |
//! | `scopes`, `audience`, `resource` | lists of texts |
//! | `parameters` | further parameters of the request, texts by name |
//! | `document` | `openid` unless given, or `oauth` |
//!
//! # Answers
//!
//! | member | what |
//! |---|---|
//! | `registration` | the registration with all that is known of it (RFC 7591 section 3.2.1), to be saved whole: what an answer left out is as it was |
//! | `refused_uri` | the error for which the server's `registration_client_uri` is left out |
//! | `kind` | `login_page` with `location`, `callback` with `has_code` and perhaps `error`, `error_page` perhaps with `error`, `answered` with `status` |
//! | `error` | `error`, `description`?, `uri`? |
//! | `expires_in`, `refresh_expires_in` | seconds, rounded down; `expires_in` may be a point in time, see [`TokenAnswer::lifetime`](super::TokenAnswer::lifetime) |
//! | `scope` | the granted scopes with a space between them; empty: none |
//! | `content_type_mismatch` | whether the answer was JSON and did not say so |

mod authorize;
mod metadata;
mod parameters;
mod registration;
mod token;

use self::parameters::Parameters;
use super::Exchange;
use crate::{
    Code, Error, Secret,
    wire::json::{self, Members, Object, nearest},
};
use alloc::{boxed::Box, format};

/// A message with its parameters. Its answer is JSON text that may hold secrets.
pub type Named = Box<dyn Exchange<Answer = Secret> + Send + Sync>;

/// The names that [`exchange`] knows.
pub const NAMES: [&str; 7] = [
    "register",
    "read_registration",
    "update_registration",
    "delete_registration",
    "authorize",
    "token",
    "metadata",
];

/// The message `name` with the parameters in a JSON text.
///
/// # Errors
/// [`Code::InvalidArgument`], with the path of the parameter that is wrong, the byte offset at which the text
/// is no JSON, or `name`.
pub fn exchange(name: &str, parameters: &[u8]) -> Result<Named, Error> {
    let (known, read): (&'static [&'static str], Read) = match name {
        "register" => (&registration::REGISTER, registration::register),
        "read_registration" => (&registration::READ, registration::read),
        "update_registration" => (&registration::UPDATE, registration::update),
        "delete_registration" => (&registration::DELETE, registration::delete),
        "authorize" => (&authorize::MEMBERS, authorize::authorize),
        "token" => (&token::MEMBERS, token::token),
        "metadata" => (&metadata::MEMBERS, metadata::metadata),
        _ => return Err(unknown(name)),
    };
    let object = json::parse_object(parameters).map_err(unreadable)?;
    read(&Parameters::new(Members::document(
        &object,
        known,
        Code::InvalidArgument,
    )?)?)
}

type Read = fn(&Parameters<'_>) -> Result<Named, Error>;

fn unknown(name: &str) -> Error {
    let message = match nearest(name, &NAMES) {
        Some(near) => format!("no message has this name, did you mean {near}?"),
        None => format!(
            "no message has this name, the names are {}",
            NAMES.join(", ")
        ),
    };
    Error::new(Code::InvalidArgument, message).at("name")
}

fn unreadable(error: Error) -> Error {
    let message = format!("the parameters cannot be read: {}", error.message());
    let invalid = Error::new(Code::InvalidArgument, message);
    match error.offset() {
        Some(offset) => invalid.at_offset(offset),
        None => invalid,
    }
}

/// An answer: the documented members, and what the server said besides.
fn answer(mut documented: Object, others: Object) -> Secret {
    documented.append(others);
    Secret::new(documented.to_json())
}

/// Sets a member where there is something to tell.
fn tell(answer: &mut Object, name: &str, value: Option<impl Into<json::Value>>) {
    set(answer, name, value.map(Into::into));
}

fn set(answer: &mut Object, name: &str, value: Option<json::Value>) {
    if let Some(value) = value {
        answer.insert(name, value);
    }
}

#[cfg(test)]
mod tests;
