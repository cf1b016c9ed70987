//! What happened, for logs, counters and the audit trail.

use crate::{
    Error,
    client::{LeaseId, SubjectId},
};
use alloc::string::String;
use serde::Serialize;

/// Something that happened. Names and fields are stable; no field ever holds a secret.
///
/// Its JSON form has the name in `event` and the fields beside it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// A token is asked for.
    TokenRequested {
        /// The target.
        target: String,
        /// `client_credentials`, `refresh_token`, `token_exchange`, `bare` or `static_token`.
        grant: &'static str,
        /// The client that asks.
        client_id: Option<String>,
        /// The user it is for.
        subject: Option<SubjectId>,
    },
    /// A token came.
    TokenReceived {
        /// The target.
        target: String,
        /// Names the token.
        lease: LeaseId,
        /// Its whole life in seconds.
        lifetime_s: f64,
        /// The scopes granted.
        scopes: alloc::vec::Vec<String>,
        /// The client it was issued to.
        client_id: Option<String>,
        /// The user it is for.
        subject: Option<SubjectId>,
    },
    /// The lease of another client of the same configuration is served from now on.
    LeaseAdopted {
        /// The target.
        target: String,
        /// Names the token.
        lease: LeaseId,
        /// How long it is served, in seconds.
        remaining_s: f64,
        /// The client it was issued to, as far as known.
        client_id: Option<String>,
    },
    /// `expires_in` was a point in time.
    AbsoluteExpiry {
        /// The target.
        target: String,
    },
    /// The answer was JSON but did not say so.
    ContentTypeMismatch {
        /// The target.
        target: String,
    },
    /// A scope that was asked for was not granted.
    ScopeReduced {
        /// The target.
        target: String,
        /// The scopes that are missing.
        missing: alloc::vec::Vec<String>,
    },
    /// No token came.
    RefreshFailed {
        /// The target.
        target: String,
        /// Why.
        error: Error,
        /// When it is tried again, in seconds from now.
        retry_in_s: f64,
        /// Whether a person has to act before it can succeed.
        needs_action: bool,
        /// Whether a token is still being served.
        serving: bool,
    },
    /// A called service refused a token.
    Rejected {
        /// The target.
        target: String,
        /// The token.
        lease: LeaseId,
        /// What is done: `refresh`, `predecessor`, `none`.
        action: &'static str,
    },
    /// A rejected token is served again, since no other could be had.
    SuspectRestored {
        /// The target.
        target: String,
        /// The token.
        lease: LeaseId,
    },
    /// A token came to its end before another one was there.
    LeaseExpired {
        /// The target.
        target: String,
        /// The token.
        lease: LeaseId,
    },
    /// The wall clock says expired, the monotonic one does not: a clock step, or sleep.
    ClockStep {
        /// The target.
        target: String,
    },
    /// The other active pair of client id and secret is used from now on.
    CredentialPromoted {
        /// Its client id.
        client_id: String,
        /// Its place in `client.credentials`, from 0.
        position: usize,
    },
    /// A secret cannot be read.
    SecretUnavailable {
        /// Why.
        error: Error,
    },
    /// A secret has another content than before.
    SecretChanged {
        /// The client id it belongs to.
        client_id: String,
    },
    /// The issuer's metadata was read.
    MetadataReceived {
        /// The issuer.
        issuer: String,
    },
    /// The issuer's metadata could not be read.
    MetadataFailed {
        /// Why.
        error: Error,
        /// When it is tried again at the earliest, in seconds from now.
        retry_in_s: f64,
    },
    /// The client was registered.
    Registered {
        /// The new client id.
        client_id: String,
    },
    /// A saved registration is used.
    RegistrationLoaded {
        /// Its client id.
        client_id: String,
    },
    /// An earlier process began a registration and did not save its result: a client may be left over there.
    RegistrationInterrupted,
    /// The registration could not be made or renewed.
    RegistrationFailed {
        /// Why.
        error: Error,
        /// When it is tried again at the earliest, in seconds from now.
        retry_in_s: f64,
    },
    /// The server named a place for the management of the client that is not trusted: the registration can
    /// neither be read nor renewed.
    ManagementUriRefused {
        /// The client id.
        client_id: String,
        /// Why.
        error: Error,
    },
    /// The registered client's secret was renewed.
    RegistrationRenewed {
        /// The client id.
        client_id: String,
    },
    /// The registered client's secret comes to its end and the server gave no new one.
    ClientSecretExpiring {
        /// The client id.
        client_id: String,
        /// When, in seconds since 1970.
        expires_at: u64,
    },
    /// What the authorization step answered: `login_page`, `callback`, `error_page`, `answered` or `failed`.
    AuthorizationAnswered {
        /// The kind.
        kind: &'static str,
        /// The OAuth error in it, or why there was no answer.
        error: Option<String>,
    },
    /// A refresh token is used no more: `refused`, or `lost` where its answer did not come.
    RefreshTokenDropped {
        /// The target.
        target: String,
        /// Why.
        reason: &'static str,
    },
    /// The durable store failed.
    StoreFailed {
        /// Why.
        error: Error,
    },
    /// The host answered a task that is unknown or came to its deadline before.
    LateOutcome {
        /// The task's number.
        task: u64,
    },
    /// A call that belongs to a user's request had no user's token and was refused. Made by the host.
    UserTokenMissing {
        /// The target.
        target: String,
    },
    /// A call was made: the audit trail. Made by the host, with [`Calls::event`](crate::client::Calls::event).
    Call {
        /// The target; none where the URL belongs to none.
        target: Option<String>,
        /// The method.
        method: String,
        /// Scheme, host, port and path, without query.
        url: String,
        /// The status; none where no answer came.
        status: Option<u16>,
        /// `service`, `user`, `caller` (its own Authorization) or `none`.
        kind: &'static str,
        /// The subject of the token, unverified, as far as known.
        subject: Option<String>,
        /// The client id, as far as known.
        client_id: Option<String>,
        /// Whether the call was made twice.
        retried: bool,
    },
}

/// How much an [`Event`] matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Level {
    /// The normal course.
    Info,
    /// Something is wrong and calls still work.
    Warn,
    /// Calls fail, or a person has to act.
    Error,
}

impl Event {
    /// How much it matters.
    pub fn level(&self) -> Level {
        match self {
            Event::RefreshFailed { serving: false, .. }
            | Event::RefreshFailed {
                needs_action: true, ..
            }
            | Event::RegistrationFailed { .. }
            | Event::ClientSecretExpiring { .. }
            | Event::StoreFailed { .. }
            | Event::UserTokenMissing { .. } => Level::Error,
            Event::RefreshFailed { .. }
            | Event::AbsoluteExpiry { .. }
            | Event::ContentTypeMismatch { .. }
            | Event::ScopeReduced { .. }
            | Event::Rejected { .. }
            | Event::SuspectRestored { .. }
            | Event::LeaseExpired { .. }
            | Event::ClockStep { .. }
            | Event::CredentialPromoted { .. }
            | Event::SecretUnavailable { .. }
            | Event::MetadataFailed { .. }
            | Event::RegistrationInterrupted
            | Event::ManagementUriRefused { .. }
            | Event::RefreshTokenDropped { .. }
            | Event::LateOutcome { .. } => Level::Warn,
            _ => Level::Info,
        }
    }

    /// The event's stable name, as in the `event` member of its JSON form.
    pub fn name(&self) -> &'static str {
        match self {
            Event::TokenRequested { .. } => "token_requested",
            Event::TokenReceived { .. } => "token_received",
            Event::LeaseAdopted { .. } => "lease_adopted",
            Event::AbsoluteExpiry { .. } => "absolute_expiry",
            Event::ContentTypeMismatch { .. } => "content_type_mismatch",
            Event::ScopeReduced { .. } => "scope_reduced",
            Event::RefreshFailed { .. } => "refresh_failed",
            Event::Rejected { .. } => "rejected",
            Event::SuspectRestored { .. } => "suspect_restored",
            Event::LeaseExpired { .. } => "lease_expired",
            Event::ClockStep { .. } => "clock_step",
            Event::CredentialPromoted { .. } => "credential_promoted",
            Event::SecretUnavailable { .. } => "secret_unavailable",
            Event::SecretChanged { .. } => "secret_changed",
            Event::MetadataReceived { .. } => "metadata_received",
            Event::MetadataFailed { .. } => "metadata_failed",
            Event::Registered { .. } => "registered",
            Event::RegistrationLoaded { .. } => "registration_loaded",
            Event::RegistrationInterrupted => "registration_interrupted",
            Event::RegistrationFailed { .. } => "registration_failed",
            Event::ManagementUriRefused { .. } => "management_uri_refused",
            Event::RegistrationRenewed { .. } => "registration_renewed",
            Event::ClientSecretExpiring { .. } => "client_secret_expiring",
            Event::AuthorizationAnswered { .. } => "authorization_answered",
            Event::RefreshTokenDropped { .. } => "refresh_token_dropped",
            Event::StoreFailed { .. } => "store_failed",
            Event::LateOutcome { .. } => "late_outcome",
            Event::UserTokenMissing { .. } => "user_token_missing",
            Event::Call { .. } => "call",
        }
    }
}
