//! A receiver that fetched the keys long ago takes the old token and refuses the new one.

use crate::{
    bss::get_from,
    place::{NODE, Place, early, tokens_of},
    stage::{Act, Stop},
};
use svcauth::Event;
use svcauth_lab::{Endpoint, Fault, Service};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(20))?;
    // The first request passes; the second is held, so that the key changes just before it is answered.
    place
        .lab
        .faults()
        .set(Endpoint::Token, Fault::hold().after(1));
    let bss = place.start_known_bss(act, early())?;
    let boot = || get_from(&bss.script_url(NODE), None).map(|(status, _)| status);
    let statuses = || {
        let log = place.lab.log_of(Service::Smd);
        log.iter()
            .filter_map(|entry| entry.status)
            .collect::<Vec<_>>()
    };
    act.say("This SMD fetched the keys once, when it started, as the real one does.");
    let status = boot()?;
    act.saw(status == 200, "a node boots", format!("status {status}"));
    let old = bss.client().lease("smd")?.id();
    act.plant(
        "the token signed with the old key",
        bss.client().lease("smd")?.value(),
    );

    act.say("The server changes its key. BSS refreshes its token, as it would anyway.");
    act.until("BSS asks for its second token", || {
        place.lab.stats().endpoint(Endpoint::Token).in_flight == 1
    })?;
    place.lab.rotate_signing_key();
    place.lab.faults().set(Endpoint::Token, Fault::hold());
    act.until("BSS has its second token", || {
        bss.client()
            .lease("smd")
            .is_ok_and(|lease| lease.id() != old)
    })?;
    act.plant(
        "the token signed with the new key",
        bss.client().lease("smd")?.value(),
    );
    let status = boot()?;
    let seen = statuses();
    act.saw(
        status == 200 && seen == [200, 401, 200],
        "SMD refused the new token, took the one before it, and the node booted",
        format!("SMD answered {seen:?}"),
    );
    let Event::Rejected { action, .. } = act.hear(bss.heard(), "rejected", 1)? else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        action == "predecessor",
        "BSS knew what to do",
        format!("event rejected, action {action}"),
    );

    act.say("Then SMD fetches the new keys, and forgets the old one.");
    place.lab.faults().clear_all();
    place.lab.smd_fetch_keys();
    let status = boot()?;
    act.saw(
        status == 200,
        "a node boots, and nobody had to restart anything",
        format!("SMD answered {:?}", statuses()),
    );
    act.plant("the token at the end", bss.client().lease("smd")?.value());
    Ok(())
}
