//! When a token is refreshed, how long it is served, and how long to wait after a failure.
//!
//! Pure functions of the configured [`Schedule`] and a [`Jitter`]; all times in milliseconds.

use crate::config::Schedule;

/// A small generator (splitmix64) that spreads points in time. It makes no secrets.
#[derive(Clone, Debug)]
pub(crate) struct Jitter(u64);

impl Jitter {
    pub(crate) fn new(seed: u64) -> Jitter {
        Jitter(seed)
    }

    /// A number from 0 to 1, 1 not included.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

/// What a failure asks for, and so how its back-off grows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Backoff {
    /// The server or the network is in trouble: short waits, fully spread.
    Trouble,
    /// The server asks for patience.
    RateLimited,
    /// A person has to act.
    Refused,
}

/// The points in a token's life, on the monotonic clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    pub(crate) refresh_at: u64,
    pub(crate) serve_until: u64,
    pub(crate) expires_at: u64,
}

impl Life {
    /// Until when a host serves the token without asking the client.
    pub(crate) fn ask_at(&self, kept_fresh: bool) -> u64 {
        if kept_fresh {
            self.serve_until
        } else {
            self.refresh_at
        }
    }
}

impl Schedule {
    /// The life of a token of `lifetime` whose request was sent at `sent` and whose answer came at `received`.
    pub(crate) fn life(
        &self,
        sent: u64,
        received: u64,
        lifetime: u64,
        jitter: &mut Jitter,
    ) -> Life {
        let expires_at = sent.saturating_add(lifetime);
        let margin = self
            .serve_margin_ms
            .min(part(lifetime, self.serve_margin_fraction));
        let remaining = expires_at.saturating_sub(received);
        let window = self
            .refresh_window_ms
            .min(part(remaining, self.refresh_window_fraction));
        let spread = 1.0 + self.jitter * (2.0 * jitter.unit() - 1.0);
        let serve_until = expires_at - margin.min(expires_at);
        Life {
            refresh_at: expires_at
                .saturating_sub(part(window, spread))
                .clamp(received.min(serve_until), serve_until),
            serve_until,
            expires_at,
        }
    }

    /// Spreads the refresh of a token that several clients have from the same source: later, never earlier.
    pub(crate) fn part_ways(&self, life: &mut Life, jitter: &mut Jitter) {
        let window = life.expires_at.saturating_sub(life.refresh_at);
        let spread = part(window, self.jitter * jitter.unit());
        life.refresh_at = life.refresh_at.saturating_add(spread).min(life.serve_until);
    }

    /// The shortest time between two successful refreshes of a token of `lifetime`.
    pub(crate) fn floor(&self, lifetime: u64) -> u64 {
        self.refresh_floor_ms.min(lifetime / 2)
    }

    /// How long to wait after the `failures`-th failure in a row (from 1), given the server's Retry-After.
    pub(crate) fn backoff(
        &self,
        kind: Backoff,
        failures: u32,
        retry_after: Option<u64>,
        jitter: &mut Jitter,
    ) -> u64 {
        let (initial, max) = match kind {
            Backoff::Trouble => (self.backoff_initial_ms, self.backoff_max_ms),
            Backoff::RateLimited => (self.rate_limited_initial_ms, self.rate_limited_max_ms),
            Backoff::Refused => (self.refused_initial_ms, self.refused_max_ms),
        };
        let doublings = failures.saturating_sub(1).min(32);
        let full = initial.saturating_mul(1 << doublings).min(max).max(1);
        // A date in the past, or zero, says nothing.
        if let Some(asked) = retry_after.filter(|asked| *asked > 0) {
            let asked = asked.min(self.retry_after_max_ms).max(1);
            return asked + part(asked.min(1_000), self.jitter * jitter.unit());
        }
        match kind {
            // Full jitter, so that many services part; never so short that a failure is hammered.
            Backoff::Trouble if self.jitter > 0.0 => {
                part(full, jitter.unit()).max(full / 10).max(1)
            }
            Backoff::Trouble => full,
            Backoff::RateLimited | Backoff::Refused => {
                full + part(full, self.jitter * jitter.unit() / 2.0)
            }
        }
    }
}

fn part(whole: u64, fraction: f64) -> u64 {
    (whole as f64 * fraction) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Schedule;

    fn exact() -> Schedule {
        Schedule {
            jitter: 0.0,
            ..Schedule::default()
        }
    }

    #[test]
    fn a_token_is_refreshed_in_a_window_scaled_to_its_life() {
        // lifetime, time the answer took, refresh_at, serve_until
        for (lifetime, took, refresh_at, serve_until) in [
            (3_600_000, 0, 3_300_000, 3_595_000),
            (60_000, 0, 45_000, 55_000),
            (19_000, 0, 14_250, 17_100),
            (1_000, 0, 750, 900),
            (60_000, 20_000, 50_000, 55_000),
            (1_000, 950, 950 - 50, 900),
            (0, 0, 0, 0),
        ] {
            let life = exact().life(100, 100 + took, lifetime, &mut Jitter::new(1));
            assert_eq!(
                (
                    life.refresh_at - 100,
                    life.serve_until - 100,
                    life.expires_at - 100
                ),
                (refresh_at, serve_until, lifetime),
                "{lifetime} {took}"
            );
        }
    }

    #[test]
    fn services_started_together_refresh_at_different_times() {
        let mut jitter = Jitter::new(7);
        let schedule = Schedule::default();
        let times: std::vec::Vec<u64> = (0..1000)
            .map(|_| schedule.life(0, 0, 60_000, &mut jitter).refresh_at)
            .collect();
        assert!(times.iter().all(|at| (42_000..=48_000).contains(at)));
        assert!(times.iter().max().unwrap() - times.iter().min().unwrap() > 5_000);
    }

    #[test]
    fn clients_that_adopted_the_same_token_refresh_it_at_different_times() {
        let mut jitter = Jitter::new(7);
        let times: std::vec::Vec<u64> = (0..1000)
            .map(|_| {
                let mut life = Life {
                    refresh_at: 40_000,
                    serve_until: 42_000,
                    expires_at: 60_000,
                };
                Schedule::default().part_ways(&mut life, &mut jitter);
                assert_eq!((life.serve_until, life.expires_at), (42_000, 60_000));
                life.refresh_at
            })
            .collect();
        assert!(times.iter().all(|at| (40_000..=42_000).contains(at)));
        assert!(times.iter().min().unwrap() + 1_500 < *times.iter().max().unwrap());
    }

    #[test]
    fn back_off_doubles_to_its_limit_and_obeys_the_server() {
        use Backoff::*;
        for (kind, failures, retry_after, wait) in [
            (Trouble, 1, None, 1_000),
            (Trouble, 2, None, 2_000),
            (Trouble, 7, None, 60_000),
            (Trouble, 4_000_000_000, None, 60_000),
            (Trouble, 1, Some(7_000), 7_000),
            (Trouble, 1, Some(9_000_000), 300_000),
            (RateLimited, 1, None, 10_000),
            (RateLimited, 2, None, 20_000),
            (RateLimited, 9, None, 60_000),
            (RateLimited, 9, Some(1_000), 1_000),
            (RateLimited, 1, Some(0), 10_000),
            (Trouble, 2, Some(0), 2_000),
            (Refused, 1, None, 30_000),
            (Refused, 5, None, 300_000),
        ] {
            assert_eq!(
                exact().backoff(kind, failures, retry_after, &mut Jitter::new(1)),
                wait,
                "{kind:?} {failures} {retry_after:?}"
            );
        }
    }

    #[test]
    fn jitter_never_shortens_what_the_server_asked_for() {
        let mut jitter = Jitter::new(3);
        for failures in 1..200 {
            assert!(
                Schedule::default().backoff(Backoff::Trouble, failures, Some(2_000), &mut jitter)
                    >= 2_000
            );
            assert!(
                Schedule::default().backoff(Backoff::RateLimited, failures, None, &mut jitter)
                    >= 10_000
            );
            assert!(
                Schedule::default().backoff(Backoff::Trouble, failures, None, &mut jitter) >= 100
            );
        }
    }
}
