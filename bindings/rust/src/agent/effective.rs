//! The settings that are in force for one request: the agent's, or those that the request brings along.
//!
//! ureq hides the latter from middleware, but shows them to connectors. So the request's settings are shown
//! to one that connects to nothing.

use std::{cell::RefCell, time::Duration};
use ureq::{
    Agent, Proxy,
    config::Config,
    http::{Extensions, Request, Uri},
    unversioned::{
        resolver::{ResolvedSocketAddrs, Resolver},
        transport::{ConnectionDetails, Connector, NextTimeout},
    },
};

/// What a middleware that follows redirects by itself has to know.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Effective {
    pub(crate) status_is_error: bool,
    pub(crate) max_redirects: u32,
    pub(crate) redirects_are_error: bool,
    pub(crate) time: Option<Duration>,
    pub(crate) proxy: Option<Proxy>,
    /// Whether the request brought settings of its own.
    pub(crate) own: bool,
}

impl Effective {
    pub(crate) fn of(config: &Config) -> Effective {
        Effective {
            status_is_error: config.http_status_as_error(),
            max_redirects: config.max_redirects(),
            redirects_are_error: config.max_redirects_will_error(),
            time: config.timeouts().global,
            proxy: config.proxy().cloned(),
            own: false,
        }
    }
}

/// Reads the settings that a request brings along.
#[derive(Debug)]
pub(crate) struct Reader(Agent);

impl Reader {
    pub(crate) fn new() -> Reader {
        let settings = Agent::config_builder().proxy(None).build();
        Reader(Agent::with_parts(settings, Look, Nowhere))
    }

    /// None where there are none.
    pub(crate) fn read(&self, extensions: &Extensions) -> Option<Effective> {
        let mut request = Request::new(());
        *request.uri_mut() = Uri::from_static("https://svcauth.invalid/");
        *request.extensions_mut() = extensions.clone();
        SEEN.take();
        let _ = self.0.run(request);
        SEEN.take()
    }
}

thread_local! {
    static SEEN: RefCell<Option<Effective>> = const { RefCell::new(None) };
}

#[derive(Debug)]
struct Look;

impl Connector for Look {
    type Out = ();

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<()>, ureq::Error> {
        SEEN.set(details.request_level.then(|| Effective {
            own: true,
            ..Effective::of(details.config)
        }));
        Err(ureq::Error::ConnectionFailed)
    }
}

#[derive(Debug)]
struct Nowhere;

impl Resolver for Nowhere {
    fn resolve(
        &self,
        _: &Uri,
        _: &Config,
        _: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        Ok(self.empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_of_a_request_are_read_without_connecting() {
        let reader = Reader::new();
        let agent = Agent::config_builder().proxy(None).build().new_agent();
        assert_eq!(reader.read(Request::new(()).extensions()), None);

        let request = agent
            .configure_request(Request::new(()))
            .http_status_as_error(false)
            .max_redirects(3)
            .max_redirects_will_error(false)
            .https_only(true)
            .timeout_global(Some(Duration::from_secs(7)))
            .proxy(ureq::Proxy::new("socks4://127.0.0.1:9").ok())
            .build();
        let expected = Effective {
            status_is_error: false,
            max_redirects: 3,
            redirects_are_error: false,
            time: Some(Duration::from_secs(7)),
            proxy: ureq::Proxy::new("socks4://127.0.0.1:9").ok(),
            own: true,
        };
        assert_eq!(reader.read(request.extensions()), Some(expected));
    }
}
