//! Access tokens as objects of the caller.

use crate::{
    error::{Error, Failure},
    guard::{guard, look_up, out, out_text, text, Out},
    handle::{hand_out, object, release},
    raw,
    text::Text,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::ffi::c_char;
use svcauth_core::client as core;

/// An access token with the times it may be used.
///
/// Reference counted: freed by the last `svcauth_lease_release`, and the token wiped then. Immutable: any
/// number of threads may read it.
#[derive_ReprC(rename = "svcauth_lease")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Lease(core::Lease);

/// A text of a lease.
#[derive_ReprC(rename = "svcauth_lease_text")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseText {
    /// The access token. A secret.
    Value = 1,
    /// The client it was issued to, as far as known.
    ClientId = 2,
    /// Its `sub` claim, unverified, where the token is a JWT.
    Subject = 3,
    /// The value of the Authorization field: `Bearer` and the token (RFC 6750 section 2.1). A secret.
    Authorization = 4,
}

/// The numbers of a lease. Frozen: a later version adds functions, not members.
///
/// All times are in milliseconds, and but for the last on the program's monotonic clock.
#[derive_ReprC(rename = "svcauth_lease_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct LeaseInfo {
    /// Names the token without telling it, the same in every process: the first 64 bits of its SHA-256.
    pub id: u64,
    /// When the client refreshes it.
    pub refresh_at_ms: u64,
    /// Until when the program serves it from its own memory without asking the client again.
    pub ask_at_ms: u64,
    /// Until when it is served at all: its expiry less a margin.
    pub serve_until_ms: u64,
    /// When it expires.
    pub expires_at_ms: u64,
    /// When it expires, since 1970-01-01T00:00:00Z.
    pub expires_at_wall_ms: u64,
    /// How many scopes were granted.
    pub scopes: u32,
}

impl Lease {
    pub(crate) fn core(&self) -> &core::Lease {
        &self.0
    }

    /// Writes a handle with one reference, which the receiver gives back.
    pub(crate) fn hand_out(lease: &core::Lease, out: Out<*mut Lease>) -> Result<(), Failure> {
        hand_out(Lease(lease.clone()), out)
    }

    /// NULL for none.
    pub(crate) fn hand_out_or_null(
        lease: Option<&core::Lease>,
        out: Out<*mut Lease>,
    ) -> Result<(), Failure> {
        match lease {
            Some(lease) => Lease::hand_out(lease, out),
            None => {
                out.write(std::ptr::null_mut());
                Ok(())
            }
        }
    }
}

/// Gives a text of a lease: (NULL, 0) where it has none. It stays until the last reference is released.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_get_text"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_get_text(
    lease: *const Lease,
    which: LeaseText_Layout,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let lease = object(lease, "lease")?;
        let lease = &lease.0;
        let which: LeaseText = raw(which, "which")?;
        let value = match which {
            LeaseText::Value => Some(lease.value()),
            LeaseText::ClientId => lease.client_id(),
            LeaseText::Subject => lease.subject(),
            LeaseText::Authorization => Some(lease.authorization()),
        };
        out_text(text, len)?.write(value.map(str::as_bytes));
        Ok(())
    })
}

/// Gives the numbers of a lease.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_get_info"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_get_info(
    lease: *const Lease,
    info: *mut LeaseInfo,
) -> ResultCode {
    look_up(|| {
        let lease = object(lease, "lease")?;
        let lease = &lease.0;
        out(info, "info")?.write(LeaseInfo {
            id: lease.id().as_u64(),
            refresh_at_ms: lease.refresh_at_ms(),
            ask_at_ms: lease.ask_at_ms(),
            serve_until_ms: lease.serve_until_ms(),
            expires_at_ms: lease.expires_at_ms(),
            expires_at_wall_ms: lease.expires_at_wall_ms(),
            scopes: u32::try_from(lease.scopes().len()).unwrap_or(u32::MAX),
        });
        Ok(())
    })
}

/// Gives the scope at `index`, from 0. It stays until the last reference is released.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_scope"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_scope(
    lease: *const Lease,
    index: u32,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let lease = object(lease, "lease")?;
        let lease = &lease.0;
        let text = out_text(text, len)?;
        let scope = lease.scopes().get(index as usize);
        text.write(Some(scope.ok_or_else(Failure::out_of_range)?.as_bytes()));
        Ok(())
    })
}

/// Gives the `sub` claim of an access token, unverified, where it is a JWT that has one, and NULL otherwise: for
/// the audit trail, and never for access. The text is freed by `svcauth_text_free`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_token_subject"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_token_subject(
    token: *const c_char,
    len: usize,
    subject: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let token = text(token, len, "token")?;
        let out = out(subject, "subject")?;
        match core::UnverifiedClaims::of(token).subject {
            Some(subject) => Text::hand_out(subject, out),
            None => {
                out.write(std::ptr::null_mut());
                Ok(())
            }
        }
    })
}

/// Takes one more reference, for a thread or structure of its own.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_retain"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_retain(lease: *const Lease) -> ResultCode {
    look_up(|| match object(lease, "lease")?.retain() {
        true => Ok(()),
        false => Err(Failure::invalid_handle("lease")),
    })
}

/// Gives a reference back; NULL is nothing to give back.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_lease_release"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_lease_release(lease: *const Lease) -> ResultCode {
    release(lease, "lease")
}
