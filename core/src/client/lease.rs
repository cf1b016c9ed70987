//! A token as it is handed out, and whose it is.

use super::claims::UnverifiedClaims;
use crate::{Secret, wire::bearer};
use alloc::{boxed::Box, string::String, sync::Arc, vec::Vec};
use core::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};
use once_cell::race::OnceBox;
use serde::{Serialize, Serializer};
use sha2::{Digest, Sha256};

/// An access token with the time it may be used.
///
/// Cheap to clone; the token is wiped when the last clone is dropped. All `_ms` times but the last are on
/// the monotonic clock of the [`Now`](crate::Now) values given to the client.
#[derive(Clone)]
pub struct Lease(Arc<Inner>);

struct Inner {
    /// The token behind `Bearer `, once for all calls.
    authorization: Secret,
    /// The id as a number, once somebody has asked for it; 0 before. A token whose id is 0 has it made each time.
    id: AtomicU64,
    lifetime_ms: u64,
    refresh_at_ms: u64,
    ask_at_ms: u64,
    serve_until_ms: u64,
    expires_at_ms: u64,
    expires_at_wall_ms: u64,
    scopes: Vec<String>,
    client_id: Option<String>,
    /// What the token says of itself, once somebody has asked for it.
    claims: OnceBox<UnverifiedClaims>,
}

pub(crate) struct Parts {
    pub(crate) value: Secret,
    /// From when it was asked for to its expiry.
    pub(crate) lifetime_ms: u64,
    pub(crate) refresh_at_ms: u64,
    pub(crate) ask_at_ms: u64,
    pub(crate) serve_until_ms: u64,
    pub(crate) expires_at_ms: u64,
    pub(crate) expires_at_wall_ms: u64,
    pub(crate) scopes: Vec<String>,
    /// Where it is known otherwise than from the token.
    pub(crate) client_id: Option<String>,
}

impl Lease {
    pub(crate) fn new(parts: Parts) -> Lease {
        Lease(Arc::new(Inner {
            authorization: bearer::authorization(parts.value.expose()),
            id: AtomicU64::new(0),
            lifetime_ms: parts.lifetime_ms,
            refresh_at_ms: parts.refresh_at_ms,
            ask_at_ms: parts.ask_at_ms,
            serve_until_ms: parts.serve_until_ms,
            expires_at_ms: parts.expires_at_ms,
            expires_at_wall_ms: parts.expires_at_wall_ms,
            scopes: parts.scopes,
            client_id: parts.client_id,
            claims: OnceBox::new(),
        }))
    }

    /// The access token.
    pub fn value(&self) -> &str {
        bearer::token_of(&self.0.authorization)
    }

    /// The value of the Authorization field: `Bearer ` and the token (RFC 6750 section 2.1).
    pub fn authorization(&self) -> &str {
        self.0.authorization.expose()
    }

    /// Names the token without telling it.
    pub fn id(&self) -> LeaseId {
        match self.0.id.load(Relaxed) {
            0 => {
                let id = LeaseId::of(self.value());
                self.0.id.store(id.as_u64(), Relaxed);
                id
            }
            id => LeaseId(id),
        }
    }

    /// Whether it is the same token, whatever its times.
    pub(crate) fn is_of(&self, token: &str) -> bool {
        // A token is no less secret for being compared with another one of the server's.
        self.value() == token
    }

    /// When the client refreshes it, or wants to be asked to.
    pub fn refresh_at_ms(&self) -> u64 {
        self.0.refresh_at_ms
    }

    /// Until when a host serves it without asking the client again.
    pub fn ask_at_ms(&self) -> u64 {
        self.0.ask_at_ms
    }

    /// Until when it is handed out: its expiry less a margin.
    pub fn serve_until_ms(&self) -> u64 {
        self.0.serve_until_ms
    }

    /// When it expires.
    pub fn expires_at_ms(&self) -> u64 {
        self.0.expires_at_ms
    }

    /// When it expires, in milliseconds since 1970.
    pub fn expires_at_wall_ms(&self) -> u64 {
        self.0.expires_at_wall_ms
    }

    /// The scopes granted.
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// The client it was issued to, as far as known.
    pub fn client_id(&self) -> Option<&str> {
        match &self.0.client_id {
            Some(client_id) => Some(client_id),
            None => self.claims().client_id.as_deref(),
        }
    }

    /// Its `sub` claim, unverified, where the token is a JWT.
    pub fn subject(&self) -> Option<&str> {
        self.claims().subject.as_deref()
    }

    fn claims(&self) -> &UnverifiedClaims {
        self.0
            .claims
            .get_or_init(|| Box::new(UnverifiedClaims::of(self.value())))
    }

    /// From when it was asked for to its expiry.
    pub fn lifetime_ms(&self) -> u64 {
        self.0.lifetime_ms
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lease")
            .field("id", &self.id())
            .field("refresh_at_ms", &self.0.refresh_at_ms)
            .field("serve_until_ms", &self.0.serve_until_ms)
            .field("expires_at_ms", &self.0.expires_at_ms)
            .field("scopes", &self.0.scopes)
            .finish_non_exhaustive()
    }
}

/// The first 64 bits of the SHA-256 of a token: the same in every process, and of no use to a thief.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseId(u64);

impl LeaseId {
    /// The id of the token `value`.
    pub fn of(value: &str) -> LeaseId {
        let digest = Sha256::digest(value.as_bytes());
        LeaseId(
            digest
                .iter()
                .take(8)
                .fold(0, |id, byte| (id << 8) | u64::from(*byte)),
        )
    }

    /// The id as a number, for languages that want one.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The id back from its number.
    pub const fn from_u64(id: u64) -> LeaseId {
        LeaseId(id)
    }
}

impl fmt::Display for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for LeaseId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// On whose behalf a token is wanted.
#[derive(Clone, Copy)]
pub enum Subject<'a> {
    /// The service's own.
    Service,
    /// The user who holds this token, which is exchanged (RFC 8693).
    ///
    /// Verify an inbound token before it comes here: each one that somebody made up costs a request, and takes
    /// one of the places that `limits.subjects` gives.
    User(&'a str),
}

impl Subject<'_> {
    pub(crate) fn id(self) -> Option<SubjectId> {
        match self {
            Subject::Service => None,
            Subject::User(token) => Some(SubjectId::of(token)),
        }
    }
}

impl fmt::Debug for Subject<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.id() {
            None => f.write_str("Service"),
            Some(id) => write!(f, "User({id})"),
        }
    }
}

/// The SHA-256 of a user's token: names the user's slot without holding the token.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectId([u8; 32]);

impl SubjectId {
    /// The id of the holder of `token`.
    pub fn of(token: &str) -> SubjectId {
        SubjectId(Sha256::digest(token.as_bytes()).into())
    }

    /// All its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .take(8)
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for SubjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for SubjectId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
