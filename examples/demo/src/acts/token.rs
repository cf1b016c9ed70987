//! The first token.

use super::opening::{Opening, log_at, release};
use crate::stage::{Act, Stop};
use svcauth::Event;
use svcauth_lab::Endpoint;

pub(crate) fn play(act: &mut Act<'_>, opening: Opening) -> Result<Opening, Stop> {
    let Opening {
        place,
        bss,
        client_id,
        ..
    } = &opening;
    act.say("The token request is at the server, which answers now.");
    release(place, Endpoint::Token);
    let received = act.hear(bss.heard(), "token_received", 1)?;
    let (
        Event::TokenReceived {
            target,
            lifetime_s,
            scopes,
            ..
        },
        Some(Event::TokenRequested { grant, .. }),
    ) = (received, bss.heard().last("token_requested"))
    else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        target == "smd" && scopes == ["read"] && lifetime_s > 0.0,
        "a token for SMD, with the scope that was asked for and no more",
        format!(
            "grant {grant}, scopes {}, good for {lifetime_s:.0} s",
            scopes.join(" ")
        ),
    );
    let requests = place.lab.stats().token_requests();
    let client = log_at(place, Endpoint::Token)
        .first()
        .and_then(|entry| entry.client_id.clone());
    act.saw(
        requests == 1 && client.as_ref() == Some(client_id),
        "the registered client asked for it, once",
        format!("{requests} token request by {}", client.unwrap_or_default()),
    );
    Ok(opening)
}
