//! The values of members that are left out. The schema repeats them for editors; a test compares the two.

use super::{Limits, Schedule, Timeouts};

/// The life of a token whose answer does not tell, in milliseconds.
pub(super) const LIFETIME_MS: u64 = 60_000;

impl Default for Schedule {
    fn default() -> Schedule {
        Schedule {
            refresh_window_ms: 300_000,
            refresh_window_fraction: 0.25,
            jitter: 0.2,
            serve_margin_ms: 5_000,
            serve_margin_fraction: 0.1,
            refresh_floor_ms: 1_000,
            backoff_initial_ms: 1_000,
            backoff_max_ms: 60_000,
            rate_limited_initial_ms: 10_000,
            rate_limited_max_ms: 60_000,
            refused_initial_ms: 30_000,
            refused_max_ms: 300_000,
            retry_after_max_ms: 300_000,
            rejection_cooldown_ms: 10_000,
            secret_poll_ms: 5_000,
            metadata_lifetime_ms: 3_600_000,
            keep_fresh: true,
        }
    }
}

impl Default for Timeouts {
    fn default() -> Timeouts {
        Timeouts {
            connect_ms: 5_000,
            request_ms: 10_000,
            secret_ms: 5_000,
            store_ms: 5_000,
            wait_ms: 30_000,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            answer_bytes: 1_048_576,
            subjects: 256,
            events: 256,
        }
    }
}
