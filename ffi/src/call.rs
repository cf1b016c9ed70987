//! What happens to one outgoing call.

use crate::{
    client::{number_of, Client},
    complete::status_of,
    error::{Error, Failure},
    fields,
    guard::{bytes, guard, look_up, out, out_text, text},
    handle::{hand_out, object, release},
    lease::Lease,
    raw,
    text::Text,
    ResultCode,
};
use safer_ffi::derive_ReprC;
#[cfg(test)]
use safer_ffi::ffi_export;
use std::{ffi::c_char, str, sync::Arc};
use svcauth_core::{
    client::{self as core, Answered, Call, Calls, Subject, SubjectId, TargetId},
    wire::json::to_json,
    Secret,
};

/// The caller has put an Authorization header of its own.
pub const CALL_HAS_AUTHORIZATION: u32 = 1;
/// The call is made on behalf of the user whose token is given.
pub const CALL_HAS_USER_TOKEN: u32 = 2;
/// The call belongs to an inbound request that must have had a user.
pub const CALL_USER_REQUIRED: u32 = 4;
/// The call follows a redirect; where it was first made to is given.
pub const CALL_REDIRECTED: u32 = 8;

/// What one call carries. Owned by whoever got it, freed by `svcauth_decision_free`, which wipes a user's
/// token in it. Immutable: any number of threads may read it.
#[derive_ReprC(rename = "svcauth_decision")]
#[repr(opaque)]
#[derive(Debug)]
pub struct Decision {
    inner: Inner,
    /// Those that it was made by.
    calls: Arc<Calls>,
    has_authorization: bool,
}

#[derive(Debug)]
enum Inner {
    Nothing,
    UserToken {
        target: TargetId,
        token: Secret,
        authorization: Option<Secret>,
    },
    Lease {
        target: TargetId,
        user: Option<(Secret, SubjectId)>,
    },
}

/// What a call carries.
#[derive_ReprC(rename = "svcauth_decision_kind")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionKind {
    /// What it has already: nothing is added.
    Nothing = 1,
    /// The user's own token, a text of the decision.
    UserToken = 2,
    /// A lease: `svcauth_client_token_for`.
    Lease = 3,
}

/// A text of a decision.
#[derive_ReprC(rename = "svcauth_decision_text")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionText {
    /// The user's token, of kind user token. A secret.
    UserToken = 1,
    /// Whose lease: the same 32 bytes, not a text, as in the output that brings it. Absent for the service's own.
    Subject = 2,
    /// The value of the Authorization field for a user's token: `Bearer` and the token. A secret. A lease has
    /// its own.
    Authorization = 3,
}

/// Whether the body of a call can be sent again.
#[derive_ReprC(rename = "svcauth_replay")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// It cannot, or the call was made twice already.
    Impossible = 1,
    /// It can, and the call was made once.
    Possible = 2,
}

/// Which attempt of a call it was.
#[derive_ReprC(rename = "svcauth_attempt")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// The first.
    First = 1,
    /// The second, with another lease, after a 401.
    Second = 2,
}

/// What to do with the answer to a call.
#[derive_ReprC(rename = "svcauth_answered")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AnsweredKind {
    /// Give it to the caller.
    Deliver = 1,
    /// `svcauth_client_reject`, and what that says.
    Retry = 2,
    /// `svcauth_client_reject`, and give the answer to the caller: the call cannot be made once more.
    Report = 3,
}

/// What `svcauth_client_reject` answers.
#[derive_ReprC(rename = "svcauth_rejection")]
#[repr(u32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionKind {
    /// Make the call once more, with the lease that is given.
    Retry = 1,
    /// Another token is being got: at the next output of kind lease for the target, or at the caller's
    /// deadline, ask again for the same lease.
    Wait = 2,
    /// Give the 401 to the caller.
    Deliver = 3,
}

/// Decides what a call carries. `flags` are `SVCAUTH_CALL_` bits; a text whose bit is not set is not read.
///
/// `url` is what is connected to, not what a Host header says. A call that must not be made is an error.
/// Does not wait for other threads. Freed by `svcauth_decision_free`.
///
/// Without redirects, two calls with the same flags and user's token whose URLs have the same scheme, host,
/// port and path are decided the same, so a program may keep decisions until an output of kind calls changed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_decide"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_decide(
    client: *const Client,
    url: *const c_char,
    url_len: usize,
    flags: u32,
    user_token: *const c_char,
    user_token_len: usize,
    redirected_from: *const c_char,
    redirected_from_len: usize,
    decision: *mut *mut Decision,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let decision = out(decision, "decision")?;
        let call = Asked {
            url: (url, url_len),
            flags,
            user_token: (user_token, user_token_len),
            redirected_from: (redirected_from, redirected_from_len),
        };
        let call = call.read()?;
        let calls = client.calls()?;
        let made = Decision::of(calls.decide(&call), &call, &calls)?;
        hand_out(made, decision)
    })
}

/// Says what to do with the answer to a call that was decided so.
///
/// `header_fields` are the answer's, as for `svcauth_client_complete_response`.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_client_answered"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_client_answered(
    client: *const Client,
    decision: *const Decision,
    status: u32,
    header_fields: *const c_char,
    header_fields_len: usize,
    replay: Replay_Layout,
    what: *mut AnsweredKind,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let client = object(client, "client")?;
        let decision = object(decision, "decision")?;
        let answer = Answer {
            status,
            header_fields: (header_fields, header_fields_len),
            replay,
        };
        let what = out(what, "what")?;
        what.write(answer.meaning(&decision, &*client.calls()?)?);
        Ok(())
    })
}

/// Gives the kind of a decision.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_decision_get_kind"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_decision_get_kind(
    decision: *const Decision,
    kind: *mut DecisionKind,
) -> ResultCode {
    look_up(|| {
        let decision = object(decision, "decision")?;
        out(kind, "kind")?.write(match decision.inner {
            Inner::Nothing => DecisionKind::Nothing,
            Inner::UserToken { .. } => DecisionKind::UserToken,
            Inner::Lease { .. } => DecisionKind::Lease,
        });
        Ok(())
    })
}

/// Gives the number of the target that the URL belongs to; the wrong kind where it belongs to none.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_decision_target"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_decision_target(
    decision: *const Decision,
    target: *mut u32,
) -> ResultCode {
    look_up(|| {
        let decision = object(decision, "decision")?;
        let number = out(target, "target")?;
        match decision.inner {
            Inner::Nothing => return Err(Failure::wrong_kind()),
            Inner::UserToken { target, .. } | Inner::Lease { target, .. } => {
                number.write(number_of(target));
            }
        }
        Ok(())
    })
}

/// Gives a text of a decision: (NULL, 0) where it has none. It stays until the decision is freed.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_decision_get_text"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_decision_get_text(
    decision: *const Decision,
    which: DecisionText_Layout,
    text: *mut *const c_char,
    len: *mut usize,
) -> ResultCode {
    look_up(|| {
        let decision = object(decision, "decision")?;
        let which: DecisionText = raw(which, "which")?;
        out_text(text, len)?.write(match (which, &decision.inner) {
            (DecisionText::UserToken, Inner::UserToken { token, .. }) => {
                Some(token.expose().as_bytes())
            }
            (
                DecisionText::Subject,
                Inner::Lease {
                    user: Some((_, id)),
                    ..
                },
            ) => Some(id.as_bytes().as_slice()),
            (DecisionText::Authorization, Inner::UserToken { authorization, .. }) => authorization
                .as_ref()
                .map(|value| value.expose().as_bytes()),
            _ => None,
        });
        Ok(())
    })
}

/// Makes the event of one attempt of a call, for the log: one JSON object with the members of the client's own
/// events. It tells who called what, and no secret: of `url` it has scheme, host, port and path.
///
/// `lease` is what the call carried, NULL for a decision of another kind; `status` is 0 where no answer came.
/// A program that writes its log in another form uses the same names.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_decision_call_event"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_decision_call_event(
    decision: *const Decision,
    lease: *const Lease,
    method: *const c_char,
    method_len: usize,
    url: *const c_char,
    url_len: usize,
    status: u32,
    attempt: Attempt_Layout,
    event: *mut *mut Text,
    error: *mut *mut Error,
) -> ResultCode {
    guard(error, || {
        let decision = object(decision, "decision")?;
        let lease = match lease.is_null() {
            true => None,
            false => Some(object(lease, "lease")?),
        };
        let attempt = core::Attempt {
            method: text(method, method_len, "method")?,
            lease: lease.as_ref().map(|lease| lease.core()),
            status: match status {
                0 => None,
                status => Some(status_of(status)?),
            },
            retried: raw::<Attempt>(attempt, "attempt")? == Attempt::Second,
        };
        let call = Call {
            url: text(url, url_len, "url")?,
            has_authorization: decision.has_authorization,
            ..Call::default()
        };
        let out = out(event, "event")?;
        let event = decision.calls.event(&call, &decision.core(), &attempt);
        Text::hand_out(to_json(&event), out)
    })
}

/// Frees a decision; NULL is nothing to free.
#[cfg_attr(test, ffi_export(rename = "check_svcauth_decision_free"))]
#[no_mangle]
pub unsafe extern "C" fn svcauth_decision_free(decision: *mut Decision) -> ResultCode {
    release(decision, "decision")
}

/// A call as C describes it.
pub(crate) struct Asked {
    pub(crate) url: (*const c_char, usize),
    pub(crate) flags: u32,
    pub(crate) user_token: (*const c_char, usize),
    pub(crate) redirected_from: (*const c_char, usize),
}

impl Asked {
    pub(crate) fn read<'a>(self) -> Result<Call<'a>, Failure> {
        const KNOWN: u32 =
            CALL_HAS_AUTHORIZATION | CALL_HAS_USER_TOKEN | CALL_USER_REQUIRED | CALL_REDIRECTED;
        if self.flags & !KNOWN != 0 {
            return Err(Failure::invalid_value("flags"));
        }
        let has = |flag| self.flags & flag != 0;
        let given = |flag, (pointer, len), name| has(flag).then(|| text(pointer, len, name));
        let (user, first) = (self.user_token, self.redirected_from);
        Ok(Call {
            url: text(self.url.0, self.url.1, "url")?,
            has_authorization: has(CALL_HAS_AUTHORIZATION),
            user_required: has(CALL_USER_REQUIRED),
            user_token: given(CALL_HAS_USER_TOKEN, user, "user_token").transpose()?,
            redirected_from: given(CALL_REDIRECTED, first, "redirected_from").transpose()?,
        })
    }
}

/// The answer to a call as C describes it.
pub(crate) struct Answer {
    pub(crate) status: u32,
    pub(crate) header_fields: (*const c_char, usize),
    pub(crate) replay: Replay_Layout,
}

impl Answer {
    pub(crate) fn meaning(
        self,
        decision: &Decision,
        calls: &Calls,
    ) -> Result<AnsweredKind, Failure> {
        let status = status_of(self.status)?;
        let (block, len) = self.header_fields;
        let block = bytes(block, len, "header_fields")?;
        let replayable = raw::<Replay>(self.replay, "replay")? == Replay::Possible;
        let challenges = fields::lines(block)
            .filter(|(name, _)| name.eq_ignore_ascii_case(b"www-authenticate"))
            .filter_map(|(_, value)| str::from_utf8(value).ok());
        Ok(
            match calls.answered(&decision.core(), status, challenges, replayable) {
                Answered::Retry => AnsweredKind::Retry,
                Answered::Report => AnsweredKind::Report,
                _ => AnsweredKind::Deliver,
            },
        )
    }
}

impl Decision {
    pub(crate) fn of(
        decided: core::Decision<'_>,
        call: &Call<'_>,
        calls: &Arc<Calls>,
    ) -> Result<Decision, Failure> {
        let authorization = decided.authorization();
        let inner = match decided {
            core::Decision::Refuse(error) => return Err(error.into()),
            core::Decision::UserToken { target, token } => Inner::UserToken {
                target,
                token: token.into(),
                authorization,
            },
            core::Decision::Lease { target, subject } => Inner::Lease {
                target,
                user: match subject {
                    Subject::Service => None,
                    Subject::User(token) => Some((token.into(), SubjectId::of(token))),
                },
            },
            _ => Inner::Nothing,
        };
        Ok(Decision {
            inner,
            has_authorization: call.has_authorization,
            calls: Arc::clone(calls),
        })
    }

    /// The target and whose lease it is, of the kind lease.
    pub(crate) fn lease(&self) -> Result<(u32, Subject<'_>), Failure> {
        match &self.inner {
            Inner::Lease { target, user } => Ok((number_of(*target), subject_of(user))),
            _ => Err(Failure::wrong_kind()),
        }
    }

    /// The rules that it was made by.
    #[cfg(feature = "transport")]
    pub(crate) fn calls(&self) -> &Calls {
        &self.calls
    }

    fn core(&self) -> core::Decision<'_> {
        match &self.inner {
            Inner::Nothing => core::Decision::Nothing,
            Inner::UserToken { target, token, .. } => core::Decision::UserToken {
                target: *target,
                token: token.expose(),
            },
            Inner::Lease { target, user } => core::Decision::Lease {
                target: *target,
                subject: subject_of(user),
            },
        }
    }
}

fn subject_of(user: &Option<(Secret, SubjectId)>) -> Subject<'_> {
    match user {
        None => Subject::Service,
        Some((token, _)) => Subject::User(token.expose()),
    }
}
