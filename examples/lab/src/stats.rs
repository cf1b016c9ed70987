//! Counters and the log of who called what.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::lock;
use crate::service::{Endpoint, Service};

/// The log forgets its oldest entries beyond this many.
const LOG_LIMIT: usize = 1 << 16;
/// Beyond this many clients they are counted together.
const ROW_LIMIT: usize = 4096;
const OTHERS: &str = "(others)";

/// Everything counted since the start or the last reset.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stats {
    /// Requests by endpoint.
    pub endpoints: BTreeMap<Endpoint, EndpointStats>,
    /// Token requests by grant and client id, wherever they were sent.
    pub token_requests: Vec<TokenRequests>,
    /// How often a refresh token was used that had been used before.
    pub refresh_reuse: u64,
    /// How often the SMD stand-in fetched the key sets.
    pub key_fetches: u64,
}

impl Stats {
    /// The numbers of an endpoint, zeros when it was never called.
    pub fn endpoint(&self, endpoint: Endpoint) -> EndpointStats {
        self.endpoints.get(&endpoint).cloned().unwrap_or_default()
    }

    /// All token requests that reached a token endpoint's code, successful or not.
    pub fn token_requests(&self) -> u64 {
        self.token_requests.iter().map(|row| row.count).sum()
    }

    /// The token requests of one client.
    pub fn token_requests_of(&self, client_id: &str) -> u64 {
        self.token_requests
            .iter()
            .filter(|row| row.client_id == client_id)
            .map(|row| row.count)
            .sum()
    }

    /// The access tokens issued.
    pub fn tokens_issued(&self) -> u64 {
        self.token_requests.iter().map(|row| row.issued).sum()
    }
}

/// What happened at one endpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointStats {
    /// Requests received, whatever became of them.
    pub requests: u64,
    /// Requests being worked on now.
    pub in_flight: u64,
    /// The most requests that were worked on at once.
    pub in_flight_max: u64,
    /// Answers by status.
    pub answers: BTreeMap<u16, u64>,
    /// Connections closed on purpose, without an answer or in the middle of one.
    pub dropped: u64,
    /// Requests hit by a fault.
    pub faults: u64,
}

/// The token requests of one client with one grant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRequests {
    /// `grant_type` as it was sent.
    pub grant: String,
    /// The client id or, at TokenSmith, the subject; empty when unknown.
    pub client_id: String,
    /// Requests.
    pub count: u64,
    /// Requests answered with a token.
    pub issued: u64,
}

/// One request in the log.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogEntry {
    /// Wall clock at its arrival, milliseconds since 1970.
    pub at_ms: u64,
    /// Who was called.
    pub service: Service,
    /// Which of its endpoints.
    pub endpoint: Endpoint,
    /// HTTP method.
    pub method: String,
    /// Path without query.
    pub path: String,
    /// Status of the answer; none when the connection was dropped.
    pub status: Option<u16>,
    /// Subject of the verified token.
    pub sub: Option<String>,
    /// Client of the verified token, or the client of a token request.
    pub client_id: Option<String>,
    /// The Authorization header; kept for requests elsewhere only.
    pub authorization: Option<String>,
}

impl fmt::Debug for LogEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} {} {}", self.service, self.method, self.path)?;
        match self.status {
            Some(status) => write!(f, " {status}")?,
            None => write!(f, " dropped")?,
        }
        write!(
            f,
            " sub={} client_id={}",
            self.sub.as_deref().unwrap_or("-"),
            self.client_id.as_deref().unwrap_or("-")
        )?;
        if self.authorization.is_some() {
            write!(f, " authorization=(hidden)")?;
        }
        Ok(())
    }
}

/// Who made a request, as far as the handler found out: goes from it to the log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Caller {
    pub(crate) sub: Option<String>,
    pub(crate) client_id: Option<String>,
}

#[derive(Debug, Default)]
pub(crate) struct Recorder {
    stats: Mutex<Stats>,
    log: Mutex<VecDeque<LogEntry>>,
}

impl Recorder {
    pub(crate) fn snapshot(&self) -> Stats {
        lock(&self.stats).clone()
    }

    pub(crate) fn log(&self) -> Vec<LogEntry> {
        lock(&self.log).iter().cloned().collect()
    }

    /// Forgets everything but the requests under way.
    pub(crate) fn reset(&self) {
        let mut stats = lock(&self.stats);
        let under_way = std::mem::take(&mut stats.endpoints)
            .into_iter()
            .filter(|(_, numbers)| numbers.in_flight > 0)
            .map(|(endpoint, numbers)| {
                let in_flight = numbers.in_flight;
                let numbers = EndpointStats {
                    in_flight,
                    in_flight_max: in_flight,
                    ..EndpointStats::default()
                };
                (endpoint, numbers)
            })
            .collect();
        *stats = Stats {
            endpoints: under_way,
            ..Stats::default()
        };
        drop(stats);
        lock(&self.log).clear();
    }

    pub(crate) fn arrived(&self, endpoint: Endpoint, faulty: bool) -> InFlight<'_> {
        let mut stats = lock(&self.stats);
        let numbers = stats.endpoints.entry(endpoint).or_default();
        numbers.requests += 1;
        numbers.faults += u64::from(faulty);
        numbers.in_flight += 1;
        numbers.in_flight_max = numbers.in_flight_max.max(numbers.in_flight);
        InFlight {
            recorder: self,
            endpoint,
            status: None,
        }
    }

    pub(crate) fn token_request(&self, grant: &str, client_id: &str, issued: bool) {
        let mut stats = lock(&self.stats);
        let rows = &mut stats.token_requests;
        let (grant, client_id) = match rows.len() {
            ROW_LIMIT.. => (OTHERS, OTHERS),
            _ => (grant, client_id),
        };
        let position = rows
            .iter()
            .position(|row| row.grant == grant && row.client_id == client_id)
            .unwrap_or_else(|| {
                rows.push(TokenRequests {
                    grant: grant.to_owned(),
                    client_id: client_id.to_owned(),
                    ..TokenRequests::default()
                });
                rows.len() - 1
            });
        rows[position].count += 1;
        rows[position].issued += u64::from(issued);
    }

    pub(crate) fn refresh_reused(&self) {
        lock(&self.stats).refresh_reuse += 1;
    }

    pub(crate) fn keys_fetched(&self) {
        lock(&self.stats).key_fetches += 1;
    }

    pub(crate) fn record(&self, entry: LogEntry) {
        let mut log = lock(&self.log);
        if log.len() == LOG_LIMIT {
            log.pop_front();
        }
        log.push_back(entry);
    }
}

/// A request under way; counted as answered or dropped when this is dropped, so that a caller who
/// hangs up is counted too.
pub(crate) struct InFlight<'a> {
    recorder: &'a Recorder,
    endpoint: Endpoint,
    pub(crate) status: Option<u16>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        let mut stats = lock(&self.recorder.stats);
        let numbers = stats.endpoints.entry(self.endpoint).or_default();
        numbers.in_flight = numbers.in_flight.saturating_sub(1);
        match self.status {
            Some(status) => *numbers.answers.entry(status).or_default() += 1,
            None => numbers.dropped += 1,
        }
    }
}

/// Wall clock in milliseconds since 1970.
pub(crate) fn now_ms() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as u64)
}
