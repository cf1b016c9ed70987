//! Requests to the authorization server.

use super::{proxy::Proxies, tls};
use crate::quiet::on_the_wire;
use std::{
    cell::{Cell, RefCell},
    error::Error as _,
    io,
    time::Duration,
};
use svcauth_core::{
    Config, Error,
    client::SendFailure,
    wire::{Method, Request, Response},
};
use ureq::{
    Agent, Body, Timeout,
    http::{self, HeaderValue, Uri},
    tls::TlsConfig,
    unversioned::{
        resolver::DefaultResolver,
        transport::{ConnectionDetails, Connector, DefaultConnector, Transport as Connection},
    },
};

/// Sends the core's requests as they are: no redirect is followed, no status is an error, and every answer
/// has an end in time and size.
///
/// Each request has a connection of its own. A kept one may have been closed by the server just as the
/// request is written, and a refresh token that can be used once would be lost with it; and TokenSmith counts
/// failures by connection.
#[derive(Debug)]
pub struct Transport {
    https: Agent,
    http: Agent,
    timeout: Duration,
    pub(crate) tls: TlsConfig,
    pub(crate) proxies: Proxies,
}

impl Transport {
    /// Reads what `config` says about TLS, proxies and time limits.
    ///
    /// # Errors
    /// [`Code::InvalidConfiguration`](crate::Code::InvalidConfiguration) for certificates or a proxy that
    /// cannot be used.
    pub fn new(config: &Config) -> Result<Transport, Error> {
        let tls = tls::settings(&config.tls)?;
        Ok(Transport::with(tls, Proxies::new(&config.proxy)?, config))
    }

    /// The one of a forked process, with the same TLS and proxies.
    pub(super) fn after_fork(&self, config: &Config) -> Transport {
        Transport::with(self.tls.clone(), self.proxies.clone(), config)
    }

    fn with(tls: TlsConfig, proxies: Proxies, config: &Config) -> Transport {
        let timeout = Duration::from_millis(config.timeouts.request_ms);
        let connect = Duration::from_millis(config.timeouts.connect_ms);
        let agent = |is_https| {
            let settings = Agent::config_builder()
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .max_idle_connections(0)
                .user_agent(concat!("svcauth/", env!("CARGO_PKG_VERSION")))
                .tls_config(tls.clone())
                .proxy(proxies.of(is_https).cloned())
                .timeout_global(Some(timeout))
                .timeout_connect(Some(connect));
            let connector = DefaultConnector::default().chain(Mark);
            Agent::with_parts(settings.build(), connector, DefaultResolver::default())
        };
        Transport {
            https: agent(true),
            http: agent(false),
            timeout,
            tls,
            proxies,
        }
    }

    /// Sends one request and reads the whole answer.
    ///
    /// # Errors
    /// Why no answer came, and the system's words for it. [`SendFailure::Refused`] and [`SendFailure::Tls`]
    /// mean that the server certainly has not received the request.
    pub fn send(
        &self,
        request: &Request,
        timeout: Duration,
        max_bytes: usize,
    ) -> Result<Response, (SendFailure, String)> {
        let uri: Uri = request
            .url
            .parse()
            .map_err(|error| (SendFailure::Refused, format!("{error}")))?;
        Mark::expect(uri.clone());
        let sent = on_the_wire(|| {
            self.run(request, uri.clone(), timeout)
                .and_then(|response| read(response, max_bytes))
        });
        sent.map_err(|error| {
            let failure = failure(&error, Mark::is_reached());
            let mut detail = describe(&error);
            if failure == SendFailure::Refused {
                detail += &self.proxies.on_the_way(&uri);
            }
            (failure, detail)
        })
    }

    fn run(
        &self,
        request: &Request,
        uri: Uri,
        timeout: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        let agent = if uri.scheme_str() == Some("https") {
            &self.https
        } else {
            &self.http
        };
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(uri);
        for header in &request.headers {
            let mut value = HeaderValue::from_str(&header.value).map_err(http::Error::from)?;
            value.set_sensitive(header.sensitive);
            builder = builder.header(header.name, value);
        }
        let has_body =
            !request.body.is_empty() || matches!(request.method, Method::Post | Method::Put);
        if has_body {
            self.run_within(agent, builder.body(request.body.expose())?, timeout)
        } else {
            self.run_within(agent, builder.body(())?, timeout)
        }
    }

    fn run_within(
        &self,
        agent: &Agent,
        request: http::Request<impl ureq::AsSendBody>,
        timeout: Duration,
    ) -> Result<http::Response<Body>, ureq::Error> {
        // With settings of its own a request could not share the prepared TLS.
        if timeout == self.timeout {
            return agent.run(request);
        }
        agent.run(
            agent
                .configure_request(request)
                .timeout_global(Some(timeout))
                .build(),
        )
    }
}

fn read(response: http::Response<Body>, max_bytes: usize) -> Result<Response, ureq::Error> {
    let (head, mut body) = response.into_parts();
    let text = |value: &HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    Ok(Response {
        status: head.status.as_u16(),
        headers: head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect(),
        body: body
            .with_config()
            .limit(max_bytes as u64)
            .read_to_vec()?
            .into(),
    })
}

fn failure(error: &ureq::Error, reached: bool) -> SendFailure {
    use ureq::Error::*;
    let tls = match error {
        Tls(_) | Pem(_) | Rustls(_) | TlsRequired => true,
        Io(error) => is_refused_by_tls(error, reached),
        _ => false,
    };
    match error {
        _ if tls => SendFailure::Tls,
        _ if !reached => SendFailure::Refused,
        ureq::Error::Timeout(_) => SendFailure::Timeout,
        BodyExceedsLimit(_) | LargeResponseHeader(..) => SendFailure::TooLarge,
        _ => SendFailure::Broken,
    }
}

/// With TLS 1.3 a server says only after the handshake that it wants another client certificate. It has read
/// no request then.
fn is_refused_by_tls(error: &io::Error, reached: bool) -> bool {
    use rustls::{AlertDescription::*, Error::AlertReceived};
    let cause = error
        .get_ref()
        .and_then(|cause| cause.downcast_ref::<rustls::Error>());
    match cause {
        None => false,
        Some(_) if !reached => true,
        Some(AlertReceived(alert)) => matches!(
            alert,
            CertificateRequired
                | BadCertificate
                | UnsupportedCertificate
                | CertificateRevoked
                | CertificateExpired
                | CertificateUnknown
                | UnknownCA
                | AccessDenied
                | HandshakeFailure
        ),
        Some(_) => false,
    }
}

fn describe(error: &ureq::Error) -> String {
    match error {
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            "connecting took too long".into()
        }
        ureq::Error::Timeout(_) => String::new(),
        ureq::Error::Io(error) => match error.source() {
            Some(cause) => cause.to_string(),
            None => error.to_string(),
        },
        other => other.to_string(),
    }
}

/// Tells whether the connection to the server itself, proxy and TLS included, came about: before that no
/// byte of the request was sent.
#[derive(Debug)]
struct Mark;

thread_local! {
    static EXPECTED: RefCell<Option<Uri>> = const { RefCell::new(None) };
    static REACHED: Cell<bool> = const { Cell::new(false) };
}

impl Mark {
    fn expect(uri: Uri) {
        EXPECTED.set(Some(uri));
        REACHED.set(false);
    }

    fn is_reached() -> bool {
        EXPECTED.take();
        REACHED.get()
    }
}

impl<In: Connection> Connector<In> for Mark {
    type Out = In;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        chained: Option<In>,
    ) -> Result<Option<In>, ureq::Error> {
        // A proxy is connected to through the same connectors.
        let is_server = EXPECTED.with_borrow(|expected| expected.as_ref() == Some(details.uri));
        if chained.is_some() && is_server {
            REACHED.set(true);
        }
        Ok(chained)
    }
}
