//! Faults: what an endpoint does instead of, or before, its answer.

use std::collections::{HashMap, VecDeque};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::lock;
use crate::service::Endpoint;

/// A disturbance of one endpoint: wait, then do something wrong.
///
/// ```
/// # use svcauth_lab::Fault;
/// let twice_busy = Fault::status(503).times(2);
/// let slow = Fault::slow(250);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Fault {
    /// Milliseconds to wait before anything else.
    pub delay_ms: u64,
    /// How many requests are hit before the fault is gone; none: all of them.
    pub times: Option<u32>,
    /// How many requests pass unharmed before the first is hit.
    pub after: u32,
    /// What happens then.
    pub action: Action,
}

/// What happens to a request that a fault hits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Action {
    /// The true answer.
    #[default]
    Serve,
    /// Nothing until the endpoint's faults are set, added to or cleared; then the true answer.
    Hold,
    /// The connection is closed; the request is not acted on.
    Drop,
    /// The request is acted on, then the connection is closed without an answer.
    Lose,
    /// The request is acted on; the answer's header is sent and half the body, then the
    /// connection is closed.
    Cut,
    /// The true answer with only the first half of its body, as a complete HTTP message.
    Truncate,
    /// This answer; the request is not acted on.
    Answer(Answer),
    /// The true answer with members of its JSON object replaced, or removed where the value here
    /// is null (RFC 7396).
    Merge(serde_json::Map<String, serde_json::Value>),
}

/// A literal answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Answer {
    /// HTTP status, 200 to 599.
    pub status: u16,
    /// Content-Type; none: the header is left out.
    pub content_type: Option<String>,
    /// The body.
    pub body: String,
    /// Retry-After.
    pub retry_after: Option<RetryAfter>,
    /// Location.
    pub location: Option<String>,
    /// Further headers.
    pub headers: Vec<(String, String)>,
}

impl Default for Answer {
    fn default() -> Self {
        Answer {
            status: 200,
            content_type: None,
            body: String::new(),
            retry_after: None,
            location: None,
            headers: Vec::new(),
        }
    }
}

/// The two forms of Retry-After (RFC 9110 section 10.2.3), and a text for wrong ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryAfter {
    /// So many seconds.
    Seconds(u64),
    /// An HTTP date so many seconds from the moment of the answer.
    DateIn(u64),
    /// This text.
    Text(String),
}

impl RetryAfter {
    pub(crate) fn value(&self) -> String {
        match self {
            RetryAfter::Seconds(seconds) => seconds.to_string(),
            RetryAfter::DateIn(seconds) => SystemTime::now()
                .checked_add(Duration::from_secs(*seconds))
                .map(httpdate::fmt_http_date)
                .unwrap_or_default(),
            RetryAfter::Text(text) => text.clone(),
        }
    }
}

impl Fault {
    /// A fault with this action.
    pub fn new(action: Action) -> Fault {
        Fault {
            action,
            ..Fault::default()
        }
    }

    /// The true answer, later.
    pub fn slow(milliseconds: u64) -> Fault {
        Fault::default().delay(milliseconds)
    }

    /// The true answer, as soon as the endpoint's faults are set, added to or cleared: a test sees
    /// how many requests come meanwhile, without depending on time.
    pub fn hold() -> Fault {
        Fault::new(Action::Hold)
    }

    /// An answer with this status and a short HTML body, as a proxy would send it.
    pub fn status(status: u16) -> Fault {
        Fault::body(
            status,
            "text/html",
            format!("<html><body><h1>{status}</h1></body></html>\n"),
        )
    }

    /// 429 Too Many Requests.
    pub fn too_many(retry_after: Option<RetryAfter>) -> Fault {
        Fault::new(Action::Answer(Answer {
            status: 429,
            content_type: Some("application/json".into()),
            body: r#"{"error":"too_many_requests","error_description":"Slow down"}"#.into(),
            retry_after,
            ..Answer::default()
        }))
    }

    /// This body instead of the true one. An empty content type leaves the header out.
    pub fn body(status: u16, content_type: &str, body: impl Into<String>) -> Fault {
        Fault::new(Action::Answer(Answer {
            status,
            content_type: Some(content_type.to_owned()).filter(|text| !text.is_empty()),
            body: body.into(),
            ..Answer::default()
        }))
    }

    /// 200 with a page in HTML.
    pub fn html() -> Fault {
        Fault::body(
            200,
            "text/html; charset=utf-8",
            "<!DOCTYPE html><title>Sign in</title><p>Please sign in.</p>\n",
        )
    }

    /// 200 with an empty body.
    pub fn empty() -> Fault {
        Fault::body(200, "", "")
    }

    /// 200 with a JSON object that has an `error` member.
    pub fn error_in_200(error: &str) -> Fault {
        let body = serde_json::json!({ "error": error, "error_description": "as asked for" });
        Fault::body(200, "application/json", body.to_string())
    }

    /// An OAuth error (RFC 6749 section 5.2).
    pub fn oauth_error(status: u16, error: &str) -> Fault {
        let body = serde_json::json!({ "error": error, "error_description": "as asked for" });
        Fault::body(status, "application/json;charset=UTF-8", body.to_string())
    }

    /// The true answer with half its body.
    pub fn truncated() -> Fault {
        Fault::new(Action::Truncate)
    }

    /// The connection is closed without an answer, the request not acted on.
    pub fn drop_connection() -> Fault {
        Fault::new(Action::Drop)
    }

    /// A redirect to `location`.
    pub fn redirect(status: u16, location: &str) -> Fault {
        Fault::new(Action::Answer(Answer {
            status,
            location: Some(location.to_owned()),
            ..Answer::default()
        }))
    }

    /// The true answer with members replaced, or removed where the value is null.
    ///
    /// # Panics
    /// When `patch` is not a JSON object.
    pub fn merge(patch: serde_json::Value) -> Fault {
        match patch {
            serde_json::Value::Object(members) => Fault::new(Action::Merge(members)),
            other => panic!("a merge patch is an object, not {other}"),
        }
    }

    /// Only the next `n` requests.
    pub fn times(mut self, n: u32) -> Fault {
        self.times = Some(n);
        self
    }

    /// Not before `n` requests have passed.
    pub fn after(mut self, n: u32) -> Fault {
        self.after = n;
        self
    }

    /// Wait first.
    pub fn delay(mut self, milliseconds: u64) -> Fault {
        self.delay_ms = milliseconds;
        self
    }
}

/// The faults in force, by endpoint. Several for one endpoint are worked through in order: the
/// next begins when the one before is used up.
#[derive(Debug, Default)]
pub struct Faults {
    queues: Mutex<HashMap<Endpoint, VecDeque<Fault>>>,
    /// How often each endpoint's faults were changed: what held requests wait for.
    changes: watch::Sender<HashMap<Endpoint, u64>>,
}

impl Faults {
    /// Replaces the faults of an endpoint.
    pub fn set(&self, endpoint: Endpoint, fault: Fault) {
        let mut queues = lock(&self.queues);
        queues.insert(endpoint, VecDeque::from([fault]));
        self.changed([endpoint]);
    }

    /// Adds a fault behind those of an endpoint.
    pub fn push(&self, endpoint: Endpoint, fault: Fault) {
        let mut queues = lock(&self.queues);
        queues.entry(endpoint).or_default().push_back(fault);
        self.changed([endpoint]);
    }

    /// Ends the faults of an endpoint.
    pub fn clear(&self, endpoint: Endpoint) {
        let mut queues = lock(&self.queues);
        queues.remove(&endpoint);
        self.changed([endpoint]);
    }

    /// Ends all faults.
    pub fn clear_all(&self) {
        let mut queues = lock(&self.queues);
        let endpoints: Vec<_> = queues.drain().map(|(endpoint, _)| endpoint).collect();
        self.changed(endpoints);
    }

    /// The faults in force.
    pub fn current(&self) -> Vec<(Endpoint, Fault)> {
        let mut all: Vec<_> = lock(&self.queues)
            .iter()
            .flat_map(|(endpoint, queue)| queue.iter().map(|fault| (*endpoint, fault.clone())))
            .collect();
        all.sort_by_key(|(endpoint, _)| *endpoint);
        all
    }

    /// The fault that hits a request arriving now.
    pub(crate) fn next(&self, endpoint: Endpoint) -> Option<Hit> {
        let mut queues = lock(&self.queues);
        let queue = queues.get_mut(&endpoint)?;
        while queue.front().is_some_and(|fault| fault.times == Some(0)) {
            queue.pop_front();
        }
        let fault = queue.front_mut()?;
        if fault.after > 0 {
            fault.after -= 1;
            return None;
        }
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(Hit {
            fault: fault.clone(),
            endpoint,
            changes: count(&self.changes.borrow(), endpoint),
        })
    }

    /// Returns when the faults of the endpoint have been changed since the hit.
    pub(crate) async fn changed_since(&self, hit: &Hit) {
        let mut changes = self.changes.subscribe();
        let changed =
            |changes: &HashMap<Endpoint, u64>| count(changes, hit.endpoint) != hit.changes;
        let _ = changes.wait_for(changed).await;
    }

    /// To be called while the queues are locked, so that a hit belongs to one state of them.
    fn changed(&self, endpoints: impl IntoIterator<Item = Endpoint>) {
        self.changes.send_modify(|changes| {
            for endpoint in endpoints {
                *changes.entry(endpoint).or_default() += 1;
            }
        });
    }
}

/// A fault that has hit a request.
pub(crate) struct Hit {
    pub(crate) fault: Fault,
    endpoint: Endpoint,
    /// How often the endpoint's faults had been changed before.
    changes: u64,
}

fn count(changes: &HashMap<Endpoint, u64>, endpoint: Endpoint) -> u64 {
    changes.get(&endpoint).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_an_endpoint_follow_each_other_and_then_end() {
        let faults = Faults::default();
        faults.set(Endpoint::Token, Fault::status(500).after(2).times(2));
        faults.push(Endpoint::Token, Fault::drop_connection().times(1));
        let seen: Vec<_> = (0..6)
            .map(|_| faults.next(Endpoint::Token).map(|hit| hit.fault.action))
            .collect();
        let status = Some(Fault::status(500).action);
        assert_eq!(
            seen,
            [None, None, status.clone(), status, Some(Action::Drop), None]
        );
        assert!(faults.next(Endpoint::Smd).is_none());
    }

    #[test]
    fn a_fault_is_read_from_short_json() {
        let rows = [
            (r#"{}"#, Fault::default()),
            (
                r#"{"action":"drop","times":3}"#,
                Fault::drop_connection().times(3),
            ),
            (
                r#"{"action":{"answer":{"status":503}},"delay_ms":5}"#,
                Fault::new(Action::Answer(Answer {
                    status: 503,
                    ..Answer::default()
                }))
                .delay(5),
            ),
            (
                r#"{"action":{"merge":{"expires_in":"3"}}}"#,
                Fault::merge(serde_json::json!({ "expires_in": "3" })),
            ),
        ];
        for (text, fault) in rows {
            assert_eq!(
                serde_json::from_str::<Fault>(text).unwrap(),
                fault,
                "{text}"
            );
        }
    }
}
