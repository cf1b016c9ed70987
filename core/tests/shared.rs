//! Clients of one process that share a store: they get their tokens together.

use std::collections::{BTreeMap, VecDeque};
use svcauth_core::{
    Client, Config, Event, Now,
    client::{
        Capabilities, LeaseState, Outcome, Output, Rejection, SendFailure, State, StoreOperation,
        Subject, TargetId, Task, TaskId, TaskKind,
    },
    wire::Response,
};

const WALL: u64 = 1_800_000_000_000;
const DOCUMENT: &str = r#"{
    "endpoints": { "token": "https://hydra.example/oauth2/token" },
    "client": { "credentials": [
        { "client_id": "bss", "client_secret": { "value": "first-secret" } },
        { "client_id": "bss-2", "client_secret": { "value": "second-secret" } }
    ] },
    "schedule": { "jitter": 0 },
    "targets": { "smd": { "urls": ["https://smd.example"], "scopes": ["read"], "audience": ["smd"] } }
}"#;

/// The shared store, as a proxy has it.
#[derive(Default)]
struct Store {
    records: BTreeMap<String, (Vec<u8>, u64)>,
    last: u64,
    fails: bool,
}

impl Store {
    fn run(&mut self, key: &str, operation: &StoreOperation) -> Outcome {
        if self.fails {
            return Outcome::Failed {
                detail: "out of order".into(),
            };
        }
        let found = self.records.get(key);
        match operation {
            StoreOperation::Get => Outcome::Record {
                value: found.map(|(value, _)| value.clone().into()),
                version: found.map_or(0, |(_, version)| *version),
            },
            StoreOperation::PutIf { version, value } => {
                if found.map_or(0, |(_, version)| *version) != *version {
                    return Outcome::Conflict;
                }
                self.last += 1;
                let record = (value.expose().to_vec(), self.last);
                self.records.insert(key.into(), record);
                Outcome::Stored { version: self.last }
            }
            _ => Outcome::Unsupported,
        }
    }

    fn text(&self) -> String {
        let (value, _) = self.records.values().next().expect("a record");
        String::from_utf8(value.clone()).unwrap()
    }
}

/// One client, and what it has told.
struct Worker {
    client: Client,
    target: TargetId,
    sends: VecDeque<Task>,
    /// Shared operations that are not done yet.
    held_back: VecDeque<Task>,
    holds_back: bool,
    leases: Vec<String>,
    events: Vec<String>,
    idle_until: Option<u64>,
}

struct World {
    now: u64,
    /// How many clients there have been.
    made: u64,
    store: Store,
    workers: Vec<Worker>,
}

impl World {
    fn new(count: usize) -> World {
        World::of(&vec![DOCUMENT.to_string(); count])
    }

    fn of(documents: &[String]) -> World {
        let mut world = World {
            now: 1_000,
            made: 0,
            store: Store::default(),
            workers: vec![],
        };
        for document in documents {
            world.add(document);
        }
        world
    }

    fn add(&mut self, document: &str) -> usize {
        let config = Config::from_json(document.as_bytes()).unwrap();
        let mut capabilities = Capabilities::none();
        capabilities.shared_store = true;
        self.made += 1;
        let client = Client::new(config, capabilities, self.made, self.clock()).unwrap();
        self.workers.push(Worker {
            target: client.target("smd").unwrap(),
            client,
            sends: VecDeque::new(),
            held_back: VecDeque::new(),
            holds_back: false,
            leases: vec![],
            events: vec![],
            idle_until: None,
        });
        self.workers.len() - 1
    }

    fn clock(&self) -> Now {
        Now {
            mono_ms: self.now,
            wall_ms: WALL + self.now,
        }
    }

    /// Polls one client until it is idle.
    fn poll(&mut self, at: usize) {
        let now = self.clock();
        let worker = &mut self.workers[at];
        for _ in 0..10_000 {
            match worker.client.poll(now) {
                Output::Idle { until } => {
                    worker.idle_until = until;
                    return;
                }
                Output::Task(task) => match &task.kind {
                    TaskKind::Send { .. } => worker.sends.push_back(task),
                    TaskKind::Shared { .. } if worker.holds_back => {
                        worker.held_back.push_back(task)
                    }
                    TaskKind::Shared { key, operation } => {
                        let outcome = self.store.run(key, operation);
                        worker.client.complete(task.id, outcome, now);
                    }
                    other => panic!("{}", other.name()),
                },
                Output::Lease(change) => worker.leases.push(match change.state {
                    LeaseState::Ready(lease) => format!("ready {}", lease.value()),
                    LeaseState::Once(lease) => format!("once {}", lease.value()),
                    LeaseState::Cleared => "cleared".into(),
                    LeaseState::Failed { error, retry_at_ms } => {
                        format!("failed {} {retry_at_ms}", error.code())
                    }
                    _ => "other".into(),
                }),
                Output::Event(event) => {
                    let text = format!("{event:?}");
                    assert!(
                        !text.contains("secret") && !text.contains("token-"),
                        "{text}"
                    );
                    worker.events.push(match event {
                        Event::StoreFailed { error } => format!("store_failed {}", error.code()),
                        Event::CredentialPromoted { position, .. } => {
                            format!("credential_promoted {position}")
                        }
                        other => other.name().into(),
                    });
                }
                _ => {}
            }
        }
        panic!("more than 10000 outputs without a pause");
    }

    fn poll_all(&mut self) {
        (0..self.workers.len()).for_each(|at| self.poll(at));
    }

    /// Time passes; each client is polled when it wants to be, and looks at the others every 100 ms.
    fn pass(&mut self, milliseconds: u64) {
        let end = self.now + milliseconds;
        while self.now < end {
            let wakes = self.workers.iter().filter_map(|worker| worker.idle_until);
            let soonest = wakes.filter(|at| *at > self.now).min().unwrap_or(u64::MAX);
            self.now = end.min(soonest).min((self.now / 100 + 1) * 100);
            if self.now.is_multiple_of(100) {
                let now = self.clock();
                self.workers
                    .iter_mut()
                    .for_each(|worker| worker.client.look(now));
            }
            self.poll_all();
            let now = self.now;
            for worker in &mut self.workers {
                worker.sends.retain(|task| now < task.deadline_ms);
            }
        }
    }

    fn ask(&mut self, at: usize) -> String {
        let now = self.clock();
        let worker = &mut self.workers[at];
        let state = worker.client.token(worker.target, Subject::Service, now);
        self.poll(at);
        match state {
            State::Ready(lease) => lease.value().into(),
            State::Pending => "pending".into(),
            State::Failed { error, retry_at_ms } => {
                format!("failed {} {retry_at_ms}", error.code())
            }
            _ => "other".into(),
        }
    }

    fn reject(&mut self, at: usize, token: &str) -> String {
        let now = self.clock();
        let worker = &mut self.workers[at];
        let id = svcauth_core::client::LeaseId::of(token);
        let rejection = worker
            .client
            .reject(worker.target, Subject::Service, id, now);
        self.poll(at);
        match rejection {
            Rejection::Retry(lease) => format!("retry {}", lease.value()),
            Rejection::Wait => "wait".into(),
            _ => "deliver".into(),
        }
    }

    /// The requests under way, by client.
    fn under_way(&self) -> Vec<usize> {
        let workers = self.workers.iter().enumerate();
        workers
            .flat_map(|(at, worker)| worker.sends.iter().map(move |_| at))
            .collect()
    }

    fn answer(&mut self, at: usize, outcome: Outcome) {
        let now = self.clock();
        let task = self.workers[at]
            .sends
            .pop_front()
            .expect("a request under way");
        self.workers[at].client.complete(task.id, outcome, now);
        self.poll(at);
    }

    fn grant(&mut self, at: usize, token: &str, lifetime_s: u64) {
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{lifetime_s}}}"#
        );
        self.answer(at, response(200, &body));
    }

    fn basic(&self, at: usize) -> String {
        let TaskKind::Send { request, .. } = &self.workers[at].sends[0].kind else {
            panic!()
        };
        request.header("authorization").unwrap_or_default().into()
    }

    fn take_leases(&mut self, at: usize) -> Vec<String> {
        std::mem::take(&mut self.workers[at].leases)
    }

    fn events(&self, at: usize, name: &str) -> usize {
        self.workers[at]
            .events
            .iter()
            .filter(|event| *event == name)
            .count()
    }
}

fn response(status: u16, body: &str) -> Outcome {
    Outcome::Response(Response {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.into(),
    })
}

#[test]
fn clients_that_are_asked_at_once_send_one_request() {
    let mut world = World::new(4);
    for at in 0..4 {
        assert_eq!(world.ask(at), "pending");
    }
    assert_eq!(world.under_way(), [0]);
    world.pass(300);
    assert_eq!(world.under_way(), [0]);
    world.grant(0, "token-1", 60);
    world.pass(25);
    for at in 0..4 {
        assert_eq!(world.take_leases(at), ["ready token-1"], "{at}");
    }
    // One that comes later has it without waiting for anybody.
    let late = world.add(DOCUMENT);
    assert_eq!(world.ask(late), "pending");
    assert_eq!(world.ask(late), "token-1");
    assert!(world.under_way().is_empty());
}

#[test]
fn one_refreshes_for_all_and_nobody_waits() {
    let mut world = World::new(3);
    (0..3).for_each(|at| assert_eq!(world.ask(at), "pending"));
    world.grant(0, "token-1", 60);
    world.pass(44_900);
    assert!(world.under_way().is_empty());
    world.pass(1_000);
    let [at] = world.under_way()[..] else {
        panic!("{:?}", world.under_way())
    };
    (0..3).for_each(|at| assert_eq!(world.ask(at), "token-1"));
    world.grant(at, "token-2", 60);
    world.pass(100);
    (0..3).for_each(|at| assert_eq!(world.ask(at), "token-2"));
    assert!(world.under_way().is_empty());
}

#[test]
fn what_is_refused_to_one_is_served_by_none() {
    let mut world = World::new(3);
    (0..3).for_each(|at| assert_eq!(world.ask(at), "pending"));
    world.grant(0, "token-1", 60);
    world.pass(5_000);
    assert_eq!(world.reject(1, "token-1"), "wait");
    world.pass(100);
    for at in 0..3 {
        assert_eq!(world.take_leases(at), ["ready token-1", "cleared"], "{at}");
        assert_eq!(world.ask(at), "pending");
    }
    // The others' callers are refused too, and it is still one rejection.
    assert_eq!(world.reject(2, "token-1"), "wait");
    assert_eq!(world.under_way(), [1]);
    world.grant(1, "token-2", 60);
    world.pass(100);
    for at in 0..3 {
        assert_eq!(world.take_leases(at), ["ready token-2"], "{at}");
        assert_eq!(world.reject(at, "token-1"), "retry token-2");
        assert_eq!(
            world.reject(at, "token-2"),
            "deliver",
            "the cool-down is everybody's"
        );
    }
    assert!(world.under_way().is_empty());
}

#[test]
fn a_refused_token_is_served_again_by_all_where_there_is_no_other() {
    let mut world = World::new(2);
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    world.grant(0, "token-1", 60);
    world.pass(5_000);
    assert_eq!(world.reject(0, "token-1"), "wait");
    world.pass(100);
    world.answer(0, response(503, "{}"));
    world.pass(100);
    for at in 0..2 {
        assert_eq!(
            world.take_leases(at),
            ["ready token-1", "cleared", "ready token-1"],
            "{at}"
        );
    }
}

#[test]
fn why_there_is_no_token_is_told_to_all() {
    let mut world = World::new(3);
    assert_eq!(world.ask(0), "pending");
    world.answer(0, response(503, "{}"));
    assert_eq!(world.take_leases(0), ["failed server_error 2000"]);
    for at in 1..3 {
        assert_eq!(world.ask(at), "pending");
        assert_eq!(world.take_leases(at), ["failed server_error 2000"], "{at}");
        assert_eq!(world.ask(at), "failed server_error 2000");
    }
    assert!(world.under_way().is_empty());
    // The back-off is one for all: whoever is first tries, and the next wait is twice as long.
    world.pass(1_000);
    let [at] = world.under_way()[..] else {
        panic!("{:?}", world.under_way())
    };
    world.answer(at, response(503, "{}"));
    world.pass(1_900);
    assert!(world.under_way().is_empty());
    world.pass(100);
    let [at] = world.under_way()[..] else {
        panic!("{:?}", world.under_way())
    };
    world.grant(at, "token-1", 60);
    world.pass(100);
    (0..3).for_each(|at| assert_eq!(world.ask(at), "token-1"));
}

#[test]
fn while_the_network_is_away_all_wait() {
    let mut world = World::new(2);
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    let failure = SendFailure::Refused;
    world.answer(
        0,
        Outcome::SendFailed {
            failure,
            detail: String::new(),
        },
    );
    world.pass(500);
    assert!(world.under_way().is_empty());
    (0..2).for_each(|at| assert!(world.take_leases(at).is_empty()));
    world.pass(500);
    let [at] = world.under_way()[..] else {
        panic!("{:?}", world.under_way())
    };
    world.grant(at, "token-1", 60);
    world.pass(25);
    (0..2).for_each(|at| assert_eq!(world.take_leases(at), ["ready token-1"]));
}

#[test]
fn another_one_takes_over_where_the_one_that_fetched_is_gone() {
    let mut world = World::new(2);
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    // It is not polled any more, and nothing answers its request.
    let gone = world.workers.remove(0);
    world.pass(1_950);
    assert!(world.under_way().is_empty());
    world.pass(100);
    assert_eq!(world.under_way(), [0]);
    world.grant(0, "token-1", 60);
    assert_eq!(world.take_leases(0), ["ready token-1"]);
    drop(gone);
}

#[test]
fn a_slow_answer_is_waited_for_as_long_as_its_client_lives() {
    let mut world = World::new(3);
    (0..3).for_each(|at| assert_eq!(world.ask(at), "pending"));
    world.pass(9_900);
    assert_eq!(world.under_way(), [0]);
    world.grant(0, "token-1", 60);
    world.pass(25);
    (0..3).for_each(|at| assert_eq!(world.take_leases(at), ["ready token-1"]));
}

#[test]
fn the_pair_that_worked_for_one_comes_first_for_all() {
    let mut world = World::new(2);
    assert_eq!(world.ask(0), "pending");
    let refused = || response(401, r#"{"error":"invalid_client"}"#);
    world.answer(0, refused());
    world.grant(0, "token-1", 4);
    let second = "Basic YnNzLTI6c2Vjb25kLXNlY3JldA==";
    assert_eq!(world.ask(1), "pending");
    assert_eq!(world.events(1, "credential_promoted 1"), 1);
    // The first one is not polled any more; the other one refreshes.
    world.workers.remove(0);
    world.pass(3_000);
    assert_eq!(world.basic(0), second);
}

#[test]
fn configurations_share_only_where_all_that_makes_the_token_is_the_same() {
    let others = [
        DOCUMENT.replace("hydra.example", "other.example"),
        DOCUMENT.replace("\"read\"", "\"write\""),
        DOCUMENT.replace(
            "\"audience\": [\"smd\"]",
            "\"audience\": [\"smd\", \"bss\"]",
        ),
        DOCUMENT.replace("\"audience\": [\"smd\"]", "\"resource\": [\"urn:smd\"]"),
        DOCUMENT.replace(
            "\"audience\": [\"smd\"]",
            "\"audience\": [\"smd\"], \"parameters\": {\"a\": \"b\"}",
        ),
        DOCUMENT.replace("\"bss\"", "\"bos\""),
        DOCUMENT.replace(
            "\"credentials\"",
            "\"auth\": \"client_secret_post\", \"credentials\"",
        ),
        DOCUMENT.replace(
            "\"scopes\": [\"read\"]",
            "\"scopes\": [\"read\"], \"require_scopes\": true",
        ),
    ];
    let mut documents = vec![DOCUMENT.to_string()];
    documents.extend(others);
    let mut world = World::of(&documents);
    for (at, document) in documents.iter().enumerate() {
        assert_eq!(world.ask(at), "pending");
        assert_eq!(world.under_way().len(), at + 1, "{document}");
    }
    assert_eq!(world.store.records.len(), documents.len());
    // Another secret, other URLs and another schedule make no other token.
    let same = DOCUMENT
        .replace("first-secret", "rotated-secret")
        .replace("https://smd.example", "https://smd.example/hsm")
        .replace("\"jitter\": 0", "\"jitter\": 0.1");
    let at = world.add(&same);
    assert_eq!(world.ask(at), "pending");
    assert_eq!(world.under_way().len(), documents.len());
}

#[test]
fn a_record_that_cannot_be_read_is_told_once_and_written_anew() {
    let mut world = World::new(1);
    assert_eq!(world.ask(0), "pending");
    world.grant(0, "token-1", 60);
    let good = world.store.text();
    let other_version = good.replace("\"format\":1,\"refused\"", "\"format\":2,\"refused\"");
    assert_ne!(good, other_version);
    for bad in [
        &other_version,
        "",
        "null",
        "{",
        "[]",
        "{}",
        &good[..good.len() - 1],
        &good.replace("\"refused\":[]", "\"refused\":[1]"),
        &good.replace("\"refused\":[]", "\"refused\":[\"x\"]"),
        &good.replace("\"access_token\":\"", "\"access_token\":\"a b"),
        &good.replace("\"claim_owner\":null", "\"claim_owner\":-1"),
        &good.replace("\"failure\":null", "\"failure\":{\"retry_at_ms\":\"soon\"}"),
        &good.replace("\"acted_at_ms\":null", "\"acted_at_ms\":1e300"),
    ] {
        assert_ne!(bad, good);
        let mut world = World::new(2);
        assert_eq!(world.ask(0), "pending");
        world.grant(0, "token-1", 60);
        for (value, version) in world.store.records.values_mut() {
            *value = bad.as_bytes().to_vec();
            *version += 1;
        }
        world.store.last += 1;
        assert_eq!(world.ask(1), "pending");
        assert_eq!(world.under_way(), [1], "{bad}");
        assert_eq!(world.events(1, "store_failed store_corrupt"), 1, "{bad}");
        world.grant(1, "token-2", 60);
        world.pass(100);
        assert_eq!(world.ask(1), "token-2", "{bad}");
        assert_eq!(world.events(1, "store_failed store_corrupt"), 1, "{bad}");
    }
}

#[test]
fn without_the_store_each_client_gets_its_own_tokens() {
    let mut world = World::new(2);
    world.store.fails = true;
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    assert_eq!(world.under_way(), [0, 1]);
    world.grant(0, "token-1", 60);
    world.grant(1, "token-2", 60);
    assert_eq!(world.ask(0), "token-1");
    assert_eq!(world.ask(1), "token-2");
    world.pass(1_000);
    assert_eq!(world.events(0, "store_failed store_unavailable"), 1);
    world.store.fails = false;
    world.pass(46_000);
    assert_eq!(world.under_way().len(), 1);
}

#[test]
fn of_two_that_claim_at_once_one_wins() {
    let mut world = World::new(2);
    world
        .workers
        .iter_mut()
        .for_each(|worker| worker.holds_back = true);
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    // Both read the empty record before either writes.
    for _ in 0..6 {
        for at in 0..2 {
            let now = world.clock();
            while let Some(task) = world.workers[at].held_back.pop_front() {
                let TaskKind::Shared { key, operation } = &task.kind else {
                    panic!()
                };
                let outcome = world.store.run(key, operation);
                world.workers[at].client.complete(task.id, outcome, now);
            }
        }
        world.poll_all();
    }
    assert_eq!(world.under_way().len(), 1);
}

#[test]
fn a_token_for_nobody_else_is_not_shared() {
    let mut world = World::new(2);
    (0..2).for_each(|at| assert_eq!(world.ask(at), "pending"));
    world.grant(0, "token-1", 0);
    assert_eq!(world.take_leases(0), ["once token-1"]);
    assert!(!world.store.text().contains("token-1"));
    world.pass(25);
    assert_eq!(world.under_way(), [1]);
}

/// A small generator; no secrets.
struct Random(u64);

impl Random {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

#[test]
fn in_any_life_one_request_is_under_way_and_all_end_with_the_same_token() {
    for seed in 0..200 {
        let mut random = Random(seed);
        let mut world = World::new(2 + random.below(4) as usize);
        let mut issued = 0;
        let mut killed: Vec<(u64, TaskId)> = vec![];
        for _ in 0..80 {
            let at = random.below(world.workers.len() as u64) as usize;
            match random.below(12) {
                0..3 => {
                    world.ask(at);
                }
                3 => {
                    let token = format!("token-{}", issued.max(1) - random.below(2).min(issued));
                    world.reject(at, &token);
                }
                4..7 => {
                    if let Some(at) = world.under_way().first().copied() {
                        issued += 1;
                        world.grant(at, &format!("token-{issued}"), 1 + random.below(60));
                    }
                }
                7 => {
                    if let Some(at) = world.under_way().first().copied() {
                        let status = [503, 429, 400, 401][random.below(4) as usize];
                        world.answer(at, response(status, "{}"));
                    }
                }
                8 if world.workers.len() > 1 => {
                    let gone = world.workers.swap_remove(at);
                    killed.extend(gone.sends.iter().map(|task| (world.now, task.id)));
                    world.add(DOCUMENT);
                }
                _ => world.pass(1 + random.below(3_000)),
            }
            assert!(
                world.under_way().len() <= 1,
                "seed {seed}: {:?}",
                world.under_way()
            );
        }
        // The server is well, and everybody asks.
        for _ in 0..100 {
            (0..world.workers.len()).for_each(|at| {
                world.ask(at);
            });
            if let Some(at) = world.under_way().first().copied() {
                issued += 1;
                world.grant(at, &format!("token-{issued}"), 3_600);
            }
            world.pass(1_000);
        }
        let tokens: Vec<String> = (0..world.workers.len()).map(|at| world.ask(at)).collect();
        assert!(
            tokens
                .iter()
                .all(|token| *token == tokens[0] && token.starts_with("token-")),
            "seed {seed}: {tokens:?}"
        );
    }
}
