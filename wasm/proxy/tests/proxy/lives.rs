//! Seeded lives: callbacks in any order, odd ones among them, and what must hold whatever comes.

use crate::{
    stories::{ATTACH, document},
    world::World,
};
use std::collections::BTreeMap;
use svcauth_proxy::Action;

/// A small generator (splitmix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

const WAIT_MS: u64 = 2_000;

/// What the authorization server knows of its tokens.
#[derive(Default)]
struct Tokens {
    /// Until when each is valid.
    expire_at: BTreeMap<String, u64>,
    issued: u64,
}

struct Life {
    world: World,
    random: Random,
    tokens: Tokens,
    roots: Vec<Vec<u32>>,
    /// Requests that are there: thread, context, configuration.
    open: Vec<(usize, u32, u32)>,
    text: String,
}

impl Life {
    fn new(seed: u64) -> Life {
        let mut random = Random(seed);
        let mut world = World::new(1 + random.below(4) as usize);
        let text = document(&format!(
            r#"{ATTACH}, "retried": {}, "holding": {{ "most": {}, "wait_s": 2 }}"#,
            random.below(2) == 0,
            random.below(12)
        ));
        let roots = world.configure(&text);
        Life {
            roots: roots.into_iter().map(|root| vec![root]).collect(),
            world,
            random,
            tokens: Tokens::default(),
            open: vec![],
            text,
        }
    }

    fn step(&mut self) {
        let at = self.random.below(self.world.workers.len() as u64) as usize;
        match self.random.below(20) {
            0..6 => self.request(at),
            6..10 => self.respond(),
            10..12 => self.leave(),
            12..15 => self.answer(),
            15 => self.reconfigure(at),
            16 => self.nonsense(at),
            _ => {
                let milliseconds = [1, 10, 120, 700, 3_000, 11_000][self.random.below(6) as usize];
                self.world.pass(milliseconds);
            }
        }
        self.check();
    }

    fn request(&mut self, at: usize) {
        let root = *self.roots[at].last().unwrap();
        let own =
            ["", "Bearer users-token", "Basic dXNlcg=="][self.random.below(8).min(2) as usize];
        let stripped = self.random.below(10) == 0;
        let headers = [("authorization", own)];
        let headers = if own.is_empty() { &[][..] } else { &headers };
        let jwt = [(
            "metadata\0filter_metadata\0envoy.filters.http.jwt_authn",
            "x",
        )];
        let properties = if stripped { &jwt[..] } else { &[] };
        let (context, action) = self.world.request_with(at, root, headers, properties);
        if !own.is_empty() {
            assert_eq!(
                (action, self.world.carries(at, context)),
                (Action::Continue, Some(own))
            );
            self.world.end(at, context);
        } else if stripped {
            assert_eq!(self.world.code(at, context), "svcauth_user_token_missing");
            self.world.end(at, context);
        } else {
            self.open.push((at, context, root));
        }
    }

    /// A service answers: as the tokens are, or as if it had lost its keys.
    fn respond(&mut self) {
        let went_on = |(at, context, _): &(usize, u32, u32)| self.world.see(*at, *context).went_on;
        let Some(place) = self.open.iter().position(went_on) else {
            return;
        };
        let (at, context, root) = self.open.swap_remove(place);
        let status = ["200", "401", "503"][self.random.below(3) as usize];
        let challenge = [
            "Bearer",
            "Bearer error=\"insufficient_scope\"",
            "\u{fffd}\0=\"",
            "x y=\"z\\",
        ];
        let challenge = challenge[self.random.below(4) as usize];
        self.world.respond(
            at,
            context,
            &[(":status", status), ("www-authenticate", challenge)],
        );
        let marked = self
            .world
            .see(at, context)
            .response
            .contains_key("x-envoy-ratelimited");
        let retried = self.text.contains("\"retried\": true");
        if status == "401" && retried && !marked {
            let (context, _) = self.world.again(at, root, context);
            self.open.push((at, context, root));
        } else {
            self.world.end(at, context);
        }
    }

    /// A caller goes away.
    fn leave(&mut self) {
        if !self.open.is_empty() {
            let place = self.random.below(self.open.len() as u64) as usize;
            let (at, context, _) = self.open.swap_remove(place);
            self.world.end(at, context);
        }
    }

    fn answer(&mut self) {
        if self.world.under_way().is_empty() {
            return;
        }
        match self.random.below(8) {
            0 => self.world.answer_with(&[], b""),
            1 => self.world.answer("503", "{}"),
            2 => self.world.answer("429", "{}"),
            3 => self.world.answer("200", "<html>"),
            _ => {
                let lifetime_s = [0, 1, 2, 30, 3_600][self.random.below(5) as usize];
                self.tokens.issued += 1;
                let token = format!("service-token-{}", self.tokens.issued);
                let now = self.world.common.borrow().now;
                // One that is of no use later is for those who wait.
                let expires_at = if lifetime_s == 0 {
                    u64::MAX
                } else {
                    now + 1000 * lifetime_s
                };
                self.tokens.expire_at.insert(token.clone(), expires_at);
                self.world.grant(&token, lifetime_s);
            }
        }
    }

    /// A new configuration takes the old one's place, whose requests go on.
    fn reconfigure(&mut self, at: usize) {
        let root = self.world.try_configure(at, self.text.as_bytes()).unwrap();
        self.roots[at].push(root);
        let used: Vec<u32> = self
            .open
            .iter()
            .filter(|(of, ..)| *of == at)
            .map(|(_, _, root)| *root)
            .collect();
        let roots = std::mem::take(&mut self.roots[at]);
        for old in roots {
            if old == root || used.contains(&old) {
                self.roots[at].push(old);
            } else {
                let calls = &mut self.world.workers[at].proxy.calls;
                calls.retain(|call| call.root != old);
                self.world.end(at, old);
            }
        }
    }

    /// Callbacks about what is not there.
    fn nonsense(&mut self, at: usize) {
        let unknown = 1_000_000 + self.random.below(5) as u32;
        let worker = &mut self.world.workers[at];
        worker.filter.tick(unknown, &mut worker.proxy);
        worker.filter.answered(unknown, 7, 1, 1, &mut worker.proxy);
        let root = *self.roots[at].last().unwrap();
        worker
            .filter
            .answered(root, 999_999, 3, 3, &mut worker.proxy);
        worker.filter.response(unknown, &mut worker.proxy);
        worker.filter.delete(unknown, &mut worker.proxy);
    }

    fn check(&mut self) {
        let now = self.world.common.borrow().now;
        assert!(self.world.under_way().len() <= 1 + self.roots.iter().map(Vec::len).sum::<usize>());
        for (at, context, _) in &self.open {
            let request = self.world.see(*at, *context);
            assert!(
                request.went_on || request.reply.is_some() || now <= request.since + WAIT_MS + 1,
                "a request waits for {} ms",
                now - request.since
            );
            if request.went_on {
                let carried = request
                    .headers
                    .get("authorization")
                    .expect("it carries a token");
                let token = carried.strip_prefix("Bearer ").unwrap();
                assert!(self.tokens.expire_at.contains_key(token), "{token}");
            }
        }
        // What was answered is done with.
        let world = &mut self.world;
        self.open.retain(|(at, context, _)| {
            let answered = world.see(*at, *context).reply.is_some();
            if answered {
                world.end(*at, *context);
            }
            !answered
        });
    }
}

#[test]
fn whatever_comes_no_request_is_lost_and_none_goes_on_without_a_token() {
    for seed in 0..120 {
        let mut life = Life::new(seed);
        for _ in 0..150 {
            life.step();
        }
        life.world.pass(WAIT_MS + 10);
        life.check();
        life.world
            .assert_hidden(&["service-token", "the-client-secret", "users-token"]);
    }
}

#[test]
fn a_token_that_goes_on_is_valid_when_it_does() {
    for seed in 1_000..1_060 {
        let mut life = Life::new(seed);
        for _ in 0..150 {
            let before: Vec<u32> = life.open.iter().map(|(_, context, _)| *context).collect();
            life.step();
            let now = life.world.common.borrow().now;
            for (at, context, _) in &life.open {
                let request = life.world.see(*at, *context);
                if request.went_on && !before.contains(context) {
                    let token = request.headers["authorization"]
                        .strip_prefix("Bearer ")
                        .unwrap();
                    assert!(now <= life.tokens.expire_at[token], "seed {seed}: {token}");
                }
            }
        }
    }
}
