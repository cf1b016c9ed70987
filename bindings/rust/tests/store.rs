//! The state file: whole after kill -9 at any moment, and shared by processes that spend nothing twice.

mod common;

use common::*;
use serde_json::{Value, json};
use std::{
    env, fs,
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};
use svcauth::{
    Client, Code, Event,
    core::{
        SecretBytes,
        client::{Outcome, StoreOperation},
    },
    host::store::FileStore,
};
use svcauth_lab::{Endpoint, Fault, Lab, LabConfig};

const TIME: Duration = Duration::from_secs(5);

fn put(store: &FileStore, key: &str, version: u64, value: &str) -> Outcome {
    store.perform(
        key,
        StoreOperation::PutIf {
            version,
            value: SecretBytes::from(value),
        },
        TIME,
    )
}

fn get(store: &FileStore, key: &str) -> (Option<String>, u64) {
    match store.perform(key, StoreOperation::Get, TIME) {
        Outcome::Record { value, version } => (
            value.map(|value| String::from_utf8(value.expose().to_vec()).unwrap()),
            version,
        ),
        other => panic!("{other:?}"),
    }
}

fn lock(store: &FileStore, ttl_ms: u64) -> Outcome {
    store.perform("k", StoreOperation::Lock { ttl_ms }, TIME)
}

/// What a process of its own does: the test of that name in this file, which is ignored otherwise.
fn process(role: &str, variables: &[(&str, &str)]) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", role, "--ignored", "--nocapture"])
        .envs(variables.iter().copied())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn variable(name: &str) -> String {
    env::var(name).unwrap()
}

#[test]
fn a_record_is_written_only_over_the_version_that_was_read() {
    let directory = Directory::new();
    let path = directory.file("state.json");
    let (one, other) = (FileStore::new(&path), FileStore::new(&path));
    assert_eq!(get(&one, "k"), (None, 0));
    let Outcome::Stored { version: first } = put(&one, "k", 0, "a") else {
        panic!()
    };
    assert!(matches!(put(&other, "k", 0, "b"), Outcome::Conflict));
    let Outcome::Stored { version: second } = put(&other, "k", first, "b") else {
        panic!()
    };
    assert!(matches!(put(&one, "k", first, "c"), Outcome::Conflict));
    assert_ne!(first, second);
    assert_eq!(get(&one, "k"), (Some("b".into()), second));
    assert_eq!(get(&one, "other"), (None, 0));
    assert_eq!(
        fs::metadata(&path).unwrap().permissions().mode() & 0o777,
        0o600
    );
}

/// A server decides how much there is to be saved.
#[test]
fn a_record_that_could_not_be_read_back_is_refused_and_spoils_no_other() {
    let directory = Directory::new();
    let store = FileStore::new(directory.file("state.json"));
    put(&store, "k", 0, "a");
    let large = put(&store, "large", 0, &"x".repeat(900 * 1024));
    assert!(
        matches!(&large, Outcome::Failed { detail } if detail.contains("1 MiB")),
        "{large:?}"
    );
    assert_eq!(get(&store, "k").0.as_deref(), Some("a"));
    assert_eq!(get(&store, "large"), (None, 0));
}

#[test]
fn a_lock_is_one_stores_until_it_is_given_back_or_ends() {
    let directory = Directory::new();
    let path = directory.file("state.json");
    let (one, other) = (FileStore::new(&path), FileStore::new(&path));
    let Outcome::Locked { fence } = lock(&one, 60_000) else {
        panic!()
    };
    let Outcome::Held {
        retry_after_ms: Some(left),
    } = lock(&other, 60_000)
    else {
        panic!()
    };
    assert!((1..=60_000).contains(&left));
    // Records can be written meanwhile; the core decides with versions.
    assert!(matches!(put(&other, "k", 0, "a"), Outcome::Stored { .. }));
    assert!(matches!(
        other.perform("k", StoreOperation::Unlock { fence: fence + 7 }, TIME),
        Outcome::Done
    ));
    assert!(matches!(lock(&other, 1), Outcome::Held { .. }));
    assert!(matches!(
        one.perform("k", StoreOperation::Unlock { fence }, TIME),
        Outcome::Done
    ));
    let Outcome::Locked { fence: next } = lock(&other, 1) else {
        panic!()
    };
    assert!(next > fence);
    // Its holder is killed: a millisecond later the lock is free.
    eventually("the lock has ended", || {
        matches!(lock(&one, 60_000), Outcome::Locked { .. })
    });
}

#[test]
#[ignore = "run by other tests in a process of its own"]
fn holder() {
    let store = FileStore::new(variable("SVCAUTH_TEST_FILE"));
    assert!(matches!(lock(&store, 600_000), Outcome::Locked { .. }));
    put(&store, "k", 0, "locked");
    loop {
        thread::park();
    }
}

/// A file whose lock a process has that was killed, seen to be held while that process lived.
#[cfg(target_os = "linux")]
fn left_by_a_kill(directory: &Directory) -> String {
    let path = directory.file("state.json");
    let store = FileStore::new(&path);
    let mut holder = process("holder", &[("SVCAUTH_TEST_FILE", &path)]);
    eventually("it has the lock", || get(&store, "k").1 > 0);
    assert!(matches!(lock(&store, 600_000), Outcome::Held { .. }));
    holder.kill().unwrap();
    holder.wait().unwrap();
    path
}

#[cfg(target_os = "linux")]
#[test]
fn the_lock_of_a_killed_process_is_free_at_once() {
    let directory = Directory::new();
    let path = left_by_a_kill(&directory);
    let (one, other) = (FileStore::new(&path), FileStore::new(&path));
    let Outcome::Locked { fence } = lock(&one, 600_000) else {
        panic!()
    };
    assert!(matches!(lock(&other, 600_000), Outcome::Held { .. }));
    one.perform("k", StoreOperation::Unlock { fence }, TIME);
    assert!(matches!(lock(&other, 600_000), Outcome::Locked { .. }));
    drop(other);
    assert!(matches!(lock(&one, 600_000), Outcome::Locked { .. }));
}

#[cfg(target_os = "linux")]
#[test]
fn a_lock_from_another_machine_lasts_for_its_time() {
    let directory = Directory::new();
    let path = left_by_a_kill(&directory);
    let mut state: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    state["locks"]["k"]["boot"] = json!("another");
    fs::write(&path, state.to_string()).unwrap();
    assert!(matches!(
        lock(&FileStore::new(&path), 600_000),
        Outcome::Held { .. }
    ));
}

#[test]
fn only_its_owner_gives_a_lock_back() {
    let directory = Directory::new();
    let path = directory.file("state.json");
    let (one, other) = (FileStore::new(&path), FileStore::new(&path));
    let Outcome::Locked { fence } = lock(&one, 600_000) else {
        panic!()
    };
    // The same number comes again when the file was moved away.
    other.perform("k", StoreOperation::Unlock { fence }, TIME);
    assert!(matches!(lock(&other, 600_000), Outcome::Held { .. }));
}

#[test]
fn what_is_wrong_with_the_file_is_one_clear_sentence() {
    let directory = Directory::new();
    let path = directory.write("state.json", "{}");
    let store = FileStore::new(&path);
    let sentence = |outcome| match outcome {
        Outcome::Failed { detail } => detail,
        other => panic!("{other:?}"),
    };
    let mut told = Vec::new();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    told.push((sentence(put(&store, "k", 0, "a")), "chmod 600"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    for (content, words) in [
        ("{}", "is no state file of svcauth, or damaged"),
        ("", "is no state file of svcauth, or damaged"),
        (
            r#"{"format":1,"records":{"k":{"version":1}}}"#,
            "is no state file of svcauth, or damaged",
        ),
        (
            r#"{"format":9}"#,
            "has format 9, written by another version",
        ),
    ] {
        fs::write(&path, content).unwrap();
        told.push((
            sentence(store.perform("k", StoreOperation::Get, TIME)),
            words,
        ));
    }
    let nowhere = FileStore::new(directory.file("none/state.json"));
    told.push((sentence(put(&nowhere, "k", 0, "a")), "make the directory"));
    for (sentence, words) in told {
        assert!(
            sentence.contains(words) && !sentence.contains('\n'),
            "{sentence}"
        );
    }
}

#[test]
fn another_process_that_was_stopped_in_the_middle_is_not_waited_for_for_ever() {
    let directory = Directory::new();
    let path = directory.file("state.json");
    let guard = fs::File::create(format!("{path}.lock")).unwrap();
    guard.lock().unwrap();
    let operation = StoreOperation::PutIf {
        version: 0,
        value: SecretBytes::from("a"),
    };
    let Outcome::Failed { detail } =
        FileStore::new(&path).perform("k", operation, Duration::from_millis(50))
    else {
        panic!()
    };
    assert!(detail.contains("is locked by another process"), "{detail}");
}

#[test]
#[ignore = "run by other tests in a process of its own"]
fn writer() {
    let store = FileStore::new(variable("SVCAUTH_TEST_FILE"));
    loop {
        let (_, version) = get(&store, "k");
        put(&store, "k", version, &"x".repeat(20_000));
    }
}

#[test]
fn kill_at_any_moment_leaves_the_file_whole() {
    let directory = Directory::new();
    let path = directory.file("state.json");
    let store = FileStore::new(&path);
    let Outcome::Stored { version: mut last } = put(&store, "k", 0, "start") else {
        panic!()
    };
    for round in 0..25 {
        let mut writer = process("writer", &[("SVCAUTH_TEST_FILE", &path)]);
        eventually("it writes", || get(&store, "k").1 > last);
        thread::sleep(Duration::from_micros(round * 370));
        writer.kill().unwrap();
        writer.wait().unwrap();
        let (value, version) = get(&store, "k");
        assert!(
            value.is_some_and(|value| value.bytes().all(|byte| byte == b'x')) && version > last
        );
        let Outcome::Stored { version } = put(&store, "k", version, "mine") else {
            panic!()
        };
        last = version;
    }
    let mut left: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["state.json", "state.json.lock"]);
}

#[test]
#[ignore = "run by other tests in a process of its own"]
fn service() {
    let client = Client::open(variable("SVCAUTH_TEST_CONFIG")).unwrap();
    let smd = client.target("smd").unwrap();
    let until =
        Instant::now() + Duration::from_millis(variable("SVCAUTH_TEST_MS").parse().unwrap());
    loop {
        smd.lease().unwrap();
        if Instant::now() >= until {
            return;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Runs `count` services with this configuration for so long.
fn services(count: usize, directory: &Directory, document: &Value, time: Duration) {
    let config = directory.write("svcauth.json", &document.to_string());
    let time = time.as_millis().to_string();
    let variables = [
        ("SVCAUTH_TEST_CONFIG", config.as_str()),
        ("SVCAUTH_TEST_MS", time.as_str()),
    ];
    let processes: Vec<Child> = (0..count).map(|_| process("service", &variables)).collect();
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
}

#[test]
fn processes_that_start_together_register_once() {
    let lab = lab(LabConfig::default());
    lab.faults().set(Endpoint::Register, Fault::slow(50));
    let directory = Directory::new();
    let document = document(
        &lab,
        json!({
            "endpoints": { "registration": format!("{}/oauth2/register", lab.issuer_url()) },
            "client": {
                "credentials": null,
                "registration": {
                    "metadata": {
                        "scope": "read", "grant_types": ["client_credentials"],
                        "token_endpoint_auth_method": "client_secret_basic",
                    },
                },
            },
            "store": { "file": directory.file("state.json") },
        }),
    );
    services(4, &directory, &document, Duration::ZERO);
    assert_eq!(lab.stats().endpoint(Endpoint::Register).requests, 1);
    assert_eq!(lab.stats().tokens_issued(), 4);
}

/// A target of TokenSmith's, with refresh tokens that can be used once.
fn bootstrap(lab: &Lab, directory: &Directory) -> Value {
    let token = directory.write("bootstrap", &lab.bootstrap_token("bss", &["read"]));
    json!({
        "issuer": null,
        "endpoints": { "token": format!("{}/oauth/token", lab.tokensmith_url()) },
        "client": { "credentials": null, "auth": "none" },
        "targets": { "smd": { "grant": {
            "type": "token_exchange",
            "subject_token": { "file": token },
            "subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token",
        } } },
        "store": { "file": directory.file("state.json") },
    })
}

#[test]
fn a_client_that_ends_leaves_no_lock_behind() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    let file = directory.file("state.json");
    let client = client(&lab, bootstrap(&lab, &directory));
    client.lease("smd").unwrap();
    drop(client);
    let state: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    assert_eq!(state["locks"], json!({}));
    assert_ne!(state["records"], json!({}));
}

#[test]
fn processes_that_share_one_use_refresh_tokens_spend_none_twice() {
    let lab = lab(LabConfig {
        ttl: 2,
        ..LabConfig::default()
    });
    let directory = Directory::new();
    let document = document(&lab, bootstrap(&lab, &directory));
    services(3, &directory, &document, Duration::from_secs(4));
    let stats = lab.stats();
    let count = |grant: &str| {
        stats
            .token_requests
            .iter()
            .filter(|row| row.grant.contains(grant))
            .map(|row| row.count)
            .sum()
    };
    let (exchanged, refreshed): (u64, u64) = (count("token-exchange"), count("refresh_token"));
    assert_eq!(
        (exchanged, stats.refresh_reuse),
        (1, 0),
        "{:?}",
        stats.token_requests
    );
    assert!(refreshed >= 3, "{refreshed}");
}

#[test]
fn a_state_file_that_others_may_read_stops_the_registration_with_advice() {
    let lab = lab(LabConfig::default());
    let directory = Directory::new();
    let path = directory.write("state.json", "{}");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let patch = json!({
        "endpoints": { "registration": format!("{}/oauth2/register", lab.issuer_url()) },
        "client": { "credentials": null, "registration": {} },
        "store": { "file": path },
    });
    let heard = Heard::default();
    let client = build(Client::builder().events(heard.listener()), &lab, patch);
    let error = client
        .target("smd")
        .unwrap()
        .lease_within(Duration::from_secs(2))
        .unwrap_err();
    assert_eq!(error.code(), Code::StoreUnavailable, "{error}");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    let Event::RegistrationFailed { .. } = heard.wait_for("registration_failed") else {
        panic!()
    };
    assert_eq!(lab.stats().endpoint(Endpoint::Register).requests, 0);
}

#[test]
fn a_client_that_ends_takes_the_answer_to_a_one_use_token_along() {
    let lab = lab(LabConfig {
        ttl: 600,
        ..LabConfig::default()
    });
    let directory = Directory::new();
    let bootstrap = bootstrap(&lab, &directory);
    // The request is on its way when the client ends.
    lab.faults().set(Endpoint::Tokensmith, Fault::hold());
    let first = client(&lab, bootstrap.clone());
    let smd = first.target("smd").unwrap();
    smd.lease_within(Duration::ZERO).unwrap_err();
    eventually("the bootstrap token is sent", || {
        lab.stats().endpoint(Endpoint::Tokensmith).in_flight == 1
    });
    let closing = thread::spawn(move || first.close());
    eventually("it waits for nobody's token", || {
        smd.lease_within(Duration::ZERO).unwrap_err().code() == Code::Closed
    });
    assert!(!closing.is_finished());
    lab.faults().clear(Endpoint::Tokensmith);
    closing.join().unwrap();

    let second = client(&lab, bootstrap);
    second.lease("smd").unwrap();
    assert_eq!(lab.stats().refresh_reuse, 0);
    let grants: Vec<_> = lab.stats().token_requests;
    assert_eq!(grants.len(), 2, "{grants:?}");
}
