//! What must be built or installed before Envoy can start.

use std::{
    env, io,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The folder of the whole repository.
pub fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// Where everything that is generated goes.
pub fn target_folder() -> PathBuf {
    match env::var_os("CARGO_TARGET_DIR") {
        Some(folder) => repository().join(folder),
        None => repository().join("target"),
    }
}

/// Envoy's program; installed when it is not there.
pub fn envoy_program() -> io::Result<PathBuf> {
    static PROGRAM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&PROGRAM, || printed_path("wasm/envoy/get-envoy"))
}

/// The filter's module: the one that SVCAUTH_FILTER names, or else the one that is built from the sources.
pub fn filter_module() -> io::Result<PathBuf> {
    static MODULE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    if let Some(named) = env::var_os("SVCAUTH_FILTER") {
        return Ok(repository().join(named));
    }
    once(&MODULE, || printed_path("wasm/proxy/build"))
}

/// The module as another version of the filter would be: its shared data has another format.
pub fn filter_of_another_version() -> io::Result<PathBuf> {
    static MODULE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    once(&MODULE, || {
        printed_path_of("wasm/proxy/build", &["--features", "other-format"])
    })
}

fn once(
    cell: &OnceLock<Result<PathBuf, String>>,
    make: impl FnOnce() -> Result<PathBuf, String>,
) -> io::Result<PathBuf> {
    cell.get_or_init(make).clone().map_err(io::Error::other)
}

/// Runs a script of the repository and reads the path on its last line; what it says on standard error is shown.
fn printed_path(script: &str) -> Result<PathBuf, String> {
    printed_path_of(script, &[])
}

fn printed_path_of(script: &str, arguments: &[&str]) -> Result<PathBuf, String> {
    let output = Command::new(repository().join(script))
        .args(arguments)
        .env("CARGO_TARGET_DIR", target_folder())
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| format!("{script}: {error}"))?;
    if !output.status.success() {
        return Err(format!("{script}: {}", output.status));
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .last()
        .map(PathBuf::from)
        .ok_or_else(|| format!("{script} named no file"))
}
