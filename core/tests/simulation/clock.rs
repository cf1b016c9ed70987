//! The clocks of a machine, which drift from true time by steps and by sleep.

use svcauth_core::Now;

const BOOT_MS: u64 = 1_000_000;
const EPOCH_MS: u64 = 1_790_000_000_000;

/// True time in milliseconds since the start of the run as the wall clock of an honest machine shows it.
pub(crate) fn wall(true_ms: u64) -> u64 {
    EPOCH_MS + true_ms
}

#[derive(Default)]
pub(crate) struct Machine {
    /// Whether the monotonic clock goes on while the machine sleeps.
    pub(crate) counts_sleep: bool,
    /// How far the wall clock is set wrong.
    pub(crate) step_ms: i64,
    /// Sleep that the monotonic clock did not count.
    pub(crate) uncounted_ms: u64,
    pub(crate) asleep_until: u64,
}

impl Machine {
    pub(crate) fn now(&self, true_ms: u64) -> Now {
        Now {
            mono_ms: BOOT_MS + true_ms - self.uncounted_ms,
            wall_ms: wall(true_ms).saturating_add_signed(self.step_ms),
        }
    }

    /// The true time at which the monotonic clock will show `mono_ms`, if it does not sleep before.
    pub(crate) fn true_ms(&self, mono_ms: u64) -> u64 {
        (mono_ms + self.uncounted_ms).saturating_sub(BOOT_MS)
    }

    pub(crate) fn sleep(&mut self, true_ms: u64, for_ms: u64) {
        self.asleep_until = true_ms + for_ms;
        if !self.counts_sleep {
            self.uncounted_ms += for_ms;
        }
    }
}
