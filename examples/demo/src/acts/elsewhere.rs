//! A token goes to its target and nowhere else, wherever a URL or a redirect leads.

use crate::{
    bss::outsider,
    place::{NODE, Place, tokens_of},
    stage::{Act, PATIENCE, Stop},
};
use serde_json::json;
use svcauth::{UserToken, ureq};
use svcauth_lab::{Lab, Service};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(600))?;
    // The whole origin is the target here, so that SMD's redirects begin inside of it.
    let smd = json!({ "targets": { "smd": { "urls": [place.lab.smd_url()] } } });
    let bss = place.start_known_bss(act, smd)?;
    bss.client().ready(PATIENCE)?;
    let lab = &place.lab;
    let (smd, elsewhere) = (lab.smd_url(), lab.elsewhere_url());
    act.say(
        "There is a server of somebody else's, which writes down every Authorization that it gets.",
    );
    let alice = lab.user_token("alice", &["read"], 600);
    act.plant("Alice's other token", &alice);
    act.plant(
        "the token that must not go elsewhere",
        bss.client().lease("smd")?.value(),
    );
    for (what, url) in [
        (
            "SMD redirects to it with 302",
            format!("{smd}/redirect?status=302&to={elsewhere}/catch"),
        ),
        (
            "SMD redirects to it with 307",
            format!("{smd}/redirect?status=307&to={elsewhere}/catch"),
        ),
        ("its URL belongs to no target", format!("{elsewhere}/catch")),
        (
            "its path is SMD's, its port is not",
            format!("{elsewhere}/hsm/v2/State/Components/{NODE}"),
        ),
    ] {
        for (whose, user) in [("BSS's", None), ("Alice's", Some(alice.as_str()))] {
            let (before, calls) = (
                lab.log_of(Service::Elsewhere).len(),
                bss.heard().calls().len(),
            );
            let request = bss.client().agent().get(&url);
            let request = match user {
                Some(user) => request.extension(UserToken::new(user)),
                None => request,
            };
            let status = request.call()?.status().as_u16();
            let arrived = lab.log_of(Service::Elsewhere).split_off(before);
            let tokens = arrived
                .iter()
                .filter(|entry| entry.authorization.is_some())
                .count();
            let kinds: Vec<_> = bss
                .heard()
                .calls()
                .split_off(calls)
                .iter()
                .map(|call| call.kind)
                .collect();
            act.saw(
                status == 200 && arrived.len() == 1 && tokens == 0,
                &format!("{what}: without {whose} token"),
                format!(
                    "{} request there, {tokens} with a token; hop by hop it carried: {}",
                    arrived.len(),
                    kinds.join(", ")
                ),
            );
        }
    }
    would_have_seen(act, lab, &outsider())
}

/// An observer that sees nothing proves nothing unless it can see.
fn would_have_seen(act: &mut Act<'_>, lab: &Lab, agent: &ureq::Agent) -> Result<(), Stop> {
    agent
        .get(lab.elsewhere_url())
        .header("authorization", "Bearer test")
        .call()?;
    let seen = lab
        .log_of(Service::Elsewhere)
        .pop()
        .is_some_and(|entry| entry.authorization.is_some());
    act.saw(
        seen,
        "that server would have noticed",
        "it did, with a header sent by hand",
    );
    Ok(())
}
