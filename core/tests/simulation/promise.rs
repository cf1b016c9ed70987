//! What the client promises. A violation names the promise that is broken, so that a deliberate break can be
//! held against the check that is to catch it; README.md says more of each.

use std::fmt;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Promise {
    /// No lease is handed out after its end, by the clock that was read.
    LeaseInTime,
    /// A valid lease is never lost to a failure.
    LeaseKept,
    /// At most one request is in flight for a token.
    OneRequest,
    /// Requests and tasks are bounded in any window.
    NoStorm,
    /// Every waiter is answered.
    WaitersAnswered,
    /// After everything is well again there is a token within one back-off.
    Recovery,
    /// A refresh token that can be used once is spent once.
    SpentOnce,
    /// No secret stands in an event or error.
    Secrecy,
    /// No token goes to a URL of no target.
    OnlyTargets,
    /// Each caller gets the token that is its own, and that the server made.
    RightToken,
    /// A registration and a one-use refresh token are saved before they are used.
    SavedFirst,
    /// Poll and complete keep to their contract.
    Contract,
    /// Nothing panics.
    NoPanic,
}

/// A promise that was not kept.
pub(crate) struct Broken {
    pub(crate) promise: Promise,
    pub(crate) what: String,
}

pub(crate) type Verdict = Result<(), Broken>;

impl Promise {
    pub(crate) fn broken(self, what: String) -> Verdict {
        Err(Broken {
            promise: self,
            what,
        })
    }
}

impl fmt::Display for Promise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Promise::LeaseInTime => "lease-in-time",
            Promise::LeaseKept => "lease-kept",
            Promise::OneRequest => "one-request",
            Promise::NoStorm => "no-storm",
            Promise::WaitersAnswered => "waiters-answered",
            Promise::Recovery => "recovery",
            Promise::SpentOnce => "spent-once",
            Promise::Secrecy => "secrecy",
            Promise::OnlyTargets => "only-targets",
            Promise::RightToken => "right-token",
            Promise::SavedFirst => "saved-first",
            Promise::Contract => "contract",
            Promise::NoPanic => "no-panic",
        })
    }
}
