//! What svcauth does for a service, told step by step on the embedded lab.
//!
//! The lab stands in for the authorization server (as Ory Hydra answers) and for SMD. The service is a small
//! BSS: whoever asks it for a boot script makes it ask SMD, with a token that svcauth looks after. Every figure
//! in the story is read from the lab's counters and log or from the client's events.

mod acts;
mod bss;
mod heard;
mod load;
mod place;
mod program;
mod screen;
mod served;
mod stage;

use acts::*;
use stage::Stage;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut stage = Stage::open();
    stage.say("svcauth: a service calls another one, with the right token.");
    stage.say(
        "BSS asks SMD about a node for each boot script. Both are on this machine, and so is the",
    );
    stage.say("authorization server. A ✓ is something that was observed.");

    let first = stage.act("register", "BSS was never seen before", register::play);
    let first = stage.next(
        first,
        "authorize",
        "the step that older set-ups ask for",
        authorize::play,
    );
    let first = stage.next(first, "token", "BSS asks for its first token", token::play);
    let first = stage.next(first, "call", "and the call goes out", call::play);
    stage.next(first, "restart", "BSS is started anew", restart::play);

    stage.act("refresh", "short-lived tokens under load", refresh::play);
    stage.act("new key", "all tokens die at once", new_key::play);
    stage.act(
        "stale keys",
        "SMD does not know the new key yet",
        stale_keys::play,
    );
    stage.act(
        "rotation",
        "the secret is replaced under load",
        rotation::play,
    );
    stage.act("outage", "the authorization server is away", outage::play);

    stage.act("user", "a user's token is passed on", user::play);
    stage.act(
        "elsewhere",
        "no token goes where it does not belong",
        elsewhere::play,
    );
    stage.act("audit", "who called what", audit::play);
    stage.act(
        "command",
        "the same in four lines of a shell",
        command::play,
    );
    stage.act("go", "a service in Go, built without cgo", go::without_cgo);
    stage.act("go and C", "the same, linked to libsvcauth", go::with_cgo);
    stage.act("C", "a program in C, with libcurl", c::play);
    stage.act(
        "python",
        "a service in Python, with the standard library",
        scripting::python,
    );
    stage.act(
        "node",
        "a service in JavaScript, with Node",
        scripting::node,
    );
    stage.act("envoy", "a program that knows nothing of it", envoy::play);
    stage.act("secrets", "nothing above tells one", secrets::play);
    stage.close()
}
