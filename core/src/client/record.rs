//! A lease on its way from one client to another of the same configuration: into a forked process, into an
//! instance that takes the place of a broken one, into a store that several share.

use super::{
    lease::{Lease, LeaseId},
    schedule::Life,
};
use crate::{
    Code, Error, Now, Secret,
    wire::{
        is_token,
        json::{self, Field, Members, Value, to_json},
    },
};
use alloc::{borrow::ToOwned, string::String, vec::Vec};
use serde::Serialize;

/// A lease as [`Lease::record`] noted it down, for [`Client::adopt`](super::Client::adopt).
///
/// It holds how long the token had at that moment, and the moment on both clocks. Its JSON form holds the
/// token, so it belongs where secrets belong.
///
/// ```json
/// {
///   "format": 1,
///   "access_token": "…",
///   "recorded_at_mono_ms": 60000,
///   "recorded_at_wall_ms": 1800000060000,
///   "refresh_in_ms": 3240000,
///   "serve_for_ms": 3535000,
///   "expires_in_ms": 3540000,
///   "expires_at_wall_ms": 1800003600000,
///   "lifetime_ms": 3600000,
///   "scopes": ["read"],
///   "client_id": "bss",
///   "subject": null
/// }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct LeaseRecord {
    access_token: Secret,
    recorded_at: Now,
    refresh_in_ms: u64,
    serve_for_ms: u64,
    expires_in_ms: u64,
    expires_at_wall_ms: u64,
    lifetime_ms: u64,
    scopes: Vec<String>,
    client_id: Option<String>,
    subject: Option<String>,
}

/// A record as it is written.
#[derive(Serialize)]
struct Written<'a> {
    format: u64,
    access_token: &'a str,
    recorded_at_mono_ms: u64,
    recorded_at_wall_ms: u64,
    refresh_in_ms: u64,
    serve_for_ms: u64,
    expires_in_ms: u64,
    expires_at_wall_ms: u64,
    lifetime_ms: u64,
    scopes: &'a [String],
    client_id: Option<&'a str>,
    subject: Option<&'a str>,
}

/// How the monotonic clock under which a [`LeaseRecord`] was made relates to that of the client it is given to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordClock {
    /// It is the same one, and has run on since: a forked process, a replaced instance. Steps of the wall
    /// clock do not matter.
    Same,
    /// It is another one: another machine, or this one before it was started anew. The wall clock alone tells
    /// how old the record is.
    Other,
}

const MEMBERS: [&str; 12] = [
    "format",
    "access_token",
    "recorded_at_mono_ms",
    "recorded_at_wall_ms",
    "refresh_in_ms",
    "serve_for_ms",
    "expires_in_ms",
    "expires_at_wall_ms",
    "lifetime_ms",
    "scopes",
    "client_id",
    "subject",
];

impl Lease {
    /// Notes the lease down for another client of the same configuration, as it is `now`.
    pub fn record(&self, now: Now) -> LeaseRecord {
        // A clock that went back does not make the token younger than it was when it came.
        let asked_for_at = self.expires_at_ms().saturating_sub(self.lifetime_ms());
        let recorded_at = Now {
            mono_ms: now.mono_ms.max(asked_for_at),
            ..now
        };
        let from_now = |at_ms: u64| at_ms.saturating_sub(recorded_at.mono_ms);
        LeaseRecord {
            access_token: self.value().into(),
            recorded_at,
            refresh_in_ms: from_now(self.refresh_at_ms()),
            serve_for_ms: from_now(self.serve_until_ms()),
            expires_in_ms: from_now(self.expires_at_ms()),
            expires_at_wall_ms: self.expires_at_wall_ms(),
            lifetime_ms: self.lifetime_ms(),
            scopes: self.scopes().to_vec(),
            client_id: self.client_id().map(String::from),
            subject: self.subject().map(String::from),
        }
    }
}

impl LeaseRecord {
    /// Names the token without telling it.
    pub fn id(&self) -> LeaseId {
        LeaseId::of(self.access_token.expose())
    }

    /// When the token expires, in milliseconds since 1970.
    pub fn expires_at_wall_ms(&self) -> u64 {
        self.expires_at_wall_ms
    }

    /// The record as JSON text, the token included.
    pub fn to_json(&self) -> Secret {
        Secret::new(to_json(&Written {
            format: 1,
            access_token: self.access_token.expose(),
            recorded_at_mono_ms: self.recorded_at.mono_ms,
            recorded_at_wall_ms: self.recorded_at.wall_ms,
            refresh_in_ms: self.refresh_in_ms,
            serve_for_ms: self.serve_for_ms,
            expires_in_ms: self.expires_in_ms,
            expires_at_wall_ms: self.expires_at_wall_ms,
            lifetime_ms: self.lifetime_ms,
            scopes: &self.scopes,
            client_id: self.client_id.as_deref(),
            subject: self.subject.as_deref(),
        }))
    }

    /// Reads what [`LeaseRecord::to_json`] wrote.
    ///
    /// # Errors
    /// [`Code::StoreCorrupt`], with the member: it was written by something else, or damaged.
    pub fn from_json(text: &[u8]) -> Result<LeaseRecord, Error> {
        let object = json::parse_object(text).map_err(|error| {
            let corrupt = Error::new(Code::StoreCorrupt, String::from(error.message()));
            match error.offset() {
                Some(offset) => corrupt.at_offset(offset),
                None => corrupt,
            }
        })?;
        let members = Members::document(&object, &MEMBERS, Code::StoreCorrupt)?;
        let format = members.get("format");
        if format.value().and_then(Value::as_u64) != Some(1) {
            return Err(format.error("it was written by another version of svcauth"));
        }
        let token = members.get("access_token").required("the token")?;
        let access_token = Secret::from(token.text("the token")?.unwrap_or_default());
        if !is_token(access_token.expose()) {
            return Err(token.error("holds a character that no token has"));
        }
        let record = LeaseRecord {
            access_token,
            recorded_at: Now {
                mono_ms: milliseconds(&members.get("recorded_at_mono_ms"))?,
                wall_ms: milliseconds(&members.get("recorded_at_wall_ms"))?,
            },
            refresh_in_ms: milliseconds(&members.get("refresh_in_ms"))?,
            serve_for_ms: milliseconds(&members.get("serve_for_ms"))?,
            expires_in_ms: milliseconds(&members.get("expires_in_ms"))?,
            expires_at_wall_ms: milliseconds(&members.get("expires_at_wall_ms"))?,
            lifetime_ms: milliseconds(&members.get("lifetime_ms"))?,
            scopes: scopes(&members.get("scopes"))?,
            client_id: optional_text(&members.get("client_id"))?,
            subject: optional_text(&members.get("subject"))?,
        };
        let in_order = record.refresh_in_ms <= record.serve_for_ms
            && record.serve_for_ms <= record.expires_in_ms
            && record.expires_in_ms <= record.lifetime_ms;
        if !in_order {
            return Err(members
                .get("lifetime_ms")
                .error("the times of the record are out of order"));
        }
        Ok(record)
    }

    pub(super) fn is_of(&self, lease: &Lease) -> bool {
        lease.is_of(self.access_token.expose())
    }

    /// What is left of the token's life; none where it cannot be served.
    pub(super) fn life(&self, clock: RecordClock, now: Now) -> Option<Life> {
        let age = match clock {
            // A record from the future was made under another clock.
            RecordClock::Same => now.mono_ms.checked_sub(self.recorded_at.mono_ms)?,
            RecordClock::Other => {
                // The machine may have slept, or its clock was set, before the record was made.
                if now.wall_ms >= self.expires_at_wall_ms {
                    return None;
                }
                let ahead = self.recorded_at.wall_ms.saturating_sub(now.wall_ms);
                // One of two clocks is wrong. As long as the margin covers it, no token is served too long.
                if ahead > self.expires_in_ms - self.serve_for_ms {
                    return None;
                }
                now.wall_ms.saturating_sub(self.recorded_at.wall_ms)
            }
        };
        let left = |time_ms: u64| now.mono_ms.saturating_add(time_ms.saturating_sub(age));
        (age < self.serve_for_ms).then(|| Life {
            refresh_at: left(self.refresh_in_ms),
            serve_until: left(self.serve_for_ms),
            expires_at: left(self.expires_in_ms),
        })
    }

    /// The lease with that life.
    pub(super) fn lease(&self, life: &Life, ask_at_ms: u64) -> Lease {
        Lease::new(super::lease::Parts {
            value: self.access_token.clone(),
            lifetime_ms: self.lifetime_ms,
            refresh_at_ms: life.refresh_at,
            ask_at_ms,
            serve_until_ms: life.serve_until,
            expires_at_ms: life.expires_at,
            expires_at_wall_ms: self.expires_at_wall_ms,
            scopes: self.scopes.clone(),
            client_id: self.client_id.clone(),
        })
    }
}

fn milliseconds(field: &Field<'_>) -> Result<u64, Error> {
    match field.value().and_then(Value::as_u64) {
        Some(number) => Ok(number),
        None => Err(field.wrong_type("a number of milliseconds")),
    }
}

fn scopes(field: &Field<'_>) -> Result<Vec<String>, Error> {
    let items = field.items("a list of scopes")?;
    let text = |item: &Field<'_>| Ok(item.text("a scope")?.unwrap_or_default().to_owned());
    items.iter().map(text).collect()
}

fn optional_text(field: &Field<'_>) -> Result<Option<String>, Error> {
    match field.value() {
        Some(Value::Null) => Ok(None),
        _ => Ok(field.text("a text")?.map(ToOwned::to_owned)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    const NOW: Now = Now {
        mono_ms: 60_000,
        wall_ms: 1_800_000_060_000,
    };

    fn lease() -> Lease {
        Lease::new(crate::client::lease::Parts {
            value: "t0ken".into(),
            lifetime_ms: 120_000,
            refresh_at_ms: 80_000,
            ask_at_ms: 110_000,
            serve_until_ms: 110_000,
            expires_at_ms: 120_000,
            expires_at_wall_ms: 1_800_000_120_000,
            scopes: ["read".into()].into(),
            client_id: Some("bss".into()),
        })
    }

    #[test]
    fn a_record_survives_its_json_form_and_prints_no_token() {
        let record = lease().record(NOW);
        let json = record.to_json();
        assert_eq!(
            LeaseRecord::from_json(json.expose().as_bytes()).as_ref(),
            Ok(&record)
        );
        assert_eq!(record.id(), lease().id());
        assert!(json.expose().contains("t0ken") && !format!("{record:?}").contains("t0ken"));

        let early = lease().record(Now { mono_ms: 0, ..NOW });
        assert_eq!(early.expires_in_ms, early.lifetime_ms);
        let mut sent_late = lease().record(NOW);
        sent_late.lifetime_ms = 60_000;
        let life = sent_late.life(RecordClock::Same, NOW).unwrap();
        let back = Now { mono_ms: 0, ..NOW };
        let record = sent_late.lease(&life, 0).record(back);
        assert_eq!(
            (record.recorded_at.mono_ms, record.expires_in_ms),
            (60_000, 60_000)
        );
    }

    #[test]
    fn what_is_left_of_a_record_is_told_by_the_clock_that_can_be_trusted() {
        use RecordClock::{Other, Same};
        let record = lease().record(NOW);
        // clock, monotonic and wall time since the record was made; refresh_at and serve_until after now
        for (clock, mono, wall, left) in [
            (Same, 0, 0, Some((20_000, 50_000))),
            (Same, 10_000, 10_000, Some((10_000, 40_000))),
            (Same, 30_000, 30_000, Some((0, 20_000))),
            (Same, 49_999, 49_999, Some((0, 1))),
            (Same, 50_000, 50_000, None),
            // The wall clock was set.
            (Same, 10_000, 90_000_000, Some((10_000, 40_000))),
            (Same, 10_000, -90_000_000, Some((10_000, 40_000))),
            // Not the same clock after all.
            (Same, -1, 10_000, None),
            (Other, -50_000, 10_000, Some((10_000, 40_000))),
            (Other, 900_000_000, 49_999, Some((0, 1))),
            (Other, 0, 50_000, None),
            (Other, 0, 90_000_000, None),
            // This machine's clock is behind the other's, by no more than the margin.
            (Other, 0, -10_000, Some((20_000, 50_000))),
            (Other, 0, -10_001, None),
        ] {
            let now = Now {
                mono_ms: NOW.mono_ms.checked_add_signed(mono).unwrap(),
                wall_ms: NOW.wall_ms.checked_add_signed(wall).unwrap(),
            };
            let life = record.life(clock, now);
            let found = life.map(|life| {
                assert_eq!(life.expires_at, life.serve_until + 10_000);
                (
                    life.refresh_at - now.mono_ms,
                    life.serve_until - now.mono_ms,
                )
            });
            assert_eq!(found, left, "{clock:?} {mono} {wall}");
        }
        // The machine slept before the record was made: the wall clock knows better.
        let late = Now {
            wall_ms: 1_800_000_119_999,
            ..NOW
        };
        assert!(lease().record(late).life(Other, late).is_some());
        let later = Now {
            wall_ms: 1_800_000_120_000,
            ..NOW
        };
        assert!(lease().record(later).life(Other, later).is_none());
    }

    #[test]
    fn a_damaged_record_is_refused_with_the_member_that_is_wrong() {
        let good = lease().record(NOW).to_json();
        for (part, instead, member) in [
            ("\"format\":1", "\"format\":2", "format"),
            ("\"format\":1,", "", "format"),
            ("\"t0ken\"", "\"t0k\\u000aen\"", "access_token"),
            ("\"t0ken\"", "\"t0k en\"", "access_token"),
            ("\"t0ken\"", "7", "access_token"),
            (
                "\"refresh_in_ms\":20000",
                "\"refresh_in_ms\":50001",
                "lifetime_ms",
            ),
            (
                "\"serve_for_ms\":50000",
                "\"serve_for_ms\":60001",
                "lifetime_ms",
            ),
            (
                "\"expires_in_ms\":60000",
                "\"expires_in_ms\":120001",
                "lifetime_ms",
            ),
            (
                "\"expires_in_ms\":60000",
                "\"expires_in_ms\":-1",
                "expires_in_ms",
            ),
            (
                "\"lifetime_ms\":120000",
                "\"lifetime_ms\":1e300",
                "lifetime_ms",
            ),
            ("\"scopes\":[\"read\"]", "\"scopes\":[1]", "scopes[0]"),
            ("\"client_id\":\"bss\"", "\"client_id\":[]", "client_id"),
            ("\"subject\"", "\"subjekt\"", "subjekt"),
        ] {
            let text = good.expose().replacen(part, instead, 1);
            assert_ne!(text, good.expose());
            let error = LeaseRecord::from_json(text.as_bytes()).unwrap_err();
            assert_eq!(
                (error.code(), error.member()),
                (Code::StoreCorrupt, Some(member))
            );
            assert!(!format!("{error:?}").contains("t0k"), "{error:?}");
        }
        for text in ["", "[]", "null", "{", "{}"] {
            let error = LeaseRecord::from_json(text.as_bytes()).unwrap_err();
            assert_eq!(error.code(), Code::StoreCorrupt, "{text}");
        }
    }
}
