//! Tokens that live a few seconds, and callers that never notice.

use crate::{
    load::{Load, THREADS},
    place::{NODE, Place, early, tokens_of},
    stage::{Act, Stop},
};
use std::time::{Duration, Instant, SystemTime};
use svcauth_lab::Endpoint;

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let place = Place::new(tokens_of(8))?;
    let bss = place.start_known_bss(act, early())?;
    act.say(format!(
        "Tokens live 8 s here. {THREADS} threads ask for boot scripts all the time."
    ));
    bss.client().ready(Duration::from_secs(60))?;
    let lease = bss.client().lease("smd")?;
    let (first, first_expiry) = (lease.id(), lease.expires_at());
    act.plant("a short-lived token", lease.value());
    drop(lease);
    let waited_before = bss.client().stats().waited;
    let (load, started) = (Load::start(&bss.script_url(NODE)), Instant::now());
    act.until("the first token is long dead and three more came", || {
        SystemTime::now() > first_expiry + Duration::from_secs(1)
            && place.lab.stats().tokens_issued() > 3
    })?;
    let lease = bss.client().lease("smd")?;
    let changed = lease.id() != first;
    act.plant("a later short-lived token", lease.value());
    drop(lease);
    let load = load.end();
    let seconds = started.elapsed().as_secs_f64();
    let waited = bss.client().stats().waited - waited_before;
    let stats = place.lab.stats();
    let tokens = stats.token_requests();

    act.saw(
        changed,
        "the first token has expired, and another one is in use",
        format!("{seconds:.1} s of load"),
    );
    act.saw(
        load.failed == 0 && load.calls > 0,
        "no call failed",
        load.seen(),
    );
    let statuses = stats.endpoint(Endpoint::Smd).answers;
    act.saw(
        statuses.keys().eq(&[200]),
        "SMD never saw a token that was not good",
        format!("its answers by status: {statuses:?}"),
    );
    act.saw(
        waited == 0,
        "after the first token nobody waited for one",
        format!("{waited} of {} calls", load.calls),
    );
    // A refresh comes no sooner than a second after the one before.
    let most = 2 + (seconds + 1.0) as u64;
    act.saw(
        tokens >= 4 && tokens <= most,
        "a token request now and then, whatever the load",
        format!("{tokens} token requests for {} calls", load.calls),
    );
    let at_once = stats.endpoint(Endpoint::Token).in_flight_max;
    act.saw(
        at_once == 1,
        "never two of them at once",
        format!("{at_once} at the most"),
    );
    let expired = bss.heard().count("lease_expired");
    act.saw(
        expired == 0,
        "none came too late",
        format!("{expired} events lease_expired"),
    );
    Ok(())
}
