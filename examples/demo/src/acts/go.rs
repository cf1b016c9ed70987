//! The same service in Go, with each of its two engines: svcauth's core as Go source, and libsvcauth by cgo.

use super::{
    more_calls,
    opening::{arrives, log_at, release},
};
use crate::{
    bss::get_from,
    load::Load,
    place::{NODE, Place, early, tokens_of},
    program::Program,
    served::Served,
    stage::{Act, Stop},
};
use serde_json::Value;
use std::thread;
use svcauth_lab::{
    Endpoint, Fault, KeyFetch, LabConfig, LogEntry, Service, SmdConfig, merge_patch,
};

/// How a program says that it was built.
struct Build {
    program: &'static str,
    cgo: &'static str,
    tags: &'static str,
}

pub(crate) fn without_cgo(act: &mut Act<'_>) -> Result<(), Stop> {
    let build = Build {
        program: "boot-scripts-go",
        cgo: "0",
        tags: "",
    };
    play(act, &build)
}

pub(crate) fn with_cgo(act: &mut Act<'_>) -> Result<(), Stop> {
    let build = Build {
        program: "boot-scripts-go-cgo",
        cgo: "1",
        tags: "svcauth_cgo",
    };
    play(act, &build)
}

const NODES: u64 = 32;

fn play(act: &mut Act<'_>, build: &Build) -> Result<(), Stop> {
    let program = Program::find(build.program, "examples/go/build target/debug")?;
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let place = Place::new(LabConfig {
        smd,
        ..tokens_of(20)
    })?;
    let mut document = place.registering();
    merge_patch(&mut document, early());
    let config = place.configure(&document)?;
    let start = || Served::start(&program, &config, &place.lab.smd_url());
    let at_smd = || place.lab.log_of(Service::Smd);

    place.lab.faults().set(Endpoint::Token, Fault::hold());
    let served = start()?;
    let vars = served.vars()?;
    let (cgo, tags) = (
        text(&vars["build"]["CGO_ENABLED"]),
        text(&vars["build"]["-tags"]),
    );
    act.saw(
        cgo == build.cgo && tags == build.tags,
        "this is the program that was meant",
        format!("it says: CGO_ENABLED={cgo}, tags \"{tags}\""),
    );

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
            .is_ok_and(|vars| vars["svcauth"]["Waited"].as_u64() >= Some(NODES))
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
    let client_id = saved(act, &place, "Go");
    let callers = at_smd()
        .iter()
        .filter(|entry| entry.client_id.as_deref() == Some(&client_id))
        .count() as u64;
    act.saw(
        booted == NODES && callers == NODES,
        "all of them booted, with the token of the client that was registered",
        format!("{booted} booted, SMD saw client {client_id} {callers} times"),
    );

    act.say(
        "Then boot scripts are asked for all the time, and the server forgets its signing key.",
    );
    let load = Load::start(&served.script_url(NODE));
    more_calls(act, &load, 20)?;
    // No token of the new key comes before one of the old key was refused.
    place.lab.faults().set(Endpoint::Token, Fault::hold());
    place.lab.rotate_signing_key();
    act.until("SMD has refused a token", || {
        count(&at_smd(), |entry| entry.status == Some(401)) > 0
    })?;
    release(&place, Endpoint::Token);
    more_calls(act, &load, 40)?;
    act.say("The server goes away, and comes back.");
    place.lab.away(Service::Issuer);
    more_calls(act, &load, 40)?;
    place.lab.back(Service::Issuer);
    let issued = place.lab.stats().tokens_issued();
    act.until("two more tokens came", || {
        place.lab.stats().tokens_issued() >= issued + 2
    })?;
    let load = load.end();
    act.saw(
        load.failed == 0 && load.calls > 0,
        "no node noticed",
        load.seen(),
    );
    let refused = count(&at_smd(), |entry| entry.status == Some(401));
    act.saw(
        refused > 0,
        "SMD had refused the token of the forgotten key",
        format!("{refused} times status 401"),
    );

    act.say("Boot parameters are for users. Alice asks with her token, somebody without one.");
    let alice = place.lab.user_token("alice", &["read"], 600);
    act.plant("Alice's token for Go", &alice);
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
    let again = calls
        .iter()
        .filter(|call| call["retried"] == true && call["status"] == 200)
        .count();
    act.saw(
        again == refused,
        "each refused call was made once more, and went through",
        format!("{again} times status 200 at the second attempt"),
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

/// The client id of the registration that a program in this language has saved, whose secrets are noted.
pub(super) fn saved(act: &mut Act<'_>, place: &Place, language: &str) -> String {
    let saved = place.saved_registration().unwrap_or_default();
    for member in ["client_secret", "registration_access_token"] {
        act.plant(
            format!("the {language} program's {member}"),
            text(&saved["registration"][member]),
        );
    }
    text(&saved["registration"]["client_id"]).to_owned()
}

pub(super) fn agree(entry: &LogEntry, call: &Value) -> bool {
    let subject = call["subject"].as_str().unwrap_or_default();
    call["method"] == *entry.method
        && text(&call["url"]).ends_with(&entry.path)
        && call["status"].as_u64() == entry.status.map(u64::from)
        // SMD does not know whose token it was that it refused.
        && entry.sub.as_deref().is_none_or(|sub| sub == subject)
}

pub(super) fn count(log: &[LogEntry], matches: impl Fn(&LogEntry) -> bool) -> usize {
    log.iter().filter(|entry| matches(entry)).count()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
