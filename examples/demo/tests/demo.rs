//! The whole story, once.

use std::{
    path::Path,
    process::{Command, Output},
};

const ACTS: [&str; 21] = [
    "register",
    "authorize",
    "token",
    "call",
    "restart",
    "refresh",
    "new key",
    "stale keys",
    "rotation",
    "outage",
    "user",
    "elsewhere",
    "audit",
    "command",
    "go",
    "go and C",
    "C",
    "python",
    "node",
    "envoy",
    "secrets",
];

#[test]
fn each_act_is_observed_and_no_secret_is_told() {
    let demo = Path::new(env!("CARGO_BIN_EXE_svcauth-demo"));
    build_the_command_beside(demo);
    build_the_services_beside(demo);
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(demo).output().unwrap();
    let (told, troubles) = (
        String::from_utf8(stdout).unwrap(),
        String::from_utf8(stderr).unwrap(),
    );
    assert_eq!(status.code(), Some(0), "{told}\n{troubles}");
    assert_eq!(troubles, "");

    let summary: Vec<&str> = told
        .lines()
        .skip_while(|line| *line != "Summary")
        .skip(1)
        .collect();
    for (position, act) in ACTS.iter().enumerate() {
        let start = format!("  ✓ {:>2}. {act} ", position + 1);
        assert!(
            summary.iter().any(|row| row.starts_with(&start)),
            "{act}: {summary:#?}"
        );
    }
    let total = summary.last().unwrap();
    assert!(total.contains(&format!("{} acts", ACTS.len())), "{total}");

    for secret in ["planted-", "eyJ", "\x1b["] {
        assert!(!told.contains(secret), "{secret:?} in the output");
    }
}

/// A run of all the workspace's tests has built it before; a run of this test alone has not.
fn build_the_command_beside(demo: &Path) {
    let command = demo.with_file_name(format!("svcauth{}", std::env::consts::EXE_SUFFIX));
    if command.exists() {
        return;
    }
    let profile = demo.parent().unwrap();
    let built = Command::new(env!("CARGO"))
        .args([
            "build",
            "--quiet",
            "--package",
            "svcauth",
            "--features",
            "cli",
            "--target-dir",
        ])
        .arg(profile.parent().unwrap())
        .args(profile.ends_with("release").then_some("--release"))
        .status();
    assert!(
        built.unwrap().success(),
        "the command svcauth cannot be built"
    );
}

fn build_the_services_beside(demo: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("build");
    let built = Command::new(script).arg(demo.parent().unwrap()).status();
    assert!(
        built.unwrap().success(),
        "the services in Go, C and Python cannot be built"
    );
}
