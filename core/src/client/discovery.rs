//! The issuer's metadata: fetched when an endpoint is needed that the configuration does not name.

use super::{
    Need, Outcome, TaskId, TaskKind,
    io::{Io, Owner},
    schedule::Backoff,
};
use crate::{
    Code, Config, Error, Event, Exchange, Fault, config,
    message::{Metadata, MetadataDocument, MetadataRequest},
    wire::Url,
};
use alloc::format;

/// An endpoint of the authorization server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Endpoint {
    Token,
    Authorization,
    Registration,
}

#[derive(Default)]
pub(crate) struct Discovery {
    metadata: Option<Metadata>,
    fetched_at: u64,
    fetching: Option<(TaskId, MetadataDocument)>,
    failed: Option<(Error, u64)>,
    failures: u32,
}

impl Discovery {
    /// The URL of an endpoint: the configured one, or the one that metadata names, which is fetched if need be.
    pub(crate) fn endpoint(
        &mut self,
        endpoint: Endpoint,
        config: &Config,
        io: &mut Io,
    ) -> Need<Url> {
        let (configured, name) = match endpoint {
            Endpoint::Token => (&config.endpoints.token, "token"),
            Endpoint::Authorization => (&config.endpoints.authorization, "authorization"),
            Endpoint::Registration => (&config.endpoints.registration, "registration"),
        };
        if let Some(url) = configured {
            return Need::Met(url.clone());
        }
        let Some(issuer) = &config.issuer else {
            return Need::Failed(
                Error::new(
                    Code::InvalidConfiguration,
                    "needed, since there is no issuer to ask for it",
                )
                .at(format!("endpoints.{name}")),
                io.now.mono_ms + config.schedule.refused_max_ms,
            );
        };
        let stale =
            io.now.mono_ms.saturating_sub(self.fetched_at) >= config.schedule.metadata_lifetime_ms;
        let backing_off = self
            .failed
            .as_ref()
            .is_some_and(|(_, retry_at)| io.now.mono_ms < *retry_at);
        if (self.metadata.is_none() || stale) && self.fetching.is_none() && !backing_off {
            self.fetch(issuer, config.first_metadata(), config, io);
        }
        match (&self.metadata, &self.fetching, &self.failed) {
            (Some(metadata), ..) => {
                let url = match endpoint {
                    Endpoint::Token => &metadata.token_endpoint,
                    Endpoint::Authorization => &metadata.authorization_endpoint,
                    Endpoint::Registration => &metadata.registration_endpoint,
                };
                match url {
                    Some(url) => Need::Met(url.clone()),
                    None => Need::Failed(
                        Error::new(
                            Code::MissingEndpoint,
                            format!(
                                "the issuer's metadata has no {name}_endpoint; set endpoints.{name}"
                            ),
                        )
                        .at(format!("{issuer}")),
                        self.fetched_at + config.schedule.metadata_lifetime_ms,
                    ),
                }
            }
            (None, None, Some((error, retry_at))) => Need::Failed(error.clone(), *retry_at),
            _ => Need::Waiting,
        }
    }

    fn fetch(&mut self, issuer: &Url, document: MetadataDocument, config: &Config, io: &mut Io) {
        match (MetadataRequest { issuer, document }).request() {
            Ok(request) => {
                let timeout_ms = config.timeouts.request_ms;
                let max_bytes = config.limits.answer_bytes;
                io.stats.requests += 1;
                let task = TaskKind::Send {
                    request,
                    timeout_ms,
                    max_bytes,
                };
                self.fetching = Some((io.start(Owner::Discovery, task, timeout_ms), document));
            }
            Err(error) => self.fail(error, config, io),
        }
    }

    pub(crate) fn complete(&mut self, id: TaskId, outcome: Outcome, config: &Config, io: &mut Io) {
        let Some((task, document)) = self.fetching.take() else {
            return;
        };
        let Some(issuer) = config.issuer.as_ref().filter(|_| task == id) else {
            return;
        };
        let answer = outcome
            .into_response(issuer.as_str())
            .map_err(|(error, _)| error)
            .and_then(|response| MetadataRequest { issuer, document }.parse(&response))
            .and_then(|metadata| config.usable_metadata(metadata));
        match answer {
            Ok(metadata) => {
                self.metadata = Some(metadata);
                self.fetched_at = io.now.mono_ms;
                self.failed = None;
                self.failures = 0;
                io.calls_changed();
                io.event(Event::MetadataReceived {
                    issuer: issuer.as_str().into(),
                });
            }
            Err(error) => match config.next_metadata(document, &error) {
                Some(other) => self.fetch(issuer, other, config, io),
                None => self.fail(error.at(format!("{issuer}")), config, io),
            },
        }
    }

    /// An old document stays in use while a new one cannot be had.
    fn fail(&mut self, error: Error, config: &Config, io: &mut Io) {
        self.failures = self.failures.saturating_add(1);
        let kind = match (error.fault(), error.code()) {
            (Fault::Network, _)
            | (_, Code::ServerError | Code::MalformedAnswer | Code::AnswerTooLarge) => {
                Backoff::Trouble
            }
            (_, Code::RateLimited) => Backoff::RateLimited,
            _ => Backoff::Refused,
        };
        let wait =
            config
                .schedule
                .backoff(kind, self.failures, error.retry_after_ms(), &mut io.jitter);
        io.event(Event::MetadataFailed {
            error: error.clone(),
            retry_in_s: wait as f64 / 1000.0,
        });
        self.failed = Some((error, io.now.mono_ms + wait));
    }

    /// Endpoints that metadata has named, which are the client's own.
    pub(crate) fn named(&self) -> impl Iterator<Item = &Url> {
        let metadata = self.metadata.iter();
        metadata.flat_map(|metadata| named_by(metadata).chain(&metadata.jwks_uri))
    }
}

/// How an issuer's metadata is found, for hosts that ask for it themselves.
impl Config {
    /// The document that is asked for first.
    pub fn first_metadata(&self) -> MetadataDocument {
        match self.discovery {
            config::Discovery::Oauth => MetadataDocument::Oauth,
            _ => MetadataDocument::Openid,
        }
    }

    /// The document that is asked for where `document` could not be had because of `error`; none where that
    /// says what there is to say.
    pub fn next_metadata(
        &self,
        document: MetadataDocument,
        error: &Error,
    ) -> Option<MetadataDocument> {
        let is_final = error.fault() == Fault::Network
            || matches!(
                error.code(),
                Code::ServerError | Code::RateLimited | Code::IssuerMismatch
            );
        let other =
            self.discovery == config::Discovery::Auto && document == MetadataDocument::Openid;
        (other && !is_final).then_some(MetadataDocument::Oauth)
    }

    /// The metadata, if its endpoints may be spoken to at all: without TLS only where that is configured.
    ///
    /// # Errors
    /// [`Code::UntrustedEndpoint`].
    pub fn usable_metadata(&self, metadata: Metadata) -> Result<Metadata, Error> {
        let insecure = named_by(&metadata).find(|url| {
            !url.is_https() && !url.is_loopback() && !self.insecure_http.contains(url.origin())
        });
        match insecure {
            None => Ok(metadata),
            Some(url) => Err(Error::new(
                Code::UntrustedEndpoint,
                format!(
                    "the metadata names {}, which is not https; list its origin in insecure_http if that is meant",
                    url.without_query()
                ),
            )),
        }
    }
}

fn named_by(metadata: &Metadata) -> impl Iterator<Item = &Url> {
    [
        &metadata.token_endpoint,
        &metadata.authorization_endpoint,
        &metadata.registration_endpoint,
        &metadata.revocation_endpoint,
        &metadata.introspection_endpoint,
    ]
    .into_iter()
    .flatten()
}
