//! Other programs that take part in the story, and the JSON that they answer.

use crate::stage::Stop;
use serde_json::Value;
use std::{
    env,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A program that was built into the folder of this one.
pub(crate) struct Program(PathBuf);

/// How a run ended.
pub(crate) struct Run {
    pub(crate) code: Option<i32>,
    /// Standard output, read as JSON; null if it is none.
    pub(crate) answer: Value,
    pub(crate) stderr: String,
}

impl Program {
    /// Looks for it; `hint` says how it comes there.
    pub(crate) fn find(name: &str, hint: &str) -> Result<Program, Stop> {
        let path = env::current_exe()?.with_file_name(format!("{name}{}", env::consts::EXE_SUFFIX));
        if path.is_file() {
            Ok(Program(path))
        } else {
            Err(Stop::because(format!(
                "the program {name} is not beside this one; say: {hint}"
            )))
        }
    }

    /// Starts it, with pipes for what it says.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Child, Stop> {
        let child = Command::new(&self.0)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok(child)
    }

    /// Runs it to its end, in a folder, without proxies.
    pub(crate) fn run(&self, folder: &Path, arguments: &[&str]) -> Result<Run, Stop> {
        let output = Command::new(&self.0)
            .args(arguments)
            .current_dir(folder)
            .env("NO_PROXY", "127.0.0.1")
            .env_remove("SVCAUTH_CONFIG")
            .env_remove("SVCAUTH_USER_TOKEN")
            .output()?;
        Ok(Run {
            code: output.status.code(),
            answer: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }
}
