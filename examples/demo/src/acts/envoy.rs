//! A program that knows nothing of OAuth: it calls SMD through Envoy, which has svcauth's filter.

use super::{
    more_calls,
    opening::{arrives, release},
};
use crate::{
    bss::get_from,
    load::Load,
    place::{NODE, Place, plant, tokens_of},
    stage::{Act, Stop},
};
use std::thread;
use svcauth_envoy::{Envoy, Settings};
use svcauth_lab::{Endpoint, Fault, KeyFetch, LabConfig, Service, SmdConfig};

const PROGRAMS: u64 = 32;

pub(crate) fn play(act: &mut Act<'_>) -> Result<(), Stop> {
    let smd = SmdConfig {
        keys: KeyFetch::Always,
        ..SmdConfig::default()
    };
    let place = Place::new(LabConfig {
        smd,
        ..tokens_of(20)
    })?;
    let secret = plant(act, "Envoy's client secret", "envoy-secret-Lw3");
    place.lab.add_client("bss", &secret, "read");
    let refused = || {
        let log = place.lab.log_of(Service::Smd);
        log.iter().filter(|entry| entry.status == Some(401)).count()
    };

    act.say("Envoy starts with examples/envoy/sidecar.yaml and two workers. The secret is in its environment.");
    place.lab.faults().set(Endpoint::Token, Fault::hold());
    let services = [
        (4444, place.lab.address(Service::Issuer)),
        (27779, place.lab.address(Service::Smd)),
    ];
    // The first token may take its time on a busy machine.
    let settings = Settings::example("sidecar.yaml", &services)
        .replace(
            "server_cluster: issuer }",
            "server_cluster: issuer, holding: { wait_s: 60 } }",
        )
        .variable("BSS_SECRET", &secret);
    let envoy = Envoy::try_start(&settings)?;
    let url = format!(
        "http://{}/hsm/v2/State/Components/{NODE}",
        envoy.address("egress")
    );
    let stat = |name: &str| {
        envoy
            .stat(&format!("wasmcustom.svcauth.smd.{name}"))
            .unwrap_or_default()
    };
    act.say(format!(
        "{PROGRAMS} programs call SMD through it, while the server takes its time over the token."
    ));
    arrives(act, &place, Endpoint::Token)?;
    let calls: Vec<_> = (0..PROGRAMS)
        .map(|_| {
            let url = url.clone();
            thread::spawn(move || get_from(&url, None).map(|(status, _)| status))
        })
        .collect();
    act.until("Envoy holds all calls", || stat("held") >= PROGRAMS)?;
    release(&place, Endpoint::Token);
    let answered = calls
        .into_iter()
        .filter_map(|call| call.join().ok())
        .filter(|status| matches!(status, Ok(200)))
        .count() as u64;
    let requests = place.lab.stats().token_requests();
    act.saw(
        answered == PROGRAMS && requests == 1,
        "their calls were held, and went out with the one token that Envoy asked for",
        format!("{answered} times status 200, {requests} token request"),
    );

    act.say("They go on calling. The server forgets its signing key.");
    let load = Load::start(&url);
    more_calls(act, &load, 20)?;
    // No token of the new key comes before one of the old key was refused.
    place.lab.faults().set(Endpoint::Token, Fault::hold());
    place.lab.rotate_signing_key();
    act.until("SMD has refused a token", || refused() > 0)?;
    release(&place, Endpoint::Token);
    more_calls(act, &load, 40)?;
    act.say("The server goes away, and comes back.");
    place.lab.away(Service::Issuer);
    more_calls(act, &load, 40)?;
    place.lab.back(Service::Issuer);
    let load = load.end();
    act.saw(
        load.failed == 0 && load.calls > 0,
        "no program noticed",
        format!("{} calls, {} failed", load.calls, load.failed),
    );
    let refused = refused() as u64;
    act.until("Envoy has counted", || stat("retries") >= refused)?;
    let retried = stat("retries");
    act.saw(
        refused > 0 && retried == refused,
        "each refused call was made once more, by Envoy",
        format!("SMD refused {refused}, Envoy made {retried} again"),
    );

    act.say("Alice calls with her own token.");
    let alice = place.lab.user_token("alice", &["read"], 600);
    act.plant("Alice's token for Envoy", &alice);
    let (status, _) = get_from(&url, Some(&alice))?;
    let log = place.lab.log_of(Service::Smd);
    let sub = log.last().and_then(|entry| entry.sub.clone());
    let sub = sub.unwrap_or_default();
    act.saw(
        status == 200 && sub == "alice",
        "SMD saw Alice",
        format!("status {status}, sub {sub}"),
    );
    act.overhear(&envoy.log());
    act.overhear(&envoy.admin("/config_dump").text());
    act.overhear(&envoy.admin("/stats").text());
    Ok(())
}
