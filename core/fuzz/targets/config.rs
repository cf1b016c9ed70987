//! A configuration document, and the first steps of a client with it.

#![no_main]

use libfuzzer_sys::{fuzz_mutator, fuzz_target};
use svcauth_core::{
    Client, Config, Now,
    client::{Capabilities, Outcome, Output, Subject, TaskKind},
};
use svcauth_fuzz::{one_line, response};

/// Calls of poll until it must have come to its end.
const MOST_OUTPUTS: usize = 20_000;
/// Times that the client is woken.
const WAKES: usize = 12;

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    svcauth_fuzz::mutate::document(data, size, max_size, seed)
});

fuzz_target!(|data: &[u8]| {
    let config = match Config::from_json(data) {
        Ok(config) => config,
        Err(error) => return drop(one_line(&error)),
    };
    let mut capabilities = Capabilities::none();
    capabilities.secret_files = true;
    capabilities.secret_env = true;
    capabilities.secret_callback = true;
    capabilities.durable_store = true;
    capabilities.client_certificate = true;
    let urls: Vec<Vec<String>> = config
        .targets
        .iter()
        .map(|target| {
            target
                .urls
                .iter()
                .map(|url| url.as_str().to_owned())
                .collect()
        })
        .collect();
    let mut now = Now {
        mono_ms: 1_000,
        wall_ms: 1_795_400_000_000,
    };
    let mut client = match Client::new(config, capabilities, 1, now) {
        Ok(client) => client,
        Err(error) => return drop(one_line(&error)),
    };
    let calls = client.calls();
    for (target, urls) in client.targets().zip(&urls) {
        for url in urls {
            let found = calls.target(url);
            assert!(
                found.is_none_or(|found| found == target),
                "{url} belongs to two targets"
            );
        }
        client.token(target, Subject::Service, now);
        client.token(target, Subject::User("user"), now);
    }
    for wake in 0..WAKES {
        let Some(until) = settle(&mut client, now, wake) else {
            return;
        };
        assert!(until > now.mono_ms, "idle until a time that has passed");
        let passed = until - now.mono_ms;
        now.mono_ms = until;
        now.wall_ms = now.wall_ms.saturating_add(passed);
    }
});

/// Polls until the client is idle, and answers each task as well as can be; when it wants to be woken.
fn settle(client: &mut Client, now: Now, wake: usize) -> Option<u64> {
    for _ in 0..MOST_OUTPUTS {
        match client.poll(now) {
            Output::Idle { until } => return until,
            Output::Task(task) => {
                let outcome = match (&task.kind, wake % 3) {
                    (_, 2) => Outcome::Failed {
                        detail: "no".into(),
                    },
                    (TaskKind::Send { .. }, 0) => Outcome::Response(response(TOKEN)),
                    (TaskKind::Send { .. }, _) => Outcome::Response(response(b"503 busy\n\n")),
                    (TaskKind::ReadSecret { .. }, _) => Outcome::Bytes(b"secret".to_vec().into()),
                    (TaskKind::Store { .. }, 0) => Outcome::Locked { fence: 1 },
                    (TaskKind::Store { .. }, _) => Outcome::Stored { version: 1 },
                    _ => Outcome::Unsupported,
                };
                client.complete(task.id, outcome, now);
            }
            _ => {}
        }
    }
    panic!("poll did not come to an end");
}

const TOKEN: &[u8] = b"200 OK\ncontent-type: application/json\n\n\
    {\"access_token\":\"abc\",\"token_type\":\"bearer\",\"expires_in\":60}";
