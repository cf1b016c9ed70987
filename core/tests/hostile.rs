//! Attempts to lead the state machine astray.

use serde_json::json;
use svcauth_core::{
    Client, Code, Config, Now,
    client::{
        Call, Capabilities, Decision, Outcome, Output, SendFailure, State, StoreOperation, Subject,
        TaskKind,
    },
    wire::Response,
};

const WALL: u64 = 1_795_400_000_000;

fn config(document: serde_json::Value) -> Config {
    Config::from_json(document.to_string().as_bytes()).unwrap()
}

fn capabilities() -> Capabilities {
    let mut all = Capabilities::none();
    all.durable_store = true;
    all
}

fn answer(body: serde_json::Value) -> Outcome {
    Outcome::Response(Response {
        status: 200,
        headers: vec![("content-type".into(), "application/json".into())],
        body: body.to_string().into_bytes().into(),
    })
}

/// Answers tasks until idle; store is one record map.
struct World {
    store: std::collections::BTreeMap<String, (Vec<u8>, u64)>,
    sent: Vec<(String, String)>,
}

impl World {
    fn new() -> World {
        World {
            store: Default::default(),
            sent: vec![],
        }
    }
    fn run(&mut self, client: &mut Client, now: Now, reply: &dyn Fn(&str, &str) -> Outcome) {
        loop {
            match client.poll(now) {
                Output::Task(task) => {
                    let outcome = match task.kind {
                        TaskKind::Send { request, .. } => {
                            let body = String::from_utf8(request.body.expose().to_vec()).unwrap();
                            self.sent.push((request.url.clone(), body.clone()));
                            reply(&request.url, &body)
                        }
                        TaskKind::Store { key, operation } => match operation {
                            StoreOperation::Get => match self.store.get(&key) {
                                Some((v, n)) => Outcome::Record {
                                    value: Some(v.clone().into()),
                                    version: *n,
                                },
                                None => Outcome::Record {
                                    value: None,
                                    version: 0,
                                },
                            },
                            StoreOperation::PutIf { version, value } => {
                                let have = self.store.get(&key).map_or(0, |(_, n)| *n);
                                if have != version {
                                    Outcome::Conflict
                                } else {
                                    self.store.insert(key, (value.expose().to_vec(), have + 1));
                                    Outcome::Stored { version: have + 1 }
                                }
                            }
                            StoreOperation::Lock { .. } => Outcome::Locked { fence: 1 },
                            _ => Outcome::Done,
                        },
                        TaskKind::Random { bytes } => Outcome::Bytes(vec![7; bytes].into()),
                        _ => Outcome::Unsupported,
                    };
                    client.complete(task.id, outcome, now);
                }
                Output::Idle { .. } => return,
                _ => {}
            }
        }
    }
}

fn exchanging(issuer: &str) -> Config {
    config(json!({
        "endpoints": { "token": format!("{issuer}/token") },
        "client": { "auth": "none" },
        "store": { "file": "/x" },
        "targets": { "smd": { "urls": ["https://smd.example/"], "grant": {
            "type": "token_exchange", "subject_token": { "value": "bootstrap-of-this-issuer" },
            "subject_token_type": "urn:x:y", "refresh_tokens": "one_use" } } }
    }))
}

/// The service moves to another issuer, or two services share one state file: the refresh token of the first
/// server must not be sent to the second.
#[test]
fn a_refresh_token_goes_only_to_the_server_that_gave_it() {
    let now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let mut world = World::new();
    let reply = |_: &str, _: &str| {
        answer(
            json!({"access_token": "t", "token_type": "bearer", "expires_in": 60, "refresh_token": "refresh-of-good"}),
        )
    };
    let mut good = Client::new(exchanging("https://good.example"), capabilities(), 1, now).unwrap();
    let smd = good.target("smd").unwrap();
    good.token(smd, Subject::Service, now);
    world.run(&mut good, now, &reply);
    let mut other =
        Client::new(exchanging("https://other.example"), capabilities(), 1, now).unwrap();
    other.token(smd, Subject::Service, now);
    world.run(&mut other, now, &reply);
    let leaked: Vec<_> = world
        .sent
        .iter()
        .filter(|(url, body)| url.contains("other") && body.contains("refresh-of-good"))
        .collect();
    assert!(leaked.is_empty(), "{leaked:?}");
}

/// A board without a clock, up for two days, and a server that says when the secret ends.
#[test]
fn the_end_of_a_secret_overflows_nothing() {
    let now = Now {
        mono_ms: 2 * 86_400_000,
        wall_ms: 0,
    };
    let mut client = Client::new(config(json!({
        "endpoints": { "token": "https://h.example/token", "registration": "https://h.example/register" },
        "client": { "registration": { "metadata": {} } },
        "store": { "file": "/x" },
        "targets": { "smd": { "urls": ["https://smd.example/"] } }
    })), capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    client.token(smd, Subject::Service, now);
    World::new().run(&mut client, now, &|url, _| if url.ends_with("register") {
        answer(json!({"client_id": "bss", "client_secret": "s", "client_secret_expires_at": u64::MAX}))
    } else {
        answer(json!({"access_token": "t", "token_type": "bearer", "expires_in": 60}))
    });
    assert!(matches!(
        client.token(smd, Subject::Service, now),
        State::Ready(_)
    ));
}

#[test]
fn the_query_of_an_endpoint_is_in_no_error() {
    let now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let mut client = Client::new(config(json!({
        "endpoints": { "token": "https://h.example/token?subscription-key=planted" },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s" } }] },
        "targets": { "smd": { "urls": ["https://smd.example/"] } }
    })), capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    for outcome in [
        Outcome::SendFailed {
            failure: SendFailure::Broken,
            detail: String::new(),
        },
        Outcome::Response(Response {
            status: 500,
            ..Response::default()
        }),
    ] {
        client.token(smd, Subject::Service, now);
        let mut seen = String::new();
        loop {
            match client.poll(now) {
                Output::Task(task) => {
                    client.complete(task.id, outcome.clone(), now);
                }
                Output::Idle { .. } => break,
                output => seen += &format!("{output:?}\n"),
            }
        }
        assert!(!seen.contains("planted"), "{seen}");
    }
}

#[test]
fn a_redirect_from_https_to_http_brings_no_token() {
    let client = Client::new(config(json!({
        "endpoints": { "token": "https://h.example/token" },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s" } }] },
        "targets": { "smd": { "urls": ["https://smd.example/hsm", "http://localhost:27779/hsm"] } }
    })), capabilities(), 1, Now::default()).unwrap();
    let calls = client.calls();
    let decision = calls.decide(&Call {
        url: "http://localhost:27779/hsm/v2",
        redirected_from: Some("https://smd.example/hsm/v2"),
        ..Call::default()
    });
    assert!(matches!(decision, Decision::Nothing), "{decision:?}");
}

/// Servers merge slashes; nginx does unless told not to.
#[test]
fn an_empty_segment_does_not_lead_around_a_longer_prefix_or_an_endpoint() {
    let client = Client::new(config(json!({
        "endpoints": { "token": "https://g.example/hsm/v2/oauth/token" },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s" } }] },
        "targets": {
            "smd": { "urls": ["https://g.example/hsm/v2"] },
            "inventory": { "urls": ["https://g.example/hsm/v2/Inventory"], "user_token": "never" } }
    })), capabilities(), 1, Now::default()).unwrap();
    let calls = client.calls();
    let target = |url: &str| {
        calls.target(url).map_or("", |t| {
            if calls.target_name(t) == "smd" {
                "smd"
            } else {
                "inventory"
            }
        })
    };
    assert_ne!(target("https://g.example/hsm/v2//Inventory/x"), "smd");
    assert_eq!(target("https://g.example/hsm/v2//oauth/token"), "");
}

fn exchanges_for_users(limits: serde_json::Value) -> Config {
    config(json!({
        "endpoints": { "token": "https://h.example/token" },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "value": "s" } }] },
        "targets": { "smd": { "urls": ["https://smd.example/"], "user_token": "exchange" } },
        "limits": limits,
    }))
}

/// 4,000 inbound requests in 20 s, each with a token of its own that somebody made up.
fn flood(
    client: &mut Client,
    world: &mut World,
    now: &mut Now,
    reply: &dyn Fn(&str, &str) -> Outcome,
) -> [usize; 3] {
    let smd = client.target("smd").unwrap();
    let (mut pending, mut told, mut refused) = (0, 0, 0);
    for user in 0..4_000 {
        now.mono_ms += 5;
        now.wall_ms += 5;
        match client.token(smd, Subject::User(&format!("made-up-{user}")), *now) {
            State::Pending => pending += 1,
            State::Failed { error, .. } if error.code() == Code::TooManySubjects => refused += 1,
            State::Failed { .. } => told += 1,
            other => panic!("{other:?}"),
        }
        world.run(client, *now, reply);
    }
    [pending, told, refused]
}

#[test]
fn made_up_users_are_few_requests_while_the_server_is_away() {
    let away = |_: &str, _: &str| Outcome::SendFailed {
        failure: SendFailure::Refused,
        detail: String::new(),
    };
    let mut now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let mut client = Client::new(exchanges_for_users(json!({})), capabilities(), 1, now).unwrap();
    let mut world = World::new();
    let [pending, told, refused] = flood(&mut client, &mut world, &mut now, &away);
    // Each back-off is spread from nothing to its whole: more than one request in each half second would be
    // many users'.
    assert!(world.sent.len() <= 40, "{} requests", world.sent.len());
    assert_eq!((pending, told, refused), (1024, 0, 2976));
    // Those who waited have given up when the server is back, and make room for somebody who asks now.
    now.mono_ms += 100_000;
    let back = |_: &str, _: &str| {
        answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 60 }))
    };
    let smd = client.target("smd").unwrap();
    let before = world.sent.len();
    client.token(smd, Subject::User("alice"), now);
    world.run(&mut client, now, &back);
    assert!(matches!(
        client.token(smd, Subject::User("alice"), now),
        State::Ready(_)
    ));
    assert_eq!(world.sent.len() - before, 1);
}

#[test]
fn made_up_users_are_few_requests_and_no_memory_while_the_server_fails() {
    for (status, most) in [(503, 40), (429, 3)] {
        let failing = |_: &str, _: &str| {
            Outcome::Response(Response {
                status,
                ..Response::default()
            })
        };
        let mut now = Now {
            mono_ms: 1000,
            wall_ms: WALL,
        };
        let mut client =
            Client::new(exchanges_for_users(json!({})), capabilities(), 1, now).unwrap();
        let mut world = World::new();
        let [pending, told, refused] = flood(&mut client, &mut world, &mut now, &failing);
        assert!(
            world.sent.len() <= most,
            "{status}: {} requests",
            world.sent.len()
        );
        assert_eq!(pending, world.sent.len(), "{status}");
        assert_eq!((told, refused), (4_000 - pending, 0), "{status}");
    }
}

/// Made-up tokens that the server refuses do not take the place of those that it gave.
#[test]
fn a_users_lease_outlives_a_flood_of_refused_users() {
    let mut now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let mut client = Client::new(
        exchanges_for_users(json!({ "subjects": 8 })),
        capabilities(),
        1,
        now,
    )
    .unwrap();
    let smd = client.target("smd").unwrap();
    let mut world = World::new();
    let strict = |_: &str, body: &str| {
        if body.contains("made-up") {
            Outcome::Response(Response {
                status: 400,
                headers: vec![("content-type".into(), "application/json".into())],
                body: br#"{"error":"invalid_grant"}"#.to_vec().into(),
            })
        } else {
            answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 600 }))
        }
    };
    client.token(smd, Subject::User("alice"), now);
    world.run(&mut client, now, &strict);
    flood(&mut client, &mut world, &mut now, &strict);
    assert!(matches!(
        client.token(smd, Subject::User("alice"), now),
        State::Ready(_)
    ));
    let for_alice = world
        .sent
        .iter()
        .filter(|(_, body)| body.contains("alice"))
        .count();
    assert_eq!(for_alice, 1);
}

fn fails(status: u16, error: &str) -> Outcome {
    Outcome::Response(Response {
        status,
        headers: vec![("content-type".into(), "application/json".into())],
        body: json!({ "error": error }).to_string().into_bytes().into(),
    })
}

fn later(now: &mut Now, ms: u64) {
    now.mono_ms += ms;
    now.wall_ms += ms;
}

/// A server that answers 401 where it does not like the user's token.
#[test]
fn a_users_token_does_not_make_the_service_register_anew() {
    let mut now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let mut client = Client::new(config(json!({
        "endpoints": { "token": "https://h.example/token", "registration": "https://h.example/register" },
        "client": { "registration": { "metadata": {} } },
        "store": { "file": "/x" },
        "targets": { "smd": { "urls": ["https://smd.example/"], "user_token": "exchange" } }
    })), capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    let mut world = World::new();
    let reply = |url: &str, body: &str| {
        if url.ends_with("register") {
            answer(json!({ "client_id": "bss", "client_secret": "s3cr3t" }))
        } else if body.contains("mallory") {
            fails(401, "invalid_token")
        } else {
            answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 60 }))
        }
    };
    for round in 0..20 {
        for user in ["user", "mallory"] {
            later(&mut now, 1_000);
            client.token(smd, Subject::User(&format!("{user}-{round}")), now);
            world.run(&mut client, now, &reply);
        }
    }
    let registered = world
        .sent
        .iter()
        .filter(|(url, _)| url.ends_with("register"));
    assert_eq!(registered.count(), 1);
}

/// Tokens that are only asked for, made-up ones among them, wait for the server beside those that it gave.
#[test]
fn users_leases_outlive_a_flood_of_users_while_the_server_is_away() {
    let mut now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let config = exchanges_for_users(json!({ "subjects": 8 }));
    let mut client = Client::new(config, capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    let mut world = World::new();
    let users: Vec<String> = (0..8).map(|user| format!("user-{user}")).collect();
    let there = |_: &str, _: &str| {
        answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 3600 }))
    };
    for user in &users {
        client.token(smd, Subject::User(user), now);
        world.run(&mut client, now, &there);
    }
    flood(&mut client, &mut world, &mut now, &|_, _| {
        Outcome::SendFailed {
            failure: SendFailure::Refused,
            detail: String::new(),
        }
    });
    let is_served =
        |user: &&String| matches!(client.token(smd, Subject::User(user), now), State::Ready(_));
    assert_eq!(users.iter().filter(is_served).count(), users.len());
}

/// The server gives a user's token the rest of the life that the user's own has, and that was short.
#[test]
fn a_token_that_died_on_its_way_holds_up_nobody_else() {
    let mut now = Now {
        mono_ms: 1000,
        wall_ms: WALL,
    };
    let config = exchanges_for_users(json!({}));
    let mut client = Client::new(config, capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    client.token(smd, Subject::User("alice"), now);
    let Output::Task(task) = client.poll(now) else {
        panic!()
    };
    later(&mut now, 1_500);
    let late = json!({ "access_token": "t", "token_type": "bearer", "expires_in": 1 });
    client.complete(task.id, answer(late), now);
    client.token(smd, Subject::User("carol"), now);
    let mut world = World::new();
    world.run(&mut client, now, &|_, _| {
        answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 60 }))
    });
    assert!(matches!(
        client.token(smd, Subject::User("carol"), now),
        State::Ready(_)
    ));
}

#[test]
fn a_users_token_of_any_size_is_not_kept() {
    let now = Now::default();
    let config = exchanges_for_users(json!({}));
    let mut client = Client::new(config, capabilities(), 1, now).unwrap();
    let smd = client.target("smd").unwrap();
    for (bytes, taken) in [(16 * 1024, true), (16 * 1024 + 1, false)] {
        let state = client.token(smd, Subject::User(&"a".repeat(bytes)), now);
        match state {
            State::Pending => assert!(taken),
            State::Failed { error, .. } => {
                assert_eq!((taken, error.code()), (false, Code::InvalidArgument));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// Five users ask a hundred times a second, and the server fails whenever it sees a token of theirs. Another user
/// comes each second, and asks twice a second for half a minute or until there is a token; for ten minutes.
#[test]
fn users_at_whom_the_server_fails_do_not_starve_the_others() {
    for outcome in [
        fails(500, "server_error"),
        Outcome::SendFailed {
            failure: SendFailure::Broken,
            detail: String::new(),
        },
    ] {
        let mut now = Now {
            mono_ms: 1000,
            wall_ms: WALL,
        };
        let config = exchanges_for_users(json!({}));
        let mut client = Client::new(config, capabilities(), 1, now).unwrap();
        let smd = client.target("smd").unwrap();
        let mut world = World::new();
        let reply = |_: &str, body: &str| {
            if body.contains("mallory") {
                outcome.clone()
            } else {
                answer(json!({ "access_token": "t", "token_type": "bearer", "expires_in": 20 }))
            }
        };
        let mut waiting: Vec<(u64, u64)> = Vec::new();
        let mut waits = Vec::new();
        for tick in 0..60_000u64 {
            later(&mut now, 10);
            client.token(smd, Subject::User(&format!("mallory-{}", tick % 5)), now);
            world.run(&mut client, now, &reply);
            if tick % 100 == 33 {
                waiting.push((tick, now.mono_ms));
            }
            waiting.retain(|(user, since)| {
                let waited = now.mono_ms - since;
                if !waited.is_multiple_of(500) {
                    return true;
                }
                let name = format!("user-{user}");
                client.token(smd, Subject::User(&name), now);
                world.run(&mut client, now, &reply);
                let state = client.token(smd, Subject::User(&name), now);
                let ends = matches!(state, State::Ready(_)) || waited == 30_000;
                if ends {
                    waits.push(waited);
                }
                !ends
            });
        }
        let mean = waits.iter().sum::<u64>() / waits.len() as u64;
        let longest = waits.iter().max().copied().unwrap_or(0);
        let gave_up = waits.iter().filter(|waited| **waited == 30_000).count();
        let users = waits.len();
        println!("{users} users waited {mean} ms on average, {longest} ms at most");
        assert_eq!(gave_up, 0);
        assert!(mean < 1_000, "{mean}");
        // Two each second at most, besides those that bring tokens.
        assert!(world.sent.len() < 600 + 1_200, "{}", world.sent.len());
    }
}
