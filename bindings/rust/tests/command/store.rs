//! The state file under kills and under rivals.

use crate::stage::Stage;
use serde_json::{Value, json};
use std::{fs, process::Stdio, thread, time::Duration};
use svcauth_lab::{Endpoint, Fault};

#[test]
fn a_kill_at_any_moment_leaves_the_state_file_whole() {
    let stage = Stage::new();
    stage.lab.faults().set(Endpoint::Register, Fault::slow(10));
    let path = stage.directory.join("state.json");
    let mut seen = [0; 3];
    for round in 0..40u64 {
        let _ = fs::remove_file(&path);
        stage.configure_registration(json!({
            "timeouts": { "request_s": 0.5, "store_s": 0.2 },
            "endpoints": { "token": format!("{}/oauth2/token", stage.lab.issuer_url()) },
        }));
        let mut command = stage.command(&["register"]);
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(Duration::from_millis(round * 3));
        child.kill().unwrap();
        child.wait().unwrap();
        match fs::read(&path) {
            Err(_) => seen[0] += 1,
            Ok(text) => {
                let document: Value = serde_json::from_slice(&text).unwrap();
                assert_eq!(document["format"], 1, "{document}");
                match stage.saved()["state"].as_str() {
                    Some("registered") => seen[2] += 1,
                    Some("intent") | None => seen[1] += 1,
                    other => panic!("{other:?}: {document}"),
                }
            }
        }
    }
    println!("killed before the first write, before the answer was saved, after it: {seen:?}");

    // The lock of the one that was killed ends by itself.
    let run = stage.run(&["register", "--json"]).ok();
    assert!(
        ["registered", "saved"].contains(&run.json()["state"].as_str().unwrap()),
        "{run:?}"
    );
    stage.run(&["token"]).ok();
}

#[test]
fn whichever_command_comes_after_an_interrupted_registration_says_so() {
    let stage = Stage::new();
    stage.lab.faults().set(Endpoint::Register, Fault::hold());
    stage.configure_registration(
        json!({ "timeouts": { "request_s": 5, "store_s": 1, "wait_s": 60 } }),
    );
    let mut command = stage.command(&["register"]);
    let mut child = command.stderr(Stdio::null()).spawn().unwrap();
    while stage.saved()["state"] != "intent" {
        thread::sleep(Duration::from_millis(1));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    stage.lab.reset();
    let run = stage.run(&["token"]).ok();
    assert!(run.stderr.contains("may be left over"), "{run:?}");
}

#[test]
fn two_runs_at_once_register_one_client() {
    let stage = Stage::new();
    stage.lab.faults().set(Endpoint::Register, Fault::slow(100));
    stage.configure_registration(json!({}));
    let start = || {
        let mut command = stage.command(&["register", "--json"]);
        command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let ids: Vec<Value> = [start(), start(), start()]
        .into_iter()
        .map(|child| {
            let ended = child.wait_with_output().unwrap();
            assert!(ended.status.success(), "{ended:?}");
            serde_json::from_slice::<Value>(&ended.stdout).unwrap()["client_id"].clone()
        })
        .collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(stage.lab.stats().endpoint(Endpoint::Register).requests, 1);
}

#[cfg(unix)]
#[test]
fn the_state_file_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let stage = Stage::new();
    stage.configure_registration(json!({}));
    stage.run(&["register"]).ok();
    let mode = fs::metadata(stage.directory.join("state.json"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    let open = fs::Permissions::from_mode(0o644);
    fs::set_permissions(stage.directory.join("state.json"), open).unwrap();
    let run = stage.run(&["check"]);
    assert_eq!(run.code, 2, "{run:?}");
    assert!(
        run.stdout.contains("chmod 600 state.json") && run.stdout.contains("next: mend that"),
        "{run:?}"
    );
}
