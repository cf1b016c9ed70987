//! libsvcauth, the C library. What its user reads is `include/svcauth.h`, which is written from these files.

#![allow(
    clippy::missing_safety_doc,
    reason = "the header says once what all functions ask"
)]
#![cfg_attr(
    test,
    allow(
        unused_attributes,
        reason = "in tests safer-ffi exports each function under another name too"
    )
)]
#![allow(clippy::too_many_arguments, reason = "C has no other way")]

pub mod call;
pub mod client;
pub mod complete;
pub mod error;
pub mod exchange;
mod fields;
mod fork;
mod guard;
mod handle;
#[cfg(test)]
mod headers;
pub mod lease;
pub mod output;
pub mod outputs;
mod panic;
pub mod record;
pub mod result;
mod table;
pub mod task;
pub mod text;
#[cfg(feature = "transport")]
pub mod transport;
#[cfg(target_family = "wasm")]
pub mod wasm;

pub use error::Error;
pub use result::ResultCode;

use error::Failure;
use guard::{look_up, out_text};
#[cfg(test)]
use safer_ffi::ffi_export;
use safer_ffi::layout::{from_raw, ReprC};
use std::ffi::c_char;

/// The version of the interface that this header describes. A program compares it with
/// `svcauth_abi_version()` of the library it runs with.
pub const ABI_VERSION: u32 = 0;

/// The version of the interface that the library has.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_abi_version"))]
#[no_mangle]
pub extern "C" fn svcauth_abi_version() -> u32 {
    ABI_VERSION
}

/// Gives the library's version, `1.2.3`. It stays for ever.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_version"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_version(text: *mut *const c_char, len: *mut usize) -> ResultCode {
    look_up(|| {
        out_text(text, len)?.write(Some(env!("CARGO_PKG_VERSION").as_bytes()));
        Ok(())
    })
}

/// The enum that `value` stands for.
fn raw<T: ReprC>(value: T::CLayout, name: &'static str) -> Result<T, Failure> {
    // SAFETY: it checks; and what comes in by value from C has no uninitialised bytes.
    unsafe { from_raw(value) }.ok_or_else(|| Failure::invalid_value(name))
}
