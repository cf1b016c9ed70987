//! The authorization request: a redirect is its normal answer, and nothing follows from it.

use super::opening::{Opening, arrives, log_at, release};
use crate::stage::{Act, Stop};
use svcauth::Event;
use svcauth_lab::{Endpoint, Service};

pub(crate) fn play(act: &mut Act<'_>, opening: Opening) -> Result<Opening, Stop> {
    let Opening { place, bss, .. } = &opening;
    act.say(
        "The how-to has a second step: POST to /oauth2/auth with the registration access token.",
    );
    release(place, Endpoint::Authorize);
    let Event::AuthorizationAnswered { kind, error } =
        act.hear(bss.heard(), "authorization_answered", 1)?
    else {
        return Err(Stop::because("an event under a wrong name"));
    };
    arrives(act, place, Endpoint::Token)?;
    let status = log_at(place, Endpoint::Authorize)
        .first()
        .and_then(|entry| entry.status);
    let error = error.map_or("no error in it".into(), |error| format!("error {error}"));
    act.saw(
        status.is_some_and(|status| (300..400).contains(&status)) && kind != "failed",
        "the server answered with a redirect, and BSS knows which kind",
        format!(
            "status {}, kind {kind}, {error}",
            status.unwrap_or_default()
        ),
    );
    let pages = place.lab.log_of(Service::Opaal).len() + log_at(place, Endpoint::Other).len();
    act.saw(
        pages == 0,
        "BSS did not follow it",
        format!("{pages} requests for a page"),
    );
    act.say("That is as it should be: no person is there to log in. The flow goes on.");
    let issued = place.lab.stats().tokens_issued();
    act.saw(
        issued == 0,
        "no token came of it",
        format!("{issued} tokens issued"),
    );
    Ok(opening)
}
