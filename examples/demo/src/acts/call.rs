//! The call itself, and those after it.

use super::opening::Opening;
use crate::{
    bss::get_from,
    stage::{Act, PATIENCE, Stop},
};
use svcauth_lab::Service;

pub(crate) fn play(act: &mut Act<'_>, opening: Opening) -> Result<Opening, Stop> {
    let Opening { place, bss, client_id, answer, .. } = &opening;
    let (status, script) = answer.recv_timeout(PATIENCE)??;
    act.say("The node has its boot script:");
    act.show(&script);
    act.saw(status == 200 && script.contains("xname=x0c0s0b0n0"), "the node's request was answered", status);
    let log = place.lab.log_of(Service::Smd);
    let known = log.iter().all(|entry| entry.status == Some(200) && entry.client_id.as_ref() == Some(client_id));
    act.saw(log.len() == 1 && known, "SMD has verified who called", format!("{:?}", log.first()));

    act.say("Three more nodes boot; one knows only its network card's address.");
    for url in [bss.script_url("x0c0s0b0n1"), bss.script_url_by_mac("02:00:00:00:00:02"), bss.script_url("x0c0s0b0n3")]
    {
        let (status, _) = get_from(&url, None)?;
        act.saw(status == 200, "a boot script", format!("status {status}"));
    }
    let (calls, tokens) = (place.lab.log_of(Service::Smd).len(), place.lab.stats().token_requests());
    act.saw(calls == 4 && tokens == 1, "one token does for all", format!("{calls} calls, {tokens} token request"));
    act.plant("the first access token", bss.client().lease("smd")?.value());
    Ok(opening)
}
