//! A secret is replaced while everybody is at work.

use super::more_calls;
use crate::{
    load::Load,
    place::{NODE, Place, early, plant, tokens_of},
    stage::{Act, Stop},
};
use serde_json::json;
use std::time::Duration;
use svcauth::Event;
use svcauth_lab::Endpoint;

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(20))?;
    let first = plant(act, "the first of two secrets", "first-secret-Xq7");
    let second = plant(act, "the second of two secrets", "second-secret-Xq7");
    let third = plant(
        act,
        "the secret that replaces the second",
        "third-secret-Xq7",
    );
    place.lab.add_client("bss", &first, "read");
    let first_file = place.write("first-secret", &first)?;
    let second_file = place.write(
        "second-secret",
        &plant(act, "a secret nobody set up", "not-set-up-Xq7"),
    )?;
    let mut document = place.document(early());
    document["client"]["credentials"] = json!([
        { "client_id": "bss", "client_secret": { "file": first_file } },
        { "client_id": "bss", "client_secret": { "file": second_file } },
    ]);
    let bss = place.start_bss(act, &document)?;
    bss.client().ready(Duration::from_secs(60))?;
    let waited_before = bss.client().stats().waited;
    act.say("BSS has two places for its secret; the first one's works. Boot scripts are asked for all the time.");
    act.say("BSS is told to replace its tokens early, so that we need not wait long.");
    let load = Load::start(&bss.script_url(NODE));
    more_calls(act, &load, 20)?;

    act.say("The operator sets up a second secret, puts it into the second file, and revokes the first.");
    place.lab.add_secret("bss", &second, None);
    place.write("second-secret", &second)?;
    place.lab.revoke_secret("bss", Some(&first));
    let Event::CredentialPromoted { position, .. } =
        act.hear(bss.heard(), "credential_promoted", 1)?
    else {
        return Err(Stop::because("an event under a wrong name"));
    };
    let refused = || {
        place
            .lab
            .stats()
            .endpoint(Endpoint::Token)
            .answers
            .get(&401)
            .copied()
            .unwrap_or_default()
    };
    let first_refusals = refused();
    act.saw(
        position == 1 && first_refusals > 0,
        "the server refused the first; BSS tried the second, and prefers it now",
        format!("{first_refusals} refused, event credential_promoted, position {position}"),
    );

    act.say("Some day the second is replaced too: a new content of the same file, and the old one revoked.");
    place.lab.add_secret("bss", &third, None);
    place.write("second-secret", &third)?;
    place.lab.revoke_secret("bss", Some(&second));
    let issued = place.lab.stats().tokens_issued();
    act.until("two more tokens came", || {
        place.lab.stats().tokens_issued() >= issued + 2
    })?;
    more_calls(act, &load, 20)?;
    let changes = bss.heard().count("secret_changed");
    act.saw(
        changes >= 2,
        "BSS saw both files change",
        format!("{changes} events secret_changed"),
    );

    let load = load.end();
    act.saw(
        load.failed == 0,
        "no call failed through all of it",
        load.seen(),
    );
    let waited = bss.client().stats().waited - waited_before;
    act.saw(
        waited == 0,
        "and none had to wait",
        format!("{waited} waited"),
    );
    act.plant(
        "a token under the third secret",
        bss.client().lease("smd")?.value(),
    );
    Ok(())
}
