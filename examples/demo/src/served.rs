//! The service as a program of its own, in another language: a process, its address, and what it said.

use crate::{
    bss::get_from,
    program::Program,
    stage::{Act, Stop},
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::Child,
    thread::{self, JoinHandle},
};

pub(crate) struct Served {
    process: Child,
    url: String,
    /// Reads the log to its end.
    reader: Option<JoinHandle<String>>,
}

impl Served {
    /// Starts the program with svcauth's configuration in the file `config`, and waits until it listens.
    pub(crate) fn start(program: &Program, config: &Path, smd: &str) -> Result<Served, Stop> {
        let config = config.display().to_string();
        let mut process = program.start(&[&config, smd, "127.0.0.1:0"])?;
        let log = process.stderr.take();
        let reader = thread::spawn(move || {
            let mut said = Vec::new();
            // What could be read counts.
            let _ = log.map(|mut log| log.read_to_end(&mut said));
            String::from_utf8_lossy(&said).into_owned()
        });
        let mut line = String::new();
        if let Some(output) = process.stdout.take() {
            BufReader::new(output).read_line(&mut line)?;
        }
        let mut served = Served {
            process,
            url: String::new(),
            reader: Some(reader),
        };
        match line.trim().strip_prefix("listening on ") {
            Some(url) => served.url = url.to_owned(),
            None => {
                let log = served.kill();
                return Err(Stop::because(format!("the service did not start: {log}")));
            }
        }
        Ok(served)
    }

    pub(crate) fn script_url(&self, node: &str) -> String {
        format!("{}/boot/v1/bootscript?host={node}", self.url)
    }

    pub(crate) fn parameters_url(&self, node: &str) -> String {
        format!("{}/boot/v1/bootparameters?host={node}", self.url)
    }

    /// What the program counts, and how it was built.
    pub(crate) fn vars(&self) -> Result<Value, Stop> {
        let (_, body) = get_from(&format!("{}/debug/vars", self.url), None)?;
        Ok(serde_json::from_str(&body)?)
    }

    /// Ends it in the hard way (SIGKILL); the log, which is to be searched for secrets.
    pub(crate) fn end(mut self, act: &mut Act<'_>) -> Vec<Value> {
        let log = self.kill();
        act.overhear(&log);
        log.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    fn kill(&mut self) -> String {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        self.reader
            .take()
            .and_then(|reader| reader.join().ok())
            .unwrap_or_default()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        self.kill();
    }
}
