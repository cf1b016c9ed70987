//! The agent: ureq with a middleware that adds the right token to each call.

mod body;
mod effective;
mod hop;
mod redirect;

use self::{
    effective::Effective,
    hop::{Audit, Route, Sender, Token},
};
use crate::{
    client::Handle,
    host::{Host, proxy::Proxies},
};
use std::{
    fmt,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};
use svcauth_core::{
    Config, Error, Secret,
    client::{Call, Decision},
};
use ureq::{
    Agent, Body, RequestExt, SendBody,
    config::{ConfigBuilder, RedirectAuthHeaders},
    http::{Request, Response, header::AUTHORIZATION},
    middleware::{Middleware, MiddlewareNext},
    typestate::AgentScope,
};

/// The token of the user on whose behalf a call is made: an extension of the request.
///
/// What the called service gets is the target's `user_token`: this token, one it is exchanged for, or the
/// service's own. It goes to no URL outside of the targets. Verify the token before: nothing here does, and each
/// one that somebody made up would cost a request to the authorization server where tokens are exchanged.
///
/// ```no_run
/// # let client = svcauth::Client::open("svcauth.json")?;
/// # let inbound = String::new();
/// client.agent().get("https://smd.example/hsm/v2/State/Components").extension(svcauth::UserToken::new(inbound)).call()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct UserToken(Arc<Secret>);

impl UserToken {
    /// Takes the token as it stood behind `Bearer` in the inbound request.
    pub fn new(token: impl Into<Secret>) -> UserToken {
        UserToken(Arc::new(token.into()))
    }
}

impl fmt::Debug for UserToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserToken([secret])")
    }
}

/// An extension of the request: it belongs to a user's request and is refused without a [`UserToken`],
/// instead of being made with the service's own.
#[derive(Clone, Copy, Debug)]
pub struct UserRequired;

/// An extension of the request: its body is sent as it comes and not kept, so that the call is not made once
/// more after a 401.
///
/// Without it a body is read into memory first. One of more than 8 MiB is not kept either, and then sent in
/// chunks.
#[derive(Clone, Copy, Debug)]
pub struct NoReplay;

/// The client's own error in one of ureq's: that no token could be had, or that a user's token is missing.
pub fn error_of(error: &ureq::Error) -> Option<&Error> {
    match error {
        ureq::Error::Other(error) => error.downcast_ref(),
        _ => None,
    }
}

/// How the program changes the agent's settings.
pub(crate) type Change =
    dyn Fn(ConfigBuilder<AgentScope>) -> ConfigBuilder<AgentScope> + Send + Sync;

/// The agent's settings, before the middleware, and the proxies for the two schemes.
pub(crate) struct Settings(ConfigBuilder<AgentScope>, Proxies);

impl Settings {
    pub(crate) fn new(config: &Config, host: &Host, change: Option<&Change>) -> Settings {
        /// Nothing lasts for ever.
        const SILENCE: Duration = Duration::from_secs(60);
        let transport = host.transport();
        let proxies = &transport.proxies;
        let builder = Agent::config_builder()
            .tls_config(transport.tls.clone())
            .proxy(proxies.preset().cloned())
            .timeout_connect(Some(Duration::from_millis(config.timeouts.connect_ms)))
            .timeout_per_read(Some(SILENCE))
            .timeout_per_write(Some(SILENCE));
        let builder = match change {
            Some(change) => change(builder),
            None => builder,
        };
        Settings(builder, proxies.clone())
    }
}

pub(crate) fn new(handle: &Arc<Handle>, settings: Settings) -> Agent {
    let sender = Arc::new(OnceLock::new());
    let bearer = Bearer {
        handle: Arc::clone(handle),
        sender: Arc::clone(&sender),
    };
    let agent = settings.0.middleware(bearer).build().new_agent();
    // The same settings without middleware, which is there for one hop at a time.
    let config = agent.config();
    let plain = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .redirect_auth_headers(RedirectAuthHeaders::Never)
        .https_only(config.https_only())
        .ip_family(config.ip_family())
        .tls_config(config.tls_config().clone())
        .proxy(config.proxy().cloned())
        .no_delay(config.no_delay())
        .save_redirect_history(config.save_redirect_history())
        .user_agent(config.user_agent().clone())
        .accept(config.accept().clone())
        .accept_encoding(config.accept_encoding().clone())
        .max_response_header_size(config.max_response_header_size())
        .input_buffer_size(config.input_buffer_size())
        .output_buffer_size(config.output_buffer_size())
        .max_idle_connections(config.max_idle_connections())
        .max_idle_connections_per_host(config.max_idle_connections_per_host())
        .max_idle_age(config.max_idle_age())
        .allow_non_standard_methods(config.allow_non_standard_methods())
        .timeout_per_read(config.timeout_per_read())
        .timeout_per_write(config.timeout_per_write())
        .timeout_global(config.timeouts().global)
        .timeout_per_call(config.timeouts().per_call)
        .timeout_resolve(config.timeouts().resolve)
        .timeout_connect(config.timeouts().connect)
        .timeout_send_request(config.timeouts().send_request)
        .timeout_await_100(config.timeouts().await_100)
        .timeout_send_body(config.timeouts().send_body)
        .timeout_recv_response(config.timeouts().recv_response)
        .timeout_recv_body(config.timeouts().recv_body)
        .build()
        .new_agent();
    let _ = sender.set(Sender::new(plain, Effective::of(config), settings.1));
    agent
}

struct Bearer {
    handle: Arc<Handle>,
    sender: Arc<OnceLock<Sender>>,
}

impl Middleware for Bearer {
    fn handle(
        &self,
        request: Request<SendBody<'_>>,
        next: MiddlewareNext<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let shared = &self.handle.shared;
        let Some(sender) = self.sender.get() else {
            return next.handle(request);
        };
        let calls = shared.calls.load_full();
        let url = request.uri().to_string();
        let extensions = request.extensions();
        let user = extensions.get::<UserToken>().cloned();
        let call = Call {
            url: &url,
            has_authorization: request.headers().contains_key(AUTHORIZATION),
            user_token: user.as_ref().map(|token| token.0.expose()),
            user_required: extensions.get::<UserRequired>().is_some(),
            redirected_from: None,
        };
        match Token::of(calls.decide(&call), call.user_token) {
            Ok(None) => {
                let decision = Decision::Nothing;
                let audit = Audit::new(
                    shared,
                    &calls,
                    call,
                    decision,
                    request.method(),
                    request.uri(),
                );
                let settings = sender.effective(&request);
                let answer = match sender.other_proxy(request.uri(), &settings) {
                    None => next.handle(request),
                    Some(proxy) => match request.middleware_config() {
                        Some(settings) => next.handle(settings.proxy(proxy).build()),
                        None => Err(ureq::Error::ConnectionFailed),
                    },
                };
                audit.tell(None, status(&answer), false);
                answer
            }
            Err(error) => {
                shared.note_refusal(&calls, &url, &error);
                Err(other(error))
            }
            Ok(Some(token)) => {
                let settings = sender.effective(&request);
                let deadline = settings
                    .time
                    .and_then(|time| Instant::now().checked_add(time));
                Route {
                    shared,
                    sender,
                    calls: &calls,
                    call,
                    settings,
                    deadline,
                }
                .follow(request, token)
            }
        }
    }
}

fn status(answer: &Result<Response<Body>, ureq::Error>) -> Option<u16> {
    match answer {
        Ok(response) => Some(response.status().as_u16()),
        Err(ureq::Error::StatusCode(status)) => Some(*status),
        Err(_) => None,
    }
}

fn other(error: Error) -> ureq::Error {
    ureq::Error::Other(Box::new(error))
}
