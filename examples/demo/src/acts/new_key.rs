//! The authorization server signs with a new key: every token there is dies at once.

use super::more_calls;
use crate::{
    load::Load,
    place::{NODE, Place},
    stage::{Act, Stop},
};
use serde_json::json;
use std::time::Duration;
use svcauth::Event;
use svcauth_lab::{Endpoint, KeyFetch, LabConfig, SmdConfig};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let place = Place::new(LabConfig {
        ttl: 600,
        smd,
        ..LabConfig::default()
    })?;
    let bss = place.start_known_bss(act, json!({}))?;
    bss.client().ready(Duration::from_secs(60))?;
    act.say("This SMD looks at the server's keys for every call. Boot scripts are asked for all the time.");
    let load = Load::start(&bss.script_url(NODE));
    more_calls(act, &load, 20)?;
    act.plant("the token that dies", bss.client().lease("smd")?.value());
    act.say("The server forgets its key and signs with a new one.");
    place.lab.rotate_signing_key();
    more_calls(act, &load, 40)?;
    let load = load.end();
    act.plant("the token after it", bss.client().lease("smd")?.value());

    let stats = place.lab.stats();
    let refused = stats
        .endpoint(Endpoint::Smd)
        .answers
        .get(&401)
        .copied()
        .unwrap_or_default();
    act.saw(
        refused > 0,
        "SMD refused the dead token",
        format!("{refused} times status 401"),
    );
    let Event::Rejected { action, .. } = act.hear(bss.heard(), "rejected", 1)? else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        action == "refresh",
        "BSS asked for a new one at once",
        format!("event rejected, action {action}"),
    );
    let again = bss
        .heard()
        .calls()
        .iter()
        .filter(|call| call.retried && call.status == Some(200))
        .count() as u64;
    act.saw(
        again == refused,
        "each refused call was made once more, and went through",
        format!("{again} times status 200 at the second attempt"),
    );
    act.saw(load.failed == 0, "no node noticed", load.seen());
    let tokens = stats.token_requests();
    act.saw(
        tokens == 2,
        "all of it cost one token request",
        format!("{tokens}, with the first"),
    );
    Ok(())
}
