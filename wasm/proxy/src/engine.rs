//! One configuration at work in one worker thread: the client, the leases at hand, and the requests that wait.
//!
//! A request with a fresh lease at hand costs no call into the client. Everything else goes through
//! [`Engine::drive`], which polls the client until it is idle. Requests to the authorization server are sent by the
//! tick alone: what is sent from a request's callback is lost when that request's caller goes away.

use crate::{
    audit,
    filter::{Action, Recent, Streams},
    host::{Host, Map, Severity},
    metrics::{Counter, Metrics},
    reply::Reply,
    send::{self, Sent, Wanted},
    settings::{Audience, Settings},
    shared,
};
use std::sync::Arc;
use svcauth_core::{
    Client, Code, Error, Event, Level, Now,
    client::{
        Answered, Calls, Capabilities, Decision, Lease, LeaseId, LeaseState, Outcome, Output,
        Rejection, State, Subject, TargetId, Task, TaskKind,
    },
    config::SecretReference,
    wire::json,
};

/// How often the shared store is looked at, in milliseconds. So long may a thread serve a token after another one
/// has learned that it is refused.
const LOOK_MS: u64 = 100;
/// How often counters are handed to the proxy, in milliseconds.
const FLUSH_MS: u64 = 1_000;
/// More than the client ever has to say at once.
const MOST_OUTPUTS: usize = 10_000;

pub(crate) struct Engine {
    root: u32,
    settings: Settings,
    client: Client,
    calls: Arc<Calls>,
    targets: Vec<Target>,
    held: Vec<Held>,
    to_send: Vec<Wanted>,
    sent: Vec<Sent>,
    started: bool,
    /// When the client wants to be polled.
    wake_at: Option<u64>,
    look_at: u64,
    flush_at: u64,
    /// When the tick comes, and how often it is told to.
    tick_at: u64,
    period_ms: u32,
}

struct Target {
    id: TargetId,
    name: String,
    metrics: Metrics,
    ready: Option<Ready>,
    gained_at: u64,
    /// The audit line of a request that carries a token of its caller's.
    caller: String,
}

/// A lease that requests get without asking the client.
struct Ready {
    lease: Lease,
    ask_at: u64,
    line: String,
}

/// A request that waits for a token.
struct Held {
    context: u32,
    target: usize,
    since: u64,
    until: u64,
}

/// What a request carries that the filter put there.
#[derive(Clone, Copy)]
pub(crate) struct Carried {
    target: usize,
    lease: LeaseId,
}

impl Engine {
    /// # Errors
    /// [`Code::Unsupported`]: the configuration needs what a proxy does not have.
    pub(crate) fn new(
        root: u32,
        settings: Settings,
        host: &mut impl Host,
    ) -> Result<Engine, Error> {
        let mut capabilities = Capabilities::none();
        capabilities.secret_env = true;
        capabilities.shared_store = settings.sharing;
        let mut seed = [0; 8];
        if !host.random(&mut seed) {
            return Err(Error::new(
                Code::Internal,
                "the proxy gives no random bytes",
            ));
        }
        let now = host.now();
        let client = Client::new(
            settings.config.clone(),
            capabilities,
            u64::from_le_bytes(seed),
            now,
        )?;
        let calls = client.calls();
        let target = |id| {
            let name = calls.target_name(id).to_owned();
            Target {
                id,
                metrics: Metrics::new(&name),
                ready: None,
                gained_at: now.mono_ms,
                caller: audit::plain(&name, "caller"),
                name,
            }
        };
        let targets = client.targets().map(target).collect();
        let mut engine = Engine {
            root,
            settings,
            client,
            calls,
            targets,
            held: vec![],
            to_send: vec![],
            sent: vec![],
            started: false,
            wake_at: None,
            look_at: now.mono_ms,
            flush_at: now.mono_ms.saturating_add(FLUSH_MS),
            tick_at: u64::MAX,
            period_ms: 0,
        };
        engine.schedule(now.mono_ms, host);
        Ok(engine)
    }

    /// The targets that requests through this filter belong to.
    fn served(&self) -> Vec<usize> {
        match &self.settings.audience {
            Audience::All(target) => vec![*target],
            Audience::Some { clusters, routes } => {
                let mut targets: Vec<usize> = clusters
                    .iter()
                    .chain(routes)
                    .map(|(_, target)| *target)
                    .collect();
                targets.sort_unstable();
                targets.dedup();
                targets
            }
        }
    }

    /// Takes over what other threads have, and asks for tokens before a request does.
    fn start(&mut self, now: Now) {
        if self.started {
            return;
        }
        self.started = true;
        self.client.look(now);
        if self.settings.eager {
            for index in self.served() {
                if let Some(target) = self.targets.get(index) {
                    let _ = self.client.token(target.id, Subject::Service, now);
                }
            }
        }
    }

    /// A request's headers came.
    pub(crate) fn request(
        &mut self,
        context: u32,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) -> Action {
        let Some(index) = target(&self.settings.audience, host) else {
            if let Some(target) = self.targets.first_mut() {
                target.metrics.count(Counter::Untouched);
            }
            return Action::Continue;
        };
        let Some(target) = self.targets.get_mut(index) else {
            return Action::Continue;
        };
        let authorization = host.header(Map::Request, "authorization");
        // Request headers live as long as the request: on its second attempt the first one's token is still there.
        let again = authorization
            .as_ref()
            .is_some_and(|value| recent.has(value));
        let own = authorization.as_deref().filter(|_| !again);
        let users = self
            .settings
            .users
            .as_ref()
            .filter(|_| authorization.is_none());
        let was_users = users.is_some_and(|property| host.property(property).is_some());
        match self
            .calls
            .decide_passing(target.id, own.map(text), was_users)
        {
            Decision::Lease { .. } => {}
            Decision::Refuse(error) => {
                target.metrics.count(Counter::Refused);
                if self.settings.audit {
                    host.set_property(audit::PROPERTY, &audit::plain(&target.name, "refused"));
                }
                host.log(Severity::Error, &line(&error));
                return answer(host, &Reply::refused(&error));
            }
            Decision::UserToken { token, .. } => {
                target.metrics.count(Counter::Passed);
                if self.settings.audit {
                    host.set_property(audit::PROPERTY, &audit::user(&target.name, token));
                }
                return Action::Continue;
            }
            _ => {
                target.metrics.count(Counter::Passed);
                if self.settings.audit {
                    host.set_property(audit::PROPERTY, &target.caller);
                }
                return Action::Continue;
            }
        }
        if let Some(stream) = streams.get_mut(context) {
            stream.again = again;
        }
        if again {
            target.metrics.count(Counter::Retries);
        }
        let now = host.mono_ms();
        let fresh = target.ready.as_ref().filter(|ready| now < ready.ask_at);
        match fresh {
            Some(ready) => {
                let action = put(ready, self.settings.audit, host);
                carry(streams, context, index, ready.lease.id());
                if action == Action::Continue {
                    target.metrics.count(Counter::Attached);
                }
                action
            }
            None => self.ask(context, index, streams, recent, host),
        }
    }

    /// There is no fresh lease at hand.
    fn ask(
        &mut self,
        context: u32,
        index: usize,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) -> Action {
        let Some(id) = self.targets.get(index).map(|target| target.id) else {
            return Action::Continue;
        };
        let now = host.now();
        self.start(now);
        let first = self.client.token(id, Subject::Service, now);
        let state = match first {
            State::Pending => {
                // Another thread may have it.
                self.drive(context, streams, recent, host);
                self.client.token(id, Subject::Service, now)
            }
            other => other,
        };
        let action = match state {
            State::Ready(lease) => {
                self.install(index, lease, now.mono_ms, recent);
                let Some(target) = self.targets.get_mut(index) else {
                    return Action::Continue;
                };
                let Some(ready) = &target.ready else {
                    return Action::Continue;
                };
                let action = put(ready, self.settings.audit, host);
                carry(streams, context, index, ready.lease.id());
                if action == Action::Continue {
                    target.metrics.count(Counter::Attached);
                }
                action
            }
            State::Failed { error, retry_at_ms } => {
                let wait_ms = retry_at_ms.saturating_sub(now.mono_ms);
                self.fail(index, Counter::Failed, error.code().as_str(), wait_ms, host)
            }
            _ => self.hold(context, index, now.mono_ms, streams, host),
        };
        self.drive(context, streams, recent, host);
        action
    }

    fn hold(
        &mut self,
        context: u32,
        index: usize,
        now: u64,
        streams: &mut Streams,
        host: &mut impl Host,
    ) -> Action {
        if self.held.len() >= self.settings.most_held {
            return self.fail(index, Counter::HeldMost, "held_most", 1_000, host);
        }
        if let Some(stream) = streams.get_mut(context) {
            stream.held = true;
        }
        if let Some(target) = self.targets.get_mut(index) {
            target.metrics.count(Counter::Held);
        }
        self.held.push(Held {
            context,
            target: index,
            since: now,
            until: now.saturating_add(self.settings.wait_ms),
        });
        Action::Pause
    }

    /// Answers the request at hand for want of a token.
    fn fail(
        &mut self,
        index: usize,
        counter: Counter,
        code: &str,
        wait_ms: u64,
        host: &mut impl Host,
    ) -> Action {
        if let Some(target) = self.targets.get_mut(index) {
            target.metrics.count(counter);
            if self.settings.audit {
                host.set_property(audit::PROPERTY, &audit::plain(&target.name, "failed"));
            }
        }
        answer(host, &Reply::no_token(code, wait_ms))
    }

    /// A response's headers came to a request that carries a lease.
    pub(crate) fn response(
        &mut self,
        context: u32,
        carried: Carried,
        again: bool,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) {
        if host.header(Map::Response, ":status").as_deref() != Some(b"401") {
            return;
        }
        let Some(target) = self.targets.get_mut(carried.target) else {
            return;
        };
        target.metrics.count(Counter::Unauthorized);
        let id = target.id;
        let challenge = host
            .header(Map::Response, "www-authenticate")
            .unwrap_or_default();
        let challenge = String::from_utf8_lossy(&challenge);
        let decision = Decision::Lease {
            target: id,
            subject: Subject::Service,
        };
        let replayable = self.settings.retried && !again;
        let answered =
            self.calls
                .answered(&decision, 401, std::iter::once(&*challenge), replayable);
        let now = host.now();
        let once_more = match answered {
            Answered::Retry => {
                let rejection = self.client.reject(id, Subject::Service, carried.lease, now);
                !matches!(rejection, Rejection::Deliver)
            }
            Answered::Report => {
                self.client.report(id, Subject::Service, carried.lease, now);
                false
            }
            _ => false,
        };
        self.drive(context, streams, recent, host);
        if self.settings.retried && !once_more {
            // The router retries nothing that says so.
            host.set_header(Map::Response, "x-envoy-ratelimited", "true");
        }
    }

    /// The time has come for what is due.
    pub(crate) fn tick(
        &mut self,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) {
        let now = host.now();
        self.start(now);
        if self.settings.sharing && self.look_at <= now.mono_ms {
            self.look_at = now.mono_ms.saturating_add(LOOK_MS);
            self.client.look(now);
        }
        self.drive(self.root, streams, recent, host);
        self.expire(now.mono_ms, streams, host);
        // What cannot be sent ends at once, and may be followed by another request.
        for _ in 0..8 {
            if self.to_send.is_empty() {
                break;
            }
            for wanted in std::mem::take(&mut self.to_send) {
                match send::send(wanted, &self.settings.servers, host) {
                    Ok(sent) => self.sent.push(sent),
                    Err((task, outcome)) => {
                        self.client.complete(task, outcome, now);
                    }
                }
            }
            self.drive(self.root, streams, recent, host);
        }
        if self.flush_at <= now.mono_ms {
            self.flush_at = now.mono_ms.saturating_add(FLUSH_MS);
            self.flush(host);
        }
        self.tick_at = u64::MAX;
        self.schedule(now.mono_ms, host);
    }

    /// Hands what was counted to the proxy.
    pub(crate) fn flush(&mut self, host: &mut impl Host) {
        let now = host.mono_ms();
        for target in &mut self.targets {
            target.metrics.flush(host);
            if let Some(ready) = &target.ready {
                let expires_at = ready.lease.expires_at_ms();
                let asked_at = expires_at.saturating_sub(ready.lease.lifetime_ms());
                target.metrics.age(
                    now.saturating_sub(asked_at),
                    expires_at.saturating_sub(now),
                    host,
                );
            }
        }
    }

    /// An answer of the authorization server came, or none.
    pub(crate) fn answered(
        &mut self,
        call: u32,
        headers: usize,
        body: usize,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) {
        let Some(place) = self.sent.iter().position(|sent| sent.call == call) else {
            return;
        };
        let sent = self.sent.swap_remove(place);
        let outcome = send::outcome(&sent, headers, body, host);
        let now = host.now();
        let took = now.mono_ms.saturating_sub(sent.at_ms);
        if let Some(target) = self.targets.first_mut() {
            target.metrics.token_took(took, host);
        }
        self.client.complete(sent.task, outcome, now);
        self.drive(self.root, streams, recent, host);
    }

    /// A request is gone.
    pub(crate) fn gone(&mut self, context: u32) {
        self.held.retain(|held| held.context != context);
    }

    /// Polls the client until it is idle. What follows in the proxy is about `current` again.
    fn drive(
        &mut self,
        current: u32,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) {
        let now = host.now();
        for _ in 0..MOST_OUTPUTS {
            match self.client.poll(now) {
                Output::Task(task) => self.task(task, now, host),
                Output::Lease(change) => {
                    let index = change.target.index();
                    if change.subject.is_none() {
                        self.changed(index, change.state, now.mono_ms, streams, recent, host);
                        host.enter(current);
                    }
                }
                Output::CallsChanged => self.calls = self.client.calls(),
                Output::Event(event) => self.event(&event, host),
                Output::Idle { until } => {
                    self.wake_at = until;
                    break;
                }
                _ => {}
            }
        }
        self.schedule(now.mono_ms, host);
    }

    fn task(&mut self, task: Task, now: Now, host: &mut impl Host) {
        let outcome = match task.kind {
            TaskKind::Send {
                request,
                timeout_ms,
                max_bytes,
            } => {
                self.to_send.push(Wanted {
                    task: task.id,
                    request,
                    timeout_ms,
                    most_bytes: max_bytes,
                });
                return;
            }
            TaskKind::ReadSecret {
                reference: SecretReference::Env(name),
            } => match host.variable(&name) {
                Some(value) => Outcome::Bytes(value.into()),
                None => Outcome::Failed {
                    detail: "the filter does not see it: name it in vm_config.environment_variables.host_env_keys"
                        .to_owned(),
                },
            },
            TaskKind::Random { bytes } => {
                let mut random = vec![0; bytes];
                if host.random(&mut random) {
                    Outcome::Bytes(random.into())
                } else {
                    Outcome::Failed {
                        detail: "the proxy gives no random bytes".to_owned(),
                    }
                }
            }
            TaskKind::Shared { key, operation } => shared::run(&key, &operation, host),
            _ => Outcome::Unsupported,
        };
        self.client.complete(task.id, outcome, now);
    }

    fn changed(
        &mut self,
        index: usize,
        state: LeaseState,
        now: u64,
        streams: &mut Streams,
        recent: &mut Recent,
        host: &mut impl Host,
    ) {
        match state {
            LeaseState::Ready(lease) => {
                self.install(index, lease, now, recent);
                let ready = self
                    .targets
                    .get_mut(index)
                    .and_then(|target| target.ready.take());
                if let Some(ready) = ready {
                    self.wake(index, &ready, now, streams, host);
                    if let Some(target) = self.targets.get_mut(index) {
                        target.ready = Some(ready);
                    }
                }
            }
            LeaseState::Once(lease) => {
                recent.add(&lease);
                let ready = self.ready(index, lease);
                self.wake(index, &ready, now, streams, host);
            }
            LeaseState::Cleared => {
                if let Some(target) = self.targets.get_mut(index) {
                    target.ready = None;
                }
            }
            LeaseState::Failed { error, retry_at_ms } => {
                let wait_ms = retry_at_ms.saturating_sub(now);
                for held in self.release(index) {
                    if enter(&held, streams, host) {
                        self.fail(index, Counter::Failed, error.code().as_str(), wait_ms, host);
                    }
                }
            }
            _ => {}
        }
    }

    fn ready(&self, index: usize, lease: Lease) -> Ready {
        let name = self.targets.get(index).map_or("", |target| &target.name);
        Ready {
            ask_at: lease.ask_at_ms(),
            line: audit::lease(name, &lease),
            lease,
        }
    }

    fn install(&mut self, index: usize, lease: Lease, now: u64, recent: &mut Recent) {
        let known = self
            .targets
            .get(index)
            .and_then(|target| target.ready.as_ref());
        if known.is_some_and(|ready| {
            ready.lease.id() == lease.id() && ready.ask_at == lease.ask_at_ms()
        }) {
            return;
        }
        recent.add(&lease);
        let ready = self.ready(index, lease);
        if let Some(target) = self.targets.get_mut(index) {
            target.ready = Some(ready);
            target.gained_at = now;
        }
    }

    /// Takes the requests out that wait for a target's token.
    fn release(&mut self, index: usize) -> Vec<Held> {
        self.held
            .extract_if(.., |held| held.target == index)
            .collect()
    }

    fn wake(
        &mut self,
        index: usize,
        ready: &Ready,
        now: u64,
        streams: &mut Streams,
        host: &mut impl Host,
    ) {
        for held in self.release(index) {
            if !enter(&held, streams, host) {
                continue;
            }
            let action = put(ready, self.settings.audit, host);
            carry(streams, held.context, index, ready.lease.id());
            if let Some(target) = self.targets.get_mut(index) {
                target
                    .metrics
                    .held_for(now.saturating_sub(held.since), host);
                if action == Action::Continue {
                    target.metrics.count(Counter::Attached);
                }
            }
            if action == Action::Continue {
                host.resume();
            }
        }
    }

    /// Answers the requests that have waited too long.
    fn expire(&mut self, now: u64, streams: &mut Streams, host: &mut impl Host) {
        let late: Vec<Held> = self.held.extract_if(.., |held| held.until <= now).collect();
        if late.is_empty() {
            return;
        }
        for held in late {
            if !enter(&held, streams, host) {
                continue;
            }
            let Some(target) = self.targets.get_mut(held.target) else {
                continue;
            };
            target
                .metrics
                .held_for(now.saturating_sub(held.since), host);
            let health = self.client.health(target.id);
            let code = health.error.map_or(Code::Timeout, |error| error.code());
            let wait_ms = health.retry_at_ms.unwrap_or(0).saturating_sub(now);
            self.fail(
                held.target,
                Counter::HeldTimeout,
                code.as_str(),
                wait_ms,
                host,
            );
        }
        host.enter(self.root);
    }

    fn event(&mut self, event: &Event, host: &mut impl Host) {
        let counted = match event {
            Event::TokenRequested { target, .. } => Some((target, Counter::TokenRequests)),
            Event::TokenReceived { target, .. } => Some((target, Counter::Tokens)),
            Event::RefreshFailed { target, .. } => Some((target, Counter::Failures)),
            _ => None,
        };
        if let Some((name, counter)) = counted
            && let Some(target) = self.targets.iter_mut().find(|target| target.name == *name)
        {
            target.metrics.count(counter);
        }
        let severity = match (event, event.level()) {
            // Each thread does so at each refresh.
            (Event::LeaseAdopted { .. }, _) => Severity::Debug,
            (_, Level::Info) => Severity::Info,
            (_, Level::Warn) => Severity::Warn,
            _ => Severity::Error,
        };
        host.log(severity, &format!("svcauth: {}", json::to_json(event)));
    }

    /// Has the tick come when something is due.
    fn schedule(&mut self, now: u64, host: &mut impl Host) {
        let mut due = self.flush_at;
        if self.settings.sharing {
            due = due.min(self.look_at);
        }
        if !self.to_send.is_empty() || !self.started {
            due = now;
        }
        let held = self.held.iter().map(|held| held.until);
        if let Some(soonest) = held.chain(self.wake_at).min() {
            due = due.min(soonest);
        }
        let due = due.max(now.saturating_add(1));
        if due >= self.tick_at {
            return;
        }
        let period_ms = u32::try_from(due.saturating_sub(now)).unwrap_or(u32::MAX);
        // The proxy repeats a tick by itself.
        if self.tick_at != u64::MAX || period_ms != self.period_ms {
            if !host.tick_every(period_ms) {
                return;
            }
            self.period_ms = period_ms;
        }
        self.tick_at = due;
    }
}

/// The target that the request at hand belongs to.
pub(crate) fn target(audience: &Audience, host: &mut impl Host) -> Option<usize> {
    let (clusters, routes) = match audience {
        Audience::All(target) => return Some(*target),
        Audience::Some { clusters, routes } => (clusters, routes),
    };
    let mut find = |property: &str, targets: &[(String, usize)]| {
        if targets.is_empty() {
            return None;
        }
        // The second name is that of older proxies.
        let name = host
            .property(&format!("xds\0{property}"))
            .or_else(|| host.property(property))?;
        let found = targets.iter().find(|(known, _)| known.as_bytes() == name)?;
        Some(found.1)
    };
    find("cluster_name", clusters).or_else(|| find("route_name", routes))
}

/// A header as text. One that is none is of no scheme that is looked for.
pub(crate) fn text(value: &[u8]) -> &str {
    std::str::from_utf8(value).unwrap_or_default()
}

/// Puts a lease on the request at hand.
fn put(ready: &Ready, audit: bool, host: &mut impl Host) -> Action {
    if !host.set_header(Map::Request, "authorization", ready.lease.authorization()) {
        return answer(host, &Reply::no_token(Code::Internal.as_str(), 1_000));
    }
    if audit {
        host.set_property(audit::PROPERTY, &ready.line);
    }
    Action::Continue
}

/// Answers the request at hand.
pub(crate) fn answer(host: &mut impl Host, reply: &Reply) -> Action {
    host.respond(reply);
    Action::Pause
}

fn carry(streams: &mut Streams, context: u32, target: usize, lease: LeaseId) {
    if let Some(stream) = streams.get_mut(context) {
        stream.carried = Some(Carried { target, lease });
    }
}

/// Turns to a request that was held; whether it is still there.
fn enter(held: &Held, streams: &mut Streams, host: &mut impl Host) -> bool {
    let Some(stream) = streams.get_mut(held.context) else {
        return false;
    };
    stream.held = false;
    host.enter(held.context)
}

/// An error as a line of the log.
pub(crate) fn line(error: &Error) -> String {
    format!("svcauth: {error}")
}
