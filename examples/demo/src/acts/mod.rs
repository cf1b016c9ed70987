//! The story, one file an act. The first five follow one request from a service without credentials to a boot
//! script; each of the others has a lab and a BSS of its own.

pub(crate) mod audit;
pub(crate) mod authorize;
pub(crate) mod c;
pub(crate) mod call;
pub(crate) mod command;
pub(crate) mod elsewhere;
pub(crate) mod envoy;
pub(crate) mod go;
pub(crate) mod new_key;
mod opening;
pub(crate) mod outage;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod restart;
pub(crate) mod rotation;
pub(crate) mod scripting;
pub(crate) mod secrets;
pub(crate) mod stale_keys;
pub(crate) mod token;
pub(crate) mod user;

use crate::{
    load::Load,
    stage::{Act, Stop},
};

/// Waits until the load has gone on for `calls` more calls.
fn more_calls(act: &mut Act<'_>, load: &Load, calls: u64) -> Result<(), Stop> {
    let goal = load.calls() + calls;
    act.until("more boot scripts were asked for", || load.calls() >= goal)
}
