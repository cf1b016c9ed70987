//! The program's own functions, which belong to one transport.

use crate::{
    error::{Error, Failure},
    guard::{bytes, guard, read, text},
    handle::{insert, object, release},
    output::EventLevel,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{
    ffi::{c_char, c_void},
    fmt,
    sync::{
        atomic::{AtomicBool, Ordering::Relaxed},
        Mutex, PoisonError,
    },
};
use svcauth_core::{Event, Secret};

/// Functions of the program that a transport calls, each NULL where it is not needed. Frozen: a later version
/// adds functions, not members.
///
/// They are called on threads of the transport, several at the same time, and `svcauth_transport_close` may
/// call `event` on the thread that it is called on. They may call functions of this library, on this
/// transport too; one that waits for a token holds up what is called after it. They do not end by longjmp or
/// an exception. One that forks does not return in the child.
#[derive_ReprC(rename = "svcauth_callbacks")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Callbacks {
    /// Given to each of them.
    pub context: *mut c_void,
    /// Something happened, for the log: one JSON object, as the text event of an output. Events come one
    /// after the other. The text stays until the function returns.
    pub event: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            level: EventLevel,
            json: *const c_char,
            json_len: usize,
        ),
    >,
    /// The configuration names a secret with `callback`, by this name: `svcauth_secret_request_answer`, or
    /// `svcauth_secret_request_fail`. It may block. The request is valid until the function returns.
    pub secret: Option<
        unsafe extern "C" fn(
            context: *mut c_void,
            name: *const c_char,
            name_len: usize,
            request: *mut SecretRequest,
        ),
    >,
    /// None of them is called any more, and this is the last call: for freeing `context`. It comes once, on any
    /// thread, perhaps after `svcauth_transport_free` has returned. Not called where no transport was made, and
    /// not in a forked child for what its parent made.
    pub drop: Option<unsafe extern "C" fn(context: *mut c_void)>,
}

/// A secret that is asked for by the callback `secret`.
#[derive_ReprC(rename = "svcauth_secret_request")]
#[repr(opaque)]
#[derive(Debug)]
pub struct SecretRequest(Mutex<Result<Secret, String>>);

/// Gives the secret that is asked for; it is copied, and the copy wiped after use. The last answer counts.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_secret_request_answer"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_secret_request_answer(
    request: *const SecretRequest,
    secret: *const c_char,
    secret_len: usize,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let request = object(request, "request")?;
        request.answer(Ok(text(secret, secret_len, "secret")?.into()));
        Ok(())
    })
}

/// Says that the secret cannot be had, and why, without secrets; it becomes part of errors and events. So does
/// a callback that returns without an answer.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_secret_request_fail"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_secret_request_fail(
    request: *const SecretRequest,
    detail: *const c_char,
    detail_len: usize,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let request = object(request, "request")?;
        let detail = bytes(detail, detail_len, "detail")?;
        request.answer(Err(String::from_utf8_lossy(detail).into_owned()));
        Ok(())
    })
}

impl SecretRequest {
    fn answer(&self, answer: Result<Secret, String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = answer;
    }

    fn take(&self) -> Result<Secret, String> {
        let mut answer = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut answer, Err(String::new()))
    }
}

/// The callbacks of one transport. The program is told when the last one who may call them is gone.
pub(super) struct Kept {
    callbacks: Callbacks,
    /// Whether the program has been given a transport.
    in_use: AtomicBool,
    /// Whether the transport was closed.
    at_rest: AtomicBool,
}

// SAFETY: that its functions may be called on any thread is what the program is told.
unsafe impl Send for Kept {}
// SAFETY: as above.
unsafe impl Sync for Kept {}

impl Kept {
    /// Without a pointer there are none.
    pub(super) fn read(callbacks: *const Callbacks) -> Result<Kept, Failure> {
        let none = Callbacks {
            context: std::ptr::null_mut(),
            event: None,
            secret: None,
            drop: None,
        };
        let callbacks = match callbacks.is_null() {
            true => none,
            false => read(callbacks, "callbacks")?,
        };
        Ok(Kept {
            callbacks,
            in_use: AtomicBool::new(false),
            at_rest: AtomicBool::new(false),
        })
    }

    pub(super) fn has_event(&self) -> bool {
        self.callbacks.event.is_some()
    }

    pub(super) fn has_secret(&self) -> bool {
        self.callbacks.secret.is_some()
    }

    pub(super) fn use_from_now_on(&self) {
        self.in_use.store(true, Relaxed);
    }

    /// Calls none but `drop` from now on.
    pub(super) fn rest(&self) {
        self.at_rest.store(true, Relaxed);
    }

    pub(super) fn event(&self, event: &Event) {
        if self.at_rest.load(Relaxed) {
            return;
        }
        if let (Some(function), Ok(json)) = (self.callbacks.event, serde_json::to_string(event)) {
            let level = EventLevel::of(event.level());
            // SAFETY: a function of this type is what the program gave; the text outlives the call.
            unsafe {
                function(
                    self.callbacks.context,
                    level,
                    json.as_ptr().cast(),
                    json.len(),
                )
            }
        }
    }

    pub(super) fn secret(&self, name: &str) -> Result<Secret, String> {
        let function = self
            .callbacks
            .secret
            .ok_or("the program has no function for secrets")?;
        if self.at_rest.load(Relaxed) {
            return Err("the transport was closed".into());
        }
        let none = SecretRequest(Mutex::new(Err("it gave no answer".into())));
        let request = insert(none).map_err(|failure| failure.to_string())?;
        // SAFETY: a function of this type is what the program gave; the text outlives the call.
        unsafe {
            function(
                self.callbacks.context,
                name.as_ptr().cast(),
                name.len(),
                request,
            )
        }
        let answer = object(request, "request").map(|request| request.take());
        release(request, "request");
        answer.map_err(|failure| failure.to_string())?
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let (true, Some(function)) = (self.in_use.load(Relaxed), self.callbacks.drop) {
            // SAFETY: a function of this type is what the program gave.
            unsafe { function(self.callbacks.context) }
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept").finish_non_exhaustive()
    }
}
