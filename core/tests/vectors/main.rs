//! The vectors of other projects and the recorded answers of real servers, run against this crate.
//!
//! They are not part of the repository: `SVCAUTH_SHARED` names the directory that holds `vectors/`, or it
//! stands as `shared` beside the workspace. Without it each test says so and passes.

mod challenges;
mod forms;
mod json;
mod metadata;
mod recorded;
mod responses;
mod rfc_examples;

use serde_json::Value;
use std::{
    env,
    fmt::Display,
    fs,
    io::{Write, stderr},
    path::{Path, PathBuf},
};

/// What of the vectors is run here, by the beginning of a file's path.
const RUN: [&str; 13] = [
    "client_secret_basic.json",
    "discovery/duende/",
    "form_decode_strict_oauthlib.json",
    "form_parse_then_serialize.json",
    "form_serialize.json",
    "json_parsing.json",
    "recorded/hydra/",
    "recorded/opaal/",
    "recorded/smd/",
    "recorded/tokensmith/",
    "responses/",
    "rfc_examples/",
    "www_authenticate.json",
];

/// What is not, and why.
const NOT_RUN: [(&str, &str); 7] = [
    ("acceptance", "sealed"),
    (
        "discovery/jwks_rsa_java/",
        "key sets: no message of this crate",
    ),
    ("discovery/spring/", "key sets: no message of this crate"),
    ("dpop_rfc9449/", "DPoP: not in this crate"),
    ("fuzz_seeds/", "for fuzzing"),
    ("jose_", "signatures: not in this crate"),
    (
        "recorded/bss/",
        "what a caller of ours answers to its own callers",
    ),
];

/// The directory of the vectors, if it is there.
fn directory() -> Option<PathBuf> {
    let shared = env::var_os("SVCAUTH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let vectors = shared.join("vectors");
    if !vectors.is_dir() {
        tell("none found; set SVCAUTH_SHARED to the directory that holds vectors/");
        return None;
    }
    Some(vectors)
}

/// The bytes of one file of the vectors.
fn bytes(path: &str) -> Option<Vec<u8>> {
    let path = directory()?.join(path);
    Some(fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())))
}

/// One file of the vectors as JSON.
fn document(path: &str) -> Option<Value> {
    let value = serde_json::from_slice(&bytes(path)?);
    Some(value.unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// The rows of an array.
fn rows(value: &Value) -> &[Value] {
    value.as_array().expect("an array").as_slice()
}

/// A member that is a text.
fn text<'a>(row: &'a Value, member: &str) -> &'a str {
    row[member]
        .as_str()
        .unwrap_or_else(|| panic!("no {member} in {row}"))
}

/// Tells whoever runs the tests. Not eprintln!, which the test harness keeps to itself where nothing fails.
fn tell(what: impl Display) {
    // In one piece: tests run side by side.
    let _ = stderr().write_all(format!("vectors: {what}\n").as_bytes());
}

/// Says how many rows of a file ran, and fails where some were lost.
fn ran(file: &str, rows: usize, expected: usize) {
    tell(format_args!("{rows} rows of {file} ran"));
    assert!(
        rows >= expected,
        "{file}: {rows} rows ran, {expected} were expected"
    );
}

/// All files under `directory`, by their path from there.
fn files(directory: &Path, below: &str, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        let path = format!("{below}{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            files(&entry.path(), &format!("{path}/"), found);
        } else {
            found.push(path);
        }
    }
}

#[test]
fn every_file_of_the_vectors_is_run_or_is_none_of_this_crates() {
    let Some(directory) = directory() else { return };
    let mut found = vec![];
    files(&directory, "", &mut found);
    let about = |path: &str| {
        ["README.md", "SOURCE.txt", "LICENSE"]
            .iter()
            .any(|name| path.ends_with(name))
    };
    let new: Vec<_> = found
        .iter()
        .filter(|path| !about(path))
        .filter(|path| !RUN.iter().any(|start| path.starts_with(start)))
        .filter(|path| !NOT_RUN.iter().any(|(start, _)| path.starts_with(start)))
        .collect();
    assert!(new.is_empty(), "run these, or say why not: {new:?}");
}
