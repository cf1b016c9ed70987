//! `svcauth check`: looks at one thing after the other, and says what is wrong and what to do.

use crate::{
    arguments::{CheckOptions, Common},
    authorize, call, configuration,
    failure::Failure,
    output::{Output, Paint},
    saved::Saved,
    session::{Session, place, shown},
};
use serde::Serialize;
use std::fs;
use svcauth::{
    Code, Error, Event,
    core::{
        client::{self, Outcome, StoreOperation, Subject},
        config::{AuthMethod, SecretReference},
    },
};

/// Nobody asks for this record; to lock it shows that the store can be written.
const PROBE: &str = "check";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Ok,
    Warning,
    Failed,
    Skipped,
}

#[derive(Serialize)]
struct Check {
    /// `configuration`, `secret`, `store`, `registration`, `metadata`, `token` or `call`.
    check: &'static str,
    subject: String,
    state: State,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<Error>,
}

#[derive(Serialize)]
struct Document<'a> {
    ok: bool,
    exit_code: u8,
    checks: &'a [Check],
}

struct Report<'a> {
    output: &'a Output,
    checks: Vec<Check>,
    exit_code: u8,
}

pub(crate) fn run(options: &CheckOptions, common: &Common, output: &Output) -> Result<u8, Failure> {
    let mut report = Report {
        output,
        checks: Vec::new(),
        exit_code: 0,
    };
    walk(options, common, &mut report)?;
    report.finish()
}

fn walk(options: &CheckOptions, common: &Common, report: &mut Report<'_>) -> Result<(), Failure> {
    let path = configuration::path(common);
    let name = shown(&path);
    let opened = configuration::read(&path)
        .and_then(|config| Session::new(config, path, common, report.output));
    let mut session = match opened {
        Ok(session) => session,
        Err(failure) => return report.failed("configuration", name, failure),
    };
    let names: Vec<&str> = session
        .config
        .targets
        .iter()
        .map(|target| target.name.as_str())
        .collect();
    report.ok(
        "configuration",
        name,
        format!(
            "targets: {}",
            if names.is_empty() {
                "none".into()
            } else {
                names.join(", ")
            }
        ),
    )?;
    secrets(&session, report)?;
    let is_registered = store(&session, report)?;
    if options.offline {
        return report.add(
            "token",
            "all targets".into(),
            State::Skipped,
            "nothing is sent with --offline",
            None,
        );
    }
    let is_reachable = metadata(&session, report)?;
    let ready = is_registered && is_reachable;
    for index in 0..session.config.targets.len() {
        token(&mut session, index, ready, options.call, report)?;
    }
    Ok(())
}

fn secrets(session: &Session<'_>, report: &mut Report<'_>) -> Result<(), Failure> {
    for (reference, member) in client::secret_references(&session.config) {
        match session.secret(reference) {
            Err(failure) => report.failed("secret", member, failure)?,
            Ok(_) => match doubt(reference) {
                None => report.ok("secret", member, place(reference))?,
                Some((detail, advice)) => {
                    report.add(
                        "secret",
                        member,
                        State::Warning,
                        detail,
                        Some(advice.to_owned()),
                    )?;
                }
            },
        }
    }
    Ok(())
}

/// A secret that can be read, but not only by the service.
fn doubt(reference: &SecretReference) -> Option<(String, &'static str)> {
    match reference {
        SecretReference::Value(_) => Some((
            "the secret stands in the configuration itself".to_owned(),
            "put it into a file and write {\"file\": \"…\"}; this is for development only",
        )),
        #[cfg(unix)]
        SecretReference::File(path) => {
            use std::os::unix::fs::PermissionsExt;
            let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
            (mode & 0o007 != 0).then(|| {
                (
                    format!("file {path} is open to everybody (mode {mode:03o})"),
                    "chmod 600, or 640 for a group",
                )
            })
        }
        _ => None,
    }
}

/// Whether there are credentials to ask for a token with.
fn store(session: &Session<'_>, report: &mut Report<'_>) -> Result<bool, Failure> {
    let Some(settings) = &session.config.store else {
        return Ok(true);
    };
    let file = settings.file.clone();
    match session.store(PROBE, StoreOperation::Lock { ttl_ms: 1_000 }) {
        Outcome::Locked { fence } => {
            session.store(PROBE, StoreOperation::Unlock { fence });
        }
        Outcome::Held { .. } => {}
        Outcome::Failed { detail } => {
            let sentence = format!("the store cannot be used: {detail}");
            let failure = Failure::new(Code::StoreUnavailable, "store.file", sentence)
                .with_advice("mend that, or name another file in store.file");
            report.failed("store", file, failure)?;
            return Ok(session.config.client.registration.is_none());
        }
        _ => {
            return Err(Failure::from(Error::new(
                Code::Internal,
                "the store answered something else",
            )));
        }
    }
    report.ok("store", file.clone(), "can be read and written".to_owned())?;
    if session.config.client.registration.is_none() {
        return Ok(true);
    }
    match Saved::load(session) {
        Err(failure) => {
            report.failed("registration", file, failure)?;
            Ok(false)
        }
        Ok(saved) => match saved.registration() {
            Some(registration) => {
                report.ok(
                    "registration",
                    file,
                    format!("saved, client {}", registration.client_id),
                )?;
                Ok(true)
            }
            None => {
                let sentence = "this service is not registered yet";
                let failure =
                    Failure::new(Code::SecretUnavailable, "client.registration", sentence)
                        .with_advice("svcauth register");
                report.failed("registration", file, failure)?;
                Ok(false)
            }
        },
    }
}

/// Whether the issuer could be asked, where it has to be.
fn metadata(session: &Session<'_>, report: &mut Report<'_>) -> Result<bool, Failure> {
    let Some(issuer) = &session.config.issuer else {
        return Ok(true);
    };
    let issuer = issuer.to_string();
    let is_needed =
        session.config.endpoints.token.is_none() && session.config.client.static_token.is_none();
    match authorize::metadata(session) {
        Err(failure) if is_needed => {
            report.failed("metadata", issuer, failure)?;
            Ok(false)
        }
        Err(failure) => {
            let advice = "nothing, while endpoints.token is given".to_owned();
            report.add(
                "metadata",
                issuer,
                State::Warning,
                failure.error.to_string(),
                Some(advice),
            )?;
            Ok(true)
        }
        Ok(None) => Ok(true),
        Ok(Some(metadata)) => {
            let method = match session.config.client.auth {
                AuthMethod::ClientSecretBasic => "client_secret_basic",
                AuthMethod::ClientSecretPost => "client_secret_post",
                _ => "none",
            };
            if session.config.client.registration.is_some()
                && session.config.endpoints.registration.is_none()
                && metadata.registration_endpoint.is_none()
            {
                let sentence = "the metadata has no registration_endpoint";
                let failure = Failure::new(Code::MissingEndpoint, issuer.clone(), sentence)
                    .with_advice(
                        "write where clients register into endpoints.registration; at Hydra that is the public port's \
                         /oauth2/register",
                    );
                report.failed("metadata", issuer, failure)?;
                return Ok(false);
            }
            let offered = &metadata.token_endpoint_auth_methods_supported;
            let endpoint = metadata
                .token_endpoint
                .as_ref()
                .map_or("no token endpoint", |url| url.as_str());
            if !offered.is_empty() && !offered.iter().any(|other| other == method) {
                let detail = format!("{endpoint}; it offers {}, not {method}", offered.join(", "));
                let advice = "set client.auth to one of these".to_owned();
                report.add("metadata", issuer, State::Warning, detail, Some(advice))?;
            } else {
                report.ok("metadata", issuer, endpoint.to_owned())?;
            }
            Ok(true)
        }
    }
}

fn token(
    session: &mut Session<'_>,
    index: usize,
    ready: bool,
    calls: bool,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let Some(settings) = session.config.targets.get(index) else {
        return Ok(());
    };
    let name = settings.name.clone();
    let url = settings.urls.first().cloned();
    if !ready {
        return report.add(
            "token",
            name,
            State::Skipped,
            "needs what failed above",
            None,
        );
    }
    let target = session.target(Some(&name))?;
    let lease = match session.lease(target, Subject::Service) {
        Ok(lease) => lease,
        Err(failure) => return report.failed("token", name, failure),
    };
    let expires_in = session.remaining_s(lease.expires_at_wall_ms());
    let detail = format!(
        "valid for {expires_in} s, scopes: {}",
        lease.scopes().join(" ")
    );
    let missing = session
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            Event::ScopeReduced { missing, .. } => Some(missing.join(" ")),
            _ => None,
        });
    match missing {
        None => report.ok("token", name.clone(), detail)?,
        Some(missing) => {
            let advice =
                "let the server's operator allow it for this client, or ask for less".to_owned();
            let detail = format!("{detail}; not granted: {missing}");
            report.add("token", name.clone(), State::Warning, detail, Some(advice))?;
        }
    }
    match url {
        Some(url) if calls => called(session, &name, url.as_str(), report),
        _ => Ok(()),
    }
}

fn called(
    session: &mut Session<'_>,
    name: &str,
    url: &str,
    report: &mut Report<'_>,
) -> Result<(), Failure> {
    let status = match call::probe(session, url) {
        Ok(status) => status,
        Err(failure) => return report.failed("call", name.to_owned(), failure),
    };
    let (code, advice) = match status {
        401 => (
            Code::UnexpectedStatus,
            "the service refuses the token: check its issuer, its key set and the target's audience",
        ),
        403 => (
            Code::UnexpectedStatus,
            "the service knows the token and forbids the call: check the target's scopes",
        ),
        500.. => (Code::ServerError, "the service itself fails: see its log"),
        200..300 => return report.ok("call", name.to_owned(), format!("GET {url} -> {status}")),
        _ => {
            // A router may say so before anybody has looked at the token.
            let detail = format!("GET {url} -> {status}, which tells nothing about the token");
            let advice = "svcauth call with a URL that the service answers".to_owned();
            return report.add(
                "call",
                name.to_owned(),
                State::Warning,
                detail,
                Some(advice),
            );
        }
    };
    let error = Error::new(code, "the call was refused")
        .at(url.to_owned())
        .with_status(status);
    report.failed(
        "call",
        name.to_owned(),
        Failure::from(error).with_advice(advice),
    )
}

impl Report<'_> {
    fn ok(&mut self, check: &'static str, subject: String, detail: String) -> Result<(), Failure> {
        self.add(check, subject, State::Ok, detail, None)
    }

    fn failed(
        &mut self,
        check: &'static str,
        subject: String,
        failure: Failure,
    ) -> Result<(), Failure> {
        if self.exit_code == 0 {
            self.exit_code = failure.exit_code();
        }
        let Failure { error, advice } = failure;
        let detail = error.to_string();
        self.push(Check {
            check,
            subject,
            state: State::Failed,
            detail,
            advice,
            error: Some(error),
        })
    }

    fn add(
        &mut self,
        check: &'static str,
        subject: String,
        state: State,
        detail: impl Into<String>,
        advice: Option<String>,
    ) -> Result<(), Failure> {
        self.push(Check {
            check,
            subject,
            state,
            detail: detail.into(),
            advice,
            error: None,
        })
    }

    /// For people each line comes as soon as it is known.
    fn push(&mut self, check: Check) -> Result<(), Failure> {
        if !self.output.is_json() {
            let (word, paint) = match check.state {
                State::Ok => ("ok     ", Paint::Good),
                State::Warning => ("warning", Paint::Doubtful),
                State::Failed => ("FAILED ", Paint::Bad),
                State::Skipped => ("skipped", Paint::Faint),
            };
            let word = self.output.paint(paint, word);
            let subject = format!("{}: ", check.subject);
            let detail = check.detail.strip_prefix(&subject).unwrap_or(&check.detail);
            self.output
                .line(&format!("{word}  {:<13}  {subject}{detail}", check.check))?;
            if let Some(advice) = &check.advice {
                self.output.line(&format!("{:24}  next: {advice}", ""))?;
            }
        }
        self.checks.push(check);
        Ok(())
    }

    fn finish(self) -> Result<u8, Failure> {
        let count = |state| {
            self.checks
                .iter()
                .filter(|check| check.state == state)
                .count()
        };
        let (failed, warnings) = (count(State::Failed), count(State::Warning));
        if self.output.is_json() {
            let document = Document {
                ok: failed == 0,
                exit_code: self.exit_code,
                checks: &self.checks,
            };
            self.output.document(&document)?;
        } else {
            self.output.line(&match (failed, warnings) {
                (0, 0) => "all is well".to_owned(),
                (0, _) => format!("it works; warnings: {warnings}"),
                _ => format!("failed: {failed}; begin with the first"),
            })?;
        }
        Ok(self.exit_code)
    }
}
