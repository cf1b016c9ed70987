//! The library as a C program sees it: tests/c, compiled with the committed header and run.
//!
//! `SVCAUTH_LIBRARY` names a folder of `make lib`, and its archive is tested instead of one of this profile;
//! `SVCAUTH_SANITIZE` has sanitizers for the C code (`address,undefined`), and `SVCAUTH_RUNNER` a program that runs
//! the tests, `valgrind` for instance. `SVCAUTH_ROUNDS` is how often objects are made and freed.

use std::{
    env,
    ffi::OsStr,
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};
use svcauth_lab::{Lab, LabConfig};

#[test]
fn a_c_program_gets_a_token_and_survives_a_401() {
    run("flow", []);
}

#[test]
fn a_c_program_is_told_what_went_wrong() {
    run("failures", []);
}

#[test]
fn every_wrong_argument_is_answered_with_its_code() {
    run("arguments", []);
}

#[test]
fn a_client_serves_the_lease_of_another_one() {
    run("adopt", []);
}

#[test]
fn a_c_program_sends_single_messages_by_itself() {
    let lab = Lab::start(LabConfig::default());
    let urls = [
        lab.issuer_url(),
        lab.admin_url(),
        lab.opaal_url(),
        lab.smd_url(),
    ];
    run("exchange", urls.iter().map(String::as_str));
}

#[cfg(feature = "transport")]
#[test]
fn a_c_program_lets_the_library_send() {
    let lab = lab(LabConfig::default());
    let config = file("transport.json", &document(&lab));
    run("transport", [&*config, &lab.admin_url(), &lab.smd_url()]);
}

#[test]
fn children_of_a_fork_go_on_with_a_client() {
    if !can_fork() {
        return;
    }
    run("fork", []);
}

#[cfg(feature = "transport")]
#[test]
fn children_of_a_fork_go_on_with_a_transport() {
    if !can_fork() {
        return;
    }
    let lab = lab(LabConfig {
        ttl: 36000,
        ..LabConfig::default()
    });
    let config = file("fork_transport.json", &document(&lab));
    run(
        "fork_transport",
        [&*config, &lab.admin_url(), &lab.smd_url()],
    );
}

#[cfg(feature = "transport")]
#[test]
fn a_process_and_its_children_spend_no_one_use_token_twice() {
    if !can_fork() {
        return;
    }
    let lab = lab(LabConfig {
        ttl: 2,
        ..LabConfig::default()
    });
    let bootstrap = Path::new(env!("CARGO_TARGET_TMPDIR")).join("bootstrap");
    let store = Path::new(env!("CARGO_TARGET_TMPDIR")).join("fork_store-state.json");
    fs::write(&bootstrap, lab.bootstrap_token("bss", &["read"])).unwrap();
    let _ = fs::remove_file(&store);
    let config = file(
        "fork_store.json",
        &serde_json::json!({
            "endpoints": { "token": format!("{}/oauth/token", lab.tokensmith_url()) },
            "client": { "auth": "none" },
            "targets": { "smd": {
                "urls": [format!("{}/hsm/v2", lab.smd_url())],
                "grant": {
                    "type": "token_exchange",
                    "subject_token": { "file": bootstrap },
                    "subject_token_type": "urn:openchami:params:oauth:token-type:bootstrap-token",
                },
            } },
            "store": { "file": store },
            "proxy": "none",
        }),
    );
    run("fork_store", [&*config]);

    let stats = lab.stats();
    let count = |grant: &str| -> u64 {
        let rows = stats.token_requests.iter();
        rows.filter(|row| row.grant.contains(grant))
            .map(|row| row.count)
            .sum()
    };
    let (exchanged, refreshed) = (count("token-exchange"), count("refresh_token"));
    assert_eq!(
        (exchanged, stats.refresh_reuse),
        (1, 0),
        "{:?}",
        stats.token_requests
    );
    assert!(refreshed >= 3, "{refreshed}");
    let state: serde_json::Value = serde_json::from_slice(&fs::read(store).unwrap()).unwrap();
    assert_eq!(state["locks"], serde_json::json!({}));
}

#[cfg(feature = "transport")]
#[test]
fn every_wrong_argument_of_a_transport_is_answered_with_its_code() {
    run("arguments_transport", []);
}

#[test]
fn only_the_feature_transport_links_an_http_client() {
    let links_ureq = |features: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args([
            "tree",
            "--offline",
            "--locked",
            "--edges",
            "normal",
            "--prefix",
            "none",
        ]);
        cargo
            .args(["--package", env!("CARGO_PKG_NAME")])
            .args(features);
        let tree = cargo.output().unwrap();
        assert!(
            tree.status.success(),
            "{}",
            String::from_utf8_lossy(&tree.stderr)
        );
        String::from_utf8(tree.stdout).unwrap().contains("ureq v")
    };
    assert!(!links_ureq(&[]));
    assert!(links_ureq(&["--features", "transport"]));
}

#[test]
fn threads_share_handles_while_they_are_freed() {
    run("threads", []);
}

#[test]
fn nothing_is_lost_in_thousands_of_rounds_of_which_many_fail() {
    let rounds = env::var("SVCAUTH_ROUNDS").unwrap_or("3000".into());
    run("rounds", [rounds.as_str()]);
}

#[test]
fn the_client_does_what_each_scenario_says_through_poll_and_complete_in_c() {
    let libraries = Command::new("pkg-config")
        .args(["--cflags", "--libs", "jansson", "nettle"])
        .output()
        .expect("pkg-config runs");
    assert!(
        libraries.status.success(),
        "the scenarios in C need jansson and nettle (Debian: libjansson-dev, nettle-dev): {}",
        String::from_utf8_lossy(&libraries.stderr)
    );
    let folder = root().join("tests/c/scenarios");
    let mut sources: Vec<PathBuf> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "c"))
        .collect();
    sources.sort();
    let flags = String::from_utf8(libraries.stdout).unwrap();
    let flags = flags.split_whitespace().chain(["-D_GNU_SOURCE"]);
    let program = compile("scenarios", &sources, flags);
    let scenarios = root().join("../core/scenarios");
    let said = execute(&program, [scenarios.to_str().unwrap()]);
    let files = fs::read_dir(&scenarios)
        .unwrap()
        .filter(|entry| {
            let name = entry.as_ref().unwrap().file_name();
            let name = name.to_str().unwrap();
            name.ends_with(".json") && name != "base.json"
        })
        .count();
    assert!(said.starts_with(&format!("{files} files, ")), "{said}");
}

#[test]
fn the_header_is_c11_and_cpp17() {
    for (language, standard) in [("c", "-std=c11"), ("c++", "-std=c++17")] {
        let header = root().join("include/svcauth.h");
        succeed(
            Command::new("cc")
                .args(["-x", language, standard])
                .args(WARNINGS)
                .args(DEFINES)
                .arg("-fsyntax-only")
                .arg(header),
        );
    }
}

/// ThreadSanitizer ends a child that starts a thread, where its parent had several; in a child of gcc's
/// AddressSanitizer, the allocator's own locks may be held by threads that are not there.
fn can_fork() -> bool {
    let can = env::var_os("SVCAUTH_SANITIZE").is_none();
    if !can {
        eprintln!("not run: sanitizers cannot follow a fork of many threads");
    }
    can
}

/// A lab with the client `bss`.
#[cfg(feature = "transport")]
fn lab(config: LabConfig) -> Lab {
    let lab = Lab::start(config);
    lab.add_client("bss", "planted-client-secret", "read");
    lab
}

/// The configuration of a service that calls the lab's SMD; the program knows its secret.
#[cfg(feature = "transport")]
fn document(lab: &Lab) -> serde_json::Value {
    serde_json::json!({
        "endpoints": { "token": format!("{}/oauth2/token", lab.issuer_url()) },
        "schedule": { "backoff_initial_s": 0.2, "backoff_max_s": 0.2 },
        "client": { "credentials": [{ "client_id": "bss", "client_secret": { "callback": "bss" } }] },
        "targets": { "smd": { "urls": [format!("{}/hsm/v2", lab.smd_url())], "scopes": ["read"] } },
        "proxy": "none",
    })
}

#[cfg(feature = "transport")]
fn file(name: &str, content: &serde_json::Value) -> String {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::write(&path, content.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

const DEFINES: &[&str] = match cfg!(feature = "transport") {
    true => &["-DSVCAUTH_TRANSPORT"],
    false => &[],
};

fn run<'a>(name: &str, arguments: impl IntoIterator<Item = &'a str>) {
    let source = root().join(format!("tests/c/{name}.c"));
    execute(&compile(name, &[source], []), arguments);
}

fn compile<'a>(
    name: &str,
    sources: &[PathBuf],
    flags: impl IntoIterator<Item = &'a str>,
) -> PathBuf {
    let archive = library();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let sanitizers = env::var("SVCAUTH_SANITIZE").ok();
    succeed(
        Command::new("cc")
            .args(["-std=c11", "-g"])
            .args(WARNINGS)
            .args(DEFINES)
            .args(sanitizers.iter().flat_map(|names| {
                [
                    format!("-fsanitize={names}"),
                    "-fno-sanitize-recover=all".into(),
                ]
            }))
            .arg("-I")
            .arg(root().join("include"))
            .args(sources)
            .arg(archive)
            .args(flags)
            .args(["-lm", "-ldl", "-lpthread", "-o"])
            .arg(&program),
    );
    program
}

/// Runs a program, which must succeed; what it said.
fn execute<'a>(program: &Path, arguments: impl IntoIterator<Item = &'a str>) -> String {
    let runner = env::var("SVCAUTH_RUNNER").unwrap_or_default();
    let words = runner.split_whitespace().map(OsStr::new);
    let mut words = words.chain([program.as_os_str()]);
    succeed(
        Command::new(words.next().unwrap())
            .args(words)
            .args(arguments),
    )
}

/// The static library of the profile and with the features that this test was built with, or the one that is named.
fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| match env::var_os("SVCAUTH_LIBRARY") {
        None => build(),
        Some(folder) => {
            let archive = Path::new(&folder).join("libsvcauth.a");
            assert!(archive.exists(), "no {}: make lib", archive.display());
            archive
        }
    })
}

fn build() -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    // What cargo tells this test makes it build dependencies anew that look at it.
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        if name == "OUT_DIR"
            || name.starts_with("CARGO_PKG_")
            || name.starts_with("CARGO_MANIFEST_")
        {
            cargo.env_remove(&*name);
        }
    }
    cargo.args(["build", "--quiet", "--offline", "--locked", "--lib"]);
    cargo.args(["--package", env!("CARGO_PKG_NAME"), "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    if cfg!(feature = "transport") {
        cargo.args(["--features", "transport"]);
    }
    succeed(&mut cargo);
    // Another build may put one with other features in its place.
    let archive = Path::new(env!("CARGO_TARGET_TMPDIR")).join("libsvcauth.a");
    fs::copy(profile.join("libsvcauth.a"), &archive).unwrap();
    archive
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What the program said.
fn succeed(command: &mut Command) -> String {
    let program = command.get_program().to_owned();
    match command.output() {
        Err(error) => {
            panic!("{program:?} cannot be run ({error}); these tests need cc, a C compiler")
        }
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(
                output.status.success(),
                "{command:?}: {}\n{said}{}",
                output.status,
                String::from_utf8_lossy(&output.stderr),
            );
            said
        }
    }
}
