//! Texts that a function makes for its caller.

use crate::{
    error::Failure,
    guard::{look_up, out_text, Out},
    handle::{hand_out, object, release},
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::ffi::c_char;
use svcauth_core::{Secret, SecretBytes};

/// A text, or bytes, that belongs to the caller, freed by `svcauth_text_free`, which wipes it.
/// Immutable: any number of threads may read it.
#[derive_ReprC(rename = "svcauth_text")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Text(SecretBytes);

impl Text {
    pub(crate) fn hand_out(text: impl Into<Secret>, out: Out<*mut Text>) -> Result<(), Failure> {
        Text::hand_out_bytes(text.into().into_bytes(), out)
    }

    pub(crate) fn hand_out_bytes(bytes: SecretBytes, out: Out<*mut Text>) -> Result<(), Failure> {
        hand_out(Text(bytes), out)
    }
}

/// Gives where the text is. It stays until the handle is freed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_text_get"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_text_get(
    handle: *const Text,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let handle = object(handle, "handle")?;
        out_text(text, len)?.write(Some(handle.0.expose()));
        Ok(())
    })
}

/// Frees a text; NULL is nothing to free.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_text_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_text_free(handle: *mut Text) -> ResultCode {
    release(handle, "handle")
}
