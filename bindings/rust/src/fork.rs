//! What a forked process has instead of its parent's client.

use crate::{client::Client, shared::Shared};
use svcauth_core::{Error, client::RecordClock};

impl Client {
    /// Makes the client of a forked process, of the same configuration. To be called in the child; the parent's
    /// client is not used there for anything else, and not dropped either ([`std::mem::forget`]): its locks may
    /// be held by threads that the child does not have.
    ///
    /// The service's access tokens are served on without a request, and refreshed at another time than the
    /// parent's. All else is forgotten: what can be used once is taken from the store, under its lock. The
    /// functions for secrets and events are the parent's, and TLS and proxies are as it has read them.
    ///
    /// # Errors
    /// That the system gives no random bytes.
    pub fn after_fork(&self) -> Result<Client, Error> {
        let parents: &Shared = &self.handle.shared;
        let config = svcauth_core::Config::clone(&parents.config);
        let host = parents.host.after_fork(&config);
        let builder = self.handle.builder.in_child();
        let client = builder.finish(config, host, parents.clock)?;
        let leases = parents.leases();
        client.handle.shared.turn(|core, now| {
            for (target, lease) in leases {
                core.adopt(target, &lease.record(now), RecordClock::Same, now);
            }
        });
        Ok(client)
    }
}
