//! The two clocks that the core is told.

use std::time::{Duration, Instant, SystemTime};
use svcauth_core::Now;

/// The system's monotonic clock, counted from when this was made, and its wall clock.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Clock {
        Clock {
            started: Instant::now(),
        }
    }

    /// Both clocks. A wall clock that is set before 1970 counts as 1970.
    pub fn now(&self) -> Now {
        let wall = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        Now {
            mono_ms: self.mono_ms(),
            wall_ms: wall.as_millis() as u64,
        }
    }

    /// The monotonic clock, in milliseconds.
    pub(crate) fn mono_ms(&self) -> u64 {
        self.started.elapsed().as_millis() as u64
    }

    /// The instant at which the monotonic clock says `mono_ms`; its start where that is too far away.
    pub(crate) fn instant(&self, mono_ms: u64) -> Instant {
        self.started
            .checked_add(Duration::from_millis(mono_ms))
            .unwrap_or(self.started)
    }
}
