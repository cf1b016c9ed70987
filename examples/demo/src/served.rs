//! The service as a program of its own, in another language.

use crate::{
    bss::get_from,
    program::{Program, Running},
    stage::{Act, Stop},
};
use serde_json::Value;
use std::path::Path;

pub(crate) struct Served {
    program: Running,
    url: String,
}

impl Served {
    /// Starts the program with svcauth's configuration in the file `config`, and waits until it listens.
    pub(crate) fn start(program: &Program, config: &Path, smd: &str) -> Result<Served, Stop> {
        let config = config.display().to_string();
        let mut program = program.start(&[&config, smd, "127.0.0.1:0"])?;
        let line = program.read_line()?;
        match line.strip_prefix("listening on ") {
            Some(url) => Ok(Served {
                url: url.to_owned(),
                program,
            }),
            None => {
                let log = program.kill();
                Err(Stop::because(format!("the service did not start: {log}")))
            }
        }
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

    /// Kills it. The records of its log.
    pub(crate) fn kill(self, act: &mut Act<'_>) -> Vec<Value> {
        let log = self.program.kill();
        act.overhear(&log);
        records(&log)
    }
}

/// The records of a log that has one JSON object a line, perhaps behind its level.
pub(crate) fn records(log: &str) -> Vec<Value> {
    let record = |line: &str| serde_json::from_str(&line[line.find('{')?..]).ok();
    log.lines().filter_map(record).collect()
}
