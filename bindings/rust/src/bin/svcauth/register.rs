//! `svcauth register`: registers once, shows what is saved, updates it, deletes it.

use crate::{
    arguments::{Common, RegisterOptions},
    failure::Failure,
    output::Output,
    saved::{Lock, Saved},
    session::Session,
};
use serde::Serialize;
use svcauth::{
    Code, Event,
    core::{
        Exchange,
        message::{DeleteRegistration, Registration, UpdateRegistration},
    },
};

#[derive(Serialize)]
struct Document<'a> {
    /// `registered`, `saved`, `updated`, `deleted`, `forgotten` or `none`.
    state: &'static str,
    client_id: Option<&'a str>,
    registration_client_uri: Option<&'a str>,
    /// Whether there is a secret; where it is kept is `store`.
    client_secret: bool,
    /// Seconds since 1970; null: never.
    client_secret_expires_at: Option<u64>,
    /// What the authorization step answered, where the configuration asks for it.
    authorization: Option<&'a str>,
    store: &'a str,
}

pub(crate) fn run(
    options: &RegisterOptions,
    common: &Common,
    output: &Output,
) -> Result<u8, Failure> {
    let mut session = Session::open(common, output)?;
    require(&session)?;
    if options.forget {
        return forget(&session);
    }
    if options.delete {
        return delete(&session);
    }
    session.register()?;
    let events = session.take_events();
    let registered = events
        .iter()
        .any(|event| matches!(event, Event::Registered { .. }));
    let authorization = events.iter().find_map(|event| match event {
        Event::AuthorizationAnswered { kind, .. } => Some(*kind),
        _ => None,
    });
    if options.update {
        update(&session)?;
    }
    let state = match (options.update, registered) {
        (_, true) => "registered",
        (true, false) => "updated",
        (false, false) => "saved",
    };
    let registration = if options.update {
        Saved::load(&session)?.registration()
    } else {
        session.registration().cloned()
    };
    show(&session, state, registration.as_ref(), authorization)?;
    Ok(0)
}

/// The configuration asks for a registration.
pub(crate) fn require(session: &Session<'_>) -> Result<(), Failure> {
    if session.config.client.registration.is_some() {
        return Ok(());
    }
    let sentence = if session.config.client.credentials.is_empty() {
        "missing: this client has no registration to make; add client.registration and store.file"
    } else {
        "missing: this client is known by client.credentials and needs no registration; go on with `svcauth token`"
    };
    Err(
        Failure::new(Code::InvalidConfiguration, "client.registration", sentence).with_advice(
            "`svcauth config example registration` shows a client that registers itself",
        ),
    )
}

/// The server replaces everything, so the saved members are sent with the configured ones over them.
fn update(session: &Session<'_>) -> Result<(), Failure> {
    let lock = Lock::take(session)?;
    let mut saved = Saved::load(session)?;
    let Some(mut registration) = saved.registration() else {
        return Err(not_registered(session));
    };
    let message = UpdateRegistration {
        registration: &registration,
        metadata: session
            .config
            .client
            .registration
            .as_ref()
            .map(|settings| &settings.metadata),
        allowed_origins: &session.config.allowed_registration_origins,
    };
    let answer = message
        .parse(&session.send(message.request()?)?)
        .map_err(lost)?;
    registration.merge(answer);
    saved.replace(&registration)?;
    lock.release();
    Ok(())
}

fn delete(session: &Session<'_>) -> Result<u8, Failure> {
    let lock = Lock::take(session)?;
    let mut saved = Saved::load(session)?;
    let registration = saved.registration();
    if let Some(registration) = &registration {
        let message = DeleteRegistration { registration };
        message
            .parse(&session.send(message.request()?)?)
            .map_err(lost)?;
        saved.remove()?;
    }
    lock.release();
    let state = if registration.is_some() {
        "deleted"
    } else {
        "none"
    };
    show(session, state, registration.as_ref(), None)?;
    Ok(0)
}

fn forget(session: &Session<'_>) -> Result<u8, Failure> {
    let lock = Lock::take(session)?;
    let mut saved = Saved::load(session)?;
    let registration = saved.registration();
    if registration.is_some() {
        saved.remove()?;
    }
    lock.release();
    let state = if registration.is_some() {
        "forgotten"
    } else {
        "none"
    };
    show(session, state, registration.as_ref(), None)?;
    Ok(0)
}

fn lost(error: svcauth::Error) -> Failure {
    let gone = matches!(error.status(), Some(401 | 403 | 404));
    let failure = Failure::from(error);
    if !gone {
        return failure;
    }
    failure.with_advice(
        "the server does not take the registration access token; if it has lost the client: svcauth register --forget",
    )
}

fn not_registered(session: &Session<'_>) -> Failure {
    Failure::new(
        Code::StoreCorrupt,
        store_file(session),
        "the registration was gone when it was to be updated; run `svcauth register` again",
    )
}

fn show(
    session: &Session<'_>,
    state: &'static str,
    registration: Option<&Registration>,
    authorization: Option<&'static str>,
) -> Result<(), Failure> {
    let output = session.output();
    let store = store_file(session);
    let uri = registration.and_then(|registration| registration.registration_client_uri.as_ref());
    if output.is_json() {
        return output.document(&Document {
            state,
            client_id: registration.map(|registration| registration.client_id.as_str()),
            registration_client_uri: uri.map(|uri| uri.as_str()),
            client_secret: registration
                .is_some_and(|registration| registration.client_secret.is_some()),
            client_secret_expires_at: registration
                .and_then(|registration| registration.client_secret_expires_at),
            authorization,
            store: &store,
        });
    }
    let Some(registration) = registration else {
        return output.line(&format!("nothing is saved in {store}"));
    };
    let id = &registration.client_id;
    output.line(&match state {
        "registered" => format!("registered as {id}"),
        "updated" => format!("updated {id}"),
        "deleted" => format!("deleted {id} at the server and in {store}"),
        "forgotten" => format!("forgot {id}; the server was not told"),
        _ => format!("registered before as {id}"),
    })?;
    if matches!(state, "deleted" | "forgotten") {
        return Ok(());
    }
    let secret = match (
        &registration.client_secret,
        registration.client_secret_expires_at,
    ) {
        (None, _) => "none: a public client".to_owned(),
        (Some(_), None) => "saved, does not expire".to_owned(),
        (Some(_), Some(at)) => {
            let days = session.remaining_s(at.saturating_mul(1000)) / 86_400;
            format!(
                "saved, expires in {days} days and is renewed before, where the server allows it"
            )
        }
    };
    output.line(&format!("  client secret  {secret}"))?;
    output.line(&format!(
        "  managed at     {}",
        uri.map_or("the server named no place", |uri| uri.as_str())
    ))?;
    output.line(&format!("  saved in       {store}"))?;
    if let Some(refused) = &registration.refused_uri {
        output.note(&format!("warning: {refused}"));
    }
    if let Some(kind) = authorization {
        output.line(&format!("  authorization  {kind}"))?;
    }
    output.hint("next: svcauth token");
    Ok(())
}

fn store_file(session: &Session<'_>) -> String {
    session
        .config
        .store
        .as_ref()
        .map_or_else(String::new, |store| store.file.clone())
}
