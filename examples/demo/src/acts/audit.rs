//! Both sides wrote down who called what, and they agree.

use crate::{
    bss::get_from,
    heard::Call,
    place::{Place, tokens_of},
    stage::{Act, Stop},
};
use serde_json::json;
use svcauth_lab::{LogEntry, Service};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(600))?;
    let bss = place.start_known_bss(act, json!({}))?;
    act.say("Two nodes boot, Alice and Carol ask for boot parameters, and one asks for a node that is not there.");
    for node in ["x0c0s0b0n0", "x0c0s0b0n1"] {
        get_from(&bss.script_url(node), None)?;
    }
    for (user, node) in [
        ("alice", "x0c0s0b0n2"),
        ("carol", "x0c0s0b0n3"),
        ("carol", "x9"),
    ] {
        let token = place.lab.user_token(user, &["read"], 600);
        act.plant(format!("{user}'s token"), &token);
        get_from(&bss.parameters_url(node), Some(&token))?;
    }
    let (log, calls) = (place.lab.log_of(Service::Smd), bss.heard().calls());
    act.say("SMD's log, and what BSS's events say of the same call:");
    act.show(
        "node         SMD: status  subject  client       BSS: status  subject  client      kind",
    );
    let mut agreed = 0;
    for (entry, call) in log.iter().zip(&calls) {
        agreed += usize::from(agree(entry, call));
        act.show(&format!(
            "{:<17} {:<7} {:<8} {:<17} {:<7} {:<8} {:<11} {}",
            call.node(),
            entry.status.unwrap_or_default(),
            name(&entry.sub),
            name(&entry.client_id),
            call.status.unwrap_or_default(),
            name(&call.subject),
            name(&call.client_id),
            call.kind,
        ));
    }
    act.saw(
        log.len() == 5 && calls.len() == 5 && agreed == 5,
        "they agree in every line",
        format!(
            "{} calls in SMD's log, {} events, {agreed} alike",
            log.len(),
            calls.len()
        ),
    );
    let kinds: Vec<_> = calls.iter().map(|call| call.kind).collect();
    act.saw(
        kinds == ["service", "service", "user", "user", "user"],
        "each call says in whose name it was made",
        kinds.join(", "),
    );
    Ok(())
}

fn agree(entry: &LogEntry, call: &Call) -> bool {
    (
        &entry.method,
        &entry.path,
        entry.status,
        &entry.sub,
        &entry.client_id,
    ) == (
        &call.method,
        &call.path,
        call.status,
        &call.subject,
        &call.client_id,
    ) && entry.sub.is_some()
        && entry.client_id.is_some()
}

fn name(name: &Option<String>) -> &str {
    name.as_deref().unwrap_or("-")
}
