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
        Command::Init(options) => init::run(options, output),
        Command::Config(options) => document::run(options, output),
        Command::Check(options) => check::run(options, &arguments.common, output),
        Command::Register(options) => register::run(options, &arguments.common, output),
        Command::Authorize => authorize::run(&arguments.common, output),
        Command::Token(options) => token::run(options, &arguments.common, output),
        Command::Call(options) => call::run(options, &arguments.common, output),
    }
}

/// Help goes to stdout; what was not understood is the caller's fault, in JSON too where JSON was asked for.
fn not_understood(error: &clap::Error) -> ExitCode {
    let asked_for_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    if !asked_for_help && std::env::args_os().any(|argument| argument == "--json") {
        let text = error.to_string();
        let sentence = text.lines().next().unwrap_or_default();
        let sentence = sentence.trim_start_matches("error: ").to_owned();
        let failure = Failure::from(Error::new(Code::InvalidArgument, sentence).at("arguments"));
        Output::json().failure(&failure);
        return ExitCode::from(failure.exit_code());
    }
    // A closed pipe is all that can go wrong here.
    let _ = error.print();
    ExitCode::from(if asked_for_help { 0 } else { 2 })
}
