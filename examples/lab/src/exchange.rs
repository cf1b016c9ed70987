//! One request from arrival to answer: counted, disturbed, logged.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::Response;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER,
};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use hyper::body::Frame;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::fault::{Action, Answer};
use crate::merge_patch;
use crate::service::{Endpoint, Service};
use crate::stats::{Caller, LogEntry, now_ms};
use crate::world::World;

/// The connection is to be closed without an answer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dropped;

impl std::fmt::Display for Dropped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("connection dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

/// Answers a request to `service` with `router`, unless a fault says otherwise.
pub(crate) async fn perform(
    world: &World,
    service: Service,
    router: Router,
    request: Request<Body>,
) -> Result<Response, Dropped> {
    let path = request.uri().path();
    if path.starts_with("/lab/") && service == Service::Admin {
        return Ok(route(router, request).await);
    }
    if service == Service::Admin && !world.is_open(Service::Issuer) {
        return Err(Dropped);
    }
    let endpoint = Endpoint::of(service, path);
    let mut entry = LogEntry {
        at_ms: now_ms(),
        service,
        endpoint,
        method: request.method().to_string(),
        path: path.to_owned(),
        status: None,
        sub: None,
        client_id: None,
        authorization: None,
    };
    if service == Service::Elsewhere {
        entry.authorization = request
            .headers()
            .get(AUTHORIZATION)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    }

    let hit = world.faults.next(endpoint);
    let mut in_flight = world.recorder.arrived(endpoint, hit.is_some());
    let result = match hit {
        None => Ok(route(router, request).await),
        Some(hit) => {
            if hit.fault.delay_ms > 0 {
                tokio::time::sleep(Duration::from_millis(hit.fault.delay_ms)).await;
            }
            if hit.fault.action == Action::Hold {
                world.faults.changed_since(&hit).await;
            }
            act(hit.fault.action, router, request).await
        }
    };
    // A handler may ask for it.
    let result = result.and_then(|response| match response.extensions().get::<Dropped>() {
        Some(Dropped) => Err(Dropped),
        None => Ok(response),
    });
    if let Ok(response) = &result {
        let status = response.status().as_u16();
        in_flight.status = Some(status);
        entry.status = Some(status);
        if let Some(caller) = response.extensions().get::<Caller>() {
            entry.sub = caller.sub.clone();
            entry.client_id = caller.client_id.clone();
        }
    }
    drop(in_flight);
    world.recorder.record(entry);
    result
}

async fn route(router: Router, request: Request<Body>) -> Response {
    let infallible: Result<Response, Infallible> = router.oneshot(request).await;
    infallible.unwrap_or_else(|never| match never {})
}

async fn act(action: Action, router: Router, request: Request<Body>) -> Result<Response, Dropped> {
    match action {
        Action::Serve | Action::Hold => Ok(route(router, request).await),
        Action::Drop => Err(Dropped),
        Action::Lose => {
            route(router, request).await;
            Err(Dropped)
        }
        Action::Answer(answer) => {
            // A server that answers before it has read the body would break the connection.
            let _ = request.into_body().collect().await;
            Ok(literal(answer))
        }
        Action::Cut => {
            let (mut parts, body) = collect(route(router, request).await).await;
            let half = body.slice(..body.len() / 2);
            parts
                .headers
                .insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
            Ok(Response::from_parts(parts, Body::new(HalfBody(Some(half)))))
        }
        Action::Truncate => {
            let (parts, body) = collect(route(router, request).await).await;
            let half = body.slice(..body.len() / 2);
            Ok(Response::from_parts(parts, Body::from(half)))
        }
        Action::Merge(patch) => {
            let (parts, body) = collect(route(router, request).await).await;
            let body = match serde_json::from_slice(&body) {
                Ok(mut document @ Value::Object(_)) => {
                    merge_patch(&mut document, Value::Object(patch));
                    Bytes::from(document.to_string())
                }
                _ => body,
            };
            Ok(Response::from_parts(parts, Body::from(body)))
        }
    }
}

/// The parts of an answer without its content length, and its whole body.
async fn collect(response: Response) -> (http::response::Parts, Bytes) {
    let (mut parts, body) = response.into_parts();
    parts.headers.remove(CONTENT_LENGTH);
    let body = body
        .collect()
        .await
        .map(|collected| collected.to_bytes())
        .unwrap_or_default();
    (parts, body)
}

fn literal(answer: Answer) -> Response {
    let mut response = Response::new(Body::from(answer.body));
    *response.status_mut() = StatusCode::from_u16(answer.status)
        .ok()
        .filter(|status| status.as_u16() >= 200)
        .unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    let known = [
        (CONTENT_TYPE, answer.content_type),
        (RETRY_AFTER, answer.retry_after.map(|after| after.value())),
        (LOCATION, answer.location),
    ];
    for (name, value) in known {
        if let Some(Ok(value)) = value.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    for (name, value) in answer.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            headers.append(name, value);
        }
    }
    response
}

/// Some bytes, then an error: hyper closes the connection in the middle of the message.
struct HalfBody(Option<Bytes>);

impl hyper::body::Body for HalfBody {
    type Data = Bytes;
    type Error = Dropped;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Dropped>>> {
        Poll::Ready(Some(match self.0.take() {
            Some(bytes) => Ok(Frame::data(bytes)),
            None => Err(Dropped),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_literal_answer_with_impossible_parts_is_still_an_answer() {
        let response = literal(Answer {
            status: 99,
            content_type: Some("a\nb".into()),
            headers: vec![("no name".into(), "x".into()), ("x-ok".into(), "y".into())],
            ..Answer::default()
        });
        assert_eq!(response.status(), 500);
        assert_eq!(response.headers().len(), 1);
    }
}
