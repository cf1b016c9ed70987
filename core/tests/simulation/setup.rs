//! Services as somebody might configure them, drawn at random.

use crate::random::Random;
use serde_json::{Value, json};
use svcauth_core::Config;

pub(crate) const ISSUER: &str = "https://auth.sim";
/// Stands in everything that is secret, so that a leak is seen wherever it is.
pub(crate) const PLANTED: &str = "Zq7Plant";

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    /// Client credentials with one or two active pairs.
    Credentials,
    /// Registers itself.
    Registered,
    /// Exchanges a bootstrap token, then its refresh tokens.
    Exchange,
    /// A request without parameters.
    Bare,
    /// A token from a file.
    Static,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Refresh {
    OneUse,
    Reusable,
    Ignore,
}

pub(crate) struct Service {
    pub(crate) kind: Kind,
    pub(crate) document: String,
    pub(crate) config: Config,
    pub(crate) targets: Vec<Target>,
    /// Client id and the name of the secret, for each configured pair.
    pub(crate) pairs: Vec<(String, String)>,
    pub(crate) initial_access_token: Option<String>,
    pub(crate) static_token: Option<String>,
    pub(crate) has_store: bool,
    /// The life of the server's tokens in seconds.
    pub(crate) life_s: u64,
    /// Whether the server gives the same token again while it lives.
    pub(crate) caching: bool,
    /// Within this time after everything is well again each target has a token.
    pub(crate) recovery_ms: u64,
}

pub(crate) struct Target {
    pub(crate) url: String,
    /// The target whose token it uses; itself mostly.
    pub(crate) owner: usize,
    pub(crate) audience: String,
    /// The name of the secret that is exchanged.
    pub(crate) bootstrap: Option<String>,
    pub(crate) refresh: Refresh,
    pub(crate) user_token: &'static str,
    pub(crate) bare: bool,
}

impl Service {
    pub(crate) fn new(index: usize, random: &mut Random) -> Service {
        let kind = random.pick(&[
            Kind::Credentials,
            Kind::Credentials,
            Kind::Credentials,
            Kind::Registered,
            Kind::Registered,
            Kind::Exchange,
            Kind::Exchange,
            Kind::Exchange,
            Kind::Bare,
            Kind::Static,
        ]);
        let mut service = Draft {
            index,
            kind,
            random,
            pairs: vec![],
            has_store: false,
        };
        let targets = service.targets();
        let (client, initial_access_token, static_token) = service.client();
        let fast = service.random.chance(700);
        let mut document = json!({
            "client": client,
            "targets": targets.iter().enumerate().map(|(n, target)| (format!("t{n}"), target.document(n)))
                .collect::<serde_json::Map<String, Value>>(),
            "schedule": service.schedule(fast),
            "timeouts": service.timeouts(fast),
            "limits": { "subjects": 3 },
        });
        service.endpoints(&mut document);
        if service.random.chance(300) {
            document["allow_missing_token_type"] = json!(true);
        }
        if service.random.chance(300) {
            document["allow_form_answer"] = json!(true);
        }
        if service.has_store || service.random.chance(100) {
            document["store"] = json!({ "file": format!("/var/lib/s{index}.json") });
        }
        let text = document.to_string();
        let config =
            Config::from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        let lives: &[u64] = if fast {
            &[1, 2, 5, 19, 60, 300]
        } else {
            &[60, 300, 3600, 86400]
        };
        let life_s = service.random.pick(lives);
        let caching = service.random.chance(150);
        let (pairs, has_store) = (service.pairs, service.has_store);
        Service {
            kind,
            document: text,
            recovery_ms: recovery(&config),
            config,
            targets,
            pairs,
            initial_access_token,
            static_token,
            has_store,
            life_s,
            caching,
        }
    }

    pub(crate) fn target_at(&self, audience: &str) -> Option<usize> {
        self.targets
            .iter()
            .position(|target| target.audience == audience)
    }
}

/// One back-off of the longest kind, a lock that a crashed process left, and what is under way.
fn recovery(config: &Config) -> u64 {
    let (schedule, timeouts) = (&config.schedule, &config.timeouts);
    let patience = [
        schedule.backoff_max_ms,
        schedule.rate_limited_max_ms,
        schedule.refused_max_ms,
        schedule.retry_after_max_ms + 1_000,
    ];
    let longest = patience.into_iter().max().unwrap_or(0);
    let lock = (4 * timeouts.request_ms + 4 * timeouts.store_ms)
        .max(2 * timeouts.request_ms + 6 * timeouts.store_ms);
    let under_way = 2 * timeouts.request_ms + 4 * timeouts.store_ms + 2 * timeouts.secret_ms;
    longest + (longest as f64 * schedule.jitter / 2.0) as u64 + lock + under_way + 2_000
}

struct Draft<'a> {
    index: usize,
    kind: Kind,
    random: &'a mut Random,
    pairs: Vec<(String, String)>,
    has_store: bool,
}

impl Draft<'_> {
    fn targets(&mut self) -> Vec<Target> {
        let count = match self.kind {
            Kind::Bare | Kind::Static => 1,
            _ => self.random.between(1, 3) as usize,
        };
        let mut targets: Vec<Target> = (0..count).map(|n| self.target(n)).collect();
        if self.random.chance(200) {
            let url = format!("https://s{}-shared.sim:8443/", self.index);
            let user_token = self.random.pick(&["pass", "never"]);
            targets.push(Target {
                url,
                owner: 0,
                bootstrap: None,
                user_token,
                ..self.target(count)
            });
        }
        targets
    }

    fn target(&mut self, n: usize) -> Target {
        let s = self.index;
        // One target's prefix covers the authorization server itself.
        let wide = n == 2 && self.index == 0;
        let exchanges = match self.kind {
            Kind::Exchange => true,
            Kind::Credentials => n == 1 && self.random.chance(300),
            _ => false,
        };
        let refresh = if exchanges {
            self.random.pick(&[
                Refresh::OneUse,
                Refresh::OneUse,
                Refresh::Reusable,
                Refresh::Ignore,
            ])
        } else {
            Refresh::Ignore
        };
        self.has_store |= refresh == Refresh::OneUse;
        let user_token = match self.kind {
            Kind::Bare | Kind::Static => self.random.pick(&["pass", "never"]),
            _ => self.random.pick(&["pass", "exchange", "never"]),
        };
        Target {
            url: if wide {
                ISSUER.to_owned()
            } else {
                format!("https://s{s}-t{n}.sim/api/v{n}")
            },
            owner: n,
            audience: if self.kind == Kind::Bare {
                "bare".to_owned()
            } else {
                format!("s{s}-t{n}")
            },
            bootstrap: exchanges.then(|| format!("/run/s{s}/bootstrap{n}")),
            refresh,
            user_token,
            bare: self.kind == Kind::Bare,
        }
    }

    fn client(&mut self) -> (Value, Option<String>, Option<String>) {
        let s = self.index;
        match self.kind {
            Kind::Credentials => {
                let auth = self
                    .random
                    .pick(&["client_secret_basic", "client_secret_post"]);
                let two_ids = self.random.chance(500);
                let count = self.random.between(1, 2);
                self.pairs = (0..count)
                    .map(|n| {
                        (
                            format!("s{s}-{}", if two_ids { n } else { 0 }),
                            format!("/run/s{s}/secret{n}"),
                        )
                    })
                    .collect();
                let pairs: Vec<Value> = self
                    .pairs
                    .iter()
                    .map(|(id, file)| json!({ "client_id": id, "client_secret": { "file": file } }))
                    .collect();
                (json!({ "auth": auth, "credentials": pairs }), None, None)
            }
            Kind::Registered => {
                self.has_store = true;
                let token = self
                    .random
                    .chance(400)
                    .then(|| format!("/run/s{s}/initial"));
                let mut registration = json!({
                    "metadata": { "client_name": format!("s{s}"), "redirect_uris": [], "scope": "read" },
                    "authorize": self.random.chance(300),
                });
                if let Some(file) = &token {
                    registration["initial_access_token"] = json!({ "file": file });
                }
                (json!({ "registration": registration }), token, None)
            }
            Kind::Exchange | Kind::Bare => (json!({ "auth": "none" }), None, None),
            Kind::Static => {
                let file = format!("/run/s{s}/static");
                (
                    json!({ "static_token": { "file": file } }),
                    None,
                    Some(file),
                )
            }
        }
    }

    fn endpoints(&mut self, document: &mut Value) {
        if self.random.chance(400) {
            document["issuer"] = json!(ISSUER);
            document["discovery"] = json!(self.random.pick(&["auto", "openid", "oauth"]));
        } else {
            document["endpoints"] = json!({
                "token": format!("{ISSUER}/oauth2/token"),
                "authorization": format!("{ISSUER}/oauth2/auth"),
                "registration": format!("{ISSUER}/oauth2/register"),
            });
        }
    }

    fn schedule(&mut self, fast: bool) -> Value {
        let mut schedule = if fast {
            json!({
                "backoff_initial_s": 0.5, "backoff_max_s": 4, "rate_limited_initial_s": 2, "rate_limited_max_s": 6,
                "refused_initial_s": 3, "refused_max_s": 12, "retry_after_max_s": 8, "rejection_cooldown_s": 2,
                "secret_poll_s": 1, "metadata_lifetime_s": 20,
            })
        } else {
            json!({})
        };
        if self.random.chance(200) {
            schedule["jitter"] = json!(0);
        }
        if self.random.chance(250) {
            schedule["keep_fresh"] = json!(false);
        }
        schedule
    }

    fn timeouts(&mut self, fast: bool) -> Value {
        if fast {
            json!({ "request_s": 2, "secret_s": 1, "store_s": 1, "wait_s": 5 })
        } else {
            json!({})
        }
    }
}

impl Target {
    fn document(&self, n: usize) -> Value {
        let mut target = json!({ "urls": [self.url], "user_token": self.user_token });
        if self.owner != n {
            target["token_of"] = json!(format!("t{}", self.owner));
        } else if self.bare {
            target["grant"] = json!("bare");
        } else {
            target["audience"] = json!([self.audience]);
            target["scopes"] = json!(["read"]);
        }
        if let Some(file) = &self.bootstrap {
            target["grant"] = json!({
                "type": "token_exchange",
                "subject_token": { "file": file },
                "subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token",
                "refresh_tokens": match self.refresh {
                    Refresh::OneUse => "one_use",
                    Refresh::Reusable => "reusable",
                    Refresh::Ignore => "ignore",
                },
            });
        }
        target
    }
}
