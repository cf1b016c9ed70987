//! What the [agent](Client::agent) does by itself, for programs that make their calls with another HTTP
//! client.

use crate::{client::Client, lease::Lease, sync::deadline, target::Target};
use std::{sync::Arc, time::Duration};
use svcauth_core::{
    Config, Error,
    client::{Call, Calls, Decision, LeaseId, Subject, TargetId, TaskKind},
    message::Exchange,
};

/// For programs that make their calls with another HTTP client than the [agent](Client::agent): decide, get the
/// lease, make the call, ask what its answer means, and where that is [`Answered::Retry`], reject the lease and
/// make the call once more with the one that comes.
///
/// ```no_run
/// use std::time::Duration;
/// use svcauth::core::client::{Answered, Call, Decision};
/// # fn send(url: &str, authorization: &str) -> u16 { 200 }
/// # let client = svcauth::Client::open("svcauth.json")?;
/// let url = "https://smd.example/hsm/v2/State/Components";
/// let (calls, decision) = client.decide(&Call { url, ..Call::default() })?;
/// if let Decision::Lease { target, subject } = decision {
///     let (target, time) = (client.target_of(target), Duration::from_secs(10));
///     let lease = target.lease_of(subject, time)?;
///     let status = send(url, lease.authorization());
///     if calls.answered(&decision, status, [].into_iter(), true) == Answered::Retry
///         && let Some(lease) = target.reject_of(subject, lease.id(), time)
///     {
///         send(url, lease.authorization());
///     }
/// }
/// # Ok::<(), svcauth::Error>(())
/// ```
///
/// [`Answered::Retry`]: svcauth_core::client::Answered::Retry
impl Client {
    /// Decides what a call carries. The rules that it was decided by come along: they say what the call's answer
    /// means.
    ///
    /// # Errors
    /// [`Code::UserTokenMissing`](crate::Code::UserTokenMissing) and others of a call that must not be made.
    pub fn decide<'a>(&self, call: &Call<'a>) -> Result<(Arc<Calls>, Decision<'a>), Error> {
        let shared = &self.handle.shared;
        let calls = shared.calls.load_full();
        match calls.decide(call) {
            Decision::Refuse(error) => {
                shared.note_refusal(&calls, call.url, &error);
                Err(error)
            }
            decision => Ok((calls, decision)),
        }
    }

    /// All targets, in the order of their names.
    pub fn targets(&self) -> impl ExactSizeIterator<Item = Target> {
        let ids = self.handle.shared.target_ids();
        ids.map(|id| Target::new(&self.handle, id))
    }

    /// The target of a decision.
    pub fn target_of(&self, id: TargetId) -> Target {
        Target::new(&self.handle, id)
    }

    /// Sends one [message](svcauth_core::message) and reads its answer, with the TLS, the proxy and the limits
    /// of the configuration. No redirect is followed, and the client's own state is not concerned.
    ///
    /// # Errors
    /// The message's own, or the network's.
    pub fn exchange<E: Exchange + ?Sized>(&self, message: &E) -> Result<E::Answer, Error> {
        let shared = &self.handle.shared;
        shared.check_open()?;
        let request = message.request()?;
        let url = request.url.to_string();
        let response = shared.perform(TaskKind::Send {
            request,
            timeout_ms: shared.config.timeouts.request_ms,
            max_bytes: shared.config.limits.answer_bytes,
        });
        message.parse(&response.into_answer(&url)?)
    }

    /// The configuration that it was made of.
    pub fn config(&self) -> &Config {
        &self.handle.shared.config
    }

    /// How long a caller waits for a token unless it says otherwise: `timeouts.wait_s`.
    pub fn wait_time(&self) -> Duration {
        self.handle.shared.wait_time()
    }
}

impl Target {
    /// The token for this subject: the service's own, or the one that a user's token is exchanged for. Waits
    /// `time` at the most.
    ///
    /// # Errors
    /// As [`Target::lease`].
    pub fn lease_of(&self, subject: Subject<'_>, time: Duration) -> Result<Lease, Error> {
        let shared = &self.handle.shared;
        shared.lease(self.id, subject, deadline(time))
    }

    /// As [`Target::reject`], of the lease with this id, for this subject. Waits `time` at the most.
    pub fn reject_of(&self, subject: Subject<'_>, id: LeaseId, time: Duration) -> Option<Lease> {
        let shared = &self.handle.shared;
        shared.reject(self.id, subject, id, deadline(time))
    }

    /// Says that the called service answered 401 to the lease with this id, and that the call is not made once
    /// more.
    pub fn report(&self, subject: Subject<'_>, id: LeaseId) {
        self.handle.shared.report(self.id, subject, id);
    }
}
