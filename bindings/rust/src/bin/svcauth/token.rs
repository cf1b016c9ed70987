//! `svcauth token`: the access token on stdout, and nothing else there.

use crate::{
    arguments::{Common, TokenOptions},
    failure::Failure,
    output::Output,
    session::Session,
};
use serde::Serialize;
use svcauth::{Event, core::client::Subject};

#[derive(Serialize)]
struct Document<'a> {
    target: &'a str,
    access_token: &'a str,
    token_type: &'static str,
    /// Seconds from now.
    expires_in: u64,
    /// Seconds since 1970.
    expires_at: u64,
    scopes: &'a [String],
    client_id: Option<&'a str>,
    subject: Option<&'a str>,
}

pub(crate) fn run(options: &TokenOptions, common: &Common, output: &Output) -> Result<u8, Failure> {
    let mut session = Session::open(common, output)?;
    let target = session.target(options.target.as_deref())?;
    let lease = session.lease(target, Subject::Service)?;
    let expires_in = session.remaining_s(lease.expires_at_wall_ms());
    let missing = session
        .take_events()
        .into_iter()
        .find_map(|event| match event {
            Event::ScopeReduced { missing, .. } => Some(missing.join(" ")),
            _ => None,
        });
    if let Some(missing) = missing {
        output.note(&format!(
            "warning: not granted: {missing}; let the server's operator allow it for this client"
        ));
    }
    let name = session.target_name(target);
    if output.is_json() {
        output.document(&Document {
            target: name,
            access_token: lease.value(),
            token_type: "Bearer",
            expires_in,
            expires_at: lease.expires_at_wall_ms() / 1000,
            scopes: lease.scopes(),
            client_id: lease.client_id(),
            subject: lease.subject(),
        })?;
        return Ok(0);
    }
    output.line(lease.value())?;
    let scopes = match lease.scopes() {
        [] => "no scope".to_owned(),
        scopes => format!("scopes {}", scopes.join(" ")),
    };
    let client = lease
        .client_id()
        .map(|id| format!(", client {id}"))
        .unwrap_or_default();
    output.note(&format!(
        "{name}: valid for {expires_in} s, {scopes}{client}"
    ));
    output.hint(
        "whoever holds this token can use it; `svcauth call URL` makes a call without showing it",
    );
    Ok(0)
}
