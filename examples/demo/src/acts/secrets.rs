//! All that was shown and all events are searched for secrets.

use crate::{
    place::PLANTED,
    stage::{Act, Stop},
};

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let events = act.events();
    let mut told = act.said();
    for event in &events {
        told.push_str(&format!("{event:?}\n{}\n", serde_json::to_string(event)?));
    }
    act.say("Every secret that was made up, given or issued is looked for in the text above, in the clients' events");
    act.say("and in what the command said; and so is whatever looks like one.");
    let secrets: Vec<(String, String)> = act
        .planted()
        .iter()
        .map(|planted| (planted.what.clone(), planted.secret.clone()))
        .collect();
    let short = secrets
        .iter()
        .filter(|(_, secret)| secret.len() < 8)
        .count();
    let found: Vec<&str> = secrets
        .iter()
        .filter(|(_, secret)| told.contains(secret.as_str()))
        .map(|(what, _)| what.as_str())
        .collect();
    act.saw(
        found.is_empty() && short == 0 && !secrets.is_empty(),
        "none of the secrets is there",
        format!(
            "{} secrets, {} found{}",
            secrets.len(),
            found.len(),
            list(&found)
        ),
    );
    for (start, what) in [
        (PLANTED, "a made-up secret, or a part of one"),
        ("eyJ", "a JSON Web Token"),
        ("Bearer ey", "a header with a token"),
        ("Basic ", "a header with a secret"),
    ] {
        let count = told.matches(start).count();
        act.saw(
            count == 0,
            &format!("nothing looks like {what}"),
            format!("{count} found"),
        );
    }
    // What is certainly there must be found, or the search is worth nothing.
    let calls = told.matches("client_id").count();
    let kilobytes = told.len() / 1024;
    act.saw(
        calls > 0 && !events.is_empty(),
        "the search finds what is there",
        format!(
            "{kilobytes} kB and {} events searched, \"client_id\" found {calls} times",
            events.len()
        ),
    );
    Ok(())
}

fn list(found: &[&str]) -> String {
    if found.is_empty() {
        String::new()
    } else {
        format!(": {}", found.join(", "))
    }
}
