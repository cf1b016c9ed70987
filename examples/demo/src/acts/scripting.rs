//! The same service in Python and in JavaScript, each with what its language brings and the package svcauth.

use super::{
    go::{agree, count, saved},
    more_calls,
    opening::{arrives, log_at, release},
};
use crate::{
    bss::get_from,
    load::Load,
    place::{NODE, Place},
    program::Program,
    served::Served,
    stage::{Act, Stop},
};
use serde_json::Value;
use std::thread;
use svcauth_lab::{Endpoint, Fault, KeyFetch, LabConfig, Service, SmdConfig};

const NODES: u64 = 16;

pub(crate) fn python(act: &mut Act<'_>) -> Result<(), Stop> {
    play(act, "boot-scripts-python", "Python")
}

pub(crate) fn node(act: &mut Act<'_>) -> Result<(), Stop> {
    play(act, "boot-scripts-node", "Node")
}

fn play(act: &mut Act<'_>, program: &str, language: &str) -> Result<(), Stop> {
    let program = Program::find(program, "examples/demo/build target/debug")?;
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let place = Place::new(LabConfig {
        ttl: 600,
        smd,
        ..LabConfig::default()
    })?;
    let config = place.configure(&place.registering())?;
    let start = || Served::start(&program, &config, &place.lab.smd_url());
    let at_smd = || place.lab.log_of(Service::Smd);

    place.lab.faults().set(Endpoint::Token, Fault::hold());
    let served = start()?;
    act.say(format!(
        "It was never seen before. {NODES} nodes boot at once, while the server takes its time over the token."
    ));
    let boots: Vec<_> = (0..NODES)
        .map(|_| {
            let url = served.script_url(NODE);
            thread::spawn(move || get_from(&url, None).map(|(status, _)| status))
        })
        .collect();
    arrives(act, &place, Endpoint::Token)?;
    act.until("all nodes wait for the token", || {
        served
            .vars()
            .is_ok_and(|vars| vars["svcauth"]["waited"].as_u64() >= Some(NODES))
    })?;
    let requests = place.lab.stats().endpoint(Endpoint::Token).in_flight;
    let registrations = log_at(&place, Endpoint::Register).len();
    let authorizations = log_at(&place, Endpoint::Authorize).len();
    act.saw(
        (registrations, authorizations, requests) == (1, 1, 1),
        "it registered, asked for authorization and for one token",
        format!(
            "{registrations} registration, {authorizations} authorization, {requests} token request"
        ),
    );
    release(&place, Endpoint::Token);
    let booted = boots
        .into_iter()
        .filter_map(|boot| boot.join().ok())
        .filter(|status| matches!(status, Ok(200)))
        .count() as u64;
    let client_id = saved(act, &place, language);
    let callers = count(&at_smd(), |entry| {
        entry.client_id.as_deref() == Some(&client_id)
    }) as u64;
    act.saw(
        booted == NODES && callers == NODES,
        "all of them booted, with the token of the client that was registered",
        format!("{booted} booted, SMD saw client {client_id} {callers} times"),
    );

    act.say(
        "Then boot scripts are asked for all the time, the server forgets its signing key, and goes away.",
    );
    let load = Load::start(&served.script_url(NODE));
    more_calls(act, &load, 20)?;
    place.lab.rotate_signing_key();
    act.until("SMD has refused a token", || {
        count(&at_smd(), |entry| entry.status == Some(401)) > 0
    })?;
    more_calls(act, &load, 20)?;
    place.lab.away(Service::Issuer);
    more_calls(act, &load, 20)?;
    place.lab.back(Service::Issuer);
    let load = load.end();
    act.saw(
        load.failed == 0 && load.calls > 0,
        "no node noticed",
        load.seen(),
    );

    act.say("Boot parameters are for users. Alice asks with her token, somebody without one.");
    let alice = place.lab.user_token("alice", &["read"], 600);
    act.plant(format!("Alice's token for {language}"), &alice);
    let url = served.parameters_url(NODE);
    let (status, _) = get_from(&url, Some(&alice))?;
    let sub = at_smd()
        .last()
        .and_then(|entry| entry.sub.clone())
        .unwrap_or_default();
    act.saw(
        status == 200 && sub == "alice",
        "SMD saw Alice",
        format!("status {status}, sub {sub}"),
    );
    let before = at_smd().len();
    let (status, _) = get_from(&url, None)?;
    let calls = at_smd().len() - before;
    act.saw(
        status == 401 && calls == 0,
        "without a user SMD was not asked",
        format!("status {status}, {calls} calls at SMD"),
    );

    act.say("The process is killed.");
    let told = served.kill(act);
    let log = at_smd();
    let calls: Vec<&Value> = told
        .iter()
        .filter(|record| record["event"] == "call")
        .collect();
    let agreed = log
        .iter()
        .filter(|entry| calls.iter().any(|call| agree(entry, call)))
        .count();
    act.saw(
        calls.len() == log.len() && agreed == log.len(),
        "its log and SMD's tell of the same calls",
        format!("{} calls in its log, {} in SMD's", calls.len(), log.len()),
    );

    act.say("It is started anew.");
    let served = start()?;
    let (status, _) = get_from(&served.script_url(NODE), None)?;
    let caller = at_smd()
        .last()
        .and_then(|entry| entry.client_id.clone())
        .unwrap_or_default();
    let registrations = log_at(&place, Endpoint::Register).len();
    act.saw(
        status == 200 && caller == client_id && registrations == 1,
        "it is the client that it was",
        format!("status {status}, client {caller}, {registrations} registration"),
    );
    served.kill(act);
    Ok(())
}
