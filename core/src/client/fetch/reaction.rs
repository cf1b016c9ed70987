//! What follows from an error.

use super::{Backoff, Ended, Failure};
use crate::{Code, Error, Fault};

/// Whether the server can have used a refresh token that was in a failed request.
#[derive(Clone, Copy)]
pub(super) enum Delivery {
    /// It has not: never received, or refused before it was looked at.
    NotTaken,
    /// It may have.
    Unknown,
}

/// What an error asks for.
pub(super) enum Reaction {
    OtherCredentials,
    OtherGrant,
    Fail(Backoff),
}

impl Reaction {
    pub(super) fn to(error: &Error) -> Reaction {
        let said = error.oauth().map(|oauth| oauth.error.as_str());
        match (error.code(), error.status(), said) {
            (Code::RateLimited, ..) => Reaction::Fail(Backoff::RateLimited),
            (Code::ServerError, ..) => Reaction::Fail(Backoff::Trouble),
            (_, Some(401), _) | (_, _, Some("invalid_client")) => Reaction::OtherCredentials,
            (_, _, Some("invalid_grant")) => Reaction::OtherGrant,
            (_, _, Some("temporarily_unavailable" | "server_error")) | (_, Some(408 | 425), _) => {
                Reaction::Fail(Backoff::Trouble)
            }
            _ => Reaction::Fail(kind_of(error)),
        }
    }
}

pub(super) fn kind_of(error: &Error) -> Backoff {
    match (error.fault(), error.code()) {
        (Fault::Network | Fault::Internal, _) => Backoff::Trouble,
        (
            _,
            Code::ServerError
            | Code::MalformedAnswer
            | Code::AnswerTooLarge
            | Code::StoreUnavailable,
        ) => Backoff::Trouble,
        (_, Code::RateLimited) => Backoff::RateLimited,
        _ => Backoff::Refused,
    }
}

pub(super) fn fail(error: Error) -> Ended {
    let kind = kind_of(&error);
    Some(Err(Failure {
        answered: error.fault() != Fault::Network,
        error,
        kind,
        retry_at: None,
    }))
}

pub(super) fn precondition(error: Error, retry_at: u64) -> Ended {
    let kind = kind_of(&error);
    Some(Err(Failure {
        answered: error.fault() != Fault::Network,
        error,
        kind,
        retry_at: Some(retry_at),
    }))
}
