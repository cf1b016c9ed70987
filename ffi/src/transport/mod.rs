//! A client that sends by itself: sockets, threads and clocks are its own, and calls wait for it.

pub mod callbacks;

use self::callbacks::{Callbacks, Kept};
use crate::{
    call::{Answer, AnsweredKind, Asked, Decision, RejectionKind, Replay, Replay_Layout},
    client::Stats,
    error::{Error, Failure},
    exchange::Exchange,
    fork::{self, OfProcess},
    guard::{bytes, guard, out, text},
    handle::{hand_out, object, release},
    lease::Lease,
    raw,
    text::Text,
    ResultCode,
};
use arc_swap::{ArcSwap, Guard};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use serde_json::{json, Map, Value};
use std::{
    ffi::c_char,
    path::Path,
    sync::{
        atomic::{AtomicBool, Ordering::SeqCst},
        Arc,
    },
    time::{Duration, UNIX_EPOCH},
};
use svcauth_core::{
    client::{Call, LeaseId},
    wire::json::to_json,
    Config, Secret,
};
use svcauth_host::{Builder, Client, Target, TargetHealth};

pub use self::callbacks::SecretRequest;

/// As long as the configuration says: `timeouts.wait_s`.
pub const WAIT_AS_CONFIGURED: u64 = u64::MAX;

/// A client that sends requests, keeps time and reads secrets and the store by itself, on threads of its own
/// that end when there is nothing to do. Calls on it wait where that is said, for so many milliseconds at the
/// most; 0 is not at all, and `SVCAUTH_WAIT_AS_CONFIGURED` what the configuration says.
///
/// This type and its functions are there where `SVCAUTH_TRANSPORT` is defined, as pkg-config and CMake do for a
/// library that has them.
///
/// Any number of threads may use one at the same time. Freed by `svcauth_transport_free`.
#[derive_ReprC(rename = "svcauth_transport")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Transport {
    here: ArcSwap<Here>,
    closed: AtomicBool,
    callbacks: Arc<Kept>,
}

/// What a transport is in one process.
#[derive(Debug)]
struct Here {
    client: OfProcess<Client>,
    /// By their numbers.
    targets: OfProcess<Box<[Target]>>,
}

/// Counters since the transport was made. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_transport_counters")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TransportCounters {
    /// Those of a client.
    pub client: Stats,
    /// How often a caller found no token at hand and the client was asked.
    pub asked: u64,
    /// How often a caller had to wait for a token.
    pub waited: u64,
    /// Threads there are now.
    pub threads: u64,
    /// Events that were not told because the callback was too slow.
    pub events_untold: u64,
}

/// Makes a transport as the configuration file at `path` says. Touches no network and starts no thread: both
/// happen when the first token is asked for.
///
/// `callbacks` is copied; NULL where there are none. See `svcauth_transport_new`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_open"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_open(
    path: *const c_char,
    path_len: usize,
    callbacks: *const Callbacks,
    transport: *mut *mut Transport,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let path = Path::new(text(path, path_len, "path")?);
        Transport::make(callbacks, transport, |builder| builder.open(path))
    })
}

/// As `svcauth_transport_open`, of a configuration document that the program has at hand.
///
/// What this library cannot do and the configuration needs is refused: a secret named with `callback` where
/// there is no such callback, one-use refresh tokens without a store.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_new"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_new(
    config_json: *const c_char,
    config_len: usize,
    callbacks: *const Callbacks,
    transport: *mut *mut Transport,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let config = bytes(config_json, config_len, "config_json")?;
        Transport::make(callbacks, transport, |builder| {
            builder.build(Config::from_json(config)?)
        })
    })
}

/// Closes a transport and frees it; NULL is nothing to free. Leases and decisions that came from it stay
/// usable, and calls that other threads make end as after `svcauth_transport_close`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_free(transport: *mut Transport) -> ResultCode {
    if let Ok(transport) = object(transport, "transport") {
        let closed = guard(std::ptr::null_mut(), || {
            transport.close();
            Ok(())
        });
        if closed != ResultCode::Ok {
            return closed;
        }
    }
    release(transport, "transport")
}

/// Ends a transport: its threads end, those who wait are answered `SVCAUTH_RESULT_CLOSED`, and so is everybody
/// who asks later. Waits for what is being saved to the store, `timeouts.store_s` at the most; where a token that
/// can be used once is on its way, for the answer too, `timeouts.request_s` more.
///
/// Callbacks that are under way may outlast it, on the transport's threads; none but `drop` begins after it.
///
/// A process that ends without it may leave its lock in the store, and others wait until they see that it is
/// dead.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_close"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_close(
    transport: *const Transport,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        object(transport, "transport")?.close();
        Ok(())
    })
}

/// Gives the number of the target with this name. It is the same as long as the transport lives.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_target"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_target(
    transport: *const Transport,
    name: *const c_char,
    name_len: usize,
    target: *mut u32,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let name = text(name, name_len, "name")?;
        let number = out(target, "target")?;
        let here = transport.here()?;
        let is_it = |target: &Target| target.name() == name;
        let found = here.targets.iter().position(is_it);
        let found = found.and_then(|place| u32::try_from(place).ok());
        number.write(found.ok_or_else(|| Failure::unknown_target(name))?);
        Ok(())
    })
}

/// Gives what of the configuration the program itself may heed, as `svcauth_client_settings`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_settings"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_settings(
    transport: *const Transport,
    json: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let out = out(json, "json")?;
        let here = transport.here()?;
        Text::hand_out(to_json(&here.client.config().host_settings()), out)
    })
}

/// Gives the service's own token for a target, and waits for it where there is none. As long as there is one,
/// no lock is taken; it is refreshed in the background. Released by `svcauth_lease_release`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_lease"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_lease(
    transport: *const Transport,
    target: u32,
    wait_ms: u64,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let out = out(lease, "lease")?;
        let here = transport.here()?;
        let lease = here.target(target)?.lease_within(here.time(wait_ms))?;
        Lease::hand_out(lease.core(), out)
    })
}

/// Decides what a call carries, as `svcauth_client_decide`, whose arguments it has; the decision's functions are
/// the same. Does not wait.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_decide"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_decide(
    transport: *const Transport,
    url: *const c_char,
    url_len: usize,
    flags: u32,
    user_token: *const c_char,
    user_token_len: usize,
    redirected_from: *const c_char,
    redirected_from_len: usize,
    decision: *mut *mut Decision,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let decision = out(decision, "decision")?;
        let call: Call<'_> = Asked {
            url: (url, url_len),
            flags,
            user_token: (user_token, user_token_len),
            redirected_from: (redirected_from, redirected_from_len),
        }
        .read()?;
        let (calls, decided) = transport.here()?.client.decide(&call)?;
        hand_out(Decision::of(decided, &call, &calls)?, decision)
    })
}

/// As `svcauth_transport_lease`, for a call whose decision is of kind lease: the service's own token, or the one
/// that the user's token is exchanged for.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_lease_for"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_lease_for(
    transport: *const Transport,
    decision: *const Decision,
    wait_ms: u64,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let decision = object(decision, "decision")?;
        let out = out(lease, "lease")?;
        let (target, subject) = decision.lease()?;
        let here = transport.here()?;
        let lease = here.target(target)?.lease_of(subject, here.time(wait_ms))?;
        Lease::hand_out(lease.core(), out)
    })
}

/// Says what to do with the answer to a call that was decided so, as `svcauth_client_answered`: deliver it, or
/// `svcauth_transport_reject`. Does not wait.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_answered"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_answered(
    transport: *const Transport,
    decision: *const Decision,
    status: u32,
    header_fields: *const c_char,
    header_fields_len: usize,
    replay: Replay_Layout,
    what: *mut AnsweredKind,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        object(transport, "transport")?;
        let decision = object(decision, "decision")?;
        let answer = Answer {
            status,
            header_fields: (header_fields, header_fields_len),
            replay,
        };
        let what = out(what, "what")?;
        what.write(answer.meaning(&decision, decision.calls())?);
        Ok(())
    })
}

/// Says that a called service refused the lease with the number `lease_id`, and waits for another one.
///
/// The answer is retry with the `lease` to make the call once more with, or deliver, and `lease` is NULL then.
/// Where the call cannot be made once more, the client takes note, nothing is waited for, and the answer is
/// deliver.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_reject"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_reject(
    transport: *const Transport,
    decision: *const Decision,
    lease_id: u64,
    replay: Replay_Layout,
    wait_ms: u64,
    what: *mut RejectionKind,
    lease: *mut *mut Lease,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let decision = object(decision, "decision")?;
        let (what, out_lease) = (out(what, "what")?, out(lease, "lease")?);
        let replay: Replay = raw(replay, "replay")?;
        let (target, subject) = decision.lease()?;
        let id = LeaseId::from_u64(lease_id);
        let here = transport.here()?;
        let target = here.target(target)?;
        let lease = match replay {
            Replay::Possible => target.reject_of(subject, id, here.time(wait_ms)),
            Replay::Impossible => {
                target.report(subject, id);
                None
            }
        };
        Lease::hand_out_or_null(lease.as_ref().map(|lease| lease.core()), out_lease)?;
        what.write(match lease {
            Some(_) => RejectionKind::Retry,
            None => RejectionKind::Deliver,
        });
        Ok(())
    })
}

/// Waits until every target has a token, for a program that wants to be sure before it serves. Where one has
/// none in time, the code and `error` say why.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_ready"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_ready(
    transport: *const Transport,
    wait_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let here = transport.here()?;
        Ok(here.client.ready(here.time(wait_ms))?)
    })
}

/// Gives how the targets are doing, as JSON, for probes; a member is null where there is nothing to tell. The
/// network is not touched. `ready` is whether every target that was asked for a token can serve one now.
///
///     { "ready": true,
///       "targets": { "smd": { "ready": true, "asked_for": true, "expires_at_wall_ms": …, "error": …,
///                             "retry_in_ms": … } } }
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_health"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_health(
    transport: *const Transport,
    json: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let out = out(json, "json")?;
        let health = transport.here()?.client.health();
        let targets = health.targets.iter();
        let targets: Map<String, Value> = targets
            .map(|target| (target.name.clone(), described(target)))
            .collect();
        let json = json!({ "ready": health.is_ready(), "targets": targets });
        Text::hand_out(json.to_string(), out)
    })
}

/// Gives the counters.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_stats"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_stats(
    transport: *const Transport,
    counters: *mut TransportCounters,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let out = out(counters, "counters")?;
        let stats = transport.here()?.client.stats();
        out.write(TransportCounters {
            client: Stats::of(&stats.core),
            asked: stats.asked,
            waited: stats.waited,
            threads: stats.threads as u64,
            events_untold: stats.events_dropped,
        });
        Ok(())
    })
}

/// Says that secrets may have changed: what failed for want of a good one is tried at once. Does not wait.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_secrets_changed"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_secrets_changed(
    transport: *const Transport,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        object(transport, "transport")?
            .here()?
            .client
            .secrets_changed();
        Ok(())
    })
}

/// Sends a message that `svcauth_exchange_new` made, and reads its answer as `svcauth_exchange_parse` does, with
/// the TLS, the proxy and the limits of the configuration: `timeouts.request_s`, `limits.answer_bytes`. The
/// transport's own state is not concerned.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_transport_exchange"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_transport_exchange(
    transport: *const Transport,
    exchange: *const Exchange,
    answer: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let transport = object(transport, "transport")?;
        let exchange = object(exchange, "exchange")?;
        let out = out(answer, "answer")?;
        let answer: Secret = transport.here()?.client.exchange(exchange.message())?;
        Text::hand_out(answer, out)
    })
}

impl Transport {
    fn make(
        callbacks: *const Callbacks,
        transport: *mut *mut Transport,
        build: impl FnOnce(Builder) -> Result<Client, svcauth_core::Error>,
    ) -> Result<(), Failure> {
        let out = out(transport, "transport")?;
        let callbacks = Arc::new(Kept::read(callbacks)?);
        let mut builder = Client::builder();
        if callbacks.has_event() {
            let heard = Arc::clone(&callbacks);
            builder = builder.events(move |event| heard.event(event));
        }
        if callbacks.has_secret() {
            let asked = Arc::clone(&callbacks);
            builder = builder.secrets(move |name| Ok(asked.secret(name)?));
        }
        fork::watch();
        let transport = Transport {
            here: ArcSwap::from_pointee(Here::new(build(builder)?)),
            closed: AtomicBool::new(false),
            callbacks: Arc::clone(&callbacks),
        };
        hand_out(transport, out)?;
        callbacks.use_from_now_on();
        Ok(())
    }

    /// What this transport is in this process.
    fn here(&self) -> Result<Guard<Arc<Here>>, Failure> {
        let here = self.here.load();
        if here.client.is_ours() {
            return Ok(here);
        }
        self.after_fork(&here)
    }

    #[cold]
    fn after_fork(&self, parents: &Arc<Here>) -> Result<Guard<Arc<Here>>, Failure> {
        if self.closed.load(SeqCst) {
            return Err(Failure::closed());
        }
        let ours = Arc::new(Here::new(parents.client.after_fork()?));
        // Another thread of this process may have been faster: then this one is dropped, which closes it.
        self.here.compare_and_swap(parents, ours);
        Ok(self.here.load())
    }

    /// What a parent has open is its own: a child has nothing to close before it has used it.
    fn close(&self) {
        self.closed.store(true, SeqCst);
        let here = self.here.load();
        if here.client.is_ours() {
            here.client.close();
            self.callbacks.rest();
        }
    }
}

impl Here {
    fn new(client: Client) -> Here {
        Here {
            targets: OfProcess::new(client.targets().collect()),
            client: OfProcess::new(client),
        }
    }

    fn target(&self, number: u32) -> Result<&Target, Failure> {
        self.targets
            .get(number as usize)
            .ok_or_else(|| Failure::invalid_value("target"))
    }

    fn time(&self, wait_ms: u64) -> Duration {
        match wait_ms {
            WAIT_AS_CONFIGURED => self.client.wait_time(),
            wait_ms => Duration::from_millis(wait_ms),
        }
    }
}

fn described(target: &TargetHealth) -> Value {
    let milliseconds = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let expires_at = target.expires_at.map(|at| at.duration_since(UNIX_EPOCH));
    json!({
        "ready": target.ready,
        "asked_for": target.asked_for,
        "expires_at_wall_ms": expires_at.and_then(Result::ok).map(milliseconds),
        "error": target.error,
        "retry_in_ms": target.retry_in.map(milliseconds),
    })
}
