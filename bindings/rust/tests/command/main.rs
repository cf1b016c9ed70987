//! The command, run as people and scripts run it: real processes against a lab.

mod failures;
mod flow;
mod output;
mod stage;
mod store;
