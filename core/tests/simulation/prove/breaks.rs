//! Ways to break the core, each a small change of its text that breaks one promise.

pub(crate) struct Break {
    /// Names it, for `make prove BREAK=…`.
    pub(crate) name: &'static str,
    /// The promise whose check must catch it, by the name that `promise.rs` gives it.
    pub(crate) promise: &'static str,
    /// What the broken client does.
    pub(crate) what: &'static str,
    pub(crate) edits: &'static [Edit],
}

/// A text that stands exactly once in a file below `core/src`, and what takes its place.
pub(crate) struct Edit {
    pub(crate) file: &'static str,
    pub(crate) from: &'static str,
    pub(crate) to: &'static str,
}

pub(crate) const BREAKS: &[Break] = &[
    Break {
        name: "life-from-answer",
        promise: "lease-in-time",
        what: "counts a token's life from the answer instead of the request",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "let expires_at = sent.saturating_add(lifetime);",
            to: "let expires_at = received.saturating_add(lifetime);",
        }],
    },
    Break {
        name: "served-until-polled",
        promise: "lease-in-time",
        what: "serves an expired lease until it is polled again",
        edits: &[Edit {
            file: "client/token.rs",
            from: ".filter(|lease| !self.suspect && now < lease.serve_until_ms())",
            to: ".filter(|_| !self.suspect)",
        }],
    },
    Break {
        name: "failure-over-lease",
        promise: "lease-kept",
        what: "tells of a failed refresh although the lease is good",
        edits: &[Edit {
            file: "client/token.rs",
            from: "if failure.answered && !serving {",
            to: "if failure.answered {",
        }],
    },
    Break {
        name: "any-rejection-counts",
        promise: "lease-kept",
        what: "doubts the lease at hand when another one is rejected",
        edits: &[Edit {
            file: "client/token.rs",
            from: "Some(current) if current.id() != id => Rejection::Retry(current),",
            to: "Some(current) if false => Rejection::Retry(current),",
        }],
    },
    Break {
        name: "second-request",
        promise: "one-request",
        what: "begins an attempt while another is under way",
        edits: &[
            Edit {
                file: "client/token.rs",
                from: "if self.fetch.is_some() {",
                to: "if false {",
            },
            Edit {
                file: "client/token.rs",
                from: "if self.fetch.is_none() && self.due.is_some_and(|due| due <= now) {",
                to: "if self.due.is_some_and(|due| due <= now) {",
            },
        ],
    },
    Break {
        name: "no-back-off",
        promise: "no-storm",
        what: "tries again at once after trouble",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "part(full, jitter.unit()).max(full / 10).max(1)",
            to: "1",
        }],
    },
    Break {
        name: "retry-after-ignored",
        promise: "no-storm",
        what: "does not obey Retry-After",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "if let Some(asked) = retry_after.filter(|asked| *asked > 0) {",
            to: "if let Some(asked) = retry_after.filter(|_| false) {",
        }],
    },
    Break {
        name: "no-cool-down",
        promise: "no-storm",
        what: "asks for another token at every 401",
        edits: &[Edit {
            file: "client/token.rs",
            from: "if cooling && self.newer.is_none() {",
            to: "if false {",
        }],
    },
    Break {
        name: "no-floor",
        promise: "no-storm",
        what: "has no least time between two refreshes",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "self.refresh_floor_ms.min(lifetime / 2)",
            to: "self.refresh_floor_ms.min(lifetime / 2).min(1)",
        }],
    },
    Break {
        name: "each-user-alone",
        promise: "no-storm",
        what: "has a back-off for each user's token while the server is away",
        edits: &[Edit {
            file: "client/outage.rs",
            from: "Some(_) => false,",
            to: "Some(_) => true,",
        }],
    },
    Break {
        name: "users-unbounded",
        promise: "no-storm",
        what: "keeps as many users as there come",
        edits: &[Edit {
            file: "client/mod.rs",
            from: "if self.users() >= limit.saturating_mul(BUSY_SUBJECTS) {",
            to: "if false {",
        }],
    },
    Break {
        name: "failure-untold",
        promise: "waiters-answered",
        what: "keeps a server's failure from those who wait",
        edits: &[Edit {
            file: "client/token.rs",
            from: "if failure.answered && !serving {",
            to: "if false {",
        }],
    },
    Break {
        name: "sharers-untold",
        promise: "waiters-answered",
        what: "tells only the first of the targets that share a token",
        edits: &[Edit {
            file: "client/token.rs",
            from: "for target in &self.sharers {",
            to: "for target in self.sharers.iter().take(1) {",
        }],
    },
    Break {
        name: "wait-without-end",
        promise: "recovery",
        what: "waits without end for a task that is never answered",
        edits: &[Edit {
            file: "client/io.rs",
            from: ".saturating_add(timeout_ms)",
            to: ".saturating_add(timeout_ms.saturating_mul(1 << 40))",
        }],
    },
    Break {
        name: "back-off-unbounded",
        promise: "recovery",
        what: "doubles the back-off beyond its maximum",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "initial.saturating_mul(1 << doublings).min(max).max(1)",
            to: "initial.saturating_mul(1 << doublings).max(max.min(1))",
        }],
    },
    Break {
        name: "refusal-final",
        promise: "recovery",
        what: "never tries again what the server has refused",
        edits: &[Edit {
            file: "client/token.rs",
            from: "let retry_at = failure.retry_at(&config.schedule, self.failures, io);",
            to: "let failure = Failure { \
                 retry_at: (failure.kind == Backoff::Refused).then_some(now.saturating_mul(1 << 20)).or(failure.retry_at), \
                 ..failure };\n        let retry_at = failure.retry_at(&config.schedule, self.failures, io);",
        }],
    },
    Break {
        name: "lost-token-restored",
        promise: "spent-once",
        what: "puts a refresh token back that the server may have used",
        edits: &[Edit {
            file: "client/fetch/mod.rs",
            from: "(Some(token), Delivery::NotTaken) => {",
            to: "(Some(token), _) => {",
        }],
    },
    Break {
        name: "sent-before-marked",
        promise: "spent-once",
        what: "sends a refresh token before the store says that it is spent",
        edits: &[Edit {
            file: "client/fetch/one_use.rs",
            from: "Stage::Mark(store(StoreOperation::PutIf { version, value }, job, parts));",
            to: "{ let _: crate::SecretBytes = value; Stage::Authenticate };",
        }],
    },
    Break {
        name: "echo-uncut",
        promise: "secrecy",
        what: "does not cut secrets out of what the server said",
        edits: &[Edit {
            file: "message/clean.rs",
            from: "if let Some(length) = secrets.at_start_of(rest) {",
            to: "if let (Some(length), false) = (secrets.at_start_of(rest), true) {",
        }],
    },
    Break {
        name: "body-printed",
        promise: "secrecy",
        what: "shows a request's body with Debug",
        edits: &[Edit {
            file: "secret.rs",
            from: "write!(f, \"[{} bytes]\", self.0.len())",
            to: "f.write_str(&alloc::string::String::from_utf8_lossy(&self.0))",
        }],
    },
    Break {
        name: "token-in-event",
        promise: "secrecy",
        what: "puts the token into the event that it came",
        edits: &[Edit {
            file: "client/token.rs",
            from: "scopes: lease.scopes().to_vec(),",
            to: "scopes: [lease.value().into()].into(),",
        }],
    },
    Break {
        name: "half-segments",
        promise: "only-targets",
        what: "matches /api/v1x for /api/v1",
        edits: &[Edit {
            file: "client/call.rs",
            from: ".is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))",
            to: ".is_some()",
        }],
    },
    Break {
        name: "any-scheme",
        promise: "only-targets",
        what: "sends a token over http where https is configured",
        edits: &[Edit {
            file: "wire/url.rs",
            from: "self.https == origin.https",
            to: "self.host.is_char_boundary(0)",
        }],
    },
    Break {
        name: "any-redirect",
        promise: "only-targets",
        what: "sends a token along after a redirect from elsewhere",
        edits: &[Edit {
            file: "client/call.rs",
            from: "if call.redirected_from.is_some_and(|first| {",
            to: "if call.redirected_from.is_some_and(|first| false && {",
        }],
    },
    Break {
        name: "user-as-service",
        promise: "right-token",
        what: "gives the service's own token to a user",
        edits: &[Edit {
            file: "client/mod.rs",
            from: "Subject::User(token) => self.user_token(owner, token)?,",
            to: "Subject::User(_) => owner,",
        }],
    },
    Break {
        name: "registration-unsaved",
        promise: "saved-first",
        what: "uses a registration before it is saved",
        edits: &[Edit {
            file: "client/registration/mod.rs",
            from: "self.unsaved = Some(record);",
            to: "if !record.authorized { return self.adopt(record, parts); }\n        self.unsaved = Some(record);",
        }],
    },
    Break {
        name: "refresh-token-unsaved",
        promise: "saved-first",
        what: "uses a token before its one-use refresh token is saved",
        edits: &[Edit {
            file: "client/fetch/mod.rs",
            from: "(RefreshTokens::OneUse, Some(token)) => {",
            to: "(RefreshTokens::OneUse, Some(token)) if job.target.urls.is_empty() => {",
        }],
    },
    Break {
        name: "answered-twice",
        promise: "contract",
        what: "takes the outcome of a task as often as it comes",
        edits: &[Edit {
            file: "client/io.rs",
            from: "Some(self.under_way.remove(place.ok()?).owner)",
            to: "Some(self.under_way.get(place.ok()?)?.owner)",
        }],
    },
    Break {
        name: "plain-subtraction",
        promise: "no-panic",
        what: "subtracts times that may be in any order",
        edits: &[Edit {
            file: "client/schedule.rs",
            from: "let remaining = expires_at.saturating_sub(received);",
            to: "let remaining = expires_at - received;",
        }],
    },
];
