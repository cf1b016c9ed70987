//! `svcauth authorize`: the flow's second step, with the registration access token.

use crate::{arguments::Common, failure::Failure, output::Output, register, session::Session};
use serde::Serialize;
use svcauth::{
    Code, Error,
    core::{
        Exchange,
        client::Outcome,
        message::{AuthorizationAnswer, Metadata, MetadataRequest},
        wire::Url,
    },
};

#[derive(Serialize)]
struct Document<'a> {
    client_id: &'a str,
    endpoint: &'a str,
    /// `login_page`, `callback`, `error_page` or `answered`.
    kind: &'static str,
    /// Where a redirect to a login page leads, without query.
    location: Option<&'a str>,
    /// The OAuth error in the redirect.
    error: Option<&'a svcauth::core::OauthError>,
    /// Whether a code came; it is not used.
    has_code: bool,
    /// The status, where the server answered itself.
    status: Option<u16>,
}

pub(crate) fn run(common: &Common, output: &Output) -> Result<u8, Failure> {
    let mut session = Session::open(common, output)?;
    register::require(&session)?;
    session.register()?;
    let endpoint = endpoint(&session)?;
    let Some(registration) = session.registration() else {
        return Err(Failure::from(Error::new(
            Code::Internal,
            "there is no registration after registering",
        )));
    };
    let request = registration.authorization_request(&endpoint, &state(&session)?)?;
    let answer = AuthorizationAnswer::of(&session.send(request)?)?;
    let client_id = registration.client_id.as_str();
    if output.is_json() {
        output.document(&document(client_id, &endpoint, &answer))?;
        return Ok(0);
    }
    output.line(&format!("{client_id}: {}", sentence(&answer)))?;
    output.note("That is normal: this step never yields a token, and nothing was followed. next: svcauth token");
    Ok(0)
}

fn document<'a>(
    client_id: &'a str,
    endpoint: &'a Url,
    answer: &'a AuthorizationAnswer,
) -> Document<'a> {
    Document {
        client_id,
        endpoint: endpoint.as_str(),
        kind: answer.kind(),
        location: match answer {
            AuthorizationAnswer::LoginPage { location } => Some(location),
            _ => None,
        },
        error: answer.error(),
        has_code: matches!(answer, AuthorizationAnswer::Callback { has_code: true, .. }),
        status: match answer {
            AuthorizationAnswer::Answered { status } => Some(*status),
            _ => None,
        },
    }
}

fn sentence(answer: &AuthorizationAnswer) -> String {
    let error = answer.error().map(|error| {
        let description = error
            .description
            .as_deref()
            .map(|text| format!(" ({text})"))
            .unwrap_or_default();
        format!(" with the error {}{description}", error.error)
    });
    let error = error.unwrap_or_default();
    match answer {
        AuthorizationAnswer::LoginPage { location } => {
            format!("redirected to a login page, {location}, where a person would go on")
        }
        AuthorizationAnswer::Callback { has_code: true, .. } => {
            "redirected to the callback with a code, which is not used".to_owned()
        }
        AuthorizationAnswer::Callback { .. } => format!("redirected to the callback{error}"),
        AuthorizationAnswer::ErrorPage { .. } => format!("redirected to an error page{error}"),
        AuthorizationAnswer::Answered { status } => {
            format!("answered without a redirect (HTTP {status})")
        }
        _ => "answered in a way of its own".to_owned(),
    }
}

fn state(session: &Session<'_>) -> Result<String, Failure> {
    match session.random(16) {
        Outcome::Bytes(bytes) => Ok(bytes
            .expose()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()),
        _ => Err(Failure::from(Error::new(
            Code::Internal,
            "the system gives no random bytes",
        ))),
    }
}

fn endpoint(session: &Session<'_>) -> Result<Url, Failure> {
    if let Some(url) = &session.config.endpoints.authorization {
        return Ok(url.clone());
    }
    let Some(metadata) = metadata(session)? else {
        return Err(Failure::new(
            Code::InvalidConfiguration,
            "endpoints.authorization",
            "missing: write the URL of the authorization endpoint, or the issuer whose metadata names it",
        ));
    };
    metadata.authorization_endpoint.ok_or_else(|| {
        Failure::new(
            Code::MissingEndpoint,
            metadata.issuer,
            "the issuer's metadata names no authorization endpoint; set endpoints.authorization",
        )
    })
}

/// What the issuer says about itself; nothing without an issuer.
pub(crate) fn metadata(session: &Session<'_>) -> Result<Option<Metadata>, Failure> {
    let Some(issuer) = &session.config.issuer else {
        return Ok(None);
    };
    let mut document = session.config.first_metadata();
    loop {
        let message = MetadataRequest { issuer, document };
        let answer = session.send(message.request()?)?;
        let metadata = message.parse(&answer);
        match metadata.and_then(|metadata| session.config.usable_metadata(metadata)) {
            Ok(metadata) => return Ok(Some(metadata)),
            Err(error) => match session.config.next_metadata(document, &error) {
                Some(other) => document = other,
                None => return Err(error.at(issuer.to_string()).into()),
            },
        }
    }
}
