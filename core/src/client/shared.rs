//! What clients of one process tell each other through a store that they share, so that they get their tokens
//! together: proxies run one client in each worker thread.
//!
//! ```text
//!           ┌──────── Wait ◀── another one is at it
//!           ▼           │
//!  due ─▶ Consult ──────┴─▶ Claim ─▶ Hold ─▶ (the fetch) ─▶ Publish
//!           └─▶ a fresher lease, or why there is none: no fetch
//! ```
//! There is one record for each token. Each write names the version that it replaces, so whoever has claimed it is
//! the only one to fetch; a claim ends by itself soon after its owner is gone.

use super::{
    Outcome, StoreOperation, TaskId, TaskKind,
    io::{Io, Owner},
    lease::LeaseId,
    record::LeaseRecord,
    schedule::Backoff,
    task::describe,
};
use crate::{
    Code, Config, Error, Event, Secret,
    config::{Grant, SecretReference, Target},
    wire::{
        Url,
        json::{self, Object, Value, to_json},
    },
};
use alloc::{format, string::String, vec::Vec};
use core::fmt::Write;
use serde::Serialize;
use sha2::{Digest, Sha256};

/// The record's format; another one has other keys.
const FORMAT: u64 = 1;
/// How long a claim lasts unless it is renewed, in milliseconds.
const CLAIM_MS: u64 = 2_000;
/// How often it is renewed.
const RENEW_MS: u64 = 500;
/// How often it is looked whether another client's fetch has ended.
const WAIT_MS: u64 = 20;
/// Refused tokens that are remembered.
const MOST_REFUSED: usize = 8;
/// How often the same is tried to be written.
const MOST_TRIES: u32 = 4;

/// What a token's clients know of each other.
#[derive(Default)]
pub(crate) struct Shared {
    key: String,
    me: u64,
    /// The record as it was last read or written, and its version.
    pub(super) record: Record,
    version: u64,
    stage: Stage,
    unreadable: bool,
}

#[derive(Default)]
enum Stage {
    #[default]
    Idle,
    Look(TaskId),
    Consult(TaskId),
    Wait {
        until: u64,
    },
    Claim(TaskId, Record),
    Hold {
        renew_at: u64,
    },
    Renew(TaskId, Record),
    Publish(TaskId, Record, Change, u32),
    Merge(TaskId, Change, u32),
}

/// What becomes of the fetch that waits.
pub(crate) enum Advice {
    /// Nothing yet.
    None,
    /// The record was read, for the first time or anew: see what is in it. `consult` where a fetch waits for it.
    Read { consult: bool },
    /// It may begin.
    Fetch,
}

/// The record.
#[derive(Clone, Default, PartialEq)]
pub(crate) struct Record {
    pub(super) lease: Option<LeaseRecord>,
    /// Tokens that called services refused, and when that was last acted on.
    pub(super) refused: Vec<LeaseId>,
    pub(super) acted_at: Option<u64>,
    /// Why the last attempt brought none.
    pub(super) failure: Option<Told>,
    /// The place of the pair of client id and secret that worked last.
    pub(super) preferred: Option<usize>,
    claim: Option<Claim>,
}

/// Why there is no token, as one client tells the others.
#[derive(Clone, PartialEq)]
pub(crate) struct Told {
    pub(super) error: Error,
    pub(super) kind: Backoff,
    pub(super) answered: bool,
    pub(super) failures: u32,
    pub(super) retry_at: u64,
}

#[derive(Clone, Copy, PartialEq)]
struct Claim {
    owner: u64,
    until: u64,
}

/// How a fetch ended.
#[derive(Clone)]
pub(crate) enum Change {
    Gained(Option<LeaseRecord>, usize),
    Failed(Told),
}

impl Shared {
    pub(crate) fn new(config: &Config, target: &Target, me: u64) -> Shared {
        Shared {
            key: key(config, target),
            me,
            ..Shared::default()
        }
    }

    fn store(
        &self,
        operation: StoreOperation,
        owner: Owner,
        timeout_ms: u64,
        io: &mut Io,
    ) -> TaskId {
        let key = self.key.clone();
        io.start(owner, TaskKind::Shared { key, operation }, timeout_ms)
    }

    fn get(&self, owner: Owner, timeout_ms: u64, io: &mut Io) -> TaskId {
        self.store(StoreOperation::Get, owner, timeout_ms, io)
    }

    fn put(&self, record: &Record, owner: Owner, timeout_ms: u64, io: &mut Io) -> TaskId {
        let value = record.write().expose().into();
        let version = self.version;
        self.store(
            StoreOperation::PutIf { version, value },
            owner,
            timeout_ms,
            io,
        )
    }

    /// Sees what others have written, where nothing else is under way.
    pub(crate) fn look(&mut self, owner: Owner, timeout_ms: u64, io: &mut Io) {
        if matches!(self.stage, Stage::Idle) {
            self.stage = Stage::Look(self.get(owner, timeout_ms, io));
        }
    }

    /// A fetch is due: the others are asked first.
    pub(crate) fn consult(&mut self, owner: Owner, timeout_ms: u64, io: &mut Io) {
        self.stage = Stage::Consult(self.get(owner, timeout_ms, io));
    }

    /// The record has nothing to offer: it is claimed, or somebody else's fetch waited for.
    pub(crate) fn claim(
        &mut self,
        refused: Option<LeaseId>,
        owner: Owner,
        timeout_ms: u64,
        io: &mut Io,
    ) {
        let now = io.now.mono_ms;
        let other = self
            .record
            .claim
            .filter(|claim| claim.owner != self.me && now < claim.until);
        if let Some(other) = other {
            // A claim that lasts longer than any does is of a clock that is not ours.
            let until = now.saturating_add(WAIT_MS).min(other.until);
            self.stage = Stage::Wait { until };
            return;
        }
        let mut record = self.record.clone();
        record.claim = Some(Claim {
            owner: self.me,
            until: now.saturating_add(CLAIM_MS),
        });
        if let Some(id) = refused {
            record.refuse(id, now);
        }
        let task = self.put(&record, owner, timeout_ms, io);
        self.stage = Stage::Claim(task, record);
    }

    /// The fetch that waited needs to wait no more: another client's lease was taken over.
    pub(crate) fn rest(&mut self) {
        self.stage = Stage::Idle;
    }

    /// Tells the others how the fetch ended.
    pub(crate) fn publish(&mut self, change: Change, owner: Owner, timeout_ms: u64, io: &mut Io) {
        self.write(change, MOST_TRIES, owner, timeout_ms, io);
    }

    fn write(&mut self, change: Change, tries: u32, owner: Owner, timeout_ms: u64, io: &mut Io) {
        let mut record = self.record.clone();
        record.apply(&change, self.me);
        let task = self.put(&record, owner, timeout_ms, io);
        self.stage = Stage::Publish(task, record, change, tries);
    }

    /// When something is due, while a fetch waits or is under way.
    pub(crate) fn due(&self) -> Option<u64> {
        match self.stage {
            Stage::Wait { until } => Some(until),
            Stage::Hold { renew_at } => Some(renew_at),
            _ => None,
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, owner: Owner, timeout_ms: u64, io: &mut Io) {
        let now = io.now.mono_ms;
        match self.stage {
            Stage::Wait { until } if until <= now => self.consult(owner, timeout_ms, io),
            Stage::Hold { renew_at } if renew_at <= now => {
                let mut record = self.record.clone();
                record.claim = Some(Claim {
                    owner: self.me,
                    until: now.saturating_add(CLAIM_MS),
                });
                let task = self.put(&record, owner, timeout_ms, io);
                self.stage = Stage::Renew(task, record);
            }
            _ => {}
        }
    }

    pub(crate) fn awaits(&self, id: TaskId) -> bool {
        match &self.stage {
            Stage::Look(task)
            | Stage::Consult(task)
            | Stage::Claim(task, _)
            | Stage::Renew(task, _)
            | Stage::Publish(task, ..)
            | Stage::Merge(task, ..) => *task == id,
            Stage::Idle | Stage::Wait { .. } | Stage::Hold { .. } => false,
        }
    }

    pub(crate) fn complete(
        &mut self,
        outcome: Outcome,
        owner: Owner,
        timeout_ms: u64,
        io: &mut Io,
    ) -> Advice {
        let now = io.now.mono_ms;
        match (core::mem::take(&mut self.stage), outcome) {
            (Stage::Look(_), Outcome::Record { value, version }) => {
                if version == self.version {
                    return Advice::None;
                }
                self.read(value.as_ref().map(|bytes| bytes.expose()), version, io);
                Advice::Read { consult: false }
            }
            (Stage::Consult(_), Outcome::Record { value, version }) => {
                self.read(value.as_ref().map(|bytes| bytes.expose()), version, io);
                Advice::Read { consult: true }
            }
            (Stage::Claim(_, record), Outcome::Stored { version }) => {
                self.record = record;
                self.version = version;
                self.stage = Stage::Hold {
                    renew_at: now.saturating_add(RENEW_MS),
                };
                Advice::Fetch
            }
            // Somebody was faster.
            (Stage::Claim(..), Outcome::Conflict) => {
                self.consult(owner, timeout_ms, io);
                Advice::None
            }
            (Stage::Renew(_, record), Outcome::Stored { version }) => {
                self.record = record;
                self.version = version;
                self.stage = Stage::Hold {
                    renew_at: now.saturating_add(RENEW_MS),
                };
                Advice::None
            }
            // It is told in the end what came of it, whoever has the claim.
            (Stage::Renew(..), _) => {
                self.stage = Stage::Hold { renew_at: u64::MAX };
                Advice::None
            }
            (Stage::Publish(_, record, ..), Outcome::Stored { version }) => {
                self.record = record;
                self.version = version;
                Advice::None
            }
            (Stage::Publish(_, _, change, tries), Outcome::Conflict) if tries > 0 => {
                let task = self.get(owner, timeout_ms, io);
                self.stage = Stage::Merge(task, change, tries - 1);
                Advice::None
            }
            (Stage::Merge(_, change, tries), Outcome::Record { value, version }) => {
                self.read(value.as_ref().map(|bytes| bytes.expose()), version, io);
                self.write(change, tries, owner, timeout_ms, io);
                Advice::None
            }
            (stage, outcome) => self.broken(&stage, outcome, io),
        }
    }

    /// Without the store each client gets its tokens by itself.
    fn broken(&mut self, stage: &Stage, outcome: Outcome, io: &mut Io) -> Advice {
        if !self.unreadable {
            self.unreadable = true;
            let why = match outcome {
                Outcome::Failed { detail } => detail,
                _ => String::from("the host answered with an outcome of another kind"),
            };
            let error = Error::new(
                Code::StoreUnavailable,
                format!("the shared store cannot be used, each client gets its own tokens: {why}"),
            );
            io.event(Event::StoreFailed { error });
        }
        match stage {
            Stage::Consult(_) | Stage::Claim(..) => Advice::Fetch,
            _ => Advice::None,
        }
    }

    fn read(&mut self, bytes: Option<&[u8]>, version: u64, io: &mut Io) {
        self.version = version;
        self.record = match bytes.map(Record::read) {
            None => Record::default(),
            Some(Ok(record)) => {
                self.unreadable = false;
                record
            }
            // It is written anew by whoever has something to tell.
            Some(Err(error)) => {
                if !core::mem::replace(&mut self.unreadable, true) {
                    io.event(Event::StoreFailed { error });
                }
                Record::default()
            }
        };
    }
}

impl Record {
    fn refuse(&mut self, id: LeaseId, now: u64) {
        self.acted_at = Some(now);
        self.refused.retain(|known| *known != id);
        if self.refused.len() >= MOST_REFUSED {
            self.refused.remove(0);
        }
        self.refused.push(id);
    }

    fn apply(&mut self, change: &Change, me: u64) {
        self.claim.take_if(|claim| claim.owner == me);
        match change {
            Change::Gained(lease, preferred) => {
                self.failure = None;
                self.preferred = Some(*preferred);
                if let Some(lease) = lease {
                    // A server that gives the same token again means it.
                    self.refused.retain(|known| *known != lease.id());
                    let ours = lease.expires_at_wall_ms();
                    let fresher = |known: &LeaseRecord| {
                        known.expires_at_wall_ms() > ours && !self.refused.contains(&known.id())
                    };
                    if !self.lease.as_ref().is_some_and(fresher) {
                        self.lease = Some(lease.clone());
                    }
                }
            }
            Change::Failed(told) => {
                self.failure = Some(told.clone());
                // What was refused is served again while there is nothing else.
                if let Some(lease) = &self.lease {
                    let id = lease.id();
                    self.refused.retain(|known| *known != id);
                }
            }
        }
    }

    fn write(&self) -> Secret {
        #[derive(Serialize)]
        struct Failure<'a> {
            code: Code,
            message: &'a str,
            member: Option<&'a str>,
            status: Option<u16>,
            kind: &'static str,
            answered: bool,
            failures: u32,
            retry_at_ms: u64,
        }
        #[derive(Serialize)]
        struct Rest<'a> {
            format: u64,
            refused: &'a [LeaseId],
            acted_at_ms: Option<u64>,
            failure: Option<Failure<'a>>,
            preferred: Option<usize>,
            claim_owner: Option<u64>,
            claim_until_ms: Option<u64>,
        }
        let rest = to_json(&Rest {
            format: FORMAT,
            refused: &self.refused,
            acted_at_ms: self.acted_at,
            failure: self.failure.as_ref().map(|told| Failure {
                code: told.error.code(),
                message: told.error.message(),
                member: told.error.member(),
                status: told.error.status(),
                kind: name(told.kind),
                answered: told.answered,
                failures: told.failures,
                retry_at_ms: told.retry_at,
            }),
            preferred: self.preferred,
            claim_owner: self.claim.map(|claim| claim.owner),
            claim_until_ms: self.claim.map(|claim| claim.until),
        });
        let lease = self.lease.as_ref().map(LeaseRecord::to_json);
        let lease = lease.as_ref().map_or("null", Secret::expose);
        let mut text = String::with_capacity(rest.len() + lease.len() + 16);
        text.push_str("{\"lease\":");
        text.push_str(lease);
        text.push(',');
        text.push_str(rest.get(1..).unwrap_or_default());
        Secret::new(text)
    }

    fn read(bytes: &[u8]) -> Result<Record, Error> {
        let object =
            json::parse_object(bytes).map_err(|error| corrupt(String::from(error.message())))?;
        if number(&object, "format")? != Some(FORMAT) {
            return Err(corrupt("it was written by another version of svcauth").at("format"));
        }
        let lease = match object.get("lease") {
            Some(Value::Object(lease)) => {
                let text = Secret::new(lease.to_json());
                Some(LeaseRecord::from_json(text.expose().as_bytes())?)
            }
            _ => None,
        };
        let refused = object
            .get("refused")
            .and_then(Value::as_array)
            .unwrap_or_default();
        let refused = refused
            .iter()
            .map(|id| {
                let id = id.as_str().and_then(|id| u64::from_str_radix(id, 16).ok());
                id.map(LeaseId::from_u64)
                    .ok_or_else(|| corrupt("not the id of a lease").at("refused"))
            })
            .collect::<Result<Vec<_>, _>>()?;
        if refused.len() > MOST_REFUSED {
            return Err(corrupt("there are too many").at("refused"));
        }
        let failure = match object.get("failure") {
            Some(Value::Object(failure)) => Some(told(failure)?),
            _ => None,
        };
        let claim = match (
            number(&object, "claim_owner")?,
            number(&object, "claim_until_ms")?,
        ) {
            (Some(owner), Some(until)) => Some(Claim { owner, until }),
            _ => None,
        };
        Ok(Record {
            lease,
            refused,
            acted_at: number(&object, "acted_at_ms")?,
            failure,
            preferred: number(&object, "preferred")?.and_then(|place| usize::try_from(place).ok()),
            claim,
        })
    }
}

fn told(object: &Object) -> Result<Told, Error> {
    let text = |member: &'static str| match object.get(member) {
        Some(Value::String(text)) => Ok(Some(text.as_str())),
        Some(Value::Null) | None => Ok(None),
        Some(_) => Err(corrupt("must be a text").at(format!("failure.{member}"))),
    };
    let code = text("code")?.and_then(|name| Code::ALL.iter().find(|code| code.as_str() == name));
    let kind = match text("kind")? {
        Some("rate_limited") => Backoff::RateLimited,
        Some("refused") => Backoff::Refused,
        _ => Backoff::Trouble,
    };
    let mut error = Error::new(
        code.copied().unwrap_or(Code::Internal),
        String::from(text("message")?.unwrap_or_default()),
    );
    if let Some(member) = text("member")? {
        error = error.at(String::from(member));
    }
    if let Some(status) = number(object, "status")?.and_then(|status| u16::try_from(status).ok()) {
        error = error.with_status(status);
    }
    Ok(Told {
        error,
        kind,
        answered: object
            .get("answered")
            .and_then(Value::as_bool)
            .unwrap_or_default(),
        failures: number(object, "failures")?
            .and_then(|count| u32::try_from(count).ok())
            .unwrap_or_default(),
        retry_at: number(object, "retry_at_ms")?.unwrap_or_default(),
    })
}

fn number(object: &Object, member: &'static str) -> Result<Option<u64>, Error> {
    match object.get(member) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_u64() {
            Some(number) => Ok(Some(number)),
            None => Err(corrupt("must be a number").at(member)),
        },
    }
}

fn corrupt(why: impl Into<alloc::borrow::Cow<'static, str>>) -> Error {
    Error::new(Code::StoreCorrupt, why)
}

const fn name(kind: Backoff) -> &'static str {
    match kind {
        Backoff::Trouble => "trouble",
        Backoff::RateLimited => "rate_limited",
        Backoff::Refused => "refused",
    }
}

/// Where the record of a target's token is. Clients find each other only where all that makes the token what it is
/// is the same: otherwise one would get the other's.
fn key(config: &Config, target: &Target) -> String {
    let mut hash = Sha256::new();
    let url = |url: &Option<Url>| {
        url.as_ref()
            .map_or_else(String::new, |url| String::from(url.as_str()))
    };
    let held = |reference: &SecretReference| match reference {
        SecretReference::Value(secret) => format!("{}", LeaseId::of(secret.expose())),
        other => describe(other),
    };
    let client = &config.client;
    let grant = match &target.grant {
        Grant::ClientCredentials => String::from("client_credentials"),
        Grant::TokenExchange {
            subject_token,
            subject_token_type,
            requested_token_type,
            refresh_tokens,
        } => format!(
            "token_exchange {} {subject_token_type} {requested_token_type:?} {refresh_tokens:?}",
            held(subject_token)
        ),
        Grant::Bare { method } => format!("bare {}", method.as_str()),
    };
    let rules = format!(
        "{:?} {:?} {} {} {} {}",
        client.auth,
        config.discovery,
        target.require_scopes,
        target.default_lifetime_ms,
        config.allow_missing_token_type,
        config.allow_form_answer
    );
    let single = [
        url(&config.issuer),
        url(&config.endpoints.token),
        target.name.clone(),
        client.static_token.as_ref().map_or_else(String::new, held),
        grant,
        rules,
    ];
    put(&mut hash, single.iter().map(String::as_str));
    put(
        &mut hash,
        client
            .credentials
            .iter()
            .map(|pair| pair.client_id.as_str()),
    );
    put(&mut hash, target.scopes.iter().map(String::as_str));
    put(&mut hash, target.audience.iter().map(String::as_str));
    put(&mut hash, target.resource.iter().map(String::as_str));
    let parameters = target.parameters.iter();
    put(
        &mut hash,
        parameters.flat_map(|(name, value)| [name.as_str(), value.as_str()]),
    );
    let mut key = format!("svcauth/{FORMAT}/");
    for byte in hash.finalize().iter().take(16) {
        // Writing to a text does not fail.
        let _ = write!(key, "{byte:02x}");
    }
    key
}

/// Each text behind its length, and an end, so that no two lists look alike.
fn put<'a>(hash: &mut Sha256, texts: impl Iterator<Item = &'a str>) {
    for text in texts {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text.as_bytes());
    }
    hash.update(u64::MAX.to_le_bytes());
}
