//! The client of this instance.

use crate::{
    memory::{self, Place},
    out::{self, Out},
};
use alloc::{string::String, sync::Arc};
use core::cell::RefCell;
use svcauth_core::{
    Client, Config, Error, Event, Level, Now,
    client::{
        Answered, Attempt, Call, Calls, Capabilities, Decision, Lease, LeaseChange, LeaseId,
        LeaseRecord, LeaseState, Outcome, Output, RecordClock, RegistrationState, Rejection, State,
        StoreOperation, Subject, Task, TaskId, TaskKind,
    },
    config::SecretReference,
    wire::json::to_json,
};
use wasm_bindgen::prelude::wasm_bindgen;

static ENGINE: Place<Option<Engine>> = Place(RefCell::new(None));

struct Engine {
    client: Client,
    calls: Arc<Calls>,
    /// From which level on somebody listens to events, if anybody does.
    heard: Option<Level>,
}

/// Makes the client as the document in the room says: its `settings`, or an `error`.
///
/// `capabilities`: 1 files, 2 environment, 4 callback, 8 durable store, 16 client certificate.
#[wasm_bindgen]
pub fn open(capabilities: u32, seed: f64, mono: f64, wall: f64) -> usize {
    let document = memory::take();
    let mut can = Capabilities::none();
    can.secret_files = capabilities & 1 != 0;
    can.secret_env = capabilities & 2 != 0;
    can.secret_callback = capabilities & 4 != 0;
    can.durable_store = capabilities & 8 != 0;
    can.client_certificate = capabilities & 16 != 0;
    let config = Config::from_json(&document);
    memory::wiped(document);
    let mut out = Out::new();
    match config.and_then(|config| Client::new(config, can, seed.to_bits(), now(mono, wall))) {
        Ok(client) => {
            out.raw(r#"{"settings":"#);
            out.raw(&to_json(&client.config().host_settings())).raw("}");
            *ENGINE.0.borrow_mut() = Some(Engine {
                calls: client.calls(),
                client,
                heard: None,
            });
        }
        Err(error) => {
            out.failed(&error, None);
        }
    }
    memory::tell(out.into_text())
}

/// Says from which level on events are told: 0 info, 1 warn, 2 error; without it none is.
#[wasm_bindgen]
pub fn listen(level: u32) {
    if let Some(engine) = ENGINE.0.borrow_mut().as_mut() {
        engine.heard = [Level::Info, Level::Warn, Level::Error]
            .get(level as usize)
            .copied();
    }
}

/// A turn that polls only.
#[wasm_bindgen]
pub fn wake(mono: f64, wall: f64) -> usize {
    turn(now(mono, wall), |_, _, _| ())
}

/// A turn that asks for the service's own token of a target: `ready` with the lease, `failed`, or null while it is
/// being got.
#[wasm_bindgen]
pub fn token(target: usize, mono: f64, wall: f64) -> usize {
    turn(now(mono, wall), |engine, out, now| {
        ask(engine, out, target, Subject::Service, now)
    })
}

/// A turn that asks for the lease that the call in the room carries, as [`token`] does.
#[wasm_bindgen]
pub fn token_for(flags: u32, mono: f64, wall: f64) -> usize {
    let text = memory::take_text();
    turn(now(mono, wall), |engine, out, now| {
        let calls = Arc::clone(&engine.calls);
        match calls.decide(&call(&text, flags)) {
            Decision::Lease { target, subject } => {
                ask(engine, out, target.index(), subject, now);
            }
            _ => {
                out.raw("null");
            }
        }
    })
}

/// A turn that says that the lease with this id, carried by the call in the room, was refused: `retry` with another
/// lease, `wait`, or `deliver`.
#[wasm_bindgen]
pub fn reject(flags: u32, high: u32, low: u32, replayable: bool, mono: f64, wall: f64) -> usize {
    let text = memory::take_text();
    let id = LeaseId::from_u64(u64::from(high) << 32 | u64::from(low));
    turn(now(mono, wall), |engine, out, now| {
        let calls = Arc::clone(&engine.calls);
        let Decision::Lease { target, subject } = calls.decide(&call(&text, flags)) else {
            out.raw(r#""deliver""#);
            return;
        };
        if !replayable {
            engine.client.report(target, subject, id, now);
            out.raw(r#""deliver""#);
            return;
        }
        match engine.client.reject(target, subject, id, now) {
            Rejection::Retry(again) => {
                out.raw(r#"{"retry":"#);
                lease(out, &again);
                out.raw("}");
            }
            Rejection::Wait => {
                out.raw(r#""wait""#);
            }
            _ => {
                out.raw(r#""deliver""#);
            }
        }
    })
}

/// Says what the call in the room carries: `carries`, the `target`'s number, the `subject` of a lease,
/// the `authorization` of a user; and the `event` that the call is, without what only its host knows. Or a
/// `refused` error.
#[wasm_bindgen]
pub fn decide(flags: u32) -> usize {
    let text = memory::take_text();
    let mut out = Out::new();
    if let Some(engine) = ENGINE.0.borrow().as_ref() {
        let call = call(&text, flags);
        let decision = engine.calls.decide(&call);
        decided(&mut out, engine, &call, &decision);
    }
    memory::wiped(text.into_bytes());
    memory::tell(out.into_text())
}

fn decided(out: &mut Out, engine: &Engine, call: &Call<'_>, decision: &Decision<'_>) {
    match decision {
        Decision::UserToken { target, .. } => {
            out.raw(r#"{"carries":"user_token","target":"#)
                .number(target.index() as u64);
            if let Some(authorization) = decision.authorization() {
                out.raw(r#","authorization":"#).text(authorization.expose());
            }
        }
        Decision::Lease { target, subject } => {
            out.raw(r#"{"carries":"lease","target":"#)
                .number(target.index() as u64);
            if let Subject::User(token) = subject {
                out.raw(r#","subject":"#)
                    .hex(svcauth_core::client::SubjectId::of(token).as_bytes());
            }
        }
        Decision::Refuse(error) => {
            out.raw(r#"{"refused":"#).raw(&to_json(error));
        }
        _ => {
            out.raw(r#"{"carries":"nothing""#);
        }
    }
    let event = engine.calls.event(call, decision, &Attempt::default());
    out.raw(r#","event":"#).raw(&to_json(&event)).raw("}");
}

/// Says what the answer to the call in the room means, behind which is the answer's WWW-Authenticate: 0 deliver,
/// 1 reject and make it once more, 2 reject and deliver.
#[wasm_bindgen]
pub fn answered(flags: u32, call_length: usize, status: u16, replayable: bool) -> u32 {
    let text = memory::take_text();
    let Some((made, challenge)) = text.split_at_checked(call_length) else {
        return 0;
    };
    let engine = ENGINE.0.borrow();
    let Some(engine) = engine.as_ref() else {
        return 0;
    };
    let decision = engine.calls.decide(&call(made, flags));
    let challenges = Some(challenge).filter(|challenge| !challenge.is_empty());
    let what = engine
        .calls
        .answered(&decision, status, challenges.into_iter(), replayable);
    match what {
        Answered::Retry => 1,
        Answered::Report => 2,
        _ => 0,
    }
}

/// A turn with the response to a task: its fields are in the room, and its body behind them.
#[wasm_bindgen]
pub fn complete_response(task: f64, status: u16, fields: usize, mono: f64, wall: f64) -> usize {
    let response = out::response(memory::take(), status, fields);
    complete(task, Outcome::Response(response), mono, wall)
}

/// A turn with a task's failure, and its reason in the room: 0 refused, 1 timeout, 2 TLS, 3 too large, 4 broken, all of
/// a request; 5 failed, 6 unsupported.
#[wasm_bindgen]
pub fn complete_failed(task: f64, kind: u32, mono: f64, wall: f64) -> usize {
    complete(task, out::failure(kind, memory::take_text()), mono, wall)
}

/// A turn with the bytes in the room: a secret, or random ones.
#[wasm_bindgen]
pub fn complete_bytes(task: f64, mono: f64, wall: f64) -> usize {
    complete(task, Outcome::Bytes(memory::take().into()), mono, wall)
}

/// A turn with what became of a task of the store: 0 there is no record, 1 a record, which is in the room, 2 stored,
/// 3 conflict, 4 locked, 5 held, 6 done. The number is the version, fence or time that belongs to it; negative for an
/// unknown time.
#[wasm_bindgen]
pub fn complete_store(task: f64, kind: u32, number: f64, mono: f64, wall: f64) -> usize {
    let value = memory::take();
    let count = number as u64;
    let outcome = match kind {
        0 | 1 => Outcome::Record {
            value: (kind == 1).then(|| value.into()),
            version: count,
        },
        2 => Outcome::Stored { version: count },
        3 => Outcome::Conflict,
        4 => Outcome::Locked { fence: count },
        5 => Outcome::Held {
            retry_after_ms: (number >= 0.0).then_some(count),
        },
        _ => Outcome::Done,
    };
    complete(task, outcome, mono, wall)
}

fn complete(task: f64, outcome: Outcome, mono: f64, wall: f64) -> usize {
    turn(now(mono, wall), |engine, out, now| {
        let done = engine.client.complete(TaskId(task as u64), outcome, now);
        let accepted = done == svcauth_core::client::Completion::Accepted;
        out.raw(if accepted { "true" } else { "false" });
    })
}

/// A turn that says that secrets may have changed.
#[wasm_bindgen]
pub fn secrets_changed(mono: f64, wall: f64) -> usize {
    turn(now(mono, wall), |engine, _, now| {
        engine.client.secrets_changed(now)
    })
}

/// A turn that gets credentials without asking for a token: true once they are there, null while they are being got, or
/// `failed`.
#[wasm_bindgen]
pub fn register(mono: f64, wall: f64) -> usize {
    turn(now(mono, wall), |engine, out, now| {
        match engine.client.register(now) {
            RegistrationState::Registered => {
                out.raw("true");
            }
            RegistrationState::Failed { error, retry_at_ms } => failed(out, &error, retry_at_ms),
            _ => {
                out.raw("null");
            }
        }
    })
}

/// A turn that takes over the lease whose record is in the room, for a target; whether it is served.
#[wasm_bindgen]
pub fn adopt(target: usize, same_clock: bool, mono: f64, wall: f64) -> usize {
    let record = memory::take();
    turn(now(mono, wall), |engine, out, now| {
        let clock = match same_clock {
            true => RecordClock::Same,
            false => RecordClock::Other,
        };
        let target = engine.client.targets().nth(target);
        let adopted = LeaseRecord::from_json(&record)
            .ok()
            .zip(target)
            .is_some_and(|(record, target)| engine.client.adopt(target, &record, clock, now));
        memory::wiped(record);
        out.raw(if adopted { "true" } else { "false" });
    })
}

/// Tells how a target is doing.
#[wasm_bindgen]
pub fn health(target: usize) -> usize {
    told(|engine| {
        let target = engine.client.targets().nth(target)?;
        Some(to_json(&engine.client.health(target)))
    })
}

/// Tells the counters.
#[wasm_bindgen]
pub fn stats() -> usize {
    told(|engine| Some(to_json(&engine.client.stats())))
}

fn told(what: impl FnOnce(&Engine) -> Option<String>) -> usize {
    let engine = ENGINE.0.borrow();
    memory::tell(engine.as_ref().and_then(what).unwrap_or_default())
}

fn now(mono: f64, wall: f64) -> Now {
    Now {
        mono_ms: mono as u64,
        wall_ms: wall as u64,
    }
}

/// The call is one text: its URL, where it was redirected from, and the user's token, with a line feed between them.
fn call(text: &str, flags: u32) -> Call<'_> {
    let (url, rest) = text.split_once('\n').unwrap_or((text, ""));
    let (from, user) = rest.split_once('\n').unwrap_or((rest, ""));
    Call {
        url,
        has_authorization: flags & 1 != 0,
        user_token: (flags & 2 != 0).then_some(user),
        user_required: flags & 4 != 0,
        redirected_from: (flags & 8 != 0).then_some(from),
    }
}

fn ask(engine: &mut Engine, out: &mut Out, target: usize, subject: Subject<'_>, now: Now) {
    let state = match engine.client.targets().nth(target) {
        Some(target) => engine.client.token(target, subject, now),
        None => State::Pending,
    };
    match state {
        State::Ready(ready) => {
            out.raw(r#"{"ready":"#);
            lease(out, &ready);
            out.raw("}");
        }
        State::Failed { error, retry_at_ms } => failed(out, &error, retry_at_ms),
        _ => {
            out.raw("null");
        }
    }
}

fn failed(out: &mut Out, error: &Error, retry_at_ms: u64) {
    out.raw(r#"{"failed":"#)
        .failed(error, Some(retry_at_ms))
        .raw("}");
}

/// One call into the client, and all that follows from it.
fn turn(now: Now, act: impl FnOnce(&mut Engine, &mut Out, Now)) -> usize {
    let mut engine = ENGINE.0.borrow_mut();
    let Some(engine) = engine.as_mut() else {
        return memory::tell(String::new());
    };
    let mut out = Out::new();
    out.raw(r#"{"result":"#);
    let before = out.len();
    act(engine, &mut out, now);
    if out.len() == before {
        out.raw("null");
    }
    poll(engine, &mut out, now);
    memory::tell(out.into_text())
}

fn poll(engine: &mut Engine, out: &mut Out, now: Now) {
    out.raw(r#","outputs":["#);
    let mut between = "";
    loop {
        let output = engine.client.poll(now);
        match &output {
            Output::Idle { until } => {
                out.raw(r#"],"idle":"#);
                match until {
                    Some(until) => out.number(*until),
                    None => out.raw("null"),
                };
                out.raw("}");
                return;
            }
            Output::Event(event) if engine.heard.is_none_or(|heard| event.level() < heard) => {
                continue;
            }
            Output::CallsChanged => engine.calls = engine.client.calls(),
            _ => {}
        }
        out.raw(between);
        between = ",";
        match output {
            Output::Task(one) => task(out, &one),
            Output::Lease(change) => changed(out, &change, now),
            Output::Event(one) => event(out, &one),
            _ => {
                out.raw(r#"{"calls_changed":true}"#);
            }
        }
    }
}

fn event(out: &mut Out, event: &Event) {
    let level = match event.level() {
        Level::Info => "info",
        Level::Warn => "warn",
        _ => "error",
    };
    out.raw(r#"{"level":"#).text(level);
    out.raw(r#","event":"#).raw(&to_json(event)).raw("}");
}

fn changed(out: &mut Out, change: &LeaseChange, now: Now) {
    out.raw(r#"{"target":"#)
        .number(change.target.index() as u64);
    if let Some(subject) = &change.subject {
        out.raw(r#","subject":"#).hex(subject.as_bytes());
    }
    match &change.state {
        LeaseState::Ready(ready) => {
            out.raw(r#","ready":"#);
            lease(out, ready);
            if change.subject.is_none() {
                out.raw(r#","record":"#)
                    .raw(ready.record(now).to_json().expose());
            }
        }
        LeaseState::Once(once) => {
            out.raw(r#","once":"#);
            lease(out, once);
        }
        LeaseState::Failed { error, retry_at_ms } => {
            out.raw(r#","failed":"#).failed(error, Some(*retry_at_ms));
        }
        _ => {
            out.raw(r#","cleared":true"#);
        }
    }
    out.raw("}");
}

fn lease(out: &mut Out, lease: &Lease) {
    out.raw(r#"{"token":"#).text(lease.value());
    out.raw(r#","id":"#).hex(&lease.id().as_u64().to_be_bytes());
    for (name, number) in [
        (r#","ask_at_ms":"#, lease.ask_at_ms()),
        (r#","refresh_at_ms":"#, lease.refresh_at_ms()),
        (r#","serve_until_ms":"#, lease.serve_until_ms()),
        (r#","expires_at_ms":"#, lease.expires_at_ms()),
        (r#","expires_at_wall_ms":"#, lease.expires_at_wall_ms()),
    ] {
        out.raw(name).number(number);
    }
    out.raw(r#","scopes":["#);
    let mut between = "";
    for scope in lease.scopes() {
        out.raw(between).text(scope);
        between = ",";
    }
    out.raw(r#"],"client_id":"#).optional(lease.client_id());
    out.raw(r#","subject":"#).optional(lease.subject()).raw("}");
}

fn task(out: &mut Out, task: &Task) {
    out.raw(r#"{"task":"#).number(task.id.0);
    out.raw(r#","deadline_ms":"#).number(task.deadline_ms);
    match &task.kind {
        TaskKind::Send {
            request,
            timeout_ms,
            max_bytes,
        } => {
            out.raw(r#","timeout_ms":"#).number(*timeout_ms);
            out.raw(r#","max_bytes":"#).number(*max_bytes as u64);
            out.raw(r#","send":"#);
            out::request(out, request);
        }
        TaskKind::ReadSecret { reference } => {
            let (kind, name) = match reference {
                SecretReference::File(path) => ("file", path.as_str()),
                SecretReference::Env(name) => ("env", name.as_str()),
                SecretReference::Callback(name) => ("callback", name.as_str()),
                // Those in the configuration are no task.
                _ => ("", ""),
            };
            out.raw(r#","read_secret":"#).text(name);
            out.raw(r#","from":"#).text(kind);
        }
        TaskKind::Random { bytes } => {
            out.raw(r#","random":"#).number(*bytes as u64);
        }
        TaskKind::Store { key, operation } => {
            store(out, key, operation);
        }
        _ => {
            out.raw(r#","unknown":true"#);
        }
    }
    out.raw("}");
}

fn store(out: &mut Out, key: &str, operation: &StoreOperation) {
    let (name, number) = match operation {
        StoreOperation::Get => ("get", 0),
        StoreOperation::PutIf { version, .. } => ("put_if", *version),
        StoreOperation::Lock { ttl_ms } => ("lock", *ttl_ms),
        StoreOperation::Unlock { fence } => ("unlock", *fence),
        _ => ("", 0),
    };
    out.raw(r#","store":"#).text(name);
    out.raw(r#","key":"#).text(key);
    out.raw(r#","number":"#).number(number);
    if let StoreOperation::PutIf { value, .. } = operation {
        out.raw(r#","value":"#)
            .text(core::str::from_utf8(value.expose()).unwrap_or_default());
    }
}
