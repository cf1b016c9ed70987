//! The library as a C program sees it: tests/c/*.c, compiled with the committed header and run.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
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

#[test]
fn threads_share_handles_while_they_are_freed() {
    run("threads", []);
}

#[test]
fn the_header_is_c11_and_cpp17() {
    for (language, standard) in [("c", "-std=c11"), ("c++", "-std=c++17")] {
        let header = root().join("include/svcauth.h");
        succeed(
            Command::new("cc")
                .args(["-x", language, standard])
                .args(WARNINGS)
                .arg("-fsyntax-only")
                .arg(header),
        );
    }
}

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

fn run<'a>(name: &str, arguments: impl IntoIterator<Item = &'a str>) {
    let archive = library();
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    succeed(
        Command::new("cc")
            .args(["-std=c11", "-g"])
            .args(WARNINGS)
            .arg("-I")
            .arg(root().join("include"))
            .arg(root().join(format!("tests/c/{name}.c")))
            .arg(archive)
            .args(["-lm", "-ldl", "-lpthread", "-o"])
            .arg(&program),
    );
    succeed(Command::new(program).args(arguments));
}

/// The static library of the profile that this test was built with.
fn library() -> PathBuf {
    let this = env::current_exe().unwrap();
    let profile = this.parent().and_then(Path::parent).unwrap();
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--offline", "--locked", "--lib"]);
    cargo.args(["--package", env!("CARGO_PKG_NAME"), "--target-dir"]);
    cargo.arg(profile.parent().unwrap());
    if profile.ends_with("release") {
        cargo.arg("--release");
    }
    succeed(&mut cargo);
    let archive = profile.join("libsvcauth.a");
    assert!(fs::exists(&archive).unwrap(), "no {}", archive.display());
    archive
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn succeed(command: &mut Command) {
    let program = command.get_program().to_owned();
    match command.output() {
        Err(error) => {
            panic!("{program:?} cannot be run ({error}); these tests need cc, a C compiler")
        }
        Ok(output) => assert!(
            output.status.success(),
            "{command:?}: {}\n{}{}",
            output.status,
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        ),
    }
}
