//! How a client is made with what the configuration document cannot hold.

use crate::{
    agent,
    client::Client,
    events::{Events, Listener},
    host::{Clock, Host, secrets::SecretFunction},
    shared::Shared,
};
use std::{fmt, fs::File, io::Read, path::Path, process, sync::Arc};
use svcauth_core::{Client as Core, Code, Config, Error, Event, Secret};
use ureq::{config::ConfigBuilder, typestate::AgentScope};

/// Makes a [`Client`]; every setting is optional.
///
/// ```no_run
/// let client = svcauth::Client::builder()
///     .secrets(|name| std::fs::read_to_string(format!("/vault/{name}")).map(Into::into).map_err(Into::into))
///     .events(|event| println!("{}", event.name()))
///     .agent(|settings| settings.http_status_as_error(false))
///     .open("svcauth.json")?;
/// # Ok::<(), svcauth::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Builder {
    secrets: Option<SecretFunction>,
    listener: Option<Listener>,
    agent: Option<Arc<agent::Change>>,
    seed: Option<u64>,
}

impl Builder {
    /// The function that knows the secrets which the configuration names with `callback`. It is called on a
    /// thread of the client and may block; its error's text is logged, so keep the secret out of it.
    pub fn secrets(
        mut self,
        read: impl Fn(&str) -> Result<Secret, Box<dyn std::error::Error + Send + Sync>>
        + Send
        + Sync
        + 'static,
    ) -> Builder {
        self.secrets = Some(Arc::new(read));
        self
    }

    /// A function that hears every [`Event`], one after the other, besides `tracing`.
    pub fn events(mut self, listener: impl Fn(&Event) + Send + Sync + 'static) -> Builder {
        self.listener = Some(Arc::new(listener));
        self
    }

    /// Changes settings of the [agent](Client::agent): time limits, middleware, user agent.
    pub fn agent(
        mut self,
        change: impl Fn(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> + Send + Sync + 'static,
    ) -> Builder {
        self.agent = Some(Arc::new(change));
        self
    }

    /// Makes the spread of points in time the same in each run, for tests.
    pub fn seed(mut self, seed: u64) -> Builder {
        self.seed = Some(seed);
        self
    }

    /// Opens a client as the file at `path` says.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn open(self, path: impl AsRef<Path>) -> Result<Client, Error> {
        self.build(read(path.as_ref())?)
    }

    /// Makes a client of a configuration that was read before.
    ///
    /// # Errors
    /// As [`Client::open`].
    pub fn build(self, config: Config) -> Result<Client, Error> {
        let host = Host::new(&config, self.secrets.clone())?;
        self.finish(config, host, Clock::start())
    }

    pub(crate) fn finish(self, config: Config, host: Host, clock: Clock) -> Result<Client, Error> {
        let settings = agent::Settings::new(&config, &host, self.agent.as_deref());
        let seed = match self.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(|error| {
                Error::new(
                    Code::Internal,
                    format!("the system gives no random bytes: {error}"),
                )
            })?,
        };
        let core = Core::new(config, host.capabilities(), seed, clock.now())?;
        let events = Events::new(self.listener.clone());
        let shared = Arc::new(Shared::new(core, host, events, clock));
        Ok(Client::from_parts(shared, self, settings))
    }

    /// For a client of a forked process: a seed that is given is another one there.
    pub(crate) fn in_child(&self) -> Builder {
        let mut builder = self.clone();
        builder.seed = self
            .seed
            .map(|seed| seed.wrapping_add(u64::from(process::id())));
        builder
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("seed", &self.seed)
            .finish_non_exhaustive()
    }
}

fn read(path: &Path) -> Result<Config, Error> {
    const MOST: u64 = 1024 * 1024;
    let unreadable = |why: String| {
        Error::new(
            Code::InvalidConfiguration,
            format!("the configuration cannot be read: {why}; name a file that this user may read"),
        )
        .at(path.display().to_string())
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(|error| unreadable(error.to_string()))?;
    file.take(MOST + 1)
        .read_to_end(&mut text)
        .map_err(|error| unreadable(error.to_string()))?;
    if text.len() as u64 > MOST {
        return Err(unreadable(format!("it is larger than {MOST} bytes")));
    }
    let config = Config::from_json(&text);
    // It may hold secrets.
    zeroize::Zeroize::zeroize(&mut text);
    config
}
