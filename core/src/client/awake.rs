//! Which tokens may have something to do. Most rest most of the time, however many targets there are.

use super::token::Token;
use crate::Now;
use alloc::vec::Vec;

/// The tokens that do not rest, and until when none of the others has anything to do.
pub(crate) struct Awake {
    /// Their places, in order.
    places: Vec<usize>,
    /// The first of the times, on each clock, at which one of the others rests no more.
    soonest: Now,
    /// Whether `soonest` may be earlier than that.
    unsure: bool,
}

const NEVER: Now = Now {
    mono_ms: u64::MAX,
    wall_ms: u64::MAX,
};

impl Awake {
    pub(crate) fn new() -> Awake {
        Awake {
            places: Vec::new(),
            soonest: NEVER,
            unsure: true,
        }
    }

    /// The token at this place is about to change.
    pub(crate) fn wake(&mut self, place: usize, token: &Token) {
        let is_soonest = |at: u64, soonest: u64| at == soonest && at < u64::MAX;
        if let Some(until) = token.rests_until() {
            self.unsure |= is_soonest(until.mono_ms, self.soonest.mono_ms)
                || is_soonest(until.wall_ms, self.soonest.wall_ms);
        }
        if let Err(at) = self.places.binary_search(&place) {
            self.places.insert(at, place);
        }
    }

    /// Any token may change.
    pub(crate) fn wake_all(&mut self) {
        self.unsure = true;
    }

    /// The places of all tokens that may have something to do now.
    pub(crate) fn take(&mut self, now: Now, tokens: &[Option<Token>]) -> Vec<usize> {
        let is_time = now.mono_ms >= self.soonest.mono_ms || now.wall_ms >= self.soonest.wall_ms;
        if self.unsure || is_time {
            self.places.clear();
            self.places.extend(0..tokens.len());
            self.soonest = NEVER;
            self.unsure = false;
        }
        let rests = |place: usize| {
            let token = tokens[place].as_ref();
            token.is_none_or(|token| token.rests(now) || self.places.contains(&place))
        };
        debug_assert!((0..tokens.len()).all(rests));
        core::mem::take(&mut self.places)
    }

    /// Takes back those that were given, after what there was to do is done.
    pub(crate) fn give_back(&mut self, mut places: Vec<usize>, tokens: &[Option<Token>]) {
        places.retain(|place| match &tokens[*place] {
            None => false,
            Some(token) => match token.rests_until() {
                None => true,
                Some(until) => {
                    self.soonest.mono_ms = self.soonest.mono_ms.min(until.mono_ms);
                    self.soonest.wall_ms = self.soonest.wall_ms.min(until.wall_ms);
                    false
                }
            },
        });
        self.places = places;
    }

    /// The first time, on the monotonic clock, at which one of those that rest does no more.
    pub(crate) fn soonest(&self) -> Option<u64> {
        Some(self.soonest.mono_ms).filter(|at| *at < u64::MAX)
    }

    /// The tokens that do not rest.
    pub(crate) fn of<'t>(&'t self, tokens: &'t [Option<Token>]) -> impl Iterator<Item = &'t Token> {
        let places = self.places.iter();
        places.filter_map(|place| tokens.get(*place)?.as_ref())
    }
}
