//! Leases on their way from one client to another of the same configuration.

use crate::{
    client::{target_of, Client},
    error::Error,
    guard::{bytes, guard, out},
    handle::object,
    lease::Lease,
    raw,
    text::Text,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::ffi::c_char;
use svcauth_core::{client as core, Now};

/// How the monotonic clock of a record relates to that of the client that adopts it.
#[derive_ReprC(rename = "svcauth_record_clock")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordClock {
    /// It is the same one, and has run on since: another client of this process, or of its parent.
    Same = 1,
    /// It is another one: another machine, or this one before it was started anew. The wall clock alone tells
    /// how old the record is.
    Other = 2,
}

/// What `svcauth_client_adopt` answers.
#[derive_ReprC(rename = "svcauth_adoption")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adoption {
    /// The client serves it.
    Adopted = 1,
    /// It has ended, its age cannot be told, or the client has a fresher one: ask the client as always.
    NotAdopted = 2,
}

/// Notes a lease down for another client of the same configuration, as a JSON object that holds the token: for
/// `svcauth_client_adopt`. A secret; freed by `svcauth_text_free`. The times are what both clocks show now.
///
/// Its members are `format` (1), `access_token`, `recorded_at_mono_ms`, `recorded_at_wall_ms`, `refresh_in_ms`,
/// `serve_for_ms`, `expires_in_ms`, `expires_at_wall_ms`, `lifetime_ms`, `scopes` (a list), `client_id` and `subject`
/// (null where unknown): a program that has a lease's times, from `svcauth_client_poll_all`, may write it by itself.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_record"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_record(
    lease: *const Lease,
    mono_ms: u64,
    wall_ms: u64,
    record: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let lease = object(lease, "lease")?;
        let out = out(record, "record")?;
        let record = lease.core().record(Now { mono_ms, wall_ms });
        Text::hand_out(record.to_json(), out)
    })
}

/// Gives a client the lease of another client of the same configuration, as `svcauth_lease_record` noted it
/// down: the service's own token for a target. Poll afterwards.
///
/// It is announced, refreshed and rejected like any other. A text that is no record is
/// `SVCAUTH_RESULT_STORE_CORRUPT`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_adopt"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_adopt(
    client: *const Client,
    target: u32,
    record: *const c_char,
    record_len: usize,
    clock: RecordClock_Layout,
    mono_ms: u64,
    wall_ms: u64,
    what: *mut Adoption,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let clock = match raw(clock, "clock")? {
            RecordClock::Same => core::RecordClock::Same,
            RecordClock::Other => core::RecordClock::Other,
        };
        let record = bytes(record, record_len, "record")?;
        let out = out(what, "what")?;
        let record = core::LeaseRecord::from_json(record)?;
        let now = Now { mono_ms, wall_ms };
        let adopted = client.run_at(now, |core| {
            let target = target_of(core, target)?;
            Ok(core.adopt(target, &record, clock, now))
        })?;
        out.write(match adopted {
            true => Adoption::Adopted,
            false => Adoption::NotAdopted,
        });
        Ok(())
    })
}
