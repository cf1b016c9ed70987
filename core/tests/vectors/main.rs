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
use std::{env, fs, path::PathBuf};

/// The directory of the vectors, if it is there.
fn directory() -> Option<PathBuf> {
    let shared = env::var_os("SVCAUTH_SHARED").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared"),
        PathBuf::from,
    );
    let vectors = shared.join("vectors");
    if !vectors.is_dir() {
        eprintln!("vectors: none found; set SVCAUTH_SHARED to the directory that holds vectors/");
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

/// Says how many rows of a file ran, and fails where some were lost.
fn ran(file: &str, rows: usize, expected: usize) {
    eprintln!("vectors: {rows} rows of {file} ran");
    assert!(
        rows >= expected,
        "{file}: {rows} rows ran, {expected} were expected"
    );
}
