//! What a task asks for, beyond the texts of its output.

use crate::{
    error::Failure,
    guard::{look_up, out, out_text},
    handle::object,
    output::Output,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::ffi::c_char;
use svcauth_core::{
    client::{self as core, TaskKind},
    config::SecretReference,
};

/// What all tasks have. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_task_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct TaskInfo {
    /// Names the task in its answer; never used again by this client.
    pub id: u64,
    /// From here on, by the monotonic clock, the client takes it for failed and ignores its answer.
    pub deadline_ms: u64,
}

/// How to send a request. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_send_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct SendInfo {
    /// How long it may take from the first byte sent to the last received, in milliseconds.
    pub timeout_ms: u64,
    /// How large the response's body may be, in bytes.
    pub max_bytes: u64,
    /// How many header fields the request has.
    pub headers: u32,
}

/// Where a secret is.
#[derive_ReprC(rename = "svcauth_secret_kind")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecretKind {
    /// In a file.
    File = 1,
    /// In an environment variable.
    Environment = 2,
    /// Where the program's own source knows it by this name.
    Callback = 3,
}

/// What is done with a record of the store. A record's version is 0 while it does not exist, and another
/// number after each write.
#[derive_ReprC(rename = "svcauth_store_operation")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StoreOperation {
    /// Read it. Answer: record.
    Get = 1,
    /// Write it if it still has the version given. Answer: stored or conflict. What was written survives a
    /// crash of the process or the machine before the answer is given.
    Put = 2,
    /// Lock it against other processes, for `ttl_ms` at most. Answer: locked or held.
    Lock = 3,
    /// Give the lock back. Answer: done, also when the fence is no longer valid.
    Unlock = 4,
}

/// How to use the store. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_store_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct StoreInfo {
    /// Put: the version that the record must have.
    pub version: u64,
    /// Lock: when it ends by itself, in milliseconds.
    pub ttl_ms: u64,
    /// Unlock: what the answer locked gave.
    pub fence: u64,
    /// What to do.
    pub operation: StoreOperation,
}

/// Gives what all tasks have.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_task"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_task(
    output: *const Output,
    info: *mut TaskInfo,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let task = output.task()?;
        out(info, "info")?.write(TaskInfo {
            id: output.number_of(task),
            deadline_ms: task.deadline_ms,
        });
        Ok(())
    })
}

/// Gives how to send the request.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_send"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_send(
    output: *const Output,
    info: *mut SendInfo,
) -> ResultCode {
    look_up(|| match &object(output, "output")?.task()?.kind {
        TaskKind::Send {
            request,
            timeout_ms,
            max_bytes,
        } => {
            out(info, "info")?.write(SendInfo {
                timeout_ms: *timeout_ms,
                max_bytes: *max_bytes as u64,
                headers: u32::try_from(request.headers.len()).unwrap_or(u32::MAX),
            });
            Ok(())
        }
        _ => Err(Failure::wrong_kind()),
    })
}

/// Gives the header field at `index` of the request, from 0. Each name stands there once. Both texts stay
/// until the output is freed; the value may be a secret.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_header"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_header(
    output: *const Output,
    index: u32,
    name: *mut *const c_char,
    name_len: *mut usize,
    value: *mut *const c_char,
    value_len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let (name, value) = (out_text(name, name_len)?, out_text(value, value_len)?);
        match &object(output, "output")?.task()?.kind {
            TaskKind::Send { request, .. } => {
                let header = request.headers.get(index as usize);
                let header = header.ok_or_else(Failure::out_of_range)?;
                name.write(Some(header.name.as_bytes()));
                value.write(Some(header.value.as_bytes()));
                Ok(())
            }
            _ => Err(Failure::wrong_kind()),
        }
    })
}

/// Gives where the secret is; its name is a text.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_secret_kind"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_secret_kind(
    output: *const Output,
    kind: *mut SecretKind,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let kind = out(kind, "kind")?;
        kind.write(match &output.task()?.kind {
            TaskKind::ReadSecret { reference } => match reference {
                SecretReference::File(_) => SecretKind::File,
                SecretReference::Env(_) => SecretKind::Environment,
                SecretReference::Callback(_) => SecretKind::Callback,
                _ => return Err(Failure::wrong_kind()),
            },
            _ => return Err(Failure::wrong_kind()),
        });
        Ok(())
    })
}

/// Gives how many random bytes are wanted.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_random"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_random(
    output: *const Output,
    bytes: *mut u64,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let out = out(bytes, "bytes")?;
        match output.task()?.kind {
            TaskKind::Random { bytes } => out.write(bytes as u64),
            _ => return Err(Failure::wrong_kind()),
        }
        Ok(())
    })
}

/// Gives how to use the store; the record's name and new content are texts.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_output_store"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_output_store(
    output: *const Output,
    info: *mut StoreInfo,
) -> ResultCode {
    look_up(|| {
        let output = object(output, "output")?;
        let info = out(info, "info")?;
        let TaskKind::Store { operation, .. } = &output.task()?.kind else {
            return Err(Failure::wrong_kind());
        };
        let mut store = StoreInfo {
            version: 0,
            ttl_ms: 0,
            fence: 0,
            operation: StoreOperation::Get,
        };
        match operation {
            core::StoreOperation::Get => {}
            core::StoreOperation::PutIf { version, .. } => {
                store.operation = StoreOperation::Put;
                store.version = *version;
            }
            core::StoreOperation::Lock { ttl_ms } => {
                store.operation = StoreOperation::Lock;
                store.ttl_ms = *ttl_ms;
            }
            core::StoreOperation::Unlock { fence } => {
                store.operation = StoreOperation::Unlock;
                store.fence = *fence;
            }
            _ => return Err(Failure::wrong_kind()),
        }
        info.write(store);
        Ok(())
    })
}
