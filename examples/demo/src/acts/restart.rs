//! A restarted service is the one it was.

use super::opening::{Opening, log_at};
use crate::{
    bss::get_from,
    place::NODE,
    stage::{Act, Stop},
};
use svcauth::Event;
use svcauth_lab::Endpoint;

pub(crate) fn play(act: &mut Act<'_>, opening: Opening) -> Result<(), Stop> {
    let Opening {
        place,
        document,
        bss,
        client_id,
        ..
    } = opening;
    drop(bss);
    act.say("BSS ends and is started again. The token is gone with it; the registration is not.");
    let bss = place.start_bss(act, &document)?;
    let (status, _) = get_from(&bss.script_url(NODE), None)?;
    act.saw(status == 200, "a node boots", format!("status {status}"));
    let Event::RegistrationLoaded { client_id: loaded } =
        act.hear(bss.heard(), "registration_loaded", 1)?
    else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        loaded == client_id,
        "BSS is the same client as before",
        format!("client id {loaded}"),
    );
    let count = |endpoint| log_at(&place, endpoint).len();
    let (registered, authorized) = (count(Endpoint::Register), count(Endpoint::Authorize));
    act.saw(
        registered == 1 && authorized == 1,
        "it neither registered nor was authorized a second time",
        format!("{registered} registration, {authorized} authorization in all"),
    );
    let tokens = place.lab.stats().token_requests();
    act.saw(
        tokens == 2,
        "it asked for a token of its own",
        format!("{tokens} token requests in all"),
    );
    act.plant(
        "the token after the restart",
        bss.client().lease("smd")?.value(),
    );
    Ok(())
}
