//! Errors as objects of the caller.

use crate::{
    guard::{look_up, out, out_text},
    handle::{object, release},
    raw, ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{borrow::Cow, ffi::c_char, fmt};
use svcauth_core::{Code, Error as CoreError};

/// Why something failed. It holds no secret.
///
/// Owned by whoever got it, freed by `svcauth_error_free`. Immutable: any number of threads may read it.
#[derive_ReprC(rename = "svcauth_error")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Error {
    failure: Failure,
    display: String,
}

impl Error {
    pub(crate) fn new(failure: Failure) -> Error {
        let display = failure.to_string();
        Error { failure, display }
    }

    #[cfg(test)]
    pub(crate) fn failure(&self) -> &Failure {
        &self.failure
    }
}

/// A text of an error.
#[derive_ReprC(rename = "svcauth_error_text")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorText {
    /// All of it in one line, for people.
    Display = 1,
    /// The code's stable name, for logs: `invalid_configuration`.
    Code = 2,
    /// What is wrong and what to do, without the rest.
    Message = 3,
    /// The member (`targets.smd.scopes`), argument, header or URL that is wrong.
    Member = 4,
    /// `error` of RFC 6749 section 5.2, as the server sent it.
    OauthError = 5,
    /// `error_description` of RFC 6749 section 5.2.
    OauthDescription = 6,
    /// The WWW-Authenticate header that came with it (RFC 9110 section 11.6.1).
    Challenge = 7,
}

/// The numbers of an error. Frozen: a later version adds functions, not members.
#[derive_ReprC(rename = "svcauth_error_info")]
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct ErrorInfo {
    /// How long the server asks to wait, in milliseconds (Retry-After).
    pub retry_after_ms: u64,
    /// When the client tries again, on the monotonic clock, in milliseconds.
    pub retry_at_ms: u64,
    /// Where a text is wrong, in bytes from its start.
    pub offset: u64,
    /// The same code that the function answered.
    pub code: u32,
    /// The HTTP status of the answer that is wrong; 0 where there was none.
    pub http_status: u32,
    /// Whether `retry_after_ms` is known.
    pub has_retry_after: bool,
    /// Whether `retry_at_ms` is known.
    pub has_retry_at: bool,
    /// Whether `offset` is known.
    pub has_offset: bool,
}

/// Gives a text of an error: (NULL, 0) where it has none. It stays until the error is freed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_error_get_text"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_error_get_text(
    error: *const Error,
    which: ErrorText_Layout,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let error = object(error, "error")?;
        let which: ErrorText = raw(which, "which")?;
        let text = out_text(text, len)?;
        let failure = &error.failure;
        let core = failure.core();
        text.write(match which {
            ErrorText::Display => Some(error.display.as_bytes()),
            ErrorText::Code => Some(failure.code_name().as_bytes()),
            ErrorText::Message => Some(failure.message().as_bytes()),
            ErrorText::Member => failure.member().map(str::as_bytes),
            ErrorText::OauthError => core
                .and_then(CoreError::oauth)
                .map(|oauth| oauth.error.as_bytes()),
            ErrorText::OauthDescription => core
                .and_then(CoreError::oauth)
                .and_then(|oauth| oauth.description.as_deref())
                .map(str::as_bytes),
            ErrorText::Challenge => core.and_then(CoreError::challenge).map(str::as_bytes),
        });
        Ok(())
    })
}

/// Gives the numbers of an error.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_error_get_info"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_error_get_info(
    error: *const Error,
    info: *mut ErrorInfo,
) -> ResultCode {
    look_up(|| {
        let error = object(error, "error")?;
        let failure = &error.failure;
        let core = failure.core();
        let retry_after_ms = core.and_then(CoreError::retry_after_ms);
        let retry_at_ms = failure.retry_at_ms();
        let offset = failure.offset();
        out(info, "info")?.write(ErrorInfo {
            retry_after_ms: retry_after_ms.unwrap_or(0),
            retry_at_ms: retry_at_ms.unwrap_or(0),
            offset: offset.unwrap_or(0),
            code: failure.code() as u32,
            http_status: core.and_then(CoreError::status).map_or(0, u32::from),
            has_retry_after: retry_after_ms.is_some(),
            has_retry_at: retry_at_ms.is_some(),
            has_offset: offset.is_some(),
        });
        Ok(())
    })
}

/// Frees an error; NULL is nothing to free.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_error_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_error_free(error: *mut Error) -> ResultCode {
    release(error, "error")
}

/// Why a function of this library could not do what it was asked for.
#[derive(Clone, Debug)]
pub(crate) struct Failure(Box<Cause>);

#[derive(Clone, Debug)]
enum Cause {
    /// It was called wrongly, or panicked.
    Here {
        code: ResultCode,
        message: Cow<'static, str>,
        member: Option<&'static str>,
        offset: Option<usize>,
    },
    Core {
        error: CoreError,
        retry_at_ms: Option<u64>,
    },
}

impl Failure {
    #[cold]
    fn here(code: ResultCode, message: &'static str, member: Option<&'static str>) -> Failure {
        Failure(Box::new(Cause::Here {
            code,
            message: message.into(),
            member,
            offset: None,
        }))
    }

    pub(crate) fn null_pointer(name: &'static str) -> Failure {
        Failure::here(ResultCode::NullPointer, "is NULL", Some(name))
    }

    pub(crate) fn invalid_utf8(name: &'static str, offset: usize) -> Failure {
        Failure(Box::new(Cause::Here {
            code: ResultCode::InvalidUtf8,
            message: "is not UTF-8".into(),
            member: Some(name),
            offset: Some(offset),
        }))
    }

    pub(crate) fn invalid_value(name: &'static str) -> Failure {
        Failure::here(
            ResultCode::InvalidValue,
            "has a value that stands for nothing here",
            Some(name),
        )
    }

    pub(crate) fn invalid_handle(name: &'static str) -> Failure {
        Failure::here(
            ResultCode::InvalidHandle,
            "was freed, or is a handle of something else",
            Some(name),
        )
    }

    pub(crate) fn too_many_handles() -> Failure {
        Failure::here(
            ResultCode::TooManyHandles,
            "there are too many handles; free those that are not needed",
            None,
        )
    }

    pub(crate) fn wrong_kind() -> Failure {
        Failure::here(
            ResultCode::WrongKind,
            "there is nothing of that kind; look at the kind first",
            None,
        )
    }

    #[cfg(feature = "transport")]
    pub(crate) fn closed() -> Failure {
        CoreError::new(Code::Closed, "the transport was closed; open another one").into()
    }

    pub(crate) fn out_of_range() -> Failure {
        Failure::here(
            ResultCode::OutOfRange,
            "is past the last one",
            Some("index"),
        )
    }

    pub(crate) fn unknown_target(name: &str) -> Failure {
        CoreError::new(Code::UnknownTarget, "no target of that name is configured")
            .at(format!("targets.{name}"))
            .into()
    }

    pub(crate) fn panicked(location: &str) -> Failure {
        Failure(Box::new(Cause::Here {
            code: ResultCode::Panic,
            message: format!(
                "a bug in svcauth at {location}; please report it, and make a new client"
            )
            .into(),
            member: None,
            offset: None,
        }))
    }

    pub(crate) fn failed_until(error: CoreError, retry_at_ms: u64) -> Failure {
        Failure(Box::new(Cause::Core {
            error,
            retry_at_ms: Some(retry_at_ms),
        }))
    }

    pub(crate) fn code(&self) -> ResultCode {
        match &*self.0 {
            Cause::Here { code, .. } => *code,
            Cause::Core { error, .. } => error.code().into(),
        }
    }

    pub(crate) fn into_error(self) -> Error {
        Error::new(self)
    }

    fn core(&self) -> Option<&CoreError> {
        match &*self.0 {
            Cause::Here { .. } => None,
            Cause::Core { error, .. } => Some(error),
        }
    }

    fn code_name(&self) -> &'static str {
        match &*self.0 {
            Cause::Core { error, .. } => error.code().as_str(),
            Cause::Here { code, .. } => match code {
                ResultCode::NullPointer => "null_pointer",
                ResultCode::InvalidUtf8 => "invalid_utf8",
                ResultCode::InvalidValue => "invalid_value",
                ResultCode::WrongKind => "wrong_kind",
                ResultCode::OutOfRange => "out_of_range",
                ResultCode::Panic => "panic",
                ResultCode::InvalidHandle => "invalid_handle",
                ResultCode::TooManyHandles => "too_many_handles",
                _ => Code::Internal.as_str(),
            },
        }
    }

    fn message(&self) -> &str {
        match &*self.0 {
            Cause::Here { message, .. } => message,
            Cause::Core { error, .. } => error.message(),
        }
    }

    fn member(&self) -> Option<&str> {
        match &*self.0 {
            Cause::Here { member, .. } => *member,
            Cause::Core { error, .. } => error.member(),
        }
    }

    fn offset(&self) -> Option<u64> {
        match &*self.0 {
            Cause::Here { offset, .. } => *offset,
            Cause::Core { error, .. } => error.offset(),
        }
        .map(|offset| offset as u64)
    }

    fn retry_at_ms(&self) -> Option<u64> {
        match &*self.0 {
            Cause::Here { .. } => None,
            Cause::Core { retry_at_ms, .. } => *retry_at_ms,
        }
    }
}

impl From<CoreError> for Failure {
    fn from(error: CoreError) -> Failure {
        Failure(Box::new(Cause::Core {
            error,
            retry_at_ms: None,
        }))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.0 {
            Cause::Core { error, .. } => error.fmt(f),
            Cause::Here {
                message,
                member,
                offset,
                ..
            } => {
                match (member, offset) {
                    (Some(member), Some(offset)) => write!(f, "{member}: byte {offset}: ")?,
                    (Some(member), None) => write!(f, "{member}: ")?,
                    (None, _) => {}
                }
                write!(f, "{message} ({})", self.code_name())
            }
        }
    }
}
