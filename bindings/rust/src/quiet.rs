//! Keeps the bytes on the wire out of a program's log: ureq writes them to `log` at level TRACE, tokens and client
//! secrets included. What is bridged from `log` to `tracing`, as tracing-subscriber does it, passes by here.

use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    dispatcher::{get_default, with_default},
    level_filters::LevelFilter,
    span,
};

/// Where ureq does so.
const WIRE: &str = "ureq_proto::util";

/// Sends something by ureq; what else it logs goes where all goes.
pub(crate) fn on_the_wire<T>(send: impl FnOnce() -> T) -> T {
    if LevelFilter::current() < LevelFilter::TRACE {
        return send();
    }
    let program = get_default(Dispatch::clone);
    with_default(&Dispatch::new(Quiet(program)), send)
}

/// The program's subscriber, without the bytes on the wire.
struct Quiet(Dispatch);

impl Subscriber for Quiet {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with(WIRE) && self.0.enabled(metadata)
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        self.0.new_span(span)
    }

    fn record(&self, span: &span::Id, values: &span::Record<'_>) {
        self.0.record(span, values);
    }

    fn record_follows_from(&self, span: &span::Id, follows: &span::Id) {
        self.0.record_follows_from(span, follows);
    }

    fn event(&self, event: &Event<'_>) {
        self.0.event(event);
    }

    fn enter(&self, span: &span::Id) {
        self.0.enter(span);
    }

    fn exit(&self, span: &span::Id) {
        self.0.exit(span);
    }

    fn clone_span(&self, id: &span::Id) -> span::Id {
        self.0.clone_span(id)
    }

    fn try_close(&self, id: span::Id) -> bool {
        self.0.try_close(id)
    }
}
