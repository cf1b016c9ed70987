//! What the filter asks of the proxy.

use crate::reply::Reply;
use svcauth_core::Now;

/// The proxy, as one worker thread sees it. Each method is one call into the proxy; what it refuses is told by the
/// result, never by a panic.
pub trait Host {
    /// Both clocks.
    fn now(&mut self) -> Now;
    /// The monotonic clock alone, in milliseconds.
    fn mono_ms(&mut self) -> u64;
    /// Writes a line to the log.
    fn log(&mut self, severity: Severity, line: &str);
    /// Fills `bytes` from the system's generator; whether it could.
    fn random(&mut self, bytes: &mut [u8]) -> bool;
    /// An environment variable that the proxy lets the filter see.
    fn variable(&mut self, name: &str) -> Option<Vec<u8>>;

    /// A header of the request or response at hand.
    fn header(&mut self, map: Map, name: &str) -> Option<Vec<u8>>;
    /// Sets a header, in place of what it was.
    fn set_header(&mut self, map: Map, name: &str, value: &str) -> bool;
    /// Adds a value to a header.
    fn add_header(&mut self, map: Map, name: &str, value: &str) -> bool;
    /// A property; the steps of `path` are parted by NUL.
    fn property(&mut self, path: &str) -> Option<Vec<u8>>;
    /// Sets a property of the request at hand, for access logs.
    fn set_property(&mut self, path: &str, value: &str) -> bool;

    /// What follows is about this context.
    fn enter(&mut self, context: u32) -> bool;
    /// Lets a request go on that was held.
    fn resume(&mut self) -> bool;
    /// Answers a request.
    fn respond(&mut self, reply: &Reply) -> bool;

    /// Has the filter's tick called every so many milliseconds.
    fn tick_every(&mut self, milliseconds: u32) -> bool;
    /// Sends a request to a cluster; names the call.
    fn call(
        &mut self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, CallFailure>;
    /// The headers of the answer at hand.
    fn answer_headers(&mut self) -> Vec<(String, String)>;
    /// The body of the answer at hand, `most` bytes of it at the most.
    fn answer_body(&mut self, most: usize) -> Vec<u8>;

    /// A value that all worker threads share, and its version; none where there is none.
    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)>;
    /// Writes a shared value that has this version; `None` where it must not exist yet.
    fn share(&mut self, key: &str, value: &[u8], version: Option<u32>) -> Shared;

    /// Defines a metric, or finds the one that is there.
    fn metric(&mut self, kind: MetricKind, name: &str) -> Option<u32>;
    /// Adds to a counter.
    fn add(&mut self, metric: u32, by: u64);
    /// Records a gauge's or a histogram's value.
    fn record(&mut self, metric: u32, value: u64);
}

/// How much a line of the log matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Severity {
    Debug = 1,
    Info = 2,
    Warn = 3,
    Error = 4,
}

/// Whose headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Map {
    /// The request's.
    Request = 0,
    /// The response's.
    Response = 2,
}

/// Why a request to a cluster could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailure {
    /// There is no such cluster, or the request is not one.
    Refused,
    /// Anything else.
    Broken,
}

/// What became of a shared value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shared {
    /// It is written.
    Written,
    /// It had another version.
    Conflict,
    /// It cannot be written.
    Failed,
}

/// The kinds of metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum MetricKind {
    Counter = 0,
    Gauge = 1,
    Histogram = 2,
}
