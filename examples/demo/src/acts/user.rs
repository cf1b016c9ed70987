//! Calls on behalf of a user carry the user's token, and nothing else takes its place.

use crate::{
    bss::get_from,
    place::{NODE, Place, tokens_of},
    stage::{Act, Stop},
};
use serde_json::json;
use svcauth::Event;
use svcauth_lab::Service;

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(600))?;
    let bss = place.start_known_bss(act, json!({}))?;
    let url = bss.parameters_url(NODE);
    let at_smd = || place.lab.log_of(Service::Smd);
    act.say(
        "Boot parameters are for users: BSS has marked that route as one that must have a user.",
    );

    act.say("Alice asks, with her token.");
    let alice = place.lab.user_token("alice", &["read"], 600);
    act.plant("Alice's token", &alice);
    let (status, _) = get_from(&url, Some(&alice))?;
    let sub = at_smd()
        .last()
        .and_then(|entry| entry.sub.clone())
        .unwrap_or_default();
    act.saw(
        status == 200 && sub == "alice",
        "SMD saw Alice, not BSS",
        format!("status {status}, sub {sub}"),
    );

    act.say("Somebody asks without a token.");
    let before = at_smd().len();
    let (status, _) = get_from(&url, None)?;
    let calls = at_smd().len() - before;
    let Event::UserTokenMissing { target } = act.hear(bss.heard(), "user_token_missing", 1)? else {
        return Err(Stop::because("an event under a wrong name"));
    };
    act.saw(
        status == 401 && calls == 0,
        "BSS refused, and did not ask in its own name",
        format!("status {status}, {calls} calls at SMD, event user_token_missing for {target}"),
    );

    act.say("Bob asks with a token that has expired.");
    let bob = place.lab.user_token("bob", &["read"], -60);
    act.plant("Bob's token", &bob);
    let before = at_smd().len();
    let (status, _) = get_from(&url, Some(&bob))?;
    let answers: Vec<_> = at_smd()
        .split_off(before)
        .iter()
        .filter_map(|entry| entry.status)
        .collect();
    act.saw(
        status == 401 && answers == [401],
        "SMD's refusal went to Bob, and nothing was tried instead",
        format!("status {status}, SMD answered {answers:?}"),
    );
    let tokens = place.lab.stats().token_requests();
    act.saw(
        tokens == 0,
        "BSS's own token played no part in any of it",
        format!("{tokens} token requests"),
    );
    Ok(())
}
