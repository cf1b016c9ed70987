//! A named target: the handle that programs keep.

use crate::{cell::Cell, client::Handle, lease::Lease, sync::deadline};
use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};
use svcauth_core::{
    Error,
    client::{Subject, TargetId},
};

/// A service that is called, and the token for it. Cheap to clone; may be shared between threads.
#[derive(Clone)]
pub struct Target {
    cell: Arc<Cell>,
    pub(crate) handle: Arc<Handle>,
    pub(crate) id: TargetId,
}

impl Target {
    pub(crate) fn new(handle: &Arc<Handle>, id: TargetId) -> Target {
        let cell = handle.shared.cell(id).cloned().unwrap_or_default();
        Target {
            cell,
            handle: Arc::clone(handle),
            id,
        }
    }

    /// The name in the configuration.
    pub fn name(&self) -> &str {
        self.handle.shared.target_name(self.id)
    }

    /// The service's own token for this target.
    ///
    /// As long as a token is there this takes one atomic load and one look at the clock; the token is
    /// refreshed in the background. Without one it waits, `timeouts.wait_s` at the most.
    ///
    /// # Errors
    /// Why there is no token: what the server answered, or at the deadline the reason of the last failure.
    /// [`Code::Closed`](crate::Code::Closed) once the client was closed.
    #[inline]
    pub fn lease(&self) -> Result<Lease, Error> {
        match self.cell.fresh() {
            Some(lease) => Ok(lease),
            None => self.lease_slowly(),
        }
    }

    /// As [`Target::lease`], but waits `time` at the most. With no time at all it answers what is there now,
    /// and still has a token fetched for the next caller.
    ///
    /// # Errors
    /// As [`Target::lease`].
    pub fn lease_within(&self, time: Duration) -> Result<Lease, Error> {
        self.lease_until(deadline(time))
    }

    /// As [`Target::lease`], but waits until `deadline` at the most.
    ///
    /// # Errors
    /// As [`Target::lease`].
    pub fn lease_until(&self, deadline: Instant) -> Result<Lease, Error> {
        self.handle
            .shared
            .lease(self.id, Subject::Service, deadline)
    }

    /// The token that this user's token is exchanged for (RFC 8693). Verify the user's token before.
    ///
    /// # Errors
    /// As [`Target::lease`].
    pub fn lease_for(&self, user_token: &str) -> Result<Lease, Error> {
        let shared = &self.handle.shared;
        shared.lease(
            self.id,
            Subject::User(user_token),
            deadline(shared.wait_time()),
        )
    }

    /// Says that the called service answered 401 to this lease, and that the call can be made once more.
    ///
    /// Answers the lease to do that with, or none: then the 401 is the caller's. Waits for a new token if
    /// need be, `timeouts.wait_s` at the most. The [agent](crate::Client::agent) does this by itself.
    pub fn reject(&self, lease: &Lease) -> Option<Lease> {
        let shared = &self.handle.shared;
        shared.reject(
            self.id,
            Subject::Service,
            lease.id(),
            deadline(shared.wait_time()),
        )
    }

    #[cold]
    fn lease_slowly(&self) -> Result<Lease, Error> {
        self.lease_within(self.handle.shared.wait_time())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Target").field(&self.name()).finish()
    }
}
