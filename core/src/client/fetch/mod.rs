//! One attempt to get a token, from what it needs first to the answer.
//!
//! ```text
//! Prepare ─▶ Secrets ─▶ (Lock ─▶ Load ─▶ Mark) ─▶ (Subject) ─▶ Send ─▶ (Save) ─▶ done
//!               ▲                                    │
//!               └── refused: read again, other pair ─┘
//! ```
//! Lock to Mark and Save are for refresh tokens that can be used once, Subject for a token to be exchanged.

mod one_use;
mod reaction;
mod static_token;

use self::{
    one_use::store,
    reaction::{Delivery, Reaction, fail, precondition},
};
use super::{
    Need, Outcome, StoreOperation, Subject, TaskId, TaskKind,
    credentials::{Credentials, Tried},
    discovery::{Discovery, Endpoint},
    io::{Io, Owner},
    outage::Outage,
    refresh::{RefreshToken, Saved},
    registration::Registration,
    schedule::Backoff,
    task::mismatched,
};
use crate::{
    Code, Config, Error, Event, Exchange, Fault, Level, Now, Secret,
    config::{Grant, RefreshTokens, Schedule, SecretReference, Target},
    message::{ClientAuthentication, TokenAnswer, TokenGrant, TokenRequest, TokenRules},
    wire::Url,
};
use alloc::{format, string::String, vec::Vec};

const ACCESS_TOKEN_TYPE: &str = "urn:ietf:params:oauth:token-type:access_token";
/// Pairs and contents tried in one attempt; more than two pairs with two contents each there are not.
const MOST_TRIES: usize = 4;

/// The client's parts that an attempt needs.
pub(crate) struct Parts<'a> {
    pub(crate) config: &'a Config,
    pub(crate) credentials: &'a mut Credentials,
    pub(crate) discovery: &'a mut Discovery,
    pub(crate) registration: &'a mut Registration,
    pub(crate) outage: &'a mut Outage,
    pub(crate) io: &'a mut Io,
}

/// What is to be got.
pub(crate) struct Job<'a> {
    pub(crate) owner: Owner,
    pub(crate) target: &'a Target,
    pub(crate) subject: Subject<'a>,
}

/// What outlives one attempt.
#[derive(Default)]
pub(crate) struct Memory {
    /// A refresh token that may be used again.
    pub(crate) refresh_token: Option<RefreshToken>,
    /// A refresh token that can be used once and could not be saved, and the version of the record in whose
    /// place it belongs.
    unsaved: Option<(RefreshToken, u64)>,
    /// The subject token that was read last.
    pub(crate) subject_seen: Option<Secret>,
}

/// A token that came.
pub(crate) struct Gain {
    pub(crate) answer: TokenAnswer,
    pub(crate) sent: Now,
    pub(crate) client_id: Option<String>,
}

/// Why none came.
pub(crate) struct Failure {
    pub(crate) error: Error,
    pub(crate) kind: Backoff,
    /// Whether waiting callers are told at once.
    pub(crate) answered: bool,
    /// Where something else than this attempt decides about the next one.
    pub(crate) retry_at: Option<u64>,
}

impl Failure {
    /// When it is tried again after so many failures in a row.
    pub(crate) fn retry_at(&self, schedule: &Schedule, failures: u32, io: &mut Io) -> u64 {
        let now = io.now.mono_ms;
        let asked = self.error.retry_after_ms();
        match self.retry_at {
            Some(at) => at.max(now.saturating_add(schedule.backoff_initial_ms)),
            None => {
                now.saturating_add(schedule.backoff(self.kind, failures, asked, &mut io.jitter))
            }
        }
    }
}

pub(crate) struct Fetch {
    stage: Stage,
    endpoint: Option<Url>,
    authentication: ClientAuthentication,
    using: Option<Tried>,
    tried: Vec<Tried>,
    /// Why the server refused the client, or the subject token, before.
    refusal: Option<Error>,
    registered_again: bool,
    refresh_token: Option<RefreshToken>,
    subject_token: Option<Secret>,
    subject_read_again: bool,
    sent: Now,
    /// When the token endpoint answered last.
    heard: Option<u64>,
    fence: Option<u64>,
    version: u64,
    /// Got, and on its way into the store.
    gain: Option<TokenAnswer>,
    /// Why it ends, while a refresh token goes back into the store.
    failure: Option<Failure>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Other clients are asked first.
    #[cfg(feature = "proxy")]
    Waiting,
    Prepare,
    Secrets(u64),
    Static(TaskId),
    Lock(TaskId),
    Held {
        until: u64,
    },
    Load(TaskId),
    Mark(TaskId),
    Source,
    Subject(TaskId),
    Authenticate,
    Send,
    PutOff,
    Sending(TaskId),
    Save(TaskId),
    Restore(TaskId),
}

type Ended = Option<Result<Gain, Failure>>;

impl Fetch {
    pub(crate) fn new() -> Fetch {
        Fetch {
            stage: Stage::Prepare,
            endpoint: None,
            authentication: ClientAuthentication::None { client_id: None },
            using: None,
            tried: Vec::new(),
            refusal: None,
            registered_again: false,
            refresh_token: None,
            subject_token: None,
            subject_read_again: false,
            sent: Now::default(),
            heard: None,
            fence: None,
            version: 0,
            gain: None,
            failure: None,
        }
    }

    /// It begins when it is told to.
    #[cfg(feature = "proxy")]
    pub(crate) fn wait(&mut self) {
        self.stage = Stage::Waiting;
    }

    /// It need not wait any more.
    #[cfg(feature = "proxy")]
    pub(crate) fn go(&mut self) {
        if self.stage == Stage::Waiting {
            self.stage = Stage::Prepare;
        }
    }

    /// When it goes on without an answer.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.stage {
            Stage::Held { until } => Some(until),
            _ => None,
        }
    }

    /// Goes on as far as it can without an answer; how it ended, if it did.
    pub(crate) fn advance(
        &mut self,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        loop {
            let before = self.stage;
            let ended = match self.stage {
                Stage::Prepare => self.prepare(job, parts),
                Stage::Secrets(round) if parts.credentials.is_finished(round) => {
                    self.stage = match refresh_tokens(job) {
                        _ if self.refusal.is_some() => Stage::Authenticate,
                        RefreshTokens::OneUse => self.lock(job, parts),
                        _ => Stage::Source,
                    };
                    None
                }
                Stage::Held { until } if parts.io.now.mono_ms >= until => {
                    self.stage = self.lock(job, parts);
                    None
                }
                Stage::Source => self.source(job, memory, parts),
                Stage::Authenticate => self.authenticate(job, parts),
                Stage::Send => self.send(job, parts),
                _ => None,
            };
            if ended.is_some() {
                self.unlock(job, parts);
                return ended;
            }
            if self.stage == before {
                return None;
            }
        }
    }

    /// Takes the answer to one of its tasks; how it ended, if it did.
    pub(crate) fn complete(
        &mut self,
        id: TaskId,
        outcome: Outcome,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        let ended = match self.stage {
            Stage::Static(task) if task == id => self.static_token(outcome, parts),
            Stage::Lock(task) if task == id => self.locked(outcome, job, parts),
            Stage::Load(task) if task == id => self.loaded(outcome, job, memory, parts),
            Stage::Mark(task) if task == id => self.marked(outcome, memory),
            Stage::Subject(task) if task == id => self.subject(outcome, job, memory),
            Stage::Sending(task) if task == id => self.answered(outcome, job, memory, parts),
            Stage::Save(task) if task == id => self.saved(outcome, memory, parts),
            Stage::Restore(task) if task == id => self.restored(outcome, memory, parts),
            _ => None,
        };
        if ended.is_some() {
            self.unlock(job, parts);
            return ended;
        }
        self.advance(job, memory, parts)
    }

    fn prepare(&mut self, job: &Job<'_>, parts: &mut Parts<'_>) -> Ended {
        if let (Some(reference), Subject::Service) =
            (&parts.config.client.static_token, job.subject)
        {
            return self.read_static_token(reference, job, parts);
        }
        let needs_client = !matches!(job.target.grant, Grant::Bare { .. });
        if needs_client {
            match parts.registration.require(
                parts.config,
                parts.credentials,
                parts.discovery,
                parts.io,
            ) {
                Need::Met(()) => {}
                Need::Waiting => return None,
                Need::Failed(error, retry_at) => return precondition(error, retry_at),
            }
        }
        match parts
            .discovery
            .endpoint(Endpoint::Token, parts.config, parts.io)
        {
            Need::Met(url) => self.endpoint = Some(url),
            Need::Waiting => return None,
            Need::Failed(error, retry_at) => return precondition(error, retry_at),
        }
        self.stage = if needs_client {
            Stage::Secrets(
                parts
                    .credentials
                    .read(parts.io, parts.config.timeouts.secret_ms, false),
            )
        } else {
            Stage::Send
        };
        None
    }

    fn endpoint(&self) -> &str {
        self.endpoint.as_ref().map_or("", Url::as_str)
    }

    /// Where the token is to come from.
    fn source(&mut self, job: &Job<'_>, memory: &mut Memory, parts: &mut Parts<'_>) -> Ended {
        self.stage = Stage::Authenticate;
        match (job.subject, &job.target.grant) {
            (Subject::User(token), _) => self.subject_token = Some(Secret::from(token)),
            (
                Subject::Service,
                Grant::TokenExchange {
                    subject_token,
                    refresh_tokens,
                    ..
                },
            ) => {
                if *refresh_tokens == RefreshTokens::Reusable {
                    let now = parts.io.now.wall_ms;
                    self.refresh_token = memory
                        .refresh_token
                        .clone()
                        .filter(|token| token.is_usable(now));
                }
                if self.refresh_token.is_none() {
                    return self.read_subject(subject_token, job, parts);
                }
            }
            _ => {}
        }
        None
    }

    fn read_subject(
        &mut self,
        reference: &SecretReference,
        job: &Job<'_>,
        parts: &mut Parts<'_>,
    ) -> Ended {
        if let SecretReference::Value(token) = reference {
            self.subject_token = Some(token.clone());
            self.stage = Stage::Authenticate;
        } else {
            let timeout_ms = parts.config.timeouts.secret_ms;
            self.stage = Stage::Subject(parts.io.read_secret(job.owner, reference, timeout_ms));
        }
        None
    }

    fn subject(&mut self, outcome: Outcome, job: &Job<'_>, memory: &mut Memory) -> Ended {
        let Grant::TokenExchange { subject_token, .. } = &job.target.grant else {
            return fail(mismatched());
        };
        match outcome.into_secret(subject_token) {
            Ok(token) => {
                let before = memory.subject_seen.replace(token.clone());
                if self.subject_read_again && before.as_ref() == Some(&token) {
                    return fail(self.refusal.take().unwrap_or_else(mismatched));
                }
                self.subject_token = Some(token);
                self.stage = Stage::Authenticate;
                None
            }
            // What the server said about the one before is the reason then.
            Err(error) => fail(self.refusal.take().unwrap_or(error)),
        }
    }

    fn authenticate(&mut self, job: &Job<'_>, parts: &mut Parts<'_>) -> Ended {
        if self.tried.len() >= MOST_TRIES {
            let error = self.refusal.take().unwrap_or_else(mismatched);
            return self.end(error, Backoff::Refused, Delivery::NotTaken, job, parts);
        }
        match parts.credentials.next(&self.tried) {
            Ok((using, authentication)) => {
                self.using = Some(using);
                self.authentication = authentication;
                self.stage = Stage::Send;
                None
            }
            Err(_)
                if self.is_about_the_client(job)
                    && !self.registered_again
                    && parts.registration.refused() =>
            {
                self.registered_again = true;
                self.stage = Stage::Prepare;
                None
            }
            Err(unreadable) => {
                let error = self.refusal.take().or(unreadable).unwrap_or_else(|| {
                    Error::new(Code::SecretUnavailable, "there are no client credentials")
                        .at("client.credentials")
                });
                let kind = Backoff::Refused;
                self.end(error, kind, Delivery::NotTaken, job, parts)
            }
        }
    }

    /// Whether the refusal is a reason to register anew. A 401 may be about the user's token as well, and nobody's
    /// token is to make the service another client: there it counts only if it says so.
    fn is_about_the_client(&self, job: &Job<'_>) -> bool {
        self.refusal.as_ref().is_some_and(|refusal| {
            let code = refusal.oauth().map(|oauth| oauth.error.as_str());
            matches!(job.subject, Subject::Service)
                || matches!(code, Some("invalid_client" | "unauthorized_client"))
        })
    }

    /// When the token endpoint answered last.
    pub(crate) fn heard(&self) -> Option<u64> {
        self.heard
    }

    /// Whether it gave way to the one attempt that is made for all users.
    pub(crate) fn is_put_off(&self) -> bool {
        self.stage == Stage::PutOff
    }

    fn send(&mut self, job: &Job<'_>, parts: &mut Parts<'_>) -> Ended {
        if matches!(job.subject, Subject::User(_))
            && self.refusal.is_none()
            && !parts.outage.lets_send(job.owner, parts.io.now.mono_ms)
        {
            self.stage = Stage::PutOff;
            return None;
        }
        let Some(request) = self.message(job, parts.config) else {
            return fail(mismatched());
        };
        let grant = grant_name(&request.grant);
        let request = match request.request() {
            Ok(request) => request,
            Err(error) => return self.end(error, Backoff::Refused, Delivery::NotTaken, job, parts),
        };
        self.sent = parts.io.now;
        let timeout_ms = parts.config.timeouts.request_ms;
        let task = TaskKind::Send {
            request,
            timeout_ms,
            max_bytes: parts.config.limits.answer_bytes,
        };
        self.stage = Stage::Sending(parts.io.start(job.owner, task, timeout_ms));
        parts.io.stats.requests += 1;
        parts.io.stats.token_requests += 1;
        if parts.io.hears(Level::Info) {
            parts.io.event(Event::TokenRequested {
                target: job.target.name.clone(),
                grant,
                client_id: self.authentication.client_id().map(String::from),
                subject: job.subject.id(),
            });
        }
        None
    }

    fn message<'a>(&'a self, job: &'a Job<'_>, config: &'a Config) -> Option<TokenRequest<'a>> {
        let target = job.target;
        let grant = match (&self.refresh_token, &self.subject_token, &target.grant) {
            (Some(token), ..) => TokenGrant::RefreshToken {
                refresh_token: &token.value,
            },
            (
                None,
                Some(subject_token),
                Grant::TokenExchange {
                    subject_token_type,
                    requested_token_type,
                    ..
                },
            ) if matches!(job.subject, Subject::Service) => TokenGrant::TokenExchange {
                subject_token,
                subject_token_type,
                requested_token_type: requested_token_type.as_deref(),
            },
            (None, Some(subject_token), _) => TokenGrant::TokenExchange {
                subject_token,
                subject_token_type: ACCESS_TOKEN_TYPE,
                requested_token_type: Some(ACCESS_TOKEN_TYPE),
            },
            (None, None, Grant::Bare { method }) => TokenGrant::Bare { method: *method },
            (None, None, _) => TokenGrant::ClientCredentials,
        };
        Some(TokenRequest {
            endpoint: self.endpoint.as_ref()?,
            authentication: &self.authentication,
            grant,
            scopes: &target.scopes,
            audience: &target.audience,
            resource: &target.resource,
            parameters: &target.parameters,
            rules: TokenRules {
                allow_missing_token_type: config.allow_missing_token_type,
                allow_form_answer: config.allow_form_answer,
            },
        })
    }

    fn answered(
        &mut self,
        outcome: Outcome,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        self.heard = Some(parts.io.now.mono_ms);
        let Some(message) = self.message(job, parts.config) else {
            return fail(mismatched());
        };
        let (error, failure) = match outcome.into_response(message.endpoint.without_query()) {
            Ok(response) => match message
                .parse(&response)
                .and_then(|answer| require_scopes(answer, job.target))
            {
                Ok(answer) => return self.gained(answer, job, memory, parts),
                Err(error) => (error, None),
            },
            Err((error, failure)) => (error, failure),
        };
        let error = match self.endpoint.as_ref() {
            Some(endpoint) if error.member().is_none() => {
                error.at(String::from(endpoint.without_query()))
            }
            _ => error,
        };
        match Reaction::to(&error) {
            Reaction::OtherCredentials if self.using.is_some() => self.refused(error, parts),
            Reaction::OtherCredentials => fail(error),
            Reaction::OtherGrant => self.grant_refused(error, job, memory, parts),
            Reaction::Fail(kind) => {
                let not_taken = match failure {
                    Some(failure) => failure.before_sending(),
                    None => {
                        kind == Backoff::Refused
                            && error
                                .status()
                                .is_some_and(|status| (400..500).contains(&status))
                            || matches!(error.status(), Some(429 | 503))
                    }
                };
                let delivery = if not_taken {
                    Delivery::NotTaken
                } else {
                    Delivery::Unknown
                };
                self.end(error, kind, delivery, job, parts)
            }
        }
    }

    /// The server took the request and gave a token: what must be saved is saved before it is used.
    fn gained(
        &mut self,
        answer: TokenAnswer,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        if let Some(using) = self.using {
            parts.credentials.accepted(using, parts.io);
            parts.registration.accepted();
        }
        let next = match &answer.refresh_token {
            Some(value) => Some(RefreshToken {
                value: value.clone(),
                expires_at: answer.refresh_expires_in.map(|life| {
                    parts
                        .io
                        .now
                        .wall_ms
                        .saturating_add(life.saturating_mul(1000))
                }),
            }),
            // RFC 6749 section 6: without another one in the answer the old one stays good.
            None => self.refresh_token.clone(),
        };
        match (refresh_tokens(job), next) {
            (RefreshTokens::OneUse, Some(token)) => {
                let value = Saved::Ready(token.clone()).write(self.endpoint()).into();
                self.refresh_token = Some(token);
                self.gain = Some(answer);
                let operation = StoreOperation::PutIf {
                    version: self.version,
                    value,
                };
                self.stage = Stage::Save(store(operation, job, parts));
                return None;
            }
            (RefreshTokens::Reusable, next) => memory.refresh_token = next,
            _ => {}
        }
        self.done(answer)
    }

    fn done(&self, answer: TokenAnswer) -> Ended {
        let client_id = self.authentication.client_id().map(String::from);
        Some(Ok(Gain {
            answer,
            sent: self.sent,
            client_id,
        }))
    }

    /// The server refused the client: read the secrets again, try the other pair, then register anew.
    fn refused(&mut self, error: Error, parts: &mut Parts<'_>) -> Ended {
        self.tried.extend(self.using.take());
        self.stage = if self.refusal.is_none() {
            Stage::Secrets(
                parts
                    .credentials
                    .read(parts.io, parts.config.timeouts.secret_ms, true),
            )
        } else {
            Stage::Authenticate
        };
        self.refusal = Some(error);
        None
    }

    /// The server refused what stands for the identity: a refresh token gives way to the next source, a
    /// subject token is read again, once.
    fn grant_refused(
        &mut self,
        error: Error,
        job: &Job<'_>,
        memory: &mut Memory,
        parts: &mut Parts<'_>,
    ) -> Ended {
        if self.refresh_token.take().is_some() {
            memory.refresh_token = None;
            parts.io.event(Event::RefreshTokenDropped {
                target: job.target.name.clone(),
                reason: "refused",
            });
            self.stage = Stage::Source;
            return None;
        }
        if let (Subject::Service, Grant::TokenExchange { subject_token, .. }) =
            (job.subject, &job.target.grant)
        {
            self.subject_token = None;
            let inline = matches!(subject_token, SecretReference::Value(_));
            if !self.subject_read_again && !inline {
                self.subject_read_again = true;
                self.refusal = Some(error);
                return self.read_subject(subject_token, job, parts);
            }
        }
        fail(error)
    }

    /// Ends without a token. A refresh token that can be used once goes back into the store if the server
    /// has certainly not used it, and is lost otherwise.
    fn end(
        &mut self,
        error: Error,
        kind: Backoff,
        delivery: Delivery,
        job: &Job<'_>,
        parts: &mut Parts<'_>,
    ) -> Ended {
        let failure = Failure {
            answered: error.fault() != Fault::Network,
            error,
            kind,
            retry_at: None,
        };
        if refresh_tokens(job) == RefreshTokens::OneUse {
            match (&self.refresh_token, delivery) {
                (Some(token), Delivery::NotTaken) => {
                    let value = Saved::Ready(token.clone()).write(self.endpoint()).into();
                    let operation = StoreOperation::PutIf {
                        version: self.version,
                        value,
                    };
                    self.failure = Some(failure);
                    self.stage = Stage::Restore(store(operation, job, parts));
                    return None;
                }
                (Some(_), Delivery::Unknown) => {
                    let target = job.target.name.clone();
                    parts.io.event(Event::RefreshTokenDropped {
                        target,
                        reason: "lost",
                    });
                }
                (None, _) => {}
            }
        }
        Some(Err(failure))
    }
}

fn require_scopes(answer: TokenAnswer, target: &Target) -> Result<TokenAnswer, Error> {
    let missing = missing_scopes(&answer, target);
    if target.require_scopes && !missing.is_empty() {
        return Err(Error::new(
            Code::ScopeNotGranted,
            format!(
                "the server did not grant {}; allow the client these scopes there",
                missing.join(" ")
            ),
        )
        .at(format!("targets.{}.scopes", target.name)));
    }
    Ok(answer)
}

/// The scopes that were asked for and not granted.
pub(crate) fn missing_scopes(answer: &TokenAnswer, target: &Target) -> Vec<String> {
    match &answer.scopes {
        None => Vec::new(),
        Some(granted) => target
            .scopes
            .iter()
            .filter(|scope| !granted.contains(scope))
            .cloned()
            .collect(),
    }
}

fn refresh_tokens(job: &Job<'_>) -> RefreshTokens {
    match (job.subject, &job.target.grant) {
        (Subject::Service, Grant::TokenExchange { refresh_tokens, .. }) => *refresh_tokens,
        _ => RefreshTokens::Ignore,
    }
}

fn grant_name(grant: &TokenGrant<'_>) -> &'static str {
    match grant {
        TokenGrant::ClientCredentials => "client_credentials",
        TokenGrant::RefreshToken { .. } => "refresh_token",
        TokenGrant::TokenExchange { .. } => "token_exchange",
        TokenGrant::Bare { .. } => "bare",
        #[allow(unreachable_patterns)]
        _ => "other",
    }
}
