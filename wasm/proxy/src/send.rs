//! Requests to the authorization server, and what their answers mean.

use crate::{
    host::{CallFailure, Host},
    settings::Servers,
};
use svcauth_core::{
    client::{Outcome, SendFailure, TaskId},
    wire::{Origin, Request, Response, url},
};

/// A request to be sent.
pub(crate) struct Wanted {
    pub(crate) task: TaskId,
    pub(crate) request: Request,
    pub(crate) timeout_ms: u64,
    pub(crate) most_bytes: usize,
}

/// A request under way.
pub(crate) struct Sent {
    /// The proxy's name for it.
    pub(crate) call: u32,
    pub(crate) task: TaskId,
    pub(crate) at_ms: u64,
    timeout_ms: u64,
    most_bytes: usize,
}

/// Sends a request.
///
/// # Errors
/// The outcome, where it could not be sent.
pub(crate) fn send(
    wanted: Wanted,
    servers: &Servers,
    host: &mut impl Host,
) -> Result<Sent, (TaskId, Outcome)> {
    let Wanted {
        task,
        request,
        timeout_ms,
        most_bytes,
    } = wanted;
    let refused = |detail: String| {
        let failure = SendFailure::Refused;
        (task, Outcome::SendFailed { failure, detail })
    };
    let Some(parts) = url::parts(&request.url) else {
        return Err(refused("not a URL".to_owned()));
    };
    let scheme = if parts.https { "https" } else { "http" };
    let usual = if parts.https { 443 } else { 80 };
    let authority = if parts.port == usual {
        parts.host.to_owned()
    } else {
        format!("{}:{}", parts.host, parts.port)
    };
    let origin = Origin::parse(&format!("{scheme}://{authority}")).ok();
    let Some(cluster) = origin.as_ref().and_then(|origin| servers.cluster(origin)) else {
        return Err(refused(format!(
            "envoy.server_cluster names no cluster for {scheme}://{authority}"
        )));
    };
    let path = match parts.query {
        Some(query) => format!("{}?{query}", parts.path),
        None => parts.path.to_owned(),
    };
    let mut headers = vec![
        (":method", request.method.as_str()),
        (":path", path.as_str()),
        (":authority", authority.as_str()),
        (":scheme", scheme),
        (
            "user-agent",
            concat!("svcauth-proxy/", env!("CARGO_PKG_VERSION")),
        ),
    ];
    headers.extend(
        request
            .headers
            .iter()
            .map(|header| (header.name, &*header.value)),
    );
    let timeout = u32::try_from(timeout_ms).unwrap_or(u32::MAX);
    let at_ms = host.mono_ms();
    match host.call(cluster, &headers, request.body.expose(), timeout) {
        Ok(call) => Ok(Sent {
            call,
            task,
            at_ms,
            timeout_ms,
            most_bytes,
        }),
        Err(CallFailure::Refused) => Err(refused(format!(
            "Envoy has no cluster {cluster}, which envoy.server_cluster names"
        ))),
        Err(CallFailure::Broken) => Err(refused(format!(
            "Envoy sends nothing to the cluster {cluster}"
        ))),
    }
}

/// The outcome of a request whose answer, or whose failure, is at hand.
pub(crate) fn outcome(sent: &Sent, headers: usize, body: usize, host: &mut impl Host) -> Outcome {
    if headers == 0 {
        let waited = host.mono_ms().saturating_sub(sent.at_ms);
        let failure = if waited >= sent.timeout_ms {
            SendFailure::Timeout
        } else {
            SendFailure::Broken
        };
        return failed(failure, "Envoy got no answer");
    }
    if body > sent.most_bytes {
        return failed(SendFailure::TooLarge, "");
    }
    let mut response = Response::default();
    for (name, value) in host.answer_headers() {
        if name == ":status" {
            response.status = value.parse().unwrap_or(0);
        } else if !name.starts_with(':') {
            response.headers.push((name, value));
        }
    }
    response.body = host.answer_body(sent.most_bytes).into();
    match own_answer(&response) {
        Some(failure) => failed(failure, "Envoy cannot reach the cluster"),
        None => Outcome::Response(response),
    }
}

fn failed(failure: SendFailure, detail: &str) -> Outcome {
    Outcome::SendFailed {
        failure,
        detail: detail.to_owned(),
    }
}

/// Where nobody answers, Envoy does so itself.
fn own_answer(response: &Response) -> Option<SendFailure> {
    let is_text = response.header("content-type") == Some("text/plain");
    if !is_text || !matches!(response.status, 503 | 504) {
        return None;
    }
    let body = response.body.expose();
    let begins = |words: &str| body.starts_with(words.as_bytes());
    if begins("upstream request timeout") {
        Some(SendFailure::Timeout)
    } else if begins("no healthy upstream") || begins("upstream connect error") {
        // It may have been reset after it was sent; what was sent there can be sent again.
        Some(if body.ends_with(b"connection termination") {
            SendFailure::Broken
        } else {
            SendFailure::Refused
        })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_envoy_answers_itself_is_a_failure_of_the_network() {
        let refused = "upstream connect error or disconnect/reset before headers. reset reason: remote connection failure";
        let cut = "upstream connect error or disconnect/reset before headers. reset reason: connection termination";
        for (status, content_type, body, failure) in [
            (503, "text/plain", refused, Some(SendFailure::Refused)),
            (503, "text/plain", cut, Some(SendFailure::Broken)),
            (
                503,
                "text/plain",
                "no healthy upstream",
                Some(SendFailure::Refused),
            ),
            (
                504,
                "text/plain",
                "upstream request timeout",
                Some(SendFailure::Timeout),
            ),
            (503, "text/plain", "maintenance", None),
            (503, "application/json", "no healthy upstream", None),
            (500, "text/plain", "no healthy upstream", None),
        ] {
            let response = Response {
                status,
                headers: vec![("Content-Type".into(), content_type.into())],
                body: body.into(),
            };
            assert_eq!(
                own_answer(&response),
                failure,
                "{status} {content_type} {body}"
            );
        }
    }
}
