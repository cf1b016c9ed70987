//! What callers do, and the services that they call.

use crate::{
    host::Want,
    promise::Promise,
    urls,
    world::{Call, Happening, Life, World},
};
use svcauth_core::client::{self, Decision};

const CHALLENGES: [&str; 5] = [
    "",
    "Bearer",
    "Bearer realm=\"smd\", error=\"invalid_token\", error_description=\"expired\"",
    "Basic realm=\"x\", Bearer error=\"invalid_token\"",
    "Bearer error=",
];
const INSUFFICIENT: &str = "Bearer error=\"insufficient_scope\", scope=\"write\"";

impl World {
    /// One caller does something.
    pub(crate) fn traffic(&mut self, p: usize) {
        let life = self.life(p);
        let target = self
            .random
            .index(self.services[self.processes[p].service].targets.len());
        let deadline = self.random.pick(&[50, 2_000, 30_000, 100_000]);
        let wait_ms = self.random.between(1, deadline);
        match self.random.below(10) {
            0..4 => {
                let user = self.user_for(p, target);
                self.ask(p, target, user, wait_ms, Want::Token);
            }
            4..9 => self.call(p, target, wait_ms),
            _ => self.hostile_call(p, target),
        }
        self.restart_traffic(life);
    }

    fn any_user(&mut self) -> String {
        let index = self.random.index(self.users.len());
        self.users[index].clone()
    }

    /// Many callers at once, each with a token that the server never made.
    pub(crate) fn flood(&mut self, life: Life, target: usize, rounds: u64) {
        for _ in 0..self.random.between(5, 20) {
            let user = self.server.mint("made-up");
            self.made_up.insert(user.clone());
            self.saw("(made-up user)");
            let wait_ms = self.random.between(1, 3_000);
            self.ask(life.process, target, Some(user), wait_ms, Want::Token);
        }
        if rounds > 1 {
            let at = self.now + self.random.between(1, 800);
            self.at(
                at,
                Happening::Flood {
                    life,
                    target,
                    rounds: rounds - 1,
                },
            );
        }
    }

    fn user_for(&mut self, p: usize, target: usize) -> Option<String> {
        let exchanges =
            self.services[self.processes[p].service].targets[target].user_token == "exchange";
        (exchanges && self.random.chance(400)).then(|| self.any_user())
    }

    fn call(&mut self, p: usize, target: usize, wait_ms: u64) {
        let Some(calls) = self.processes[p].calls.clone() else {
            return;
        };
        let spec = &self.services[self.processes[p].service].targets[target];
        let (base, mode) = (spec.url.clone(), spec.user_token);
        let user = self.random.chance(300).then(|| self.any_user());
        let user_required = self.random.chance(100);
        let url = format!(
            "{}{}",
            base.trim_end_matches('/'),
            self.random.pick(&["", "/", "/x0c0s0", "/a/b?c=d"])
        );
        let call = client::Call {
            url: &url,
            user_token: user.as_deref(),
            user_required,
            ..Default::default()
        };
        let decision = calls.decide(&call);
        let expected = match (&user, mode) {
            (Some(_), "pass") => "user",
            (Some(_), "exchange") => "exchanged",
            (None, _) if user_required => "refuse",
            _ => "service",
        };
        let subject = match &decision {
            Decision::Nothing => "nothing",
            Decision::UserToken { token, .. } if Some(*token) == user.as_deref() => "user",
            Decision::Lease {
                subject: client::Subject::User(token),
                ..
            } if Some(*token) == user.as_deref() => "exchanged",
            Decision::Lease {
                subject: client::Subject::Service,
                ..
            } => "service",
            Decision::Refuse(_) => "refuse",
            _ => "somebody else's",
        };
        let right_target = match &decision {
            Decision::UserToken {
                target: decided, ..
            }
            | Decision::Lease {
                target: decided, ..
            } => decided.index() == target,
            _ => true,
        };
        if subject != expected || !right_target {
            self.fail(
                Promise::RightToken,
                format!("p{p}: {url} for t{target} was decided as {subject}, not {expected}"),
            );
        }
        match subject {
            "service" => self.ask(p, target, None, wait_ms, Want::Call),
            "exchanged" => self.ask(p, target, user, wait_ms, Want::Call),
            _ => {}
        }
    }

    /// A call that must not carry a token of the target's.
    fn hostile_call(&mut self, p: usize, target: usize) {
        let Some(calls) = self.processes[p].calls.clone() else {
            return;
        };
        let service = &self.services[self.processes[p].service];
        let base = service.targets[target].url.clone();
        // An endpoint that only metadata names is not known before the metadata is.
        let knows_endpoints =
            service.config.endpoints.token.is_some() || self.processes[p].discovered;
        let url = urls::hostile(&base, knows_endpoints, &mut self.random);
        let user = self.random.chance(500).then(|| self.any_user());
        let redirected_from = self.random.chance(200).then_some(base.as_str());
        let call = client::Call {
            url: &url,
            user_token: user.as_deref(),
            redirected_from,
            ..Default::default()
        };
        match calls.decide(&call) {
            Decision::Nothing => self.saw("(hostile URL left alone)"),
            other => self.fail(
                Promise::OnlyTargets,
                format!("p{p}: {url} is none of {base} and was decided as {other:?}"),
            ),
        }
        let elsewhere = client::Call {
            url: &base,
            redirected_from: Some("https://elsewhere.sim/"),
            ..Default::default()
        };
        if !matches!(calls.decide(&elsewhere), Decision::Nothing) {
            self.fail(
                Promise::OnlyTargets,
                format!("p{p}: a redirect from elsewhere to {base} carries a token"),
            );
        }
    }

    pub(crate) fn call_arrives(&mut self, life: Life, call: Call) {
        let service = self.processes[life.process].service;
        let targets = &self.services[service].targets;
        let audience = targets[targets[call.target].owner].audience.clone();
        let (status, challenge) = match self.server.tokens.get(&call.value).cloned() {
            None => {
                return self.fail(
                    Promise::RightToken,
                    format!(
                        "p{}: a call with a token that the server never made",
                        life.process
                    ),
                );
            }
            Some(token) if token.audience != audience || token.user != call.user => {
                return self.fail(
                    Promise::RightToken,
                    format!("p{}: a call with somebody else's token", life.process),
                );
            }
            Some(token) => {
                let accepted = self
                    .receivers
                    .get_mut(&(service, call.target))
                    .is_some_and(|receiver| receiver.accepts(&token, &self.server, self.now));
                let spurious =
                    self.calm_since.is_none() && self.random.chance(self.weather.spurious_401);
                match (accepted && !spurious, self.random.below(20)) {
                    (_, 0) => (401, INSUFFICIENT),
                    (_, 1) => (403, ""),
                    (_, 2) => (500, ""),
                    (true, _) => (200, ""),
                    (false, _) => (401, self.random.pick(&CHALLENGES)),
                }
            }
        };
        self.saw(match status {
            200 => "(call answered 200)",
            401 => "(call answered 401)",
            _ => "(call answered otherwise)",
        });
        let at = self.now + self.random.between(1, 50);
        self.at(
            at,
            Happening::CallAnswered {
                life,
                call,
                status,
                challenge,
            },
        );
    }
}
