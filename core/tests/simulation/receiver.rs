//! A called service: verifies tokens with keys that it fetches now and then.

use crate::{
    random::Random,
    server::{Server, TokenRecord},
};
use std::collections::BTreeSet;

pub(crate) struct Receiver {
    keys: BTreeSet<u32>,
    fetched_at: Option<u64>,
    /// How long it does not fetch keys again, whatever it meets.
    patience_ms: u64,
}

impl Receiver {
    pub(crate) fn new(random: &mut Random) -> Receiver {
        let patience_ms = random.pick(&[0, 1_000, 30_000, 300_000]);
        Receiver {
            keys: BTreeSet::new(),
            fetched_at: None,
            patience_ms,
        }
    }

    /// Whether it lets the token in.
    pub(crate) fn accepts(&mut self, token: &TokenRecord, server: &Server, now: u64) -> bool {
        if !self.keys.contains(&token.key) {
            self.fetch(server, now);
        }
        self.keys.contains(&token.key) && now < token.expires_at
    }

    fn fetch(&mut self, server: &Server, now: u64) {
        if self
            .fetched_at
            .is_none_or(|at| now >= at + self.patience_ms)
        {
            self.refresh(server, now);
        }
    }

    pub(crate) fn refresh(&mut self, server: &Server, now: u64) {
        self.keys = server.keys.clone();
        self.fetched_at = Some(now);
    }
}
