//! The client: made, asked and polled. Its tasks are answered in `complete`.

use crate::{
    call::{Decision, RejectionKind, Replay, Replay_Layout},
    error::{Error, Failure},
    fork::{self, OfProcess},
    guard::{guard, out, text},
    handle::{hand_out, object, release},
    lease::Lease,
    output::Output,
    raw,
    text::Text,
    ResultCode,
};
use arc_swap::{ArcSwap, ArcSwapOption, Guard};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{
    ffi::c_char,
    process, ptr,
    sync::{
        atomic::{AtomicU64, Ordering::Relaxed},
        Arc, Mutex, MutexGuard,
    },
};
use svcauth_core::{
    client::{
        self as core, Calls, Capabilities, LeaseId, Rejection, State, Subject, TargetId, TaskId,
    },
    wire::json::to_json,
    Config, Now, Secret,
};

/// The program reads secrets from files.
pub const CAPABILITY_SECRET_FILES: u32 = 1;
/// The program reads secrets from environment variables.
pub const CAPABILITY_SECRET_ENVIRONMENT: u32 = 2;
/// The program has a source of its own for secrets.
pub const CAPABILITY_SECRET_CALLBACK: u32 = 4;
/// The program has a store that outlives the process, with locks between processes.
pub const CAPABILITY_DURABLE_STORE: u32 = 8;
/// The program shows the configured client certificate.
pub const CAPABILITY_CLIENT_CERTIFICATE: u32 = 16;

/// One identity and the targets it calls.
///
/// It sends nothing, reads no clock and starts no thread: time comes in with each call, work comes out of
/// `svcauth_client_poll`. The one rule: after any call that takes a time, poll until there is no output, and
/// again at the time that is given then.
///
/// Any number of threads may use one client at the same time; each call locks it for its own length, and none
/// waits for the network. Freed by `svcauth_client_free`; a call that another thread makes ends as it would.
#[derive_ReprC(rename = "svcauth_client")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Client {
    inner: ArcSwap<Inner>,
}

/// What a client is in one process. All but the core is there for a forked child too.
#[derive(Debug)]
struct Inner {
    core: OfProcess<Mutex<core::Client>>,
    /// Beside the lock, so that decisions about calls do not wait for it.
    calls: ArcSwap<Calls>,
    /// The service's own lease for each target, as it was announced.
    leases: Box<[ArcSwapOption<core::Lease>]>,
    /// The time that the program told last.
    told: [AtomicU64; 2],
    config: Arc<Config>,
    capabilities: Capabilities,
    seed: u64,
}

/// A task's number is the core's own, behind that of the process: a child does not take the answer to a task of
/// its parent's for one of its own.
const TASK_BITS: u32 = 48;
const TASK: u64 = (1 << TASK_BITS) - 1;

/// What `svcauth_client_token` answers.
#[derive_ReprC(rename = "svcauth_token_state")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenState {
    /// Here it is.
    Ready = 1,
    /// It is being got: wait for the next output of kind lease for this target.
    Pending = 2,
}

/// What `svcauth_client_register` answers.
#[derive_ReprC(rename = "svcauth_registration_state")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RegistrationState {
    /// There are credentials, or none are needed.
    Registered = 1,
    /// It is under way: poll, and ask again.
    Pending = 2,
}

/// Counters since the client was made. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_stats")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Stats {
    /// Requests of all kinds.
    pub requests: u64,
    /// Token requests among them.
    pub token_requests: u64,
    /// Tokens that came.
    pub tokens_received: u64,
    /// Attempts that brought none.
    pub failures: u64,
    /// Rejections by called services that were acted on.
    pub rejections: u64,
    /// Tasks that came to their deadline.
    pub tasks_overdue: u64,
    /// Outcomes that nobody awaited.
    pub outcomes_ignored: u64,
    /// Events lost because nobody fetched them.
    pub events_dropped: u64,
}

/// Checks a configuration document without making a client. A text of the error names the member that is
/// wrong; its offset, where the document is no JSON.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_config_check"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_config_check(
    json: *const c_char,
    len: usize,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        Config::from_json(crate::guard::bytes(json, len, "json")?)?;
        Ok(())
    })
}

/// Makes a client. Nothing is sent or read before a token is asked for.
///
/// `capabilities` are the `SVCAUTH_CAPABILITY_` bits of what the program can do; a configuration that needs
/// more is refused. `seed` spreads schedules: any number, another one in each process. `mono_ms` is a clock
/// that never goes back, in milliseconds from any fixed point; `wall_ms` is in milliseconds since 1970.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_new"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_new(
    config_json: *const c_char,
    config_len: usize,
    capabilities: u32,
    seed: u64,
    mono_ms: u64,
    wall_ms: u64,
    client: *mut *mut Client,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = out(client, "client")?;
        let capabilities = capabilities_of(capabilities)?;
        let json = crate::guard::bytes(config_json, config_len, "config_json")?;
        let now = Now { mono_ms, wall_ms };
        fork::watch();
        let inner = Inner::new(Config::from_json(json)?, capabilities, seed, now)?;
        let inner = ArcSwap::from_pointee(inner);
        hand_out(Client { inner }, client)
    })
}

/// Frees a client; NULL is nothing to free. Outputs, leases and decisions that came from it stay usable.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_free(client: *mut Client) -> ResultCode {
    release(client, "client")
}

/// Gives the number of the target with this name. It is the same as long as the client lives.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_target"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_target(
    client: *const Client,
    name: *const c_char,
    name_len: usize,
    target: *mut u32,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let name = text(name, name_len, "name")?;
        let target = out(target, "target")?;
        let id = client
            .run(|core| Ok(core.target(name)))?
            .ok_or_else(|| Failure::unknown_target(name))?;
        target.write(number_of(id));
        Ok(())
    })
}

/// Asks for the service's own token for a target. Poll afterwards.
///
/// `lease` is written in state ready, and NULL otherwise. Where none can be had before the next attempt, the
/// code and `error` say why, and when that is.
///
/// Whoever waits for a pending token has to be in the program's own list of those who wait before this is
/// called: another thread may fetch the output that brings it before this call returns.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_token"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_token(
    client: *const Client,
    target: u32,
    mono_ms: u64,
    wall_ms: u64,
    state: *mut TokenState,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        client.ask(
            target,
            Subject::Service,
            Now { mono_ms, wall_ms },
            state,
            lease,
        )
    })
}

/// As `svcauth_client_token`, for a call whose decision is of kind lease: the service's own token, or the one
/// that the user's token is exchanged for.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_token_for"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_token_for(
    client: *const Client,
    decision: *const Decision,
    mono_ms: u64,
    wall_ms: u64,
    state: *mut TokenState,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let decision = object(decision, "decision")?;
        let (target, subject) = decision.lease()?;
        client.ask(target, subject, Now { mono_ms, wall_ms }, state, lease)
    })
}

/// Says that a called service refused the lease with the number `lease_id`, as `svcauth_client_answered` asks.
/// Poll afterwards.
///
/// `lease` is written where the call is made once more, and NULL otherwise. As with
/// `svcauth_client_token`, be in the list of those who wait before. Where the call cannot be made once more,
/// the client takes note and the answer is deliver: nobody waits.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_reject"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_reject(
    client: *const Client,
    decision: *const Decision,
    lease_id: u64,
    replay: Replay_Layout,
    mono_ms: u64,
    wall_ms: u64,
    what: *mut RejectionKind,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let decision = object(decision, "decision")?;
        let (target, subject) = decision.lease()?;
        let (what, out_lease) = (out(what, "what")?, out(lease, "lease")?);
        let id = LeaseId::from_u64(lease_id);
        let now = Now { mono_ms, wall_ms };
        let replay: Replay = raw(replay, "replay")?;
        let rejection = client.run_at(now, |core| {
            let target = target_of(core, target)?;
            Ok(match replay {
                Replay::Possible => core.reject(target, subject, id, now),
                Replay::Impossible => {
                    core.report(target, subject, id, now);
                    Rejection::Deliver
                }
            })
        })?;
        let (kind, lease) = match &rejection {
            Rejection::Retry(lease) => (RejectionKind::Retry, Some(lease)),
            Rejection::Wait => (RejectionKind::Wait, None),
            _ => (RejectionKind::Deliver, None),
        };
        Lease::hand_out_or_null(lease, out_lease)?;
        what.write(kind);
        Ok(())
    })
}

/// Registers the client now, if it is to be registered and is not (RFC 7591). Poll afterwards; the state is
/// another one when an event says so. A token that is asked for brings this about too.
///
/// Where it cannot be done before the next attempt, the code and `error` say why, and when that is.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_register"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_register(
    client: *const Client,
    mono_ms: u64,
    wall_ms: u64,
    state: *mut RegistrationState,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let state = out(state, "state")?;
        let now = Now { mono_ms, wall_ms };
        match client.run_at(now, |core| Ok(core.register(now)))? {
            core::RegistrationState::Registered => state.write(RegistrationState::Registered),
            core::RegistrationState::Failed { error, retry_at_ms } => {
                return Err(Failure::failed_until(error, retry_at_ms));
            }
            _ => state.write(RegistrationState::Pending),
        }
        Ok(())
    })
}

/// Gives what the server answered when the client was registered, as JSON (RFC 7591 section 3.2.1): a secret.
/// NULL where it was not.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_registration"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_registration(
    client: *const Client,
    json: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let out = out(json, "json")?;
        let json = client.run(|core| {
            let registration = core.registration();
            Ok(registration.map(|registration| Secret::new(registration.to_json().to_json())))
        })?;
        match json {
            Some(json) => Text::hand_out(json, out),
            None => {
                out.write(ptr::null_mut());
                Ok(())
            }
        }
    })
}

/// Gives what of the configuration the program itself has to heed, as JSON with the defaults filled in and
/// without secrets. Its members are those of the document, and `targets` has the targets' names in the order of
/// their numbers:
///
///     { "targets": […], "store": …, "needs_durable_store": …, "tls": …, "proxy": …, "timeouts": …, "limits": … }
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_settings"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_settings(
    client: *const Client,
    json: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let out = out(json, "json")?;
        let config = client.run(|core| Ok(Arc::clone(core.config())))?;
        Text::hand_out(to_json(&config.host_settings()), out)
    })
}

/// Gives how the service's own token for a target is doing, as JSON, for probes; a member is null where there
/// is nothing to tell. The network is not touched.
///
///     { "ready": true, "asked_for": true, "expires_at_wall_ms": …, "error": …, "retry_at_ms": … }
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_health"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_health(
    client: *const Client,
    target: u32,
    json: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let out = out(json, "json")?;
        let health = client.run(|core| Ok(core.health(target_of(core, target)?)))?;
        Text::hand_out(to_json(&health), out)
    })
}

/// Says that secrets may have changed: what failed for want of a good one is tried at once. Poll afterwards.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_secrets_changed"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_secrets_changed(
    client: *const Client,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let now = Now { mono_ms, wall_ms };
        object(client, "client")?.run_at(now, |core| {
            core.secrets_changed(now);
            Ok(())
        })
    })
}

/// Gives the next thing that the client wants of the program.
///
/// `output` is NULL where there is none; then `idle_until_ms` is when to poll again on the monotonic clock,
/// UINT64_MAX where only another call brings something new. Both are written on success.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_poll"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_poll(
    client: *const Client,
    mono_ms: u64,
    wall_ms: u64,
    output: *mut *mut Output,
    idle_until_ms: *mut u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let output = out(output, "output")?;
        let idle_until = out(idle_until_ms, "idle_until_ms")?;
        let (next, made_after) = client.poll(Now { mono_ms, wall_ms })?;
        match next {
            core::Output::Idle { until } => {
                output.write(ptr::null_mut());
                idle_until.write(until.unwrap_or(u64::MAX));
            }
            next => {
                hand_out(Output::new(next, made_after), output)?;
                idle_until.write(0);
            }
        }
        Ok(())
    })
}

/// Gives the counters.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_stats"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_stats(
    client: *const Client,
    stats: *mut Stats,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let out = out(stats, "stats")?;
        let stats = client.run(|core| Ok(core.stats()))?;
        out.write(Stats::of(&stats));
        Ok(())
    })
}

/// Panics in a call on this client, for tests of what a host does then. Not in the header.
///
/// cbindgen:ignore
#[cfg(feature = "forced-panic")]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_force_panic(
    client: *const Client,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        object(client, "client")?.run(|_| panic!("forced"))
    })
}

impl Stats {
    pub(crate) fn of(stats: &core::Stats) -> Stats {
        Stats {
            requests: stats.requests,
            token_requests: stats.token_requests,
            tokens_received: stats.tokens_received,
            failures: stats.failures,
            rejections: stats.rejections,
            tasks_overdue: stats.tasks_overdue,
            outcomes_ignored: stats.outcomes_ignored,
            events_dropped: stats.events_dropped,
        }
    }
}

impl Client {
    /// What this client is in this process.
    fn inner(&self, now: Option<Now>) -> Result<Guard<Arc<Inner>>, Failure> {
        let inner = self.inner.load();
        if inner.core.is_ours() {
            return Ok(inner);
        }
        let ours = Arc::new(inner.after_fork(now)?);
        // Another thread of this process may have been faster.
        self.inner.compare_and_swap(&inner, ours);
        Ok(self.inner.load())
    }

    /// Runs `body` under the lock. A panic in it poisons the lock, and so the client.
    pub(crate) fn run<T>(
        &self,
        body: impl FnOnce(&mut core::Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.inner(None)?.run(body)
    }

    /// [`Client::run`], where the program has told the time.
    pub(crate) fn run_at<T>(
        &self,
        now: Now,
        body: impl FnOnce(&mut core::Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.inner(Some(now))?.run_at(now, body)
    }

    /// Takes the outcome of a task with the number that its output gave it.
    pub(crate) fn complete(
        &self,
        task: u64,
        outcome: core::Outcome,
        now: Now,
    ) -> Result<(), Failure> {
        let inner = self.inner(Some(now))?;
        let is_ours = !fork::CAN_FORK || task >> TASK_BITS == inner.number();
        // Another one is of the process that this one was forked from.
        let id = TaskId(if is_ours { task & TASK } else { u64::MAX });
        inner.run_at(now, |core| {
            core.complete(id, outcome, now);
            Ok(())
        })
    }

    /// The rules for calls as they are now.
    pub(crate) fn calls(&self) -> Result<Arc<Calls>, Failure> {
        let inner = self.inner(None)?;
        if inner.core.is_poisoned() {
            return Err(poisoned());
        }
        Ok(inner.calls.load_full())
    }

    /// The next output, and what comes before the number of its task.
    fn poll(&self, now: Now) -> Result<(core::Output, u64), Failure> {
        let inner = self.inner(Some(now))?;
        let output = inner.run_at(now, |core| Ok(inner.poll(core, now)))?;
        Ok((output, inner.number() << TASK_BITS))
    }

    /// Gives all outputs there are, and what comes before the numbers of their tasks; then until when there is
    /// nothing to do.
    pub(crate) fn poll_all(
        &self,
        now: Now,
        mut take: impl FnMut(core::Output, u64) -> Result<(), Failure>,
    ) -> Result<Option<u64>, Failure> {
        let inner = self.inner(Some(now))?;
        inner.run_at(now, |core| loop {
            match inner.poll(core, now) {
                core::Output::Idle { until } => return Ok(until),
                output => take(output, inner.number() << TASK_BITS)?,
            }
        })
    }

    fn ask(
        &self,
        target: u32,
        subject: Subject<'_>,
        now: Now,
        state: *mut TokenState,
        lease: *mut *mut Lease,
    ) -> Result<(), Failure> {
        let (out_state, out_lease) = (out(state, "state")?, out(lease, "lease")?);
        let answer = self.run_at(now, |core| {
            let target = target_of(core, target)?;
            Ok(core.token(target, subject, now))
        })?;
        let (state, lease) = match &answer {
            State::Ready(lease) => (TokenState::Ready, Some(lease)),
            State::Failed { error, retry_at_ms } => {
                return Err(Failure::failed_until(error.clone(), *retry_at_ms));
            }
            _ => (TokenState::Pending, None),
        };
        Lease::hand_out_or_null(lease, out_lease)?;
        out_state.write(state);
        Ok(())
    }
}

impl Inner {
    fn new(
        config: Config,
        capabilities: Capabilities,
        seed: u64,
        now: Now,
    ) -> Result<Inner, Failure> {
        let core = core::Client::new(config, capabilities, seed, now)?;
        Ok(Inner {
            calls: ArcSwap::new(core.calls()),
            leases: match fork::CAN_FORK {
                true => core.targets().map(|_| ArcSwapOption::empty()).collect(),
                false => Box::default(),
            },
            told: [AtomicU64::new(now.mono_ms), AtomicU64::new(now.wall_ms)],
            config: Arc::clone(core.config()),
            core: OfProcess::new(Mutex::new(core)),
            capabilities,
            seed,
        })
    }

    /// What a forked child has instead. It knows the access tokens and nothing else: what can be used once is
    /// in the store, and taken from there under its lock.
    fn after_fork(&self, now: Option<Now>) -> Result<Inner, Failure> {
        let [mono_ms, wall_ms] = [0, 1].map(|clock| self.told[clock].load(Relaxed));
        let now = now.unwrap_or(Now { mono_ms, wall_ms });
        // Refreshes of parent and children are spread by it.
        let seed = self.seed.wrapping_add(u64::from(process::id()));
        let inner = Inner::new(Config::clone(&self.config), self.capabilities, seed, now)?;
        inner.run(|core| {
            for (target, lease) in core.targets().zip(&self.leases) {
                if let Some(lease) = lease.load_full() {
                    core.adopt(target, &lease.record(now), core::RecordClock::Same, now);
                    inner.leases[target.index()].store(Some(lease));
                }
            }
            Ok(())
        })?;
        Ok(inner)
    }

    /// Which of the processes this is, as the first part of the numbers of its tasks.
    fn number(&self) -> u64 {
        self.core.made_after() & (u64::MAX >> TASK_BITS)
    }

    fn note(&self, change: &core::LeaseChange) {
        if !fork::CAN_FORK {
            return;
        }
        let lease = self.leases.get(change.target.index());
        let (Some(lease), None) = (lease, change.subject) else {
            return;
        };
        match &change.state {
            core::LeaseState::Ready(ready) => lease.store(Some(Arc::new(ready.clone()))),
            core::LeaseState::Failed { .. } => {}
            _ => lease.store(None),
        }
    }

    fn poll(&self, core: &mut core::Client, now: Now) -> core::Output {
        let output = core.poll(now);
        match &output {
            core::Output::CallsChanged => self.calls.store(core.calls()),
            core::Output::Lease(change) => self.note(change),
            _ => {}
        }
        output
    }

    fn run<T>(
        &self,
        body: impl FnOnce(&mut core::Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        body(&mut *self.lock()?)
    }

    /// [`Inner::run`], where the program has told the time.
    fn run_at<T>(
        &self,
        now: Now,
        body: impl FnOnce(&mut core::Client) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        self.run(|core| {
            if fork::CAN_FORK {
                self.told[0].store(now.mono_ms, Relaxed);
                self.told[1].store(now.wall_ms, Relaxed);
            }
            body(core)
        })
    }

    #[inline(never)]
    fn lock(&self) -> Result<MutexGuard<'_, core::Client>, Failure> {
        self.core.lock().map_err(|_| poisoned())
    }
}

#[cold]
fn poisoned() -> Failure {
    Failure::panicked("an earlier call")
}

pub(crate) fn number_of(target: TargetId) -> u32 {
    u32::try_from(target.index()).unwrap_or(u32::MAX)
}

pub(crate) fn target_of(core: &core::Client, number: u32) -> Result<TargetId, Failure> {
    core.targets()
        .nth(number as usize)
        .ok_or_else(|| Failure::invalid_value("target"))
}

fn capabilities_of(bits: u32) -> Result<Capabilities, Failure> {
    let mut capabilities = Capabilities::none();
    let known = [
        (CAPABILITY_SECRET_FILES, &mut capabilities.secret_files),
        (CAPABILITY_SECRET_ENVIRONMENT, &mut capabilities.secret_env),
        (
            CAPABILITY_SECRET_CALLBACK,
            &mut capabilities.secret_callback,
        ),
        (CAPABILITY_DURABLE_STORE, &mut capabilities.durable_store),
        (
            CAPABILITY_CLIENT_CERTIFICATE,
            &mut capabilities.client_certificate,
        ),
    ];
    let mut unknown = bits;
    for (bit, capability) in known {
        *capability = bits & bit != 0;
        unknown &= !bit;
    }
    match unknown {
        0 => Ok(capabilities),
        _ => Err(Failure::invalid_value("capabilities")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::look_up;

    const CONFIG: &str = r#"{
        "endpoints": { "token": "https://issuer.example/token" },
        "client": { "credentials": [{ "client_id": "a", "client_secret": { "value": "s" } }] },
        "targets": { "t": { "urls": ["https://t.example"] } }
    }"#;

    #[test]
    fn after_a_panic_every_call_of_the_client_answers_panic_and_it_can_be_freed() {
        let (mut client, mut error) = (ptr::null_mut(), ptr::null_mut());
        let made = unsafe {
            let (json, len) = (CONFIG.as_ptr().cast(), CONFIG.len());
            svcauth_client_new(json, len, 0, 1, 0, 0, &mut client, &mut error)
        };
        assert_eq!(made, ResultCode::Ok);
        let here = object(client, "client").unwrap();
        assert!(here.calls().is_ok());
        let code = look_up(|| here.run(|_| panic!("forced")));
        assert_eq!(code, ResultCode::Panic);

        let (mut output, mut until) = (ptr::null_mut(), 0);
        let polled =
            unsafe { svcauth_client_poll(client, 0, 0, &mut output, &mut until, ptr::null_mut()) };
        assert_eq!(polled, ResultCode::Panic);
        assert!(output.is_null());
        assert_eq!(here.calls().unwrap_err().code(), ResultCode::Panic);
        unsafe { svcauth_client_free(client) };
    }
}
