//! Other programs that take part in the story, and the JSON that they answer.

use crate::stage::Stop;
use serde_json::Value;
use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    path::{Path, PathBuf},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    thread::{self, JoinHandle},
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

    /// Starts it; its log is what it says on standard error.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Running, Stop> {
        let mut process = Command::new(&self.0)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let log = process.stderr.take();
        let log = thread::spawn(move || {
            let mut said = Vec::new();
            // What could be read counts.
            let _ = log.map(|mut log| log.read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        });
        Ok(Running {
            input: process.stdin.take(),
            output: process.stdout.take().map(BufReader::new),
            process,
            log: Some(log),
        })
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

/// A program that runs. It is killed when this is dropped.
pub(crate) struct Running {
    process: Child,
    input: Option<ChildStdin>,
    output: Option<BufReader<ChildStdout>>,
    log: Option<JoinHandle<String>>,
}

impl Running {
    /// Gives it a line to read.
    pub(crate) fn write_line(&mut self, line: &str) -> Result<(), Stop> {
        match &mut self.input {
            Some(input) => Ok(writeln!(input, "{line}")?),
            None => Err(Stop::because("the program reads nothing any more")),
        }
    }

    /// The next line of its output; empty when there is none.
    pub(crate) fn read_line(&mut self) -> Result<String, Stop> {
        let mut line = String::new();
        if let Some(output) = &mut self.output {
            output.read_line(&mut line)?;
        }
        Ok(line.trim_end().to_owned())
    }

    /// Waits until it ends, as it does when nothing is left to read: its exit code and its log.
    pub(crate) fn finish(mut self) -> Result<(Option<i32>, String), Stop> {
        self.input = None;
        let code = self.process.wait()?.code();
        Ok((code, self.log()))
    }

    /// Ends it in the hard way; its log.
    pub(crate) fn kill(mut self) -> String {
        self.end();
        self.log()
    }

    fn end(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }

    fn log(&mut self) -> String {
        self.log
            .take()
            .and_then(|log| log.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}
