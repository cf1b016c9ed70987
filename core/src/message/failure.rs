//! What an answer that is no success means, whatever the message.

use super::clean::{self, Secrets, WITHHELD};
use crate::{
    Code, Error, OauthError,
    wire::{
        Response, Url,
        date::retry_after_ms,
        json::{self, Value},
    },
};
use alloc::{format, string::String, vec::Vec};

/// How much of a text in an OAuth error is kept, in characters.
const TEXT: usize = 500;

/// How much of a body that was not understood is shown, in characters.
const EXCERPT: usize = 200;

/// The error that a response with a status outside 200 to 299 stands for.
pub(crate) fn of(response: &Response, secrets: &Secrets) -> Error {
    let oauth = oauth_error(response.body.expose(), secrets);
    let (code, message) = match (response.status, &oauth) {
        (300..=399, _) => (Code::UnexpectedRedirect, redirect(response, secrets)),
        (429, _) => (Code::RateLimited, "the server asks for patience".into()),
        (500..=599, _) => (
            Code::ServerError,
            saying("the server cannot answer now", response, &oauth, secrets),
        ),
        (_, Some(_)) => (Code::OauthError, "the server refused the request".into()),
        (_, None) => {
            let status = response.status;
            let message = format!("the server answered with status {status}");
            (
                Code::UnexpectedStatus,
                saying(&message, response, &oauth, secrets),
            )
        }
    };
    let error = decorate(Error::new(code, message), response, secrets);
    match oauth {
        Some(oauth) => error.with_oauth(oauth),
        None => error,
    }
}

/// The error of a response whose status promised success, and whose body says otherwise.
pub(crate) fn refused(oauth: OauthError, response: &Response, secrets: &Secrets) -> Error {
    let message = "the server refused the request, with a status that says it did not";
    decorate(Error::new(Code::OauthError, message), response, secrets).with_oauth(oauth)
}

/// The error of a successful response whose body is not what it should be: `message` says why.
pub(crate) fn malformed(message: &str, response: &Response, secrets: &Secrets) -> Error {
    let message = saying(message, response, &None, secrets);
    Error::new(Code::MalformedAnswer, message).with_status(response.status)
}

/// The error of a successful response whose body could not be read: `error` says why.
pub(crate) fn unreadable(error: &Error, response: &Response, secrets: &Secrets) -> Error {
    let malformed = malformed(error.message(), response, secrets);
    match error.offset() {
        Some(offset) => malformed.at_offset(offset),
        None => malformed,
    }
}

/// The OAuth error in the members `error`, `error_description` and `error_uri` (RFC 6749 section 5.2);
/// `None` where `error` is no text or empty.
pub(crate) fn oauth_of(
    error: Option<&Value>,
    description: Option<&Value>,
    uri: Option<&Value>,
    secrets: &Secrets,
) -> Option<OauthError> {
    let cleaned = |value: Option<&Value>| {
        value
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
            .map(|text| clean::text(text, TEXT, secrets))
    };
    let code = error.and_then(Value::as_str).and_then(known);
    Some(OauthError {
        error: code.map(String::from).or_else(|| cleaned(error))?,
        description: cleaned(description),
        uri: cleaned(uri),
    })
}

/// Codes that specifications define (RFC 6749, 6750, 7591, 8628, 8693, 8707): they are words that everybody
/// knows, and what is done about an error follows from them.
fn known(error: &str) -> Option<&'static str> {
    const CODES: [&str; 20] = [
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
        "access_denied",
        "unsupported_response_type",
        "server_error",
        "temporarily_unavailable",
        "invalid_token",
        "insufficient_scope",
        "invalid_redirect_uri",
        "invalid_client_metadata",
        "invalid_software_statement",
        "unapproved_software_statement",
        "authorization_pending",
        "slow_down",
        "expired_token",
        "invalid_target",
    ];
    CODES.into_iter().find(|code| *code == error)
}

/// A redirect is not followed, and its target's query may hold a code or a state: only the origin is shown.
fn redirect(response: &Response, secrets: &Secrets) -> String {
    let target = response.field("location").and_then(|location| {
        let end = location.find(['?', '#']).unwrap_or(location.len());
        Url::parse(&location[..end]).ok()
    });
    match target {
        Some(target) => format!(
            "the server redirects to {}, and credentials are not sent on; set the endpoint to where it leads",
            clean::text(&format!("{}", target.origin()), EXCERPT, secrets)
        ),
        None => "the server redirects, and credentials are not sent on; set the endpoint to where it leads".into(),
    }
}

fn oauth_error(body: &[u8], secrets: &Secrets) -> Option<OauthError> {
    let ([error, description, uri], _) =
        json::members(body, &["error", "error_description", "error_uri"]).ok()?;
    oauth_of(error.as_ref(), description.as_ref(), uri.as_ref(), secrets)
}

fn saying(
    message: &str,
    response: &Response,
    oauth: &Option<OauthError>,
    secrets: &Secrets,
) -> String {
    if oauth.is_some() {
        return message.into();
    }
    if secrets.withhold() {
        return format!("{message} {WITHHELD}");
    }
    let content_type = match response.field("content-type") {
        Some(content_type) => clean::text(content_type, 100, secrets),
        None => "no content type".into(),
    };
    let body = response.body.expose();
    if body.is_empty() {
        return format!("{message} ({content_type}, no body)");
    }
    format!(
        "{message} ({content_type}: {})",
        clean::excerpt(body, EXCERPT, secrets)
    )
}

fn decorate(error: Error, response: &Response, secrets: &Secrets) -> Error {
    let challenges: Vec<&str> = response.header_values("www-authenticate").collect();
    let challenge = (!challenges.is_empty() && !secrets.withhold())
        .then(|| clean::text(&challenges.join(", "), TEXT, secrets));
    error
        .with_status(response.status)
        .with_challenge(challenge)
        .with_retry_after_ms(retry_after_ms(response))
}
