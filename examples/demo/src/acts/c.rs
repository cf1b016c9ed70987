//! The same in C: a program with libsvcauth for the tokens and libcurl for its calls.

use super::opening::log_at;
use crate::{
    place::{NODE, Place},
    program::{Program, Running},
    served::records,
    stage::{Act, Stop},
};
use serde_json::Value;
use svcauth_lab::{Endpoint, KeyFetch, LabConfig, Service, SmdConfig};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let program = Program::find("boot-scripts-c", "examples/demo/build target/debug")?;
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let place = Place::new(LabConfig {
        ttl: 600,
        smd,
        ..LabConfig::default()
    })?;
    let config = place.configure(&place.registering())?.display().to_string();
    let url = format!("{}/hsm/v2/State/Components/{NODE}", place.lab.smd_url());
    let seen = || {
        let log = place.lab.log_of(Service::Smd);
        log.iter()
            .filter_map(|entry| entry.status)
            .collect::<Vec<_>>()
    };

    act.say("It was never seen before, and is asked for a node.");
    let mut bss = program.start(&[&config])?;
    let status = ask(&mut bss, &url)?;
    let saved = place.saved_registration().unwrap_or_default();
    let registration = &saved["registration"];
    for member in ["client_secret", "registration_access_token"] {
        act.plant(
            format!("the C program's {member}"),
            text(&registration[member]),
        );
    }
    let client_id = text(&registration["client_id"]).to_owned();
    let (registrations, authorizations, requests) = (
        log_at(&place, Endpoint::Register).len(),
        log_at(&place, Endpoint::Authorize).len(),
        place.lab.stats().token_requests(),
    );
    let caller = |place: &Place| {
        let log = place.lab.log_of(Service::Smd);
        let last = log.last().and_then(|entry| entry.client_id.clone());
        last.unwrap_or_default()
    };
    act.saw(
        (registrations, authorizations, requests) == (1, 1, 1) && status == "200",
        "it registered, asked for authorization and for a token, and called",
        format!("{registrations} registration, {authorizations} authorization, {requests} token request, status {status}"),
    );
    let client = caller(&place);
    act.saw(
        !client_id.is_empty() && client == client_id,
        "SMD saw the client that was registered",
        format!("client {client}"),
    );

    act.say("The server forgets its key and signs with a new one.");
    place.lab.rotate_signing_key();
    let status = ask(&mut bss, &url)?;
    let answers = seen();
    act.saw(
        status == "200" && answers == [200, 401, 200],
        "the refused call was made once more, with a new token",
        format!("status {status}, SMD answered {answers:?}"),
    );

    act.say("The authorization server goes away.");
    place.lab.away(Service::Issuer);
    let status = ask(&mut bss, &url)?;
    act.saw(
        status == "200",
        "the token serves on",
        format!("status {status}"),
    );
    place.lab.back(Service::Issuer);

    let (code, log) = bss.finish()?;
    let code = code.map_or("none".into(), |code| code.to_string());
    act.overhear(&log);
    let calls: Vec<Value> = records(&log)
        .into_iter()
        .filter(|record| record["event"] == "call")
        .collect();
    let told: Vec<u64> = calls
        .iter()
        .filter_map(|call| call["status"].as_u64())
        .collect();
    let answers = seen();
    let named = calls
        .iter()
        .filter(|call| call["client_id"] == *client_id)
        .count();
    act.saw(
        code == "0"
            && told
                .iter()
                .copied()
                .eq(answers.iter().copied().map(u64::from))
            && named == calls.len(),
        "its log and SMD's tell of the same calls",
        format!("exit code {code}, it tells of {told:?}, SMD of {answers:?}"),
    );

    act.say("It is started anew.");
    let mut bss = program.start(&[&config])?;
    let status = ask(&mut bss, &url)?;
    let (client, registrations) = (caller(&place), log_at(&place, Endpoint::Register).len());
    act.saw(
        status == "200" && client == client_id && registrations == 1,
        "it is the client that it was",
        format!("status {status}, client {client}, {registrations} registration"),
    );
    let (_, log) = bss.finish()?;
    act.overhear(&log);
    Ok(())
}

/// The status of a call that the program makes.
fn ask(bss: &mut Running, url: &str) -> Result<String, Stop> {
    bss.write_line(url)?;
    let line = bss.read_line()?;
    Ok(line.split(' ').next().unwrap_or_default().to_owned())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
