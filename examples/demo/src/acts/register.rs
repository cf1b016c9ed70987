//! A service without credentials registers itself, and no crash makes it register twice.

use super::opening::{Opening, arrives, boot_a_node, hold_each_step, log_at, release};
use crate::{
    place::{Place, STATE, readable, tokens_of},
    stage::{Act, Stop},
};
use serde_json::Value;
use std::{
    fs,
    path::{Path, PathBuf},
};
use svcauth::Event;
use svcauth_lab::Endpoint;

pub(crate) fn play(act: &mut Act<'_>) -> Result<Opening, Stop> {
    let place = Place::new(tokens_of(600))?;
    let document = place.registering();
    act.say("BSS starts with this svcauth.json:");
    act.show(&readable(&document));
    hold_each_step(&place);
    let bss = place.start_bss(act, &document)?;
    let file = PathBuf::from(place.path(STATE));
    act.saw(
        document["client"].get("credentials").is_none() && !file.exists(),
        "BSS has no credentials, in its configuration or anywhere else",
        format!(
            "client has {}, {STATE} {}",
            members(&document["client"]),
            there(&file)
        ),
    );
    let requests = place.lab.log().len();
    act.saw(
        requests == 0,
        "starting has touched no network",
        format!("{requests} requests at the lab"),
    );

    act.say(
        "A node boots and asks for its script. Now BSS needs a token, and for that an identity.",
    );
    let answer = boot_a_node(&bss);
    arrives(act, &place, Endpoint::Register)?;
    let state = state(&place);
    act.saw(
        state == "intent" && log_at(&place, Endpoint::Register).is_empty(),
        "what BSS is about to do was on disk before the server did it",
        format!("{STATE} says {state:?}, the registration request is under way"),
    );

    release(&place, Endpoint::Register);
    let Event::Registered { client_id } = act.hear(bss.heard(), "registered", 1)? else {
        return Err(Stop::because("an event under a wrong name"));
    };
    arrives(act, &place, Endpoint::Authorize)?;
    let status = log_at(&place, Endpoint::Register)
        .first()
        .and_then(|entry| entry.status);
    act.saw(
        status == Some(201),
        "BSS is registered",
        format!("status {}, client id {client_id}", words(status)),
    );
    let saved = place.saved_registration().unwrap_or_default();
    let registration = &saved["registration"];
    act.saw(
        saved["state"] == "registered"
            && registration["client_id"] == client_id.as_str()
            && place.lab.stats().token_requests() == 0,
        "what the server gave was saved before it was used",
        format!("{STATE} says {}, no token asked for yet", saved["state"]),
    );
    for member in ["client_secret", "registration_access_token"] {
        act.plant(
            format!("the registered {member}"),
            registration[member].as_str().unwrap_or_default(),
        );
    }
    private(act, &file)?;
    Ok(Opening {
        place,
        document,
        bss,
        client_id,
        answer,
    })
}

#[cfg(unix)]
fn private(act: &mut Act<'_>, file: &Path) -> Result<(), Stop> {
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(file)?.permissions().mode() & 0o7777;
    act.saw(
        mode == 0o600,
        "nobody else may read that file",
        format!("mode {mode:04o}"),
    );
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &mut Act<'_>, _: &Path) -> Result<(), Stop> {
    Ok(())
}

fn state(place: &Place) -> String {
    let saved = place.saved_registration().unwrap_or_default();
    saved["state"].as_str().unwrap_or("nothing").to_owned()
}

fn members(value: &Value) -> String {
    let names = value
        .as_object()
        .into_iter()
        .flat_map(|object| object.keys().map(String::as_str));
    names.collect::<Vec<_>>().join(", ")
}

fn there(file: &Path) -> &'static str {
    if file.exists() {
        "exists"
    } else {
        "does not exist"
    }
}

fn words(status: Option<u16>) -> String {
    status.map_or("none".into(), |status| status.to_string())
}
