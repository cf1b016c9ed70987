//! The client: opened once, shared by the whole program.

use crate::{
    agent,
    builder::Builder,
    cell::Cell,
    health::{Health, Stats, TargetHealth},
    lease::Lease,
    shared::Shared,
    sync::deadline,
    target::Target,
};
use std::{
    fmt,
    path::Path,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, SystemTime},
};
use svcauth_core::{
    Code, Config, Error,
    client::{Subject, TargetId},
};

/// One identity, its targets, and their tokens. Cheap to clone; may be shared between threads.
///
/// It ends when the last clone, target and agent of it are dropped, or with [`Client::close`].
#[derive(Clone)]
pub struct Client {
    pub(crate) handle: Arc<Handle>,
    agent: ureq::Agent,
}

/// Keeps the client alive; the threads do not.
pub(crate) struct Handle {
    pub(crate) shared: Arc<Shared>,
    /// What it was made with.
    pub(crate) builder: Builder,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.shared.close();
    }
}

impl Client {
    /// Opens a client as the file at `path` says. Touches no network and starts no thread: both happen when
    /// the first token is asked for.
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`] with the member that is wrong, [`Code::Unsupported`] for what this
    /// build cannot do.
    pub fn open(path: impl AsRef<Path>) -> Result<Client, Error> {
        Builder::default().open(path)
    }

    /// Makes a client of a configuration that was read before.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn new(config: Config) -> Result<Client, Error> {
        Builder::default().build(config)
    }

    /// For what the configuration document does not hold: a function for secrets or for events, settings of
    /// the agent.
    pub fn builder() -> Builder {
        Builder::default()
    }

    pub(crate) fn from_parts(
        shared: Arc<Shared>,
        builder: Builder,
        settings: agent::Settings,
    ) -> Client {
        let handle = Arc::new(Handle { shared, builder });
        let agent = agent::new(&handle, settings);
        Client { handle, agent }
    }

    /// The target of that name.
    ///
    /// # Errors
    /// [`Code::UnknownTarget`].
    pub fn target(&self, name: &str) -> Result<Target, Error> {
        Ok(Target::new(&self.handle, self.find(name)?.0))
    }

    /// The service's own token for the target of that name; see [`Target::lease`].
    ///
    /// # Errors
    /// [`Code::UnknownTarget`], or as [`Target::lease`].
    #[inline]
    pub fn lease(&self, name: &str) -> Result<Lease, Error> {
        let (id, cell) = self.find(name)?;
        match cell.fresh() {
            Some(lease) => Ok(lease),
            None => self.lease_slowly(id),
        }
    }

    /// The HTTP client that adds the right token to each call, and makes a call once more with a new token
    /// where the first was refused. Clone it as you like.
    ///
    /// A call to a URL of no target goes out as it is. So does one that has an Authorization of its own. A
    /// redirect is followed with the token only within the target. [`UserToken`](crate::UserToken) says on
    /// whose behalf a call is made.
    ///
    /// Its defaults differ from ureq's in that nothing lasts for ever: connecting takes `timeouts.connect_s`
    /// at the most, and 60 s without a byte are an error.
    pub fn agent(&self) -> &ureq::Agent {
        &self.agent
    }

    /// Waits until every target has a token: for a program that wants to be sure before it serves.
    ///
    /// # Errors
    /// The first target's that has none after `time`.
    pub fn ready(&self, time: Duration) -> Result<(), Error> {
        let deadline = deadline(time);
        let shared = &self.handle.shared;
        let targets: Vec<TargetId> = shared.look(|core| core.targets().collect());
        // All are asked for before the first is waited for.
        for target in &targets {
            let _ = shared.lease(*target, Subject::Service, std::time::Instant::now());
        }
        for target in targets {
            shared.lease(target, Subject::Service, deadline)?;
        }
        Ok(())
    }

    /// How the targets are doing, for a probe. Asks for nothing and never waits.
    pub fn health(&self) -> Health {
        let shared = &self.handle.shared;
        let now = shared.mono_ms();
        let targets = shared.look(|core| {
            core.targets()
                .map(|target| (target, core.health(target)))
                .collect::<Vec<_>>()
        });
        let describe = |(target, health): (TargetId, svcauth_core::client::Health)| TargetHealth {
            name: shared.target_name(target).to_owned(),
            ready: health.ready,
            asked_for: health.asked_for,
            expires_at: health
                .expires_at_wall_ms
                .map(|ms| SystemTime::UNIX_EPOCH + Duration::from_millis(ms)),
            error: health.error,
            retry_in: health
                .retry_at_ms
                .map(|at| Duration::from_millis(at.saturating_sub(now))),
        };
        Health {
            targets: targets.into_iter().map(describe).collect(),
        }
    }

    /// Counters.
    pub fn stats(&self) -> Stats {
        let shared = &self.handle.shared;
        Stats {
            core: shared.look(|core| core.stats()),
            asked: shared.asked.load(Relaxed),
            waited: shared.waited.load(Relaxed),
            threads: shared.workers.threads() + usize::from(shared.driver.is_running()),
            events_dropped: shared.events.dropped(),
        }
    }

    /// Says that secrets have changed: what failed for want of a good one is tried at once.
    pub fn secrets_changed(&self) {
        self.handle
            .shared
            .turn(|core, now| core.secrets_changed(now));
    }

    /// Ends the client: its threads end, those who wait are told [`Code::Closed`], and so is everybody who
    /// asks later. Waits for what is being saved to the store, `timeouts.store_s` at the most; where a token that
    /// can be used once is on its way, for the answer too, `timeouts.request_s` more.
    ///
    /// Dropping the last handle does the same. A program that leaves through [`std::process::exit`] drops
    /// nothing: it closes first, or other processes wait for the lock that it may have in the store.
    pub fn close(&self) {
        self.handle.shared.close();
    }

    #[inline]
    fn find(&self, name: &str) -> Result<(TargetId, &Arc<Cell>), Error> {
        self.handle
            .shared
            .find(name)
            .ok_or_else(|| unknown(&self.handle.shared.config, name))
    }

    #[cold]
    fn lease_slowly(&self, id: TargetId) -> Result<Lease, Error> {
        let shared = &self.handle.shared;
        shared.lease(id, Subject::Service, deadline(shared.wait_time()))
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self
            .handle
            .shared
            .config
            .targets
            .iter()
            .map(|target| &target.name);
        f.debug_struct("Client")
            .field("targets", &names.collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cold]
fn unknown(config: &Config, name: &str) -> Error {
    let names: Vec<&str> = config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    let message = format!("no such target; the configuration has {}", names.join(", "));
    Error::new(Code::UnknownTarget, message).at(format!("targets.{name}"))
}
