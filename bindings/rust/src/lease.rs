//! A token as a program gets it.

use crate::cell::Held;
use arc_swap::Guard;
use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};
use svcauth_core::client::LeaseId;

/// An access token that may be used now.
///
/// Borrowed from the client without a copy: keep it for one call, not for a minute, and ask again for the
/// next call. The token is wiped from memory when it was replaced and the last lease of it is dropped.
pub struct Lease(Guard<Arc<Held>>);

impl Lease {
    /// Borrows what a cell holds, if `usable` says so.
    #[inline]
    pub(crate) fn borrow(
        guard: Guard<Arc<Held>>,
        usable: impl FnOnce(&Held) -> bool,
    ) -> Option<Lease> {
        if usable(&guard) {
            Some(Lease(guard))
        } else {
            None
        }
    }

    pub(crate) fn owned(held: Arc<Held>) -> Lease {
        Lease(Guard::from_inner(held))
    }

    /// The lease as the core has it: cheap to clone, for a program that keeps it.
    #[inline]
    pub fn core(&self) -> &svcauth_core::client::Lease {
        self.0
            .lease
            .as_ref()
            .expect("nothing is borrowed from an empty cell")
    }

    /// The access token.
    #[inline]
    pub fn value(&self) -> &str {
        self.core().value()
    }

    /// The value of the Authorization field: `Bearer ` and the token (RFC 6750 section 2.1).
    #[inline]
    pub fn authorization(&self) -> &str {
        self.core().authorization()
    }

    /// Names the token without telling it: the same in every process.
    pub fn id(&self) -> LeaseId {
        self.core().id()
    }

    /// When it expires, by the wall clock.
    pub fn expires_at(&self) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_millis(self.core().expires_at_wall_ms())
    }

    /// The scopes granted.
    pub fn scopes(&self) -> &[String] {
        self.core().scopes()
    }

    /// The client it was issued to, as far as known.
    pub fn client_id(&self) -> Option<&str> {
        self.core().client_id()
    }

    /// Its `sub` claim, unverified, where the token is a JWT.
    pub fn subject(&self) -> Option<&str> {
        self.core().subject()
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id())
            .field("scopes", &self.scopes())
            .finish_non_exhaustive()
    }
}
