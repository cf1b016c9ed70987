//! How tasks are answered.

use crate::{
    client::Client,
    error::{Error, Failure},
    fields,
    guard::{bytes, guard, text},
    handle::object,
    raw, ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::ffi::c_char;
use svcauth_core::{
    client::{self as core, Outcome},
    wire::Response,
    Now,
};

/// Why no response came.
#[derive_ReprC(rename = "svcauth_send_failure")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendFailure {
    /// Nothing listens, the name is unknown, no route: the request was certainly not received.
    Refused = 1,
    /// No response in time.
    Timeout = 2,
    /// TLS could not be set up or verified: the request was certainly not received.
    Tls = 3,
    /// The response is larger than allowed.
    TooLarge = 4,
    /// The connection broke.
    Broken = 5,
}

/// How an operation on the store ended.
#[derive_ReprC(rename = "svcauth_store_outcome")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOutcome {
    /// Put: it was written; `number` is its new version.
    Stored = 1,
    /// Put: it had another version and was not written.
    Conflict = 2,
    /// Lock: done; `number` is the fence.
    Locked = 3,
    /// Lock: another process has it; `number` is in how many milliseconds it ends, UINT64_MAX if unknown.
    Held = 4,
    /// Unlock: done.
    Done = 5,
}

/// Answers a send task with the response, whatever its status.
///
/// `header_fields` are as they stand on the wire, lines of `Name: value` that end with a line feed,
/// with or without a carriage return: what libcurl's header callback is given, and Go's http.Header.Write
/// writes. `body` is the body after any transfer coding. Both are copied; the copy of the body is wiped.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_response"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_response(
    client: *const Client,
    task: u64,
    status: u32,
    header_fields: *const c_char,
    header_fields_len: usize,
    body: *const u8,
    body_len: usize,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let block = bytes(header_fields, header_fields_len, "header_fields")?;
        let response = Response {
            status: status_of(status)?,
            headers: fields::owned(block),
            body: bytes(body, body_len, "body")?.into(),
        };
        let now = Now { mono_ms, wall_ms };
        client.complete(task, Outcome::Response(response), now)
    })
}

/// Answers a send task to which no response came. `detail` is in the system's words, without secrets; it
/// becomes part of errors and events.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_send_failed"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_send_failed(
    client: *const Client,
    task: u64,
    failure: SendFailure_Layout,
    detail: *const c_char,
    detail_len: usize,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let failure = match raw(failure, "failure")? {
            SendFailure::Refused => core::SendFailure::Refused,
            SendFailure::Timeout => core::SendFailure::Timeout,
            SendFailure::Tls => core::SendFailure::Tls,
            SendFailure::TooLarge => core::SendFailure::TooLarge,
            SendFailure::Broken => core::SendFailure::Broken,
        };
        let detail = text(detail, detail_len, "detail")?.into();
        let now = Now { mono_ms, wall_ms };
        client.complete(task, Outcome::SendFailed { failure, detail }, now)
    })
}

/// Answers a task that reads a secret or takes random bytes. The bytes are copied; the copy is wiped.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_bytes"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_bytes(
    client: *const Client,
    task: u64,
    value: *const u8,
    value_len: usize,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let outcome = Outcome::Bytes(bytes(value, value_len, "value")?.into());
        client.complete(task, outcome, Now { mono_ms, wall_ms })
    })
}

/// Answers a task that reads a record of the store. `version` is 0 where it does not exist. The value is
/// copied; the copy is wiped.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_record"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_record(
    client: *const Client,
    task: u64,
    value: *const u8,
    value_len: usize,
    version: u64,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let value = bytes(value, value_len, "value")?;
        let value = (version != 0).then(|| value.into());
        let outcome = Outcome::Record { value, version };
        client.complete(task, outcome, Now { mono_ms, wall_ms })
    })
}

/// Answers a task that writes, locks or unlocks a record of the store. `number` is what the outcome names,
/// and ignored where it names none.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_store"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_store(
    client: *const Client,
    task: u64,
    outcome: StoreOutcome_Layout,
    number: u64,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let outcome = match raw(outcome, "outcome")? {
            StoreOutcome::Stored => Outcome::Stored { version: number },
            StoreOutcome::Conflict => Outcome::Conflict,
            StoreOutcome::Locked => Outcome::Locked { fence: number },
            StoreOutcome::Held => Outcome::Held {
                retry_after_ms: (number != u64::MAX).then_some(number),
            },
            StoreOutcome::Done => Outcome::Done,
        };
        client.complete(task, outcome, Now { mono_ms, wall_ms })
    })
}

/// Answers any task but a send task that could not be done. `detail` says why, without secrets; it becomes
/// part of errors and events.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_failed"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_failed(
    client: *const Client,
    task: u64,
    detail: *const c_char,
    detail_len: usize,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let detail = text(detail, detail_len, "detail")?.into();
        client.complete(task, Outcome::Failed { detail }, Now { mono_ms, wall_ms })
    })
}

/// Answers a task that the program cannot do at all, one of a kind it does not know for instance.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_complete_unsupported"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_complete_unsupported(
    client: *const Client,
    task: u64,
    mono_ms: u64,
    wall_ms: u64,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        client.complete(task, Outcome::Unsupported, Now { mono_ms, wall_ms })
    })
}

/// A status of three digits (RFC 9110 section 15).
pub(crate) fn status_of(status: u32) -> Result<u16, Failure> {
    match u16::try_from(status) {
        Ok(status @ 100..=999) => Ok(status),
        _ => Err(Failure::invalid_value("status")),
    }
}
