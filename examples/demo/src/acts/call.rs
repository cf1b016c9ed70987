//! The call itself, and those after it.

use super::opening::Opening;
use crate::{
    bss::get_from,
    place::NODE,
    stage::{Act, PATIENCE, Stop},
};
use svcauth_lab::Service;

pub(crate) fn play(act: &mut Act<'_>, opening: Opening) -> Result<Opening, Stop> {
    let Opening {
        place,
        bss,
        client_id,
        answer,
        ..
    } = &opening;
    let (status, script) = answer.recv_timeout(PATIENCE)??;
    act.say("The node has its boot script:");
    act.show(&script);
    act.saw(
        status == 200 && script.contains(&format!("xname={NODE}")),
        "the node's request was answered",
        format!("status {status}"),
    );
    let log = place.lab.log_of(Service::Smd);
    let known = log
        .iter()
        .all(|entry| entry.status == Some(200) && entry.client_id.as_ref() == Some(client_id));
    let line = log
        .first()
        .map(|entry| format!("{entry:?}"))
        .unwrap_or_default();
    act.saw(
        log.len() == 1 && known,
        "SMD has verified who called",
        format!("its log: {line}"),
    );

    act.say("Three more nodes boot; one knows only its network card's address.");
    for url in [
        bss.script_url("x0c0s0b0n1"),
        bss.script_url_by_mac("02:00:00:00:00:02"),
        bss.script_url("x0c0s0b0n3"),
    ] {
        get_from(&url, None)?;
    }
    let log = place.lab.log_of(Service::Smd);
    let statuses: Vec<_> = log.iter().filter_map(|entry| entry.status).collect();
    let tokens = place.lab.stats().token_requests();
    act.saw(
        statuses == [200; 4] && tokens == 1,
        "one token does for all",
        format!("SMD answered {statuses:?}, {tokens} token request"),
    );
    act.plant("the first access token", bss.client().lease("smd")?.value());
    Ok(opening)
}
