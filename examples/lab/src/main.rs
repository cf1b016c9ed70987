//! `svcauth-lab`: the lab as a program.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::process::ExitCode;
use std::{io, thread};

use lexopt::ValueExt as _;
use svcauth_lab::{Flavor, KeyFetch, Lab, LabConfig, Signing};
use tokio::signal::unix::{SignalKind, signal};

const HELP: &str = "\
Starts an authorization server (Hydra's shape), OPAAL, TokenSmith and an SMD stand-in on loopback,
prints their URLs as one line of JSON, and serves until SIGTERM, SIGINT or the end of its input.

Usage: svcauth-lab [OPTIONS]

      --issuer-port N, --admin-port N, --opaal-port N, --tokensmith-port N, --smd-port N,
      --elsewhere-port N     ports; without, the system chooses
      --ttl SECONDS          lifetime of access tokens (20)
      --refresh-ttl SECONDS  lifetime of refresh tokens (86400)
      --secret-ttl SECONDS   lifetime of generated client secrets (for ever)
      --signing ALG          ES256 (default), EdDSA or RS256
      --key-file FILE        keep the signing key here, so that tokens outlive a restart
      --issuer NAME          the claim iss, when it is not the URL
      --smd-keys WHEN        once (default), unknown_key or always: when SMD fetches the key set
      --smd-flavor NAME      legacy (default) or tokensmith
      --smd-audience NAME    the audience SMD asks for
      --smd-challenge        SMD's 401 carries WWW-Authenticate
      --minimal-client-uri   registration_client_uri without the client id
      --no-secret-rotation   no /admin/clients/{id}/secrets/rotate
      --no-registration      no /oauth2/register
      --empty-inventory      no nodes in SMD
      --tls                  serve https; the line of JSON then has authority_pem
      --require-client-certificate
                             on all ports but the admin port
      --until-stdin-closes   end when the standard input does
  -h, --help

Exit codes: 0 ended as asked, 1 could not start, 2 wrong arguments.
";

fn main() -> ExitCode {
    let (config, until_stdin_closes) = match arguments(std::env::args_os().skip(1)) {
        Ok(Some(parsed)) => parsed,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(error) => {
            eprintln!("svcauth-lab: {error}; see --help");
            return ExitCode::from(2);
        }
    };
    match run(config, until_stdin_closes) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("svcauth-lab: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(config: LabConfig, until_stdin_closes: bool) -> io::Result<()> {
    let lab = Lab::try_start(config)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let (closed, stdin_closed) = tokio::sync::oneshot::channel::<()>();
    if until_stdin_closes {
        thread::spawn(move || {
            let mut ignored = [0; 4096];
            let mut stdin = io::stdin().lock();
            while matches!(stdin.read(&mut ignored), Ok(1..)) {}
            drop(closed);
        });
    } else {
        std::mem::forget(closed);
    }
    runtime.block_on(async {
        let mut terminated = signal(SignalKind::terminate())?;
        let mut interrupted = signal(SignalKind::interrupt())?;
        // Only now, so that a signal sent in answer to this line finds its handler.
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{}", lab.urls())?;
        stdout.flush()?;
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            _ = stdin_closed => {}
        }
        Ok(())
    })
}

/// The configuration, and whether to end with the input; none when help was asked for.
fn arguments(
    arguments: impl Iterator<Item = OsString>,
) -> Result<Option<(LabConfig, bool)>, lexopt::Error> {
    use lexopt::Arg::{Long, Short};

    let mut config = LabConfig::default();
    let mut until_stdin_closes = false;
    let mut parser = lexopt::Parser::from_args(arguments);
    while let Some(argument) = parser.next()? {
        match argument {
            Long("issuer-port") => config.ports.issuer = parser.value()?.parse()?,
            Long("admin-port") => config.ports.admin = parser.value()?.parse()?,
            Long("opaal-port") => config.ports.opaal = parser.value()?.parse()?,
            Long("tokensmith-port") => config.ports.tokensmith = parser.value()?.parse()?,
            Long("smd-port") => config.ports.smd = parser.value()?.parse()?,
            Long("elsewhere-port") => config.ports.elsewhere = parser.value()?.parse()?,
            Long("ttl") => config.ttl = parser.value()?.parse()?,
            Long("refresh-ttl") => config.refresh_ttl = parser.value()?.parse()?,
            Long("secret-ttl") => config.secret_lifetime = Some(parser.value()?.parse()?),
            Long("signing") => config.signing = named(&parser.value()?.string()?, SIGNINGS)?,
            Long("key-file") => config.key_file = Some(parser.value()?.into()),
            Long("issuer") => config.issuer = Some(parser.value()?.string()?),
            Long("smd-keys") => config.smd.keys = named(&parser.value()?.string()?, KEY_FETCHES)?,
            Long("smd-flavor") => config.smd.flavor = named(&parser.value()?.string()?, FLAVORS)?,
            Long("smd-audience") => config.smd.audience = Some(parser.value()?.string()?),
            Long("smd-challenge") => config.smd.challenge = true,
            Long("minimal-client-uri") => config.minimal_client_uri = true,
            Long("no-secret-rotation") => config.secret_rotation = false,
            Long("no-registration") => config.dynamic_registration = false,
            Long("empty-inventory") => config.inventory = false,
            Long("tls") => config.tls = true,
            Long("require-client-certificate") => config.require_client_certificate = true,
            Long("until-stdin-closes") => until_stdin_closes = true,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(argument.unexpected()),
        }
    }
    if config.ttl == 0 {
        return Err("--ttl is at least 1".into());
    }
    Ok(Some((config, until_stdin_closes)))
}

const SIGNINGS: &[(&str, Signing)] = &[
    ("ES256", Signing::Es256),
    ("EdDSA", Signing::EdDsa),
    ("RS256", Signing::Rs256),
];
const KEY_FETCHES: &[(&str, KeyFetch)] = &[
    ("once", KeyFetch::Once),
    ("unknown_key", KeyFetch::UnknownKey),
    ("always", KeyFetch::Always),
];
const FLAVORS: &[(&str, Flavor)] = &[
    ("legacy", Flavor::Legacy),
    ("tokensmith", Flavor::Tokensmith),
];

fn named<T: Copy>(text: &str, names: &[(&str, T)]) -> Result<T, lexopt::Error> {
    names
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, value)| *value)
        .ok_or_else(|| {
            let known: Vec<&str> = names.iter().map(|(name, _)| *name).collect();
            format!("{text:?} is none of {}", known.join(", ")).into()
        })
}
