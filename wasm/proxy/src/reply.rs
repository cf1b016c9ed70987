//! What a request is answered that does not go on.

use svcauth_core::Error;

/// An answer of the filter's own: 503, with a stable code, and with Retry-After where waiting helps.
///
/// It tells a caller nothing about the authorization server; the log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// For the proxy's access log: `svcauth_` and the code.
    pub details: String,
    /// The body: JSON.
    pub body: String,
    /// In how many seconds it makes sense to try again.
    pub retry_after: Option<String>,
}

impl Reply {
    /// The status of every answer of the filter's own.
    pub const STATUS: u32 = 503;

    /// No token can be had for a reason that has this code; worth another try in so many milliseconds.
    pub(crate) fn no_token(code: &str, wait_ms: u64) -> Reply {
        let seconds = wait_ms.div_ceil(1000).max(1);
        Reply::new(
            code,
            "there is no token for this request; try again later",
            Some(seconds.to_string()),
        )
    }

    /// The request may not go on at all.
    pub(crate) fn refused(error: &Error) -> Reply {
        Reply::new(
            error.code().as_str(),
            "the request may not carry the service's token",
            None,
        )
    }

    /// The filter has no valid configuration.
    pub(crate) fn unconfigured(error: &Error) -> Reply {
        Reply::new(
            error.code().as_str(),
            "the filter's configuration is not valid",
            None,
        )
    }

    fn new(code: &str, message: &str, retry_after: Option<String>) -> Reply {
        Reply {
            details: format!("svcauth_{code}"),
            body: format!("{{\"code\":\"{code}\",\"message\":\"{message}\"}}\n"),
            retry_after,
        }
    }
}
