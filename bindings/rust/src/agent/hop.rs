//! One decorated call: with the token, once more after a 401, and on to where redirects lead within the
//! target.

use super::{
    NoReplay,
    body::Replay,
    effective::{Effective, Reader},
    other, redirect,
};
use crate::{
    host::proxy::Proxies,
    lease::Lease,
    quiet::on_the_wire,
    shared::Shared,
    sync::{deadline, left},
};
use std::{
    io::Read,
    sync::Arc,
    time::{Duration, Instant},
};
use svcauth_core::{
    Error, Secret,
    client::{Answered, Attempt, Call, Calls, Decision, Subject, TargetId},
};
use ureq::{
    Agent, AsSendBody, Body, Proxy, RequestExt, SendBody, Timeout,
    config::RedirectAuthHeaders,
    http::{
        HeaderValue, Method, Request, Response, Uri,
        header::{AUTHORIZATION, WWW_AUTHENTICATE},
        request::Parts,
    },
};

/// Sends single hops.
pub(crate) struct Sender {
    agent: Agent,
    defaults: Effective,
    proxies: Proxies,
    reader: Reader,
}

impl Sender {
    pub(crate) fn new(agent: Agent, defaults: Effective, proxies: Proxies) -> Sender {
        Sender {
            agent,
            defaults,
            proxies,
            reader: Reader::new(),
        }
    }

    /// The proxy for a URL, where it is another than the agent's. One that the program has set itself stays.
    pub(crate) fn other_proxy(&self, uri: &Uri, settings: &Effective) -> Option<Option<Proxy>> {
        let proxy = self.proxies.of(uri.scheme_str() == Some("https"));
        let preset = self.proxies.preset();
        (settings.proxy.as_ref() == preset && proxy != preset).then(|| proxy.cloned())
    }

    pub(crate) fn effective(&self, request: &Request<SendBody<'_>>) -> Effective {
        // One extension is the agent's own.
        let own = if request.extensions().len() > 1 {
            self.reader.read(request.extensions())
        } else {
            None
        };
        own.unwrap_or_else(|| self.defaults.clone())
    }
}

/// What a hop carries.
#[derive(Clone, Copy)]
pub(crate) enum Token<'a> {
    Lease(TargetId, Subject<'a>),
    User(TargetId, &'a str),
}

impl<'a> Token<'a> {
    /// None where the hop carries nothing of ours.
    pub(crate) fn of(
        decision: Decision<'_>,
        user: Option<&'a str>,
    ) -> Result<Option<Token<'a>>, Error> {
        Ok(match (decision, user) {
            (
                Decision::Lease {
                    target,
                    subject: Subject::User(_),
                },
                Some(user),
            ) => Some(Token::Lease(target, Subject::User(user))),
            (
                Decision::Lease {
                    target,
                    subject: Subject::Service,
                },
                _,
            ) => Some(Token::Lease(target, Subject::Service)),
            (Decision::UserToken { target, .. }, Some(user)) => Some(Token::User(target, user)),
            (Decision::Refuse(error), _) => return Err(error),
            _ => None,
        })
    }
}

/// One call with all its hops.
pub(crate) struct Route<'a> {
    pub(crate) shared: &'a Arc<Shared>,
    pub(crate) sender: &'a Sender,
    pub(crate) calls: &'a Calls,
    pub(crate) call: Call<'a>,
    pub(crate) settings: Effective,
    pub(crate) deadline: Option<Instant>,
}

impl Route<'_> {
    /// Makes the call and follows redirects.
    pub(crate) fn follow(
        &self,
        request: Request<SendBody<'_>>,
        token: Token<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let (mut head, body) = request.into_parts();
        let mut body = Replay::new(body, head.extensions.get::<NoReplay>().is_none())?;
        let mut token = Some(token);
        let mut left = self.settings.max_redirects;
        loop {
            let response = match token {
                Some(Token::Lease(target, subject)) => {
                    self.with_lease(&head, &mut body, target, subject)?
                }
                Some(Token::User(target, user)) => {
                    self.with_user_token(&head, &mut body, target, user)?
                }
                // Once out of the target, no later redirect brings the token back.
                None => return self.leave(&head, &mut body, left),
            };
            if !redirect::is_redirect(&response) || self.settings.max_redirects == 0 {
                return self.finish(response);
            }
            if left == 0 {
                let error = self.settings.redirects_are_error;
                return if error {
                    Err(ureq::Error::TooManyRedirects)
                } else {
                    self.finish(response)
                };
            }
            left -= 1;
            if redirect::follow(&mut head, &response)? {
                body.clear();
            }
            let url = head.uri.to_string();
            let next = Call {
                url: &url,
                redirected_from: Some(self.call.url),
                ..self.call
            };
            token = Token::of(self.calls.decide(&next), self.call.user_token).map_err(other)?;
        }
    }

    fn with_lease(
        &self,
        head: &Parts,
        body: &mut Replay<'_>,
        target: TargetId,
        subject: Subject<'_>,
    ) -> Result<Response<Body>, ureq::Error> {
        let audit = self.audit(head, Decision::Lease { target, subject });
        let lease = self
            .shared
            .lease(target, subject, self.wait_until())
            .map_err(other)?;
        let answer = self.send(head, body, Some(lease.authorization()), None);
        audit.tell(Some(&lease), super::status(&answer), false);
        let response = answer?;
        match self.verdict(target, subject, &response, body.is_kept()) {
            Answered::Retry => {}
            Answered::Report => {
                self.shared.report(target, subject, lease.id());
                return Ok(response);
            }
            _ => return Ok(response),
        }
        let Some(lease) = self
            .shared
            .reject(target, subject, lease.id(), self.wait_until())
        else {
            return Ok(response);
        };
        drain(response);
        let answer = self.send(head, body, Some(lease.authorization()), None);
        audit.tell(Some(&lease), super::status(&answer), true);
        let response = answer?;
        if self.verdict(target, subject, &response, false) == Answered::Report {
            self.shared.report(target, subject, lease.id());
        }
        Ok(response)
    }

    fn with_user_token(
        &self,
        head: &Parts,
        body: &mut Replay<'_>,
        target: TargetId,
        token: &str,
    ) -> Result<Response<Body>, ureq::Error> {
        let decision = Decision::UserToken { target, token };
        let authorization = decision.authorization();
        let audit = self.audit(head, decision);
        let answer = self.send(head, body, authorization.as_ref().map(Secret::expose), None);
        audit.tell(None, super::status(&answer), false);
        answer
    }

    /// Goes where a redirect leads out of the target, without a token; ureq follows further ones.
    fn leave(
        &self,
        head: &Parts,
        body: &mut Replay<'_>,
        left: u32,
    ) -> Result<Response<Body>, ureq::Error> {
        let audit = self.audit(head, Decision::Nothing);
        let answer = self.send(head, body, None, Some(left));
        audit.tell(None, super::status(&answer), false);
        answer
    }

    fn audit<'a>(&'a self, head: &Parts, decision: Decision<'a>) -> Audit<'a> {
        Audit::new(
            self.shared,
            self.calls,
            self.call,
            decision,
            &head.method,
            &head.uri,
        )
    }

    fn send(
        &self,
        head: &Parts,
        body: &mut Replay<'_>,
        authorization: Option<&str>,
        leaves: Option<u32>,
    ) -> Result<Response<Body>, ureq::Error> {
        let mut head = head.clone();
        if let Some(authorization) = authorization {
            let mut value =
                HeaderValue::from_str(authorization).map_err(ureq::http::Error::from)?;
            value.set_sensitive(true);
            head.headers.insert(AUTHORIZATION, value);
        }
        let has_length = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
        match body {
            Replay::Kept(bytes) if bytes.is_empty() && !has_length => {
                self.run(Request::from_parts(head, ()), leaves)
            }
            Replay::Kept(bytes) => self.run(Request::from_parts(head, bytes.as_slice()), leaves),
            Replay::Once(body) => {
                let body = body.take().ok_or(ureq::Error::RedirectFailed)?;
                self.run(Request::from_parts(head, body), leaves)
            }
            Replay::Large(reader) => {
                let mut reader = reader.take().ok_or(ureq::Error::RedirectFailed)?;
                self.run(
                    Request::from_parts(head, SendBody::from_reader(&mut reader)),
                    leaves,
                )
            }
        }
    }

    fn run(
        &self,
        request: Request<impl AsSendBody>,
        leaves: Option<u32>,
    ) -> Result<Response<Body>, ureq::Error> {
        let time = match self.deadline {
            Some(deadline) => Some(left(deadline).ok_or(ureq::Error::Timeout(Timeout::Global))?),
            None => None,
        };
        let proxy = self.sender.other_proxy(request.uri(), &self.settings);
        if !self.settings.own && time.is_none() && leaves.is_none() && proxy.is_none() {
            return on_the_wire(|| self.sender.agent.run(request));
        }
        let Some(mut settings) = request.middleware_config() else {
            return Err(ureq::Error::ConnectionFailed);
        };
        if let Some(proxy) = proxy {
            settings = settings.proxy(proxy);
        }
        let settings = settings
            .timeout_global(time)
            .redirect_auth_headers(RedirectAuthHeaders::Never);
        let request = match leaves {
            Some(left) => settings.max_redirects(left).build(),
            None => settings
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .build(),
        };
        on_the_wire(|| self.sender.agent.run(request))
    }

    fn finish(&self, response: Response<Body>) -> Result<Response<Body>, ureq::Error> {
        let status = response.status();
        if self.settings.status_is_error && (status.is_client_error() || status.is_server_error()) {
            return Err(ureq::Error::StatusCode(status.as_u16()));
        }
        Ok(response)
    }

    fn verdict(
        &self,
        target: TargetId,
        subject: Subject<'_>,
        response: &Response<Body>,
        again: bool,
    ) -> Answered {
        let challenges = response
            .headers()
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok());
        self.calls.answered(
            &Decision::Lease { target, subject },
            response.status().as_u16(),
            challenges,
            again,
        )
    }

    /// Until when a call waits for a token.
    fn wait_until(&self) -> Instant {
        let until = deadline(self.shared.wait_time());
        self.deadline.map_or(until, |deadline| deadline.min(until))
    }
}

/// Reads the rest of an answer that nobody wants, so that its connection is free for the second attempt; not
/// for long, since it may have no end.
fn drain(response: Response<Body>) {
    const MOST: u64 = 64 * 1024;
    let until = deadline(Duration::from_millis(200));
    let mut rest = response.into_body().into_reader().take(MOST);
    let mut buffer = [0; 4096];
    while left(until).is_some() && matches!(rest.read(&mut buffer), Ok(1..)) {}
}

/// The event of one hop.
pub(crate) struct Audit<'a> {
    shared: &'a Arc<Shared>,
    calls: &'a Calls,
    call: Call<'a>,
    decision: Decision<'a>,
    /// Method and URL; none where nobody listens.
    hop: Option<(String, String)>,
}

impl<'a> Audit<'a> {
    pub(crate) fn new(
        shared: &'a Arc<Shared>,
        calls: &'a Calls,
        call: Call<'a>,
        decision: Decision<'a>,
        method: &Method,
        uri: &Uri,
    ) -> Audit<'a> {
        let hop = || (method.to_string(), uri.to_string());
        Audit {
            shared,
            calls,
            call,
            decision,
            hop: shared.events.are_heard().then(hop),
        }
    }

    pub(crate) fn tell(&self, lease: Option<&Lease>, status: Option<u16>, retried: bool) {
        let Some((method, url)) = &self.hop else {
            return;
        };
        let call = Call { url, ..self.call };
        let attempt = Attempt {
            method,
            lease: lease.map(Lease::core),
            status,
            retried,
        };
        let event = self.calls.event(&call, &self.decision, &attempt);
        self.shared.events.tell(&event);
    }
}
