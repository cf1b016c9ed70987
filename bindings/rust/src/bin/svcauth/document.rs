//! `svcauth config`: the configuration's schema, and examples to begin with.

use crate::{
    arguments::{ConfigCommand, ConfigOptions},
    failure::Failure,
    output::Output,
};
use serde::Serialize;
use svcauth::{Code, core::config::SCHEMA};

#[derive(Serialize)]
struct Example {
    name: &'static str,
    about: &'static str,
    #[serde(skip)]
    text: &'static str,
}

const EXAMPLES: [Example; 5] = [
    Example {
        name: "secret",
        about: "a client that the operator made, its secret in a file",
        text: include_str!("examples/secret.json"),
    },
    Example {
        name: "rotation",
        about: "the same with two active secrets while one is replaced, and a private CA",
        text: include_str!("examples/rotation.json"),
    },
    Example {
        name: "registration",
        about: "a client that registers itself at Hydra",
        text: include_str!("examples/registration.json"),
    },
    Example {
        name: "tokensmith",
        about: "a bootstrap token that TokenSmith exchanges",
        text: include_str!("examples/tokensmith.json"),
    },
    Example {
        name: "opaal",
        about: "OPAAL's token endpoint, which asks for nothing",
        text: include_str!("examples/opaal.json"),
    },
];

pub(crate) fn run(options: &ConfigOptions, output: &Output) -> Result<u8, Failure> {
    match &options.what {
        ConfigCommand::Schema => output.bytes(SCHEMA.as_bytes())?,
        ConfigCommand::Example { name: None } if output.is_json() => output.document(&EXAMPLES)?,
        ConfigCommand::Example { name: None } => {
            for example in &EXAMPLES {
                output.line(&format!("{:<13} {}", example.name, example.about))?;
            }
            output.hint("svcauth config example NAME > svcauth.json");
        }
        ConfigCommand::Example { name: Some(name) } => {
            let example = EXAMPLES
                .iter()
                .find(|example| example.name == name)
                .ok_or_else(|| {
                    let names: Vec<&str> = EXAMPLES.iter().map(|example| example.name).collect();
                    Failure::new(
                        Code::InvalidArgument,
                        "NAME",
                        format!(
                            "there is no example {name:?}; there are {}",
                            names.join(", ")
                        ),
                    )
                })?;
            output.bytes(example.text.as_bytes())?;
            output.note(&format!(
                "{}: {}. Each member is described in `svcauth config schema`.",
                example.name, example.about
            ));
        }
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_example_is_a_configuration() {
        for example in &EXAMPLES {
            let read = svcauth::Config::from_json(example.text.as_bytes());
            assert!(read.is_ok(), "{}: {:?}", example.name, read.err());
        }
    }
}
