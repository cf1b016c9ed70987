//! What the first acts hand on: one node's request to a BSS that has nothing yet. The lab holds each step of it
//! until the act has looked at it.

use crate::{
    bss::{Bss, get_from},
    place::{NODE, Place},
    stage::{Act, Stop},
};
use serde_json::Value;
use std::{
    sync::mpsc::{self, Receiver},
    thread,
};
use svcauth_lab::{Endpoint, Fault, LogEntry};

pub(crate) struct Opening {
    pub(crate) place: Place,
    pub(crate) document: Value,
    pub(crate) bss: Bss,
    pub(crate) client_id: String,
    pub(crate) answer: Receiver<Result<(u16, String), Stop>>,
}

/// The steps at which the lab waits for the story.
pub(crate) const STEPS: [Endpoint; 3] = [Endpoint::Register, Endpoint::Authorize, Endpoint::Token];

pub(crate) fn hold_each_step(place: &Place) {
    for step in STEPS {
        place.lab.faults().set(step, Fault::hold());
    }
}

/// A node boots: its request waits for its answer on a thread of its own.
pub(crate) fn boot_a_node(bss: &Bss) -> Receiver<Result<(u16, String), Stop>> {
    let (send, receive) = mpsc::channel();
    let url = bss.script_url(NODE);
    thread::spawn(move || send.send(get_from(&url, None)));
    receive
}

/// Waits until a request for this step is at the lab, which holds it.
pub(crate) fn arrives(act: &mut Act<'_>, place: &Place, step: Endpoint) -> Result<(), Stop> {
    act.until(
        &format!("a request to the {step:?} endpoint has arrived"),
        || place.lab.stats().endpoint(step).in_flight > 0,
    )
}

/// The lab answers.
pub(crate) fn release(place: &Place, step: Endpoint) {
    place.lab.faults().clear(step);
}

/// The lab's log of one endpoint.
pub(crate) fn log_at(place: &Place, endpoint: Endpoint) -> Vec<LogEntry> {
    let mut log = place.lab.log();
    log.retain(|entry| entry.endpoint == endpoint);
    log
}
