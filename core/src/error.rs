//! What can go wrong, split by whose fault it is.

use alloc::{borrow::Cow, boxed::Box, string::String};
use core::fmt;
use serde::Serialize;

/// Whose fault an [`Error`] is, and so who can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The configuration, an argument, a secret that cannot be read: the program or its operator.
    Caller,
    /// What an authorization server or a called service answered.
    Server,
    /// No answer came: refused, timed out, TLS not verified.
    Network,
    /// svcauth itself: please report it.
    Internal,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $fault:ident;)*) => {
        /// A stable code for each kind of error. Codes are never renamed nor reused.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Code { $($(#[$doc])* $name,)* }

        impl Code {
            /// Every code, in the order of this page.
            pub const ALL: &'static [Code] = &[$(Code::$name,)*];

            /// The code as it stands in logs and in other languages.
            pub const fn as_str(self) -> &'static str {
                match self { $(Code::$name => $text,)* }
            }

            /// Whose fault an error with this code is.
            pub const fn fault(self) -> Fault {
                match self { $(Code::$name => Fault::$fault,)* }
            }
        }
    };
}

codes! {
    /// A member of the configuration is missing, unknown, of the wrong type or contradicts another.
    InvalidConfiguration = "invalid_configuration", Caller;
    /// An argument of a call makes no sense.
    InvalidArgument = "invalid_argument", Caller;
    /// No target of that name is configured.
    UnknownTarget = "unknown_target", Caller;
    /// The configuration needs what this host cannot do.
    Unsupported = "unsupported", Caller;
    /// A secret could not be read, is empty or is not text.
    SecretUnavailable = "secret_unavailable", Caller;
    /// The durable store cannot be read, written or locked.
    StoreUnavailable = "store_unavailable", Caller;
    /// What the durable store holds was written by something else, or damaged.
    StoreCorrupt = "store_corrupt", Caller;
    /// The call belongs to a user's request that carries no token of the user.
    UserTokenMissing = "user_token_missing", Caller;
    /// More users' tokens wait to be exchanged than four times `limits.subjects`.
    TooManySubjects = "too_many_subjects", Caller;
    /// The handle was closed.
    Closed = "closed", Caller;

    /// The server answered with an OAuth error (RFC 6749 section 5.2), see [`Error::oauth`].
    OauthError = "oauth_error", Server;
    /// The answer is not what the message's specification asks for.
    MalformedAnswer = "malformed_answer", Server;
    /// `expires_in` is neither a number nor a numeric text.
    InvalidExpiresIn = "invalid_expires_in", Server;
    /// `access_token` is missing, empty, no text, or holds a byte that no header may carry.
    InvalidAccessToken = "invalid_access_token", Server;
    /// `token_type` is missing.
    MissingTokenType = "missing_token_type", Server;
    /// `token_type` or `issued_token_type` is not what was asked for.
    UnexpectedTokenType = "unexpected_token_type", Server;
    /// The granted scopes lack one that the target requires.
    ScopeNotGranted = "scope_not_granted", Server;
    /// A redirect where none is followed.
    UnexpectedRedirect = "unexpected_redirect", Server;
    /// A status that stands for no answer of this message, without an OAuth error.
    UnexpectedStatus = "unexpected_status", Server;
    /// The server says that it cannot answer now (5xx).
    ServerError = "server_error", Server;
    /// The server asks for patience (429).
    RateLimited = "rate_limited", Server;
    /// Metadata speaks for another issuer (RFC 8414 section 3.3).
    IssuerMismatch = "issuer_mismatch", Server;
    /// The answer is larger than allowed.
    AnswerTooLarge = "answer_too_large", Server;
    /// The issuer's metadata is sound, and has no endpoint of the kind that is needed.
    MissingEndpoint = "missing_endpoint", Server;
    /// The server named an endpoint that may not be used: http, another origin, with credentials in it.
    UntrustedEndpoint = "untrusted_endpoint", Server;

    /// Nothing listens there, or the name is unknown.
    ConnectionFailed = "connection_failed", Network;
    /// No answer in time.
    Timeout = "timeout", Network;
    /// TLS could not be set up or verified.
    TlsFailed = "tls_failed", Network;
    /// The connection broke before the answer was whole.
    ConnectionBroken = "connection_broken", Network;

    /// A state that should be impossible.
    Internal = "internal", Internal;
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Code {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// An OAuth error as a server sent it (RFC 6749 section 5.2), shortened and without control characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct OauthError {
    /// `error`, for instance `invalid_client`.
    pub error: String,
    /// `error_description`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `error_uri`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uri: Option<String>,
}

/// An error: a stable [`Code`], a sentence that says what to do, and what it is about.
///
/// No secret is ever part of it. Its `Debug` is its `Display`, so that a `main` that returns it prints a sentence.
#[derive(Clone, PartialEq, Eq)]
pub struct Error(Box<Inner>);

#[derive(Clone, PartialEq, Eq)]
struct Inner {
    code: Code,
    message: Cow<'static, str>,
    member: Option<Cow<'static, str>>,
    offset: Option<usize>,
    status: Option<u16>,
    oauth: Option<OauthError>,
    retry_after_ms: Option<u64>,
    challenge: Option<String>,
}

impl Error {
    /// An error with `message`: one sentence, starting in lower case, without a full stop.
    pub fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Error {
        Error(Box::new(Inner {
            code,
            message: message.into(),
            member: None,
            offset: None,
            status: None,
            oauth: None,
            retry_after_ms: None,
            challenge: None,
        }))
    }

    /// Names the member (`targets.smd.scopes`), header or URL that was wrong.
    pub fn at(mut self, member: impl Into<Cow<'static, str>>) -> Error {
        self.0.member = Some(member.into());
        self
    }

    /// Names the byte offset in a text that could not be read.
    pub fn at_offset(mut self, offset: usize) -> Error {
        self.0.offset = Some(offset);
        self
    }

    /// Adds the HTTP status of the answer.
    pub fn with_status(mut self, status: u16) -> Error {
        self.0.status = Some(status);
        self
    }

    /// Adds the OAuth error of the answer.
    pub fn with_oauth(mut self, oauth: OauthError) -> Error {
        self.0.oauth = Some(oauth);
        self
    }

    /// Adds how long the server asks to wait, in milliseconds.
    pub fn with_retry_after_ms(mut self, retry_after_ms: Option<u64>) -> Error {
        self.0.retry_after_ms = retry_after_ms;
        self
    }

    /// Adds the WWW-Authenticate header of the answer.
    pub fn with_challenge(mut self, challenge: Option<String>) -> Error {
        self.0.challenge = challenge;
        self
    }

    /// The stable code.
    pub fn code(&self) -> Code {
        self.0.code
    }

    /// Whose fault it is.
    pub fn fault(&self) -> Fault {
        self.0.code.fault()
    }

    /// The sentence, without code, member and status; [`fmt::Display`] prints them all.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The member, header or URL that was wrong.
    pub fn member(&self) -> Option<&str> {
        self.0.member.as_deref()
    }

    /// Where in the text it was wrong, in bytes from its start.
    pub fn offset(&self) -> Option<usize> {
        self.0.offset
    }

    /// The HTTP status of the answer that was wrong.
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// What the server said, where it said it as RFC 6749 section 5.2 asks.
    pub fn oauth(&self) -> Option<&OauthError> {
        self.0.oauth.as_ref()
    }

    /// How long the server asks to wait, in milliseconds (Retry-After, RFC 9110 section 10.2.3).
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.0.retry_after_ms
    }

    /// The WWW-Authenticate header that came with the answer.
    pub fn challenge(&self) -> Option<&str> {
        self.0.challenge.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &*self.0;
        match (&inner.member, inner.offset) {
            (Some(member), Some(offset)) => write!(f, "{member}: byte {offset}: ")?,
            (Some(member), None) => write!(f, "{member}: ")?,
            (None, Some(offset)) => write!(f, "byte {offset}: ")?,
            (None, None) => {}
        }
        write!(f, "{} ({}", inner.message, inner.code)?;
        if let Some(oauth) = &inner.oauth {
            write!(f, ": {}", oauth.error)?;
        }
        if let Some(status) = inner.status {
            write!(f, ", HTTP {status}")?;
        }
        f.write_str(")")?;
        if let Some(description) = inner
            .oauth
            .as_ref()
            .and_then(|oauth| oauth.description.as_ref())
        {
            write!(f, "; the server says: {description}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl core::error::Error for Error {}

impl Serialize for Error {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Shape<'a> {
            code: Code,
            fault: Fault,
            message: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            member: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            offset: Option<usize>,
            #[serde(skip_serializing_if = "Option::is_none")]
            status: Option<u16>,
            #[serde(skip_serializing_if = "Option::is_none")]
            oauth: Option<&'a OauthError>,
            #[serde(skip_serializing_if = "Option::is_none")]
            retry_after_ms: Option<u64>,
            #[serde(skip_serializing_if = "Option::is_none")]
            challenge: Option<&'a str>,
        }
        Shape {
            code: self.code(),
            fault: self.fault(),
            message: self.message(),
            member: self.member(),
            offset: self.offset(),
            status: self.status(),
            oauth: self.oauth(),
            retry_after_ms: self.retry_after_ms(),
            challenge: self.challenge(),
        }
        .serialize(serializer)
    }
}
