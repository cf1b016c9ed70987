//! The authorization server goes away and comes back.

use super::more_calls;
use crate::{
    load::Load,
    place::{NODE, Place, early, tokens_of},
    stage::{Act, Stop},
};
use std::time::{Duration, Instant};
use svcauth::Event;
use svcauth_lab::Service;

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(20))?;
    let bss = place.start_known_bss(act, early())?;
    bss.client().ready(Duration::from_secs(60))?;
    act.say(
        "BSS has a token of twenty seconds, and replaces it every two or so. The server goes away.",
    );
    let load = Load::start(&bss.script_url(NODE));
    more_calls(act, &load, 10)?;
    place.lab.away(Service::Issuer);
    let at_departure = load.calls();
    let failed = act.hear(bss.heard(), "refresh_failed", 2)?;
    let failures = bss.heard().count("refresh_failed");
    let Event::RefreshFailed {
        error,
        retry_in_s,
        serving,
        ..
    } = failed
    else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        serving && error.code().as_str() == "connection_failed",
        "BSS cannot refresh, says so, and serves the token that it has",
        format!(
            "{failures} failures, the last with {}, next attempt within {retry_in_s:.1} s",
            error.code().as_str()
        ),
    );
    more_calls(act, &load, 40)?;
    let meanwhile = load.calls() - at_departure;
    let received = bss.heard().count("token_received");
    act.say("The server comes back.");
    place.lab.back(Service::Issuer);
    let (back, failures) = (Instant::now(), bss.heard().count("refresh_failed"));
    act.hear(bss.heard(), "token_received", received + 1)?;
    let seconds = back.elapsed().as_secs_f64();
    let late = bss.heard().count("refresh_failed") - failures;
    // One attempt may have been under way when the server came back.
    act.saw(
        late <= 1,
        "the first attempt after that brought a token",
        format!("{seconds:.1} s after the return, {late} failures in between"),
    );
    more_calls(act, &load, 10)?;
    let load = load.end();
    act.saw(
        load.failed == 0,
        "no call failed",
        format!("{}; {meanwhile} while the server was away", load.seen()),
    );
    let expired = bss.heard().count("lease_expired");
    act.saw(
        expired == 0,
        "the token was good all the time",
        format!("{expired} events lease_expired"),
    );
    act.plant(
        "a token after the outage",
        bss.client().lease("smd")?.value(),
    );
    Ok(())
}
