//! The command line: what took four lines of curl takes four short ones.

use super::opening::log_at;
use crate::{
    place::{NODE, Place, tokens_of},
    program::Program,
    stage::{Act, Stop},
};
use serde_json::Value;
use svcauth_lab::{Endpoint, Service};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let svcauth = Program::find("svcauth", "cargo build -p svcauth --features cli")?;
    let place = Place::new(tokens_of(600))?;
    let mut document = place.registering();
    // The second step is a command of its own here.
    document["client"]["registration"]["authorize"] = false.into();
    place.configure(&document)?;
    act.say("A person does it by hand, with such an svcauth.json. Each line is a process of its own; it is run with");
    act.say("--json and -vv, so that the demo can read the answers and hear all there is to hear.");
    let run = |act: &mut Act<'_>, line: &[&str]| {
        act.show(&format!("$ svcauth {}", line.join(" ")));
        let run = svcauth.run(place.folder(), &[&["--json", "-vv"], line].concat())?;
        act.overhear(&run.stderr);
        let code = run.code.map_or("none".into(), |code| code.to_string());
        Ok::<_, Stop>((run.code == Some(0), run.answer, code))
    };

    let (done, answer, code) = run(act, &["register"])?;
    act.overhear(&answer.to_string());
    let client_id = text(&answer["client_id"]).to_owned();
    act.saw(
        done && !client_id.is_empty(),
        "registered",
        format!("exit code {code}, client id {client_id}"),
    );

    let (done, answer, code) = run(act, &["authorize"])?;
    act.overhear(&answer.to_string());
    act.saw(
        done && answer["kind"].is_string(),
        "authorized",
        format!("exit code {code}, kind {}", text(&answer["kind"])),
    );

    let (done, answer, code) = run(act, &["token", "smd"])?;
    let token = text(&answer["access_token"]);
    act.plant("the token that the command printed", token);
    let seen = format!(
        "exit code {code}, {} bytes, good for {} s",
        token.len(),
        answer["expires_in"]
    );
    act.saw(done && !token.is_empty(), "a token", seen);

    let (done, answer, code) = run(
        act,
        &[
            "call",
            &format!("{}/hsm/v2/State/Components/{NODE}", place.lab.smd_url()),
        ],
    )?;
    act.overhear(&answer.to_string());
    let log = place.lab.log_of(Service::Smd);
    let caller = log
        .last()
        .and_then(|entry| entry.client_id.as_deref())
        .unwrap_or_default();
    act.saw(
        done && answer["status"] == 200 && caller == client_id,
        "the call went through",
        format!(
            "exit code {code}, status {}, SMD saw client {caller}",
            answer["status"]
        ),
    );
    let registrations = log_at(&place, Endpoint::Register).len();
    act.saw(
        registrations == 1,
        "all four were the same client",
        format!("{registrations} registration"),
    );
    let saved = place.saved_registration().unwrap_or_default();
    for member in ["client_secret", "registration_access_token"] {
        act.plant(
            format!("the command's {member}"),
            text(&saved["registration"][member]),
        );
    }
    Ok(())
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
