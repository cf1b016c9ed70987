//! What every function that can fail answers.

use safer_ffi::derive_ReprC;
use svcauth_core::Code;

/// What became of a call of this library. A number is never used for anything else in a later version.
///
/// 1 to 99: the library was called wrongly. From 100: the program or its operator has to act. From 200: a
/// server's answer. From 300: the network. From 400: svcauth itself, please report it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[derive_ReprC(rename = "svcauth_result")]
#[repr(u32)]
pub enum ResultCode {
    /// It worked, and what was asked for is in the out-parameters.
    Ok = 0,
    /// A handle, an out-parameter, or a text of more than 0 bytes is NULL.
    NullPointer = 1,
    /// A text is not UTF-8.
    InvalidUtf8 = 2,
    /// A number stands for nothing here, a length is impossible, or a pointer is not aligned.
    InvalidValue = 3,
    /// The handle has nothing of that kind; its kind says what it has.
    WrongKind = 4,
    /// The index is past the last one.
    OutOfRange = 5,
    /// A bug in the library. The client can only be freed.
    Panic = 6,
    /// The handle was freed, is one of another kind, or none at all.
    InvalidHandle = 7,
    /// The process has as many handles as there can be (16 million, in WebAssembly 65 thousand); one that is
    /// never freed is the likely cause.
    TooManyHandles = 8,

    /// A member of the configuration is missing, unknown, of the wrong type or contradicts another.
    InvalidConfiguration = 100,
    /// An argument makes no sense.
    InvalidArgument = 101,
    /// No target of that name is configured.
    UnknownTarget = 102,
    /// The configuration needs what this program cannot do.
    Unsupported = 103,
    /// A secret could not be read, is empty or is not text.
    SecretUnavailable = 104,
    /// The durable store cannot be read, written or locked.
    StoreUnavailable = 105,
    /// What the durable store holds was written by something else, or damaged.
    StoreCorrupt = 106,
    /// The call belongs to a user's request that carries no token of the user.
    UserTokenMissing = 107,
    /// The handle was closed.
    Closed = 108,
    /// More users' tokens wait to be exchanged than four times `limits.subjects`.
    TooManySubjects = 109,

    /// The server answered with an OAuth error (RFC 6749 section 5.2).
    OauthError = 200,
    /// The answer is not what the message's specification asks for.
    MalformedAnswer = 201,
    /// `expires_in` is neither a number nor a numeric text.
    InvalidExpiresIn = 202,
    /// `access_token` is missing, empty, no text, or holds a byte that no header may carry.
    InvalidAccessToken = 203,
    /// `token_type` is missing.
    MissingTokenType = 204,
    /// `token_type` or `issued_token_type` is not what was asked for.
    UnexpectedTokenType = 205,
    /// The granted scopes lack one that the target requires.
    ScopeNotGranted = 206,
    /// A redirect where none is followed.
    UnexpectedRedirect = 207,
    /// A status that stands for no answer of this message, without an OAuth error.
    UnexpectedStatus = 208,
    /// The server says that it cannot answer now (5xx).
    ServerError = 209,
    /// The server asks for patience (429).
    RateLimited = 210,
    /// Metadata speaks for another issuer (RFC 8414 section 3.3).
    IssuerMismatch = 211,
    /// The server named an endpoint that may not be used: http, another origin, with credentials in it.
    UntrustedEndpoint = 212,
    /// The answer is larger than allowed.
    AnswerTooLarge = 213,
    /// The issuer's metadata is sound, and has no endpoint of the kind that is needed.
    MissingEndpoint = 214,

    /// Nothing listens there, or the name is unknown.
    ConnectionFailed = 300,
    /// No answer in time.
    Timeout = 301,
    /// TLS could not be set up or verified.
    TlsFailed = 302,
    /// The connection broke before the answer was whole.
    ConnectionBroken = 304,

    /// A state that should be impossible.
    Internal = 400,
}

impl From<Code> for ResultCode {
    fn from(code: Code) -> ResultCode {
        match code {
            Code::InvalidConfiguration => ResultCode::InvalidConfiguration,
            Code::InvalidArgument => ResultCode::InvalidArgument,
            Code::UnknownTarget => ResultCode::UnknownTarget,
            Code::Unsupported => ResultCode::Unsupported,
            Code::SecretUnavailable => ResultCode::SecretUnavailable,
            Code::StoreUnavailable => ResultCode::StoreUnavailable,
            Code::StoreCorrupt => ResultCode::StoreCorrupt,
            Code::UserTokenMissing => ResultCode::UserTokenMissing,
            Code::Closed => ResultCode::Closed,
            Code::TooManySubjects => ResultCode::TooManySubjects,
            Code::OauthError => ResultCode::OauthError,
            Code::MalformedAnswer => ResultCode::MalformedAnswer,
            Code::InvalidExpiresIn => ResultCode::InvalidExpiresIn,
            Code::InvalidAccessToken => ResultCode::InvalidAccessToken,
            Code::MissingTokenType => ResultCode::MissingTokenType,
            Code::UnexpectedTokenType => ResultCode::UnexpectedTokenType,
            Code::ScopeNotGranted => ResultCode::ScopeNotGranted,
            Code::UnexpectedRedirect => ResultCode::UnexpectedRedirect,
            Code::UnexpectedStatus => ResultCode::UnexpectedStatus,
            Code::ServerError => ResultCode::ServerError,
            Code::RateLimited => ResultCode::RateLimited,
            Code::IssuerMismatch => ResultCode::IssuerMismatch,
            Code::UntrustedEndpoint => ResultCode::UntrustedEndpoint,
            Code::MissingEndpoint => ResultCode::MissingEndpoint,
            Code::ConnectionFailed => ResultCode::ConnectionFailed,
            Code::Timeout => ResultCode::Timeout,
            Code::TlsFailed => ResultCode::TlsFailed,
            Code::AnswerTooLarge => ResultCode::AnswerTooLarge,
            Code::ConnectionBroken => ResultCode::ConnectionBroken,
            _ => ResultCode::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use svcauth_core::Fault;

    #[test]
    fn every_code_of_the_core_has_its_name_and_the_hundred_of_its_fault() {
        for code in Code::ALL {
            let result = ResultCode::from(*code);
            let snake: String = format!("{result:?}")
                .chars()
                .flat_map(|c| {
                    let gap = c.is_ascii_uppercase().then_some('_');
                    gap.into_iter().chain([c.to_ascii_lowercase()])
                })
                .collect();
            assert_eq!(snake.trim_start_matches('_'), code.as_str());
            let hundred = match code.fault() {
                Fault::Caller => 1,
                Fault::Server => 2,
                Fault::Network => 3,
                _ => 4,
            };
            assert_eq!(result as u32 / 100, hundred, "{code}");
        }
    }
}
