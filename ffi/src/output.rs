//! What comes out of a poll, as an object of the caller.

use crate::{
    client::number_of,
    error::{Error, Failure},
    fields,
    guard::{look_up, out, out_text},
    handle::{hand_out, object, release},
    lease::Lease,
    raw, ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{
    ffi::c_char,
    ptr,
    sync::atomic::{
        AtomicPtr,
        Ordering::{AcqRel, Acquire},
    },
};
use svcauth_core::{
    client::{self as core, Task, TaskKind},
    config::SecretReference,
    wire::json::to_json,
    Level, Secret,
};

/// Something that the client wants of the program: a task to do, the news of a lease, an event.
///
/// Owned by whoever got it, freed by `svcauth_output_free`, which wipes what was secret. It does not depend on
/// the client. Immutable: any number of threads may read it.
#[derive_ReprC(rename = "svcauth_output")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Output {
    inner: core::Output,
    /// What the number of its task begins with.
    number: u64,
    /// The request's header fields as a block.
    headers: Secret,
    /// The event as JSON.
    event: Made,
}

/// A text that is made when it is first asked for: most events are of a level that nobody listens to. Without a
/// lock, which a forked child might find locked.
#[derive(Debug, Default)]
struct Made(AtomicPtr<String>);

/// What an output is.
#[derive_ReprC(rename = "svcauth_output_kind")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// A token came, went or could not be had: `svcauth_output_lease_change`.
    Lease = 1,
    /// Something happened, for the log: text event.
    Event = 2,
    /// A task: send the request as it is, and follow no redirect. `svcauth_output_send`, texts method, url and
    /// body, headers. Answer: response or send_failed.
    Send = 3,
    /// A task: read a secret. `svcauth_output_secret_kind`, text secret. Answer: bytes or failed.
    ReadSecret = 4,
    /// A task: take fresh bytes from the system's generator. `svcauth_output_random`. Answer: bytes or failed.
    Random = 5,
    /// A task: use the durable store. `svcauth_output_store`, texts key and value. Answer: record or store, or
    /// failed.
    Store = 6,
    /// A task of a kind that this version of the library cannot describe. Answer: unsupported.
    OtherTask = 7,
    /// What `svcauth_client_decide` answers may be another now: forget decisions that were kept.
    CallsChanged = 8,
}

/// A text of an output.
#[derive_ReprC(rename = "svcauth_output_text")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutputText {
    /// Send: the method of the request.
    Method = 1,
    /// Send: the absolute URL of the request.
    Url = 2,
    /// Send: the body of the request; empty where there is none. A secret.
    Body = 3,
    /// Read a secret: the file, the variable or the name.
    Secret = 4,
    /// Store: the name of the record.
    Key = 5,
    /// Store, put: the bytes to write. A secret.
    Value = 6,
    /// Event: one JSON object; its member `event` is the event's name.
    Event = 7,
    /// Lease: whose, 32 bytes and not a text; absent for the service's own.
    Subject = 8,
    /// Send: all header fields as they stand on the wire, lines of `Name: value` that end with a carriage
    /// return and a line feed. A secret.
    Headers = 9,
}

/// What has become of a token.
#[derive_ReprC(rename = "svcauth_lease_state")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseState {
    /// `svcauth_output_lease` gives it: for those who wait, and for all until its `ask_at_ms`.
    Ready = 1,
    /// `svcauth_output_lease` gives it, for those who wait now and for nobody else.
    Once = 2,
    /// The last one must not be served any more; ask the client.
    Cleared = 3,
    /// None can be had now; `svcauth_output_error` says why, for those who wait.
    Failed = 4,
}

/// A change of a token. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_lease_change_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LeaseChangeInfo {
    /// The number of the target.
    pub target: u32,
    /// What is the case now.
    pub state: LeaseState,
}

/// How much an event matters.
#[derive_ReprC(rename = "svcauth_event_level")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventLevel {
    /// The normal course.
    Info = 1,
    /// Something is wrong and calls still work.
    Warn = 2,
    /// Calls fail, or a person has to act.
    Error = 3,
}

/// Gives the kind of an output.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_get_kind"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_get_kind(
    output: *const Output,
    kind: *mut OutputKind,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        out(kind, "kind")?.write(output.kind());
        Ok(())
    })
}

/// Gives a text of an output: (NULL, 0) where it is absent. It stays until the output is freed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_get_text"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_get_text(
    output: *const Output,
    which: OutputText_Layout,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let which: OutputText = raw(which, "which")?;
        let text = out_text(text, len)?;
        text.write(output.text(which).ok_or_else(Failure::wrong_kind)?);
        Ok(())
    })
}

/// Gives what has become of which token; whose it is is a text.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_lease_change"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_lease_change(
    output: *const Output,
    info: *mut LeaseChangeInfo,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let change = output.lease_change()?;
        let info = out(info, "info")?;
        info.write(LeaseChangeInfo {
            target: number_of(change.target),
            state: LeaseState::of(&change.state),
        });
        Ok(())
    })
}

/// Gives the lease of a change in state ready or once, with a reference for the caller:
/// `svcauth_lease_release`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_lease"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_lease(
    output: *const Output,
    lease: *mut *mut Lease,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let change = output.lease_change()?;
        let out = out(lease, "lease")?;
        match &change.state {
            core::LeaseState::Ready(lease) | core::LeaseState::Once(lease) => {
                Lease::hand_out(lease, out)
            }
            _ => Err(Failure::wrong_kind()),
        }
    })
}

/// Gives why a change is in state failed, as an error that the caller frees.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_error"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_error(
    output: *const Output,
    error: *mut *mut Error,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let change = output.lease_change()?;
        let out = out(error, "error")?;
        match &change.state {
            core::LeaseState::Failed { error, retry_at_ms } => {
                let failure = Failure::failed_until(error.clone(), *retry_at_ms);
                hand_out(failure.into_error(), out)
            }
            _ => Err(Failure::wrong_kind()),
        }
    })
}

/// Gives how much an event matters.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_event_level"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_event_level(
    output: *const Output,
    level: *mut EventLevel,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let level = out(level, "level")?;
        let core::Output::Event(event) = &output.inner else {
            return Err(Failure::wrong_kind());
        };
        level.write(EventLevel::of(event.level()));
        Ok(())
    })
}

/// Frees an output; NULL is nothing to free. A task is not answered by it.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_free(output: *mut Output) -> ResultCode {
    release(output, "output")
}

impl Made {
    fn get(&self, make: impl FnOnce() -> String) -> &str {
        let mut made = self.0.load(Acquire);
        if made.is_null() {
            let new = Box::into_raw(Box::new(make()));
            made = match self
                .0
                .compare_exchange(ptr::null_mut(), new, AcqRel, Acquire)
            {
                Ok(_) => new,
                Err(earlier) => {
                    // SAFETY: it was made above, and nobody else has seen it.
                    drop(unsafe { Box::from_raw(new) });
                    earlier
                }
            };
        }
        // SAFETY: it is a box that stays until this value is dropped.
        unsafe { &*made }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let made = *self.0.get_mut();
        if !made.is_null() {
            // SAFETY: `get` made the box, and nobody looks at it any more.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

impl LeaseState {
    pub(crate) fn of(state: &core::LeaseState) -> LeaseState {
        match state {
            core::LeaseState::Ready(_) => LeaseState::Ready,
            core::LeaseState::Once(_) => LeaseState::Once,
            core::LeaseState::Failed { .. } => LeaseState::Failed,
            _ => LeaseState::Cleared,
        }
    }
}

impl EventLevel {
    pub(crate) fn of(level: Level) -> EventLevel {
        match level {
            Level::Info => EventLevel::Info,
            Level::Warn => EventLevel::Warn,
            _ => EventLevel::Error,
        }
    }
}

impl Output {
    pub(crate) fn new(inner: core::Output, number: u64) -> Output {
        let headers = match &inner {
            core::Output::Task(Task {
                kind: TaskKind::Send { request, .. },
                ..
            }) => fields::block(&request.headers),
            _ => Secret::default(),
        };
        Output {
            inner,
            number,
            headers,
            event: Made::default(),
        }
    }

    pub(crate) fn kind(&self) -> OutputKind {
        match &self.inner {
            core::Output::Lease(_) => OutputKind::Lease,
            core::Output::Task(task) => match task.kind {
                TaskKind::Send { .. } => OutputKind::Send,
                TaskKind::ReadSecret { .. } => OutputKind::ReadSecret,
                TaskKind::Random { .. } => OutputKind::Random,
                TaskKind::Store { .. } => OutputKind::Store,
                _ => OutputKind::OtherTask,
            },
            core::Output::CallsChanged => OutputKind::CallsChanged,
            _ => OutputKind::Event,
        }
    }

    /// The number of its task, for the program.
    pub(crate) fn number_of(&self, task: &Task) -> u64 {
        self.number | task.id.0
    }

    pub(crate) fn task(&self) -> Result<&Task, Failure> {
        match &self.inner {
            core::Output::Task(task) => Ok(task),
            _ => Err(Failure::wrong_kind()),
        }
    }

    fn lease_change(&self) -> Result<&core::LeaseChange, Failure> {
        match &self.inner {
            core::Output::Lease(change) => Ok(change),
            _ => Err(Failure::wrong_kind()),
        }
    }

    /// None where an output of this kind has no such text; an inner none where it has and it is absent.
    fn text(&self, which: OutputText) -> Option<Option<&[u8]>> {
        let text = match (&self.inner, which) {
            (core::Output::Event(event), OutputText::Event) => {
                self.event.get(|| to_json(event)).as_bytes()
            }
            (core::Output::Lease(change), OutputText::Subject) => {
                return Some(change.subject.as_ref().map(|id| id.as_bytes().as_slice()));
            }
            (core::Output::Task(task), which) => match (&task.kind, which) {
                (TaskKind::Send { request, .. }, OutputText::Method) => {
                    request.method.as_str().as_bytes()
                }
                (TaskKind::Send { request, .. }, OutputText::Url) => request.url.as_bytes(),
                (TaskKind::Send { request, .. }, OutputText::Body) => request.body.expose(),
                (TaskKind::Send { .. }, OutputText::Headers) => self.headers.expose().as_bytes(),
                (
                    TaskKind::ReadSecret {
                        reference:
                            SecretReference::File(name)
                            | SecretReference::Env(name)
                            | SecretReference::Callback(name),
                    },
                    OutputText::Secret,
                ) => name.as_bytes(),
                (TaskKind::Store { key, .. }, OutputText::Key) => key.as_bytes(),
                (
                    TaskKind::Store {
                        operation: core::StoreOperation::PutIf { value, .. },
                        ..
                    },
                    OutputText::Value,
                ) => value.expose(),
                _ => return None,
            },
            _ => return None,
        };
        Some(Some(text))
    }
}
