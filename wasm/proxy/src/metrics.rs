//! Metrics. Counters are kept here and handed to the proxy by the tick, so that a request costs no call.

use crate::host::{Host, MetricKind};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident = $text:literal,)*) => {
        /// What is counted for each target.
        #[derive(Clone, Copy)]
        pub(crate) enum Counter { $($(#[$doc])* $name,)* }

        const COUNTERS: &[&str] = &[$($text,)*];
    };
}

counters! {
    /// Requests that got the service's token.
    Attached = "attached",
    /// Requests that carry a token of their own.
    Passed = "passed",
    /// Requests that may carry no token.
    Refused = "refused",
    /// Requests that were answered because no token can be had.
    Failed = "failed",
    /// Requests that were held.
    Held = "held",
    /// Requests that were answered because they were held too long.
    HeldTimeout = "held_timeout",
    /// Requests that were answered because too many were held.
    HeldMost = "held_most",
    /// Answers with 401 to a token of the service.
    Unauthorized = "unauthorized",
    /// Requests that are made once more, or may be.
    Retries = "retries",
    /// Token requests.
    TokenRequests = "token_requests",
    /// Tokens that came.
    Tokens = "tokens",
    /// Attempts that brought no token.
    Failures = "failures",
    /// Requests whose call may be made once more.
    Asked = "asked",
    /// Requests of no target.
    Untouched = "untouched",
}

/// The metrics of one target.
pub(crate) struct Metrics {
    prefix: String,
    counts: [u64; COUNTERS.len()],
    ids: [Option<u32>; COUNTERS.len()],
    dirty: bool,
    hold_ms: Lazy,
    token_ms: Lazy,
    age_s: Lazy,
    remaining_s: Lazy,
}

/// A metric that is defined when it first has a value.
#[derive(Default)]
struct Lazy(Option<u32>);

impl Lazy {
    fn record(
        &mut self,
        kind: MetricKind,
        prefix: &str,
        name: &str,
        value: u64,
        host: &mut impl Host,
    ) {
        if self.0.is_none() {
            self.0 = host.metric(kind, &format!("{prefix}.{name}"));
        }
        if let Some(id) = self.0 {
            host.record(id, value);
        }
    }
}

impl Metrics {
    pub(crate) fn new(target: &str) -> Metrics {
        Metrics {
            prefix: format!("svcauth.{target}"),
            counts: [0; COUNTERS.len()],
            ids: [None; COUNTERS.len()],
            dirty: false,
            hold_ms: Lazy::default(),
            token_ms: Lazy::default(),
            age_s: Lazy::default(),
            remaining_s: Lazy::default(),
        }
    }

    #[inline]
    pub(crate) fn count(&mut self, counter: Counter) {
        if let Some(count) = self.counts.get_mut(counter as usize) {
            *count = count.saturating_add(1);
            self.dirty = true;
        }
    }

    /// Hands what was counted to the proxy.
    pub(crate) fn flush(&mut self, host: &mut impl Host) {
        if !std::mem::take(&mut self.dirty) {
            return;
        }
        let slots = self.counts.iter_mut().zip(&mut self.ids).zip(COUNTERS);
        for ((count, id), name) in slots {
            if *count == 0 {
                continue;
            }
            if id.is_none() {
                *id = host.metric(MetricKind::Counter, &format!("{}.{name}", self.prefix));
            }
            if let Some(id) = *id {
                host.add(id, std::mem::take(count));
            }
        }
    }

    pub(crate) fn held_for(&mut self, milliseconds: u64, host: &mut impl Host) {
        self.hold_ms.record(
            MetricKind::Histogram,
            &self.prefix,
            "hold_ms",
            milliseconds,
            host,
        );
    }

    pub(crate) fn token_took(&mut self, milliseconds: u64, host: &mut impl Host) {
        self.token_ms.record(
            MetricKind::Histogram,
            &self.prefix,
            "token_ms",
            milliseconds,
            host,
        );
    }

    /// How old the token is, and how long it lives.
    pub(crate) fn age(&mut self, age_ms: u64, remaining_ms: u64, host: &mut impl Host) {
        let prefix = &self.prefix;
        self.age_s
            .record(MetricKind::Gauge, prefix, "age_s", age_ms / 1000, host);
        self.remaining_s.record(
            MetricKind::Gauge,
            prefix,
            "remaining_s",
            remaining_ms / 1000,
            host,
        );
    }
}
