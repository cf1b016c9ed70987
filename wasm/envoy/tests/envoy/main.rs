//! svcauth's filter in the real Envoy, against the lab.

mod examples;
mod image;
mod input;
mod native;
mod outage;
mod planted;
mod rejected;
mod replaced;
mod rotation;
mod soak;
mod stage;
mod start;
mod users;
