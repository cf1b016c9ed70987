//! The command `svcauth`: registers a service, gets its tokens, makes calls with them, and says what is wrong.

#![forbid(unsafe_code)]

mod advice;
mod arguments;
mod authorize;
mod call;
mod check;
mod configuration;
mod document;
mod failure;
mod init;
mod output;
mod register;
mod saved;
mod secret;
mod session;
mod token;

use arguments::{Arguments, Command};
use clap::{Parser, error::ErrorKind};
use failure::Failure;
use output::Output;
use std::process::ExitCode;
use svcauth::{Code, Error};

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return not_understood(&error),
    };
    let output = Output::new(&arguments.common);
    match run(&arguments, &output) {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output.failure(&failure);
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(arguments: &Arguments, output: &Output) -> Result<u8, Failure> {
    match &arguments.command {
        Command::Init(options) => init::run(options, &arguments.common, output),
        Command::Config(options) => document::run(options, output),
        Command::Check(options) => check::run(options, &arguments.common, output),
        Command::Register(options) => register::run(options, &arguments.common, output),
        Command::Authorize => authorize::run(&arguments.common, output),
        Command::Token(options) => token::run(options, &arguments.common, output),
        Command::Call(options) => call::run(options, &arguments.common, output),
    }
}

/// Help goes to stdout; what was not understood is the caller's fault and told as every failure is.
fn not_understood(error: &clap::Error) -> ExitCode {
    let asked_for_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    let json = std::env::args_os().any(|argument| argument == "--json");
    let nothing_said = error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if asked_for_help || nothing_said && !json {
        // A closed pipe is all that can go wrong here.
        let _ = error.print();
        return ExitCode::from(if asked_for_help { 0 } else { 2 });
    }
    let failure = if nothing_said {
        misused("no command was given", "svcauth --help")
    } else {
        let (sentence, advice) = reworded(&error.to_string());
        misused(sentence, advice)
    };
    Output::before_arguments(json).failure(&failure);
    ExitCode::from(failure.exit_code())
}

fn misused(sentence: impl Into<String>, advice: impl Into<String>) -> Failure {
    Failure::from(Error::new(Code::InvalidArgument, sentence.into())).with_advice(advice)
}

/// Paragraphs for people, as one sentence and what to do: the tip where there is one, else the usage.
fn reworded(text: &str) -> (String, String) {
    let paragraph = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut paragraphs = text.split("\n\n").map(paragraph);
    let sentence = paragraphs.next().unwrap_or_default();
    let sentence = sentence.trim_start_matches("error: ").to_owned();
    let (mut tips, mut usage) = (Vec::new(), String::new());
    for paragraph in paragraphs {
        if let Some(tip) = paragraph.strip_prefix("tip: ") {
            tips.push(tip.to_owned());
        } else if let Some(line) = paragraph.strip_prefix("Usage: ") {
            usage = line.to_owned();
        }
    }
    let advice = match (tips.is_empty(), usage.is_empty()) {
        (false, _) => tips.join("; "),
        (true, false) => format!("usage: {usage}"),
        (true, true) => "svcauth --help".to_owned(),
    };
    (sentence, advice)
}
