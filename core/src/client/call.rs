//! What happens to one outgoing call: which token it carries, and whether an answer to it is a reason to
//! get another one. The same for every host.

use super::{Lease, Subject, TargetId, UnverifiedClaims};
use crate::{
    Code, Config, Error, Event, Secret,
    config::UserToken,
    wire::{Origin, Url, bearer, challenge, is_token, url},
};
use alloc::{boxed::Box, string::String, vec::Vec};

/// The rules for outgoing calls. Immutable: hosts share it between threads without a lock.
#[derive(Clone, Debug)]
pub struct Calls {
    targets: Vec<Rule>,
    /// Sorted by the length of the path, longest first, so that the first match is the longest.
    prefixes: Vec<Prefix>,
    /// The client's own endpoints, which are never decorated.
    endpoints: Vec<Endpoint>,
}

#[derive(Clone, Debug)]
struct Rule {
    name: String,
    user_token: UserToken,
}

#[derive(Clone, Debug)]
struct Prefix {
    origin: Origin,
    /// Without a slash at its end; empty for the whole origin.
    path: Box<str>,
    target: TargetId,
}

#[derive(Clone, Debug, PartialEq)]
struct Endpoint {
    origin: Origin,
    path: Box<str>,
}

/// One call that is about to be made.
#[derive(Clone, Copy, Default)]
pub struct Call<'a> {
    /// The URL that is connected to, not what a Host header says.
    pub url: &'a str,
    /// Whether the caller has put an Authorization header of its own.
    pub has_authorization: bool,
    /// The token of the user on whose behalf the call is made.
    pub user_token: Option<&'a str>,
    /// Whether the call belongs to an inbound request that must have had a user.
    pub user_required: bool,
    /// Where the call was first made to, if it follows a redirect.
    pub redirected_from: Option<&'a str>,
}

/// What a call carries.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Decision<'a> {
    /// What it has already: nothing is added.
    Nothing,
    /// The user's own token.
    UserToken {
        /// The target that the URL belongs to.
        target: TargetId,
        /// The token.
        token: &'a str,
    },
    /// The target's lease for this subject.
    Lease {
        /// The target that the URL belongs to.
        target: TargetId,
        /// Whose lease.
        subject: Subject<'a>,
    },
    /// The call must not be made.
    Refuse(Error),
}

/// How one attempt of a call went, as its host knows it; for [`Calls::event`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Attempt<'a> {
    /// The method.
    pub method: &'a str,
    /// The lease that it carried.
    pub lease: Option<&'a Lease>,
    /// The status of the answer; none where no answer came.
    pub status: Option<u16>,
    /// Whether it was the second attempt.
    pub retried: bool,
}

/// What to do with the answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answered {
    /// Give it to the caller.
    Deliver,
    /// Report the lease to [`Client::reject`](super::Client::reject), and make the call once more if that
    /// brings another one; otherwise give this answer to the caller.
    Retry,
    /// Tell [`Client::report`](super::Client::report) of the lease, and give this answer to the caller: the call
    /// cannot be made once more.
    Report,
}

impl Decision<'_> {
    /// The value of the Authorization field for a user's token that is passed on: `Bearer ` and the token. A
    /// lease has [its own](super::Lease::authorization).
    pub fn authorization(&self) -> Option<Secret> {
        match self {
            Decision::UserToken { token, .. } => Some(bearer::authorization(token)),
            _ => None,
        }
    }
}

impl Calls {
    pub(crate) fn new(config: &Config) -> Calls {
        let mut prefixes: Vec<Prefix> = Vec::new();
        for (index, target) in config.targets.iter().enumerate() {
            for url in &target.urls {
                let path = url.path().trim_end_matches('/');
                let longer = prefixes.partition_point(|known| known.path.len() >= path.len());
                let prefix = Prefix {
                    origin: url.origin().clone(),
                    path: path.into(),
                    target: TargetId(index),
                };
                prefixes.insert(longer, prefix);
            }
        }
        let mut calls = Calls {
            targets: config
                .targets
                .iter()
                .map(|target| Rule {
                    name: target.name.clone(),
                    user_token: target.user_token,
                })
                .collect(),
            prefixes,
            endpoints: Vec::new(),
        };
        let endpoints = &config.endpoints;
        let own = [
            &endpoints.token,
            &endpoints.authorization,
            &endpoints.registration,
        ];
        calls.never_decorate(own.into_iter().flatten());
        calls
    }

    /// Adds endpoints of the client's own; whether any was new.
    pub(crate) fn never_decorate<'a>(&mut self, urls: impl Iterator<Item = &'a Url>) -> bool {
        let before = self.endpoints.len();
        for url in urls {
            let endpoint = Endpoint {
                origin: url.origin().clone(),
                path: url.path().trim_end_matches('/').into(),
            };
            if !self.endpoints.contains(&endpoint) {
                self.endpoints.push(endpoint);
            }
        }
        self.endpoints.len() > before
    }

    /// The target's name, as configured.
    pub fn target_name(&self, target: TargetId) -> &str {
        self.targets.get(target.0).map_or("", |rule| &rule.name)
    }

    /// The target that `url` belongs to: same origin, and the longest configured path of whose whole segments
    /// it starts with.
    ///
    /// Answers none for the client's own endpoints, and for a URL with dot segments, encoded slashes or
    /// anything else that another reader might take for another path.
    pub fn target(&self, url: &str) -> Option<TargetId> {
        let parts = url::parts(url)?;
        if url::ambiguity(parts.path).is_some() {
            return None;
        }
        let target = self.target_of(&parts, parts.path)?;
        // Many servers take several slashes for one: what they then see must belong to the same target.
        if parts.path.contains("//") {
            let mut merged = String::with_capacity(parts.path.len());
            for segment in parts.path.split('/').filter(|segment| !segment.is_empty()) {
                merged.push('/');
                merged.push_str(segment);
            }
            if self.target_of(&parts, &merged) != Some(target) {
                return None;
            }
        }
        Some(target)
    }

    fn target_of(&self, parts: &url::Parts<'_>, path: &str) -> Option<TargetId> {
        let path = path.trim_end_matches('/');
        let own = |endpoint: &Endpoint| *endpoint.path == *path && parts.is_of(&endpoint.origin);
        if self.endpoints.iter().any(own) {
            return None;
        }
        self.prefixes
            .iter()
            .find(|prefix| starts_with_segments(path, &prefix.path) && parts.is_of(&prefix.origin))
            .map(|prefix| prefix.target)
    }

    /// What a call carries. In this order: the caller's own Authorization; nothing for a URL of no target,
    /// or after a redirect out of another target; the user's token as the target says; nothing but a refusal
    /// where a user is required and missing; the target's own lease.
    pub fn decide<'a>(&self, call: &Call<'a>) -> Decision<'a> {
        if call.has_authorization {
            return Decision::Nothing;
        }
        let Some(target) = self.target(call.url) else {
            return Decision::Nothing;
        };
        // Nor may a redirect take the token off TLS.
        let is_https = |url: &str| url::parts(url).is_some_and(|parts| parts.https);
        if call.redirected_from.is_some_and(|first| {
            self.target(first) != Some(target) || is_https(first) && !is_https(call.url)
        }) {
            return Decision::Nothing;
        }
        let Some(rule) = self.targets.get(target.0) else {
            return Decision::Nothing;
        };
        match (call.user_token, rule.user_token) {
            (Some(token), UserToken::Pass | UserToken::Exchange) if !is_token(token) => Decision::Refuse(
                Error::new(Code::InvalidArgument, "the user's token holds characters that no token has")
                    .at(rule.name.clone()),
            ),
            (Some(token), UserToken::Pass) => Decision::UserToken { target, token },
            (Some(token), UserToken::Exchange) => Decision::Lease { target, subject: Subject::User(token) },
            (None, _) if call.user_required => Decision::Refuse(
                Error::new(
                    Code::UserTokenMissing,
                    "this call belongs to a user's request, which carries no token; the service's own is not \
                     used instead",
                )
                .at(rule.name.clone()),
            ),
            (None, _) | (Some(_), UserToken::Never) => Decision::Lease { target, subject: Subject::Service },
        }
    }

    /// The rules of a configuration, for a host that decides about calls without getting tokens for them.
    #[cfg(feature = "proxy")]
    pub fn of(config: &Config) -> Calls {
        Calls::new(config)
    }

    /// What a request carries that passes by a proxy on its way to `target`; the proxy knows the target from its
    /// own routing, never from what the request says of itself.
    ///
    /// `authorization` is the header that the request has. `was_users` says that it came with a user's token,
    /// which somebody took off: then the service's token does not take its place, unless the target never gets
    /// users' tokens.
    #[cfg(feature = "proxy")]
    pub fn decide_passing<'a>(
        &self,
        target: TargetId,
        authorization: Option<&'a str>,
        was_users: bool,
    ) -> Decision<'a> {
        let Some(rule) = self.targets.get(target.0) else {
            return Decision::Nothing;
        };
        let service = Decision::Lease {
            target,
            subject: Subject::Service,
        };
        let Some(authorization) = authorization else {
            return if was_users && rule.user_token != UserToken::Never {
                Decision::Refuse(
                    Error::new(
                        Code::UserTokenMissing,
                        "this is a user's request whose token was taken off before; have jwt_authn forward it, the \
                         service's own is not used instead",
                    )
                    .at(rule.name.clone()),
                )
            } else {
                service
            };
        };
        let bearer = authorization
            .split_once(' ')
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        let token = bearer.map(|(_, token)| token.trim_matches(' '));
        match (token.filter(|token| is_token(token)), rule.user_token) {
            (None, _) => Decision::Nothing,
            (Some(token), UserToken::Pass) => Decision::UserToken { target, token },
            (Some(token), UserToken::Exchange) => Decision::Lease {
                target,
                subject: Subject::User(token),
            },
            (Some(_), UserToken::Never) => service,
        }
    }

    /// What to do with the answer to a call that was decided as `decision`.
    ///
    /// `www_authenticate` are the values of that field; `replayable` says whether the body can be sent again
    /// and the call was not made twice yet.
    pub fn answered<'a>(
        &self,
        decision: &Decision<'_>,
        status: u16,
        www_authenticate: impl Iterator<Item = &'a str>,
        replayable: bool,
    ) -> Answered {
        if status != 401 || !matches!(decision, Decision::Lease { .. }) {
            return Answered::Deliver;
        }
        let insufficient_scope = challenge::parse(www_authenticate).iter().any(|challenge| {
            challenge.is_bearer() && challenge.parameter("error") == Some("insufficient_scope")
        });
        match (insufficient_scope, replayable) {
            (true, _) => Answered::Deliver,
            (false, true) => Answered::Retry,
            (false, false) => Answered::Report,
        }
    }

    /// The event of a call that was decided as `decision`: the entry of the audit trail, the same from every
    /// host. Of the URL it holds scheme, host, port and path.
    pub fn event(&self, call: &Call<'_>, decision: &Decision<'_>, attempt: &Attempt<'_>) -> Event {
        let (target, kind, claims) = match decision {
            Decision::Lease { target, subject } => {
                let kind = match subject {
                    Subject::Service => "service",
                    Subject::User(_) => "user",
                };
                (Some(*target), kind, UnverifiedClaims::default())
            }
            Decision::UserToken { target, token } => {
                (Some(*target), "user", UnverifiedClaims::of(token))
            }
            _ if call.has_authorization => {
                (self.target(call.url), "caller", UnverifiedClaims::default())
            }
            _ => (self.target(call.url), "none", UnverifiedClaims::default()),
        };
        let lease = attempt.lease;
        Event::Call {
            target: target.map(|target| self.target_name(target).into()),
            method: attempt.method.into(),
            url: url::without_secrets(call.url),
            status: attempt.status,
            kind,
            subject: claims
                .subject
                .or_else(|| lease?.subject().map(String::from)),
            client_id: claims
                .client_id
                .or_else(|| lease?.client_id().map(String::from)),
            retried: attempt.retried,
        }
    }
}

fn starts_with_segments(path: &str, prefix: &str) -> bool {
    path.strip_prefix(prefix)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::{format, string::ToString};

    fn calls() -> Calls {
        Calls::new(
            &Config::from_json(
                br#"{
                    "issuer": "https://hydra.example",
                    "endpoints": { "token": "https://gateway.example/hsm/v2/token" },
                    "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "x" } }] },
                    "targets": {
                        "boot": { "urls": ["https://gateway.example/boot"], "user_token": "never" },
                        "exact": { "urls": ["https://gateway.example/hsm/v2/Inventory"], "user_token": "exchange" },
                        "lab": { "urls": ["http://127.0.0.1:27779/", "http://[::1]:27779"] },
                        "smd": { "urls": ["https://gateway.example/hsm/v2"] }
                    }
                }"#,
            )
            .unwrap(),
        )
    }

    #[cfg(feature = "proxy")]
    #[test]
    fn a_request_that_passes_by_a_proxy_never_loses_a_users_token_to_the_services() {
        let calls = calls();
        let config = crate::Config::from_json(
            br#"{"endpoints":{"token":"https://h.example/t"},
                "client":{"credentials":[{"client_id":"bss","client_secret":{"value":"x"}}]},"targets":{
                "pass":{"urls":["https://a.example"]},
                "never":{"urls":["https://b.example"],"user_token":"never"},
                "exchange":{"urls":["https://c.example"],"user_token":"exchange"}}}"#,
        )
        .unwrap();
        let rules = Calls::of(&config);
        for (target, authorization, was_users, expected) in [
            ("pass", None, false, "service"),
            ("pass", None, true, "user_token_missing"),
            ("pass", Some("Bearer abc"), false, "user abc"),
            ("pass", Some("bearer  abc "), true, "user abc"),
            ("pass", Some("Basic abc"), false, "nothing"),
            ("pass", Some("Bearer"), false, "nothing"),
            ("pass", Some("Bearer a b"), false, "nothing"),
            ("pass", Some(""), false, "nothing"),
            ("never", None, false, "service"),
            ("never", None, true, "service"),
            ("never", Some("Bearer abc"), false, "service"),
            ("never", Some("Basic abc"), false, "nothing"),
            ("exchange", None, false, "service"),
            ("exchange", None, true, "user_token_missing"),
            ("exchange", Some("Bearer abc"), false, "exchanged abc"),
            ("exchange", Some("Negotiate abc"), false, "nothing"),
        ] {
            let id = TargetId(config.target_index(target).unwrap());
            let decided = match rules.decide_passing(id, authorization, was_users) {
                Decision::Nothing => "nothing".to_string(),
                Decision::UserToken { token, .. } => format!("user {token}"),
                Decision::Lease {
                    subject: Subject::Service,
                    ..
                } => "service".to_string(),
                Decision::Lease {
                    subject: Subject::User(token),
                    ..
                } => format!("exchanged {token}"),
                Decision::Refuse(error) => error.code().to_string(),
            };
            assert_eq!(decided, expected, "{target} {authorization:?} {was_users}");
        }
        let unknown = calls.decide_passing(TargetId(99), None, false);
        assert!(matches!(unknown, Decision::Nothing));
    }

    #[test]
    fn a_url_belongs_to_the_target_with_the_longest_prefix_of_whole_segments() {
        let calls = calls();
        for (url, target) in [
            ("https://gateway.example/hsm/v2", "smd"),
            ("https://gateway.example/hsm/v2/", "smd"),
            ("https://GATEWAY.example:443/hsm/v2/State?x=../y", "smd"),
            (
                "https://gateway.example/hsm/v2/Inventory/RedfishEndpoints",
                "exact",
            ),
            ("https://gateway.example/hsm/v2/InventoryX", "smd"),
            ("https://gateway.example/boot/v1/bootscript", "boot"),
            ("http://127.0.0.1:27779", "lab"),
            ("http://127.0.0.1:27779/any/thing", "lab"),
            ("http://[0:0:0:0:0:0:0:1]:27779/any", "lab"),
            // other places
            ("https://gateway.example/hsm/v22", ""),
            ("https://gateway.example/HSM/v2", ""),
            ("https://gateway.example/hsm", ""),
            ("http://gateway.example/hsm/v2", ""),
            ("https://gateway.example:8443/hsm/v2", ""),
            ("https://gateway.example.evil.example/hsm/v2", ""),
            ("https://evil.example/hsm/v2", ""),
            ("https://gateway.example@evil.example/hsm/v2", ""),
            ("https://evil.example\\@gateway.example/hsm/v2", ""),
            ("//gateway.example/hsm/v2", ""),
            ("ftp://gateway.example/hsm/v2", ""),
            ("", ""),
            // what another reader might take for another path
            ("https://gateway.example/hsm/v2/../../admin", ""),
            ("https://gateway.example/hsm/v2/./State", ""),
            ("https://gateway.example/hsm/v2/%2e%2E/admin", ""),
            ("https://gateway.example/hsm/v2/a%2fb", ""),
            ("https://gateway.example/hsm/v2/a%5Cb", ""),
            ("https://gateway.example/hsm/v2/a\\b", ""),
            ("https://gateway.example/hsm/v2/a%00b", ""),
            // the client's own endpoint
            ("https://gateway.example/hsm/v2/token", ""),
            ("https://gateway.example/hsm/v2/token/?x=1", ""),
        ] {
            let found = calls
                .target(url)
                .map_or("", |target| calls.target_name(target));
            assert_eq!(found, target, "{url}");
        }
    }

    #[test]
    fn a_call_carries_what_the_first_rule_that_fits_says() {
        let calls = calls();
        let smd = "https://gateway.example/hsm/v2/State";
        let exact = "https://gateway.example/hsm/v2/Inventory/X";
        let boot = "https://gateway.example/boot/v1";
        let call = |url| Call {
            url,
            ..Call::default()
        };
        for (what, call, decision) in [
            ("service", call(smd), "lease smd Service"),
            (
                "own header",
                Call {
                    has_authorization: true,
                    user_token: Some("u"),
                    ..call(smd)
                },
                "nothing",
            ),
            (
                "no target",
                Call {
                    user_token: Some("u"),
                    ..call("https://evil.example/")
                },
                "nothing",
            ),
            (
                "no target, user required",
                Call {
                    user_required: true,
                    ..call("https://evil.example/")
                },
                "nothing",
            ),
            (
                "user passed on",
                Call {
                    user_token: Some("u"),
                    ..call(smd)
                },
                "user smd u",
            ),
            (
                "user exchanged",
                Call {
                    user_token: Some("u"),
                    ..call(exact)
                },
                "lease exact User",
            ),
            (
                "user never",
                Call {
                    user_token: Some("u"),
                    ..call(boot)
                },
                "lease boot Service",
            ),
            (
                "user missing",
                Call {
                    user_required: true,
                    ..call(smd)
                },
                "refuse user_token_missing",
            ),
            (
                "user missing, exchange",
                Call {
                    user_required: true,
                    ..call(exact)
                },
                "refuse user_token_missing",
            ),
            (
                "user missing, never",
                Call {
                    user_required: true,
                    ..call(boot)
                },
                "refuse user_token_missing",
            ),
            (
                "user odd",
                Call {
                    user_token: Some("u\r\nx: y"),
                    ..call(smd)
                },
                "refuse invalid_argument",
            ),
            (
                "user empty",
                Call {
                    user_token: Some(""),
                    ..call(smd)
                },
                "refuse invalid_argument",
            ),
            (
                "redirect inside",
                Call {
                    redirected_from: Some(smd),
                    ..call(smd)
                },
                "lease smd Service",
            ),
            (
                "redirect across",
                Call {
                    redirected_from: Some(boot),
                    ..call(smd)
                },
                "nothing",
            ),
            (
                "redirect in",
                Call {
                    redirected_from: Some("https://evil.example/"),
                    ..call(smd)
                },
                "nothing",
            ),
            (
                "redirect with user",
                Call {
                    redirected_from: Some(boot),
                    user_token: Some("u"),
                    ..call(smd)
                },
                "nothing",
            ),
        ] {
            let made = match calls.decide(&call) {
                Decision::Nothing => "nothing".to_string(),
                Decision::UserToken { target, token } => {
                    format!("user {} {token}", calls.target_name(target))
                }
                Decision::Lease {
                    target,
                    subject: Subject::Service,
                } => {
                    format!("lease {} Service", calls.target_name(target))
                }
                Decision::Lease { target, .. } => {
                    format!("lease {} User", calls.target_name(target))
                }
                Decision::Refuse(error) => format!("refuse {}", error.code()),
            };
            assert_eq!(made, decision, "{what}");
        }
    }

    #[test]
    fn only_a_401_about_our_lease_is_a_reason_for_another_token() {
        let calls = calls();
        let lease = || Decision::Lease {
            target: TargetId(3),
            subject: Subject::Service,
        };
        let user = || Decision::UserToken {
            target: TargetId(3),
            token: "u",
        };
        let scope = r#"Bearer realm="smd", error="insufficient_scope", scope="write""#;
        for (decision, status, challenge, replayable, answered) in [
            (lease(), 401, None, true, Answered::Retry),
            (lease(), 401, None, false, Answered::Report),
            (
                lease(),
                401,
                Some("Bearer error=\"invalid_token\""),
                true,
                Answered::Retry,
            ),
            (lease(), 401, Some(scope), true, Answered::Deliver),
            (lease(), 403, Some(scope), true, Answered::Deliver),
            (lease(), 200, None, true, Answered::Deliver),
            (lease(), 500, None, true, Answered::Deliver),
            (user(), 401, None, true, Answered::Deliver),
            (Decision::Nothing, 401, None, true, Answered::Deliver),
        ] {
            let made = calls.answered(&decision, status, challenge.into_iter(), replayable);
            assert_eq!(
                made, answered,
                "{decision:?} {status} {challenge:?} {replayable}"
            );
        }
    }

    #[test]
    fn the_event_of_a_call_says_who_called_what_and_no_secret() {
        let calls = calls();
        // {"sub":"alice","client_id":"portal"}
        let user = "e30.eyJzdWIiOiJhbGljZSIsImNsaWVudF9pZCI6InBvcnRhbCJ9.x";
        let lease = Lease::new(crate::client::lease::Parts {
            // {"sub":"service-bss"}
            value: "e30.eyJzdWIiOiJzZXJ2aWNlLWJzcyJ9.t0ken".into(),
            lifetime_ms: 60_000,
            refresh_at_ms: 1,
            ask_at_ms: 2,
            serve_until_ms: 3,
            expires_at_ms: 4,
            expires_at_wall_ms: 5,
            scopes: Vec::new(),
            client_id: Some("bss".into()),
        });
        let smd = "https://me:t0ken@gateway.example/hsm/v2/State?t0ken#t0ken";
        let plain = "https://gateway.example/hsm/v2/State";
        let ours = |subject| Decision::Lease {
            target: TargetId(3),
            subject,
        };
        let users = Decision::UserToken {
            target: TargetId(3),
            token: user,
        };
        for (decision, url, own, lease, told) in [
            (
                ours(Subject::Service),
                smd,
                false,
                Some(&lease),
                "smd service service-bss bss",
            ),
            (
                ours(Subject::User(user)),
                smd,
                false,
                Some(&lease),
                "smd user service-bss bss",
            ),
            (ours(Subject::Service), smd, false, None, "smd service - -"),
            (users, smd, false, None, "smd user alice portal"),
            (Decision::Nothing, plain, true, None, "smd caller - -"),
            (Decision::Nothing, plain, false, None, "smd none - -"),
            (
                Decision::Nothing,
                "https://else.example/?t0ken",
                true,
                None,
                "- caller - -",
            ),
            (
                Decision::Nothing,
                "https://else.example/?t0ken",
                false,
                None,
                "- none - -",
            ),
        ] {
            let call = Call {
                url,
                has_authorization: own,
                ..Call::default()
            };
            let attempt = Attempt {
                method: "PATCH",
                lease,
                status: Some(204),
                retried: true,
            };
            let event = calls.event(&call, &decision, &attempt);
            let json = serde_json::to_string(&event).unwrap();
            assert!(!json.contains("t0ken") && !json.contains(user), "{json}");
            let Event::Call {
                target,
                method,
                url: shown,
                status,
                kind,
                subject,
                client_id,
                retried,
            } = event
            else {
                panic!("{json}")
            };
            let or = |text: Option<String>| text.unwrap_or("-".into());
            assert_eq!(
                format!("{} {kind} {} {}", or(target), or(subject), or(client_id)),
                told
            );
            assert_eq!(
                (method.as_str(), status, retried),
                ("PATCH", Some(204), true)
            );
            assert!(
                shown == plain || shown == "https://else.example/",
                "{shown}"
            );
        }
    }

    #[test]
    fn the_authorization_of_a_users_token_is_made_and_wiped() {
        let users = Decision::UserToken {
            target: TargetId(3),
            token: "u",
        };
        assert_eq!(users.authorization().unwrap().expose(), "Bearer u");
        assert_eq!(Decision::Nothing.authorization(), None);
    }
}
