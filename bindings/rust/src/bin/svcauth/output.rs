//! What is shown to whom: results on stdout, everything else on stderr.

use crate::{arguments::Common, failure::Failure};
use serde::Serialize;
use std::{
    env,
    io::{self, ErrorKind, IsTerminal, Write},
    process,
};
use svcauth::{Code, Error, Event, core::Level};

/// How this run speaks.
#[derive(Debug)]
pub(crate) struct Output {
    json: bool,
    quiet: bool,
    verbose: u8,
    colour: Colour,
}

#[derive(Clone, Copy, Debug)]
struct Colour {
    stdout: bool,
    stderr: bool,
}

/// What a word is painted as, on a terminal.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Paint {
    Good,
    Doubtful,
    Bad,
    Faint,
}

impl Output {
    pub(crate) fn new(common: &Common) -> Output {
        let set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = env::var_os("TERM").is_some_and(|value| value == "dumb");
        let wanted = !set("NO_COLOR") && !dumb;
        Output {
            json: common.json,
            quiet: common.quiet,
            verbose: common.verbose,
            colour: Colour {
                stdout: wanted && io::stdout().is_terminal(),
                stderr: wanted && io::stderr().is_terminal(),
            },
        }
    }

    /// For what goes wrong before the command line is understood.
    pub(crate) fn before_arguments(json: bool) -> Output {
        Output {
            json,
            quiet: false,
            verbose: 0,
            colour: Colour {
                stdout: false,
                stderr: false,
            },
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn shows_steps(&self) -> bool {
        self.verbose > 1
    }

    /// Bytes of a result.
    pub(crate) fn bytes(&self, bytes: &[u8]) -> Result<(), Failure> {
        let mut stdout = io::stdout().lock();
        written(stdout.write_all(bytes).and_then(|()| stdout.flush()))
    }

    /// A line of a result.
    pub(crate) fn line(&self, line: &str) -> Result<(), Failure> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// The one JSON document on stdout.
    pub(crate) fn document(&self, document: &impl Serialize) -> Result<(), Failure> {
        let text = serde_json::to_string_pretty(document)
            .map_err(|error| Failure::from(Error::new(Code::Internal, error.to_string())))?;
        self.line(&text)
    }

    /// A fact for people, on stderr.
    pub(crate) fn note(&self, text: &str) {
        if !self.quiet {
            say(text);
        }
    }

    /// A hint for somebody who looks at stdout on a terminal.
    pub(crate) fn hint(&self, text: &str) {
        if !self.quiet && !self.json && io::stdout().is_terminal() {
            say(&self.painted(Paint::Faint, text, self.colour.stderr));
        }
    }

    /// An event, with `--verbose`.
    pub(crate) fn event(&self, event: &Event) {
        if self.verbose == 0 {
            return;
        }
        let (level, paint) = match event.level() {
            Level::Info => ("info ", Paint::Faint),
            Level::Warn => ("warn ", Paint::Doubtful),
            _ => ("error", Paint::Bad),
        };
        let level = self.painted(paint, level, self.colour.stderr);
        let fields = match serde_json::to_value(event) {
            Ok(serde_json::Value::Object(fields)) => fields,
            _ => return,
        };
        let mut line = format!(
            "{level} {}",
            fields
                .get("event")
                .and_then(|name| name.as_str())
                .unwrap_or("")
        );
        for (name, value) in fields
            .iter()
            .filter(|(name, value)| *name != "event" && !value.is_null())
        {
            match value {
                serde_json::Value::String(text)
                    if !text.contains(|c: char| c.is_whitespace() || c.is_control()) =>
                {
                    line += &format!(" {name}={text}");
                }
                other => line += &format!(" {name}={other}"),
            }
        }
        say(&line);
    }

    /// A step, with `--verbose` twice.
    pub(crate) fn step(&self, text: &str) {
        if self.shows_steps() {
            say(&self.painted(Paint::Faint, &format!("step  {text}"), self.colour.stderr));
        }
    }

    /// Why the command ends here: a sentence for people, the document for scripts.
    pub(crate) fn failure(&self, failure: &Failure) {
        if self.json {
            #[derive(Serialize)]
            struct Document<'a> {
                error: &'a Error,
                advice: Option<&'a str>,
                exit_code: u8,
            }
            let document = Document {
                error: &failure.error,
                advice: failure.advice.as_deref(),
                exit_code: failure.exit_code(),
            };
            // Nothing is left to be done when stdout is gone too.
            let _ = self.document(&document);
        }
        let label = self.painted(Paint::Bad, "svcauth:", self.colour.stderr);
        say(&format!("{label} {}", failure.error));
        if let Some(advice) = &failure.advice {
            say(&format!("  next: {advice}"));
        }
    }

    /// A word of a result, painted on a terminal.
    pub(crate) fn paint(&self, paint: Paint, text: &str) -> String {
        self.painted(paint, text, self.colour.stdout)
    }

    fn painted(&self, paint: Paint, text: &str, colour: bool) -> String {
        let code = match paint {
            Paint::Good => 32,
            Paint::Doubtful => 33,
            Paint::Bad => 31,
            Paint::Faint => 2,
        };
        if colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// `eprintln!` would panic when stderr is closed.
fn say(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

fn written(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Ok(()) => Ok(()),
        // Whoever reads has seen enough, `head` for instance.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => process::exit(0),
        Err(error) => Err(Failure::new(
            Code::InvalidArgument,
            "stdout",
            format!("cannot be written: {error}; check where the output goes"),
        )),
    }
}
