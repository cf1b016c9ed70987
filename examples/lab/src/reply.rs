//! Answers in the forms of the imitated servers, down to header values and the newline at the end.

use axum::body::Body;
use axum::response::Response;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, PRAGMA,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, StatusCode};
use serde::Serialize;

pub(crate) const PRIVATE: HeaderValue =
    HeaderValue::from_static("private, no-cache, no-store, must-revalidate");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// JSON as Go's encoding/json writes it: `&`, `<` and `>` escaped.
pub(crate) fn go_json(value: &impl Serialize) -> String {
    let json = serde_json::to_string(value).unwrap_or_else(|error| format!("\"{error}\""));
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

/// Hydra's answer to a successful administrative request.
pub(crate) fn hydra(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = new(status, go_json(value) + "\n");
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, "application/json; charset=utf-8");
    headers.insert(CACHE_CONTROL, PRIVATE);
    response
}

/// Hydra's answer to a refused administrative request.
pub(crate) fn hydra_error(status: StatusCode, error: &str, description: &str) -> Response {
    let mut response = new(status, go_json(&OAuthError::new(error, description)) + "\n");
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, "application/json");
    headers.insert(CACHE_CONTROL, PRIVATE);
    response
}

/// An answer of Hydra's token endpoint.
pub(crate) fn token(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = new(status, go_json(value));
    set(
        response.headers_mut(),
        CONTENT_TYPE,
        "application/json;charset=UTF-8",
    );
    no_store(response)
}

/// An error of Hydra's token endpoint (RFC 6749 section 5.2).
pub(crate) fn token_error(status: StatusCode, error: &str, description: &str) -> Response {
    token(status, &OAuthError::new(error, description))
}

/// JSON without any header about caching.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = new(status, go_json(value) + "\n");
    set(response.headers_mut(), CONTENT_TYPE, "application/json");
    response
}

/// Adds `Cache-Control: no-store` and `Pragma: no-cache`.
pub(crate) fn no_store(mut response: Response) -> Response {
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, NO_STORE);
    set(headers, PRAGMA, "no-cache");
    response
}

/// Text as Go's `http.Error` sends it.
pub(crate) fn text(status: StatusCode, message: &str) -> Response {
    let mut response = new(status, format!("{message}\n"));
    let headers = response.headers_mut();
    set(headers, CONTENT_TYPE, "text/plain; charset=utf-8");
    set(headers, X_CONTENT_TYPE_OPTIONS, "nosniff");
    response
}

/// Go's answer to a path that does not exist.
pub(crate) async fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "404 page not found")
}

/// 405 with the methods that are allowed.
pub(crate) fn method_not_allowed(allow: &'static str, message: Option<&str>) -> Response {
    let mut response = match message {
        Some(message) => text(StatusCode::METHOD_NOT_ALLOWED, message),
        None => empty(StatusCode::METHOD_NOT_ALLOWED),
    };
    set(response.headers_mut(), ALLOW, allow);
    response
}

/// No body.
pub(crate) fn empty(status: StatusCode) -> Response {
    new(status, String::new())
}

/// A redirect without a body; 500 when `location` cannot be a header.
pub(crate) fn redirect(status: StatusCode, location: &str) -> Response {
    match HeaderValue::try_from(location) {
        Ok(location) => {
            let mut response = empty(status);
            response.headers_mut().insert(LOCATION, location);
            response
        }
        Err(_) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            "impossible redirect target",
        ),
    }
}

fn new(status: StatusCode, body: String) -> Response {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.insert(name, HeaderValue::from_static(value));
}

#[derive(Serialize)]
pub(crate) struct OAuthError<'a> {
    error: &'a str,
    error_description: &'a str,
}

impl<'a> OAuthError<'a> {
    pub(crate) fn new(error: &'a str, description: &'a str) -> Self {
        OAuthError {
            error,
            error_description: description,
        }
    }
}
