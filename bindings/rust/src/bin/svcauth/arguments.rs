//! What can be written on the command line, and the help that teaches it.

use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXIT_CODES: &str = "\
Exit codes:
  0   done
  2   yours to mend: the command line, the configuration, a secret, the store
  3   the authorization server refused, or answered what is no answer
  4   the network: nothing listens, no answer in time, TLS not verified
  22  `call` only: the service answered with status 400 or above
  70  a bug in svcauth: please report it";

const OVERVIEW: &str = "\
From nothing to a call, for a service that registers itself:
  svcauth init --issuer https://hydra.example --register \\
      --registration-endpoint https://hydra.example/oauth2/register \\
      --target smd=https://smd.example/hsm/v2 --scope read
  svcauth register
  svcauth authorize
  svcauth token smd
  svcauth call https://smd.example/hsm/v2/State/Components/x0c0s0b0n0

When something does not work:
  svcauth check

The configuration is the file named by --config, else by SVCAUTH_CONFIG, else ./svcauth.json.
Secrets are read from the places that the configuration names. None is ever an argument, and none is printed
except the token that `svcauth token` was asked for.

";

/// Tokens for services that call each other: register, get a token, make the call.
#[derive(Debug, Parser)]
#[command(
    name = "svcauth",
    version,
    after_help = format!("{OVERVIEW}{EXIT_CODES}\n\n`svcauth help COMMAND` has examples for each command."),
)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) common: Common,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Args, Debug, Default)]
pub(crate) struct Common {
    /// The configuration; else the one SVCAUTH_CONFIG names, else ./svcauth.json
    #[arg(short, long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// One JSON document on stdout, for scripts; failures too
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Show events on stderr; twice: each request, secret and store operation too. Never a secret
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub(crate) verbose: u8,
    /// Nothing on stderr but failures
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    /// Try again after failures that may pass, for so long in all
    #[arg(long, value_name = "SECONDS", global = true)]
    pub(crate) wait: Option<f64>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Write a configuration to start with
    #[command(after_help = INIT)]
    Init(InitOptions),
    /// Show the configuration's JSON Schema, or examples of configurations
    #[command(after_help = CONFIG)]
    Config(ConfigOptions),
    /// Find out what is wrong: configuration, secrets, store, servers, tokens
    #[command(after_help = CHECK)]
    Check(CheckOptions),
    /// Register this service at the authorization server, or show the saved registration
    #[command(after_help = REGISTER)]
    Register(RegisterOptions),
    /// Make the authorization request with the registration access token
    #[command(after_help = AUTHORIZE)]
    Authorize,
    /// Print an access token, and nothing else, on stdout
    #[command(after_help = TOKEN)]
    Token(TokenOptions),
    /// Call a URL with the right token, like curl
    #[command(after_help = CALL)]
    Call(CallOptions),
}

const INIT: &str = "\
Say how the authorization server knows this service: by a client id and a secret that is in a file or in an
environment variable, or by registering itself. The secret itself is no argument.

Examples:
  # a client that the operator made; its secret comes in a file
  svcauth init --issuer https://hydra.example --client-id bss --secret-file /run/secrets/bss \\
      --target smd=https://smd.example/hsm/v2 --scope read --audience smd

  # a client that registers itself; the registration is saved in svcauth.state.json
  svcauth init --issuer https://hydra.example --register --client-name bss \\
      --registration-endpoint https://hydra.example/oauth2/register \\
      --target smd=https://smd.example/hsm/v2 --scope read

On a terminal it asks for what is missing. Then: svcauth check";

#[derive(Args, Debug)]
pub(crate) struct InitOptions {
    /// The authorization server
    #[arg(long, value_name = "URL")]
    pub(crate) issuer: Option<String>,
    /// A service to be called: a name, and the URL that its paths start with. May be repeated
    #[arg(long = "target", value_name = "NAME=URL")]
    pub(crate) targets: Vec<String>,
    /// A scope to ask for. May be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    pub(crate) scopes: Vec<String>,
    /// An audience to ask for. May be repeated
    #[arg(long, value_name = "NAME")]
    pub(crate) audience: Vec<String>,
    /// The client id that the operator gave out
    #[arg(long, value_name = "ID", conflicts_with = "register")]
    pub(crate) client_id: Option<String>,
    /// The file that holds, or will hold, the client secret
    #[arg(long, value_name = "FILE", conflicts_with_all = ["secret_env", "register"])]
    pub(crate) secret_file: Option<String>,
    /// The environment variable that holds the client secret
    #[arg(long, value_name = "VARIABLE", conflicts_with = "register")]
    pub(crate) secret_env: Option<String>,
    /// The service registers itself
    #[arg(long)]
    pub(crate) register: bool,
    /// What the server's operator sees this service called
    #[arg(long, value_name = "NAME", requires = "register")]
    pub(crate) client_name: Option<String>,
    /// Where clients register, if the issuer's metadata does not say (Hydra's does not)
    #[arg(long, value_name = "URL", requires = "register")]
    pub(crate) registration_endpoint: Option<String>,
    /// The file that keeps the registration [default: svcauth.state.json beside the configuration]
    #[arg(long, value_name = "FILE", requires = "register")]
    pub(crate) store: Option<String>,
    /// The file to write [default: the one that --config or SVCAUTH_CONFIG names, else svcauth.json]
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Write over a file that exists
    #[arg(long)]
    pub(crate) force: bool,
}

const CONFIG: &str = "\
Examples:
  svcauth config schema > svcauth.schema.json    for an editor that completes and checks
  svcauth config example                         lists the examples
  svcauth config example secret > svcauth.json   one of them, to be changed";

#[derive(Args, Debug)]
pub(crate) struct ConfigOptions {
    #[command(subcommand)]
    pub(crate) what: ConfigCommand,
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// The JSON Schema (draft 2020-12) of the configuration
    Schema,
    /// An example, or the list of examples
    Example {
        /// Which one; none lists them
        name: Option<String>,
    },
}

const CHECK: &str = "\
It looks at one thing after the other and goes on after a failure where it can. It registers nobody. It does ask
for a token for each target, as any call would.

Examples:
  svcauth check             everything up to a token for each target
  svcauth check --call      then a GET of each target's first URL with that token
  svcauth check --offline   configuration, secrets and store only
  svcauth check --json | jq -r '.checks[] | select(.state == \"failed\") | .detail'

The exit code is that of the first failure.";

#[derive(Args, Debug)]
pub(crate) struct CheckOptions {
    /// Send nothing
    #[arg(long, conflicts_with = "call")]
    pub(crate) offline: bool,
    /// Call the first URL of each target too
    #[arg(long)]
    pub(crate) call: bool,
}

const REGISTER: &str = "\
The server gets the metadata in client.registration (RFC 7591). What it answers, the secret included, is saved in
the file that store.file names, mode 0600, before it is used. A second run shows what is saved and registers
nobody. Any other command registers too if need be.

Examples:
  svcauth register
  svcauth register --update    tell the server the metadata as it stands in the configuration now
  svcauth register --delete    remove the client at the server, and what is saved
  svcauth register --forget    remove only what is saved, for a server that has lost the client";

#[derive(Args, Debug)]
pub(crate) struct RegisterOptions {
    /// Replace the metadata at the server by the configuration's (RFC 7592)
    #[arg(long, conflicts_with_all = ["delete", "forget"])]
    pub(crate) update: bool,
    /// Delete the client at the server, and the saved registration (RFC 7592)
    #[arg(long, conflicts_with = "forget")]
    pub(crate) delete: bool,
    /// Drop the saved registration without telling the server
    #[arg(long)]
    pub(crate) forget: bool,
}

const AUTHORIZE: &str = "\
Step 2 of the flow as older set-ups ask for it: POST to the authorization endpoint with the registration access
token. No server answers it with a token. A redirect to a login page, or to the callback with an error, is
the normal answer, and nothing has to be done about it: go on with `svcauth token`.

Example:
  svcauth authorize";

const TOKEN: &str = "\
Examples:
  svcauth token smd
  svcauth token                      the only target, if there is one only
  curl -H \"Authorization: Bearer $(svcauth token -q smd)\" https://smd.example/hsm/v2/State/Components
  svcauth token smd --json | jq .expires_in

A token is good for whoever holds it. `svcauth call` does without showing it.";

#[derive(Args, Debug)]
pub(crate) struct TokenOptions {
    /// The target's name in the configuration
    pub(crate) target: Option<String>,
}

const CALL: &str = "\
The URL decides which token is sent: that of the target it belongs to. A URL of no target is refused. After a 401
the call is made once more with a new token. Redirects are shown, not followed.

Examples:
  svcauth call https://smd.example/hsm/v2/State/Components/x0c0s0b0n0
  svcauth call -i https://smd.example/hsm/v2/Inventory/RedfishEndpoints
  svcauth call -d '{\"Components\":[]}' https://smd.example/hsm/v2/State/Components
  svcauth call -X PATCH -d @change.json -H 'If-Match: \"7\"' https://smd.example/hsm/v2/State/Components/x0
  svcauth call --user-token-file /run/user.jwt https://smd.example/hsm/v2/Inventory/RedfishEndpoints

The body goes to stdout as it is. Status 400 and above: exit code 22.
With --json: {\"url\", \"method\", \"status\", \"target\", \"kind\", \"retried\", \"headers\", \"body\"}, or \"body_base64\" for bytes.
A user's token comes from --user-token-file or the variable SVCAUTH_USER_TOKEN; targets.*.user_token says whether
it is passed on, exchanged or left out.";

#[derive(Args, Debug)]
pub(crate) struct CallOptions {
    /// What is called
    pub(crate) url: String,
    /// The method [default: GET, or POST with --data]
    #[arg(short = 'X', long = "request", value_name = "METHOD")]
    pub(crate) method: Option<String>,
    /// The body: a text, @file, or - for stdin. JSON is sent as application/json, other text as a form
    #[arg(short, long, value_name = "DATA", allow_hyphen_values = true)]
    pub(crate) data: Option<String>,
    /// A header field, as 'name: value'. Not Authorization: no credential is an argument
    #[arg(short = 'H', long = "header", value_name = "FIELD")]
    pub(crate) headers: Vec<String>,
    /// Show status and header fields before the body
    #[arg(short, long)]
    pub(crate) include: bool,
    /// The file that holds the token of the user on whose behalf the call is made
    #[arg(long, value_name = "FILE")]
    pub(crate) user_token_file: Option<PathBuf>,
    /// How long the call may take in all
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    pub(crate) max_time: f64,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_free_of_contradictions() {
        Arguments::command().debug_assert();
    }

    /// The words of a line as a shell would see them, up to a pipe, a redirection or a remark.
    fn words(line: &str) -> Vec<String> {
        let end = ["   ", " | ", " > "]
            .into_iter()
            .filter_map(|end| line.find(end))
            .min();
        let line = &line[..end.unwrap_or(line.len())];
        let parts = line.split('\'').enumerate();
        parts
            .flat_map(|(position, part)| match position % 2 {
                0 => part.split_whitespace().map(String::from).collect(),
                _ => vec![part.to_owned()],
            })
            .collect()
    }

    #[test]
    fn every_example_in_the_help_is_a_command_line() {
        let mut seen = 0;
        for help in [
            OVERVIEW, INIT, CONFIG, CHECK, REGISTER, AUTHORIZE, TOKEN, CALL,
        ] {
            for line in help.replace("\\\n      ", "").lines() {
                let line = line.trim_start();
                if line.starts_with("svcauth ") {
                    let words = words(line);
                    let read = Arguments::try_parse_from(&words);
                    assert!(read.is_ok(), "{line}: {words:?}: {}", read.unwrap_err());
                    seen += 1;
                }
            }
        }
        assert!(seen >= 25, "{seen}");
    }
}
