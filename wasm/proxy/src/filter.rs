//! All that happens in one worker thread: which callback belongs to which configuration and request.

use crate::{
    engine::{self, Carried, Engine},
    host::{Host, Map, Severity},
    metrics::{Counter, Metrics},
    reply::Reply,
    settings::{Audience, Role, Settings},
};
use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasherDefault, Hasher},
};
use svcauth_core::{
    Code, Error,
    client::{Calls, Decision, Lease, TargetId},
};

/// What becomes of a request's headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// They go on.
    Continue,
    /// They wait, or are answered.
    Pause,
}

/// The filter in one worker thread.
#[derive(Default)]
pub struct Filter {
    roots: HashMap<u32, Root, Plain>,
    streams: Streams,
    recent: Recent,
}

/// One configuration.
enum Root {
    /// It is not valid.
    Broken(Error),
    Attach(Box<Engine>),
    Retry(Box<Asker>),
}

/// One attempt of a request.
pub(crate) struct Stream {
    root: u32,
    pub(crate) carried: Option<Carried>,
    pub(crate) again: bool,
    pub(crate) held: bool,
}

/// Requests by their context.
#[derive(Default)]
pub(crate) struct Streams(HashMap<u32, Stream, Plain>);

impl Streams {
    pub(crate) fn get_mut(&mut self, context: u32) -> Option<&mut Stream> {
        self.0.get_mut(&context)
    }
}

/// The leases that requests may still carry from an attempt before, of all configurations of this thread.
#[derive(Default)]
pub(crate) struct Recent(VecDeque<Lease>);

impl Recent {
    const MOST: usize = 16;

    pub(crate) fn add(&mut self, lease: &Lease) {
        if self.0.iter().any(|known| known.id() == lease.id()) {
            return;
        }
        if self.0.len() >= Recent::MOST {
            self.0.pop_front();
        }
        self.0.push_back(lease.clone());
    }

    pub(crate) fn has(&self, authorization: &[u8]) -> bool {
        self.0
            .iter()
            .any(|lease| lease.authorization().as_bytes() == authorization)
    }
}

impl Filter {
    /// A context begins: of a configuration where `root` is 0, of a request otherwise.
    pub fn create(&mut self, context: u32, root: u32) {
        if root == 0 {
            let error = Error::new(
                Code::InvalidConfiguration,
                "the plugin has no configuration",
            );
            self.roots.insert(context, Root::Broken(error));
        } else {
            let stream = Stream {
                root,
                carried: None,
                again: false,
                held: false,
            };
            self.streams.0.insert(context, stream);
        }
    }

    /// A configuration comes; whether it is valid.
    pub fn configure(&mut self, root: u32, bytes: &[u8], host: &mut impl Host) -> bool {
        let made = Settings::read(bytes).and_then(|settings| {
            for warning in &settings.warnings {
                host.log(Severity::Warn, &format!("svcauth: {warning}"));
            }
            Ok(match settings.role {
                Role::Attach => Root::Attach(Box::new(Engine::new(root, settings, host)?)),
                Role::Retry => Root::Retry(Box::new(Asker::new(settings, host))),
            })
        });
        let valid = made.is_ok();
        let made = made.unwrap_or_else(|error| {
            host.log(Severity::Error, &engine::line(&error));
            Root::Broken(error)
        });
        self.roots.insert(root, made);
        valid
    }

    /// A request's headers came.
    #[inline]
    pub fn request(&mut self, context: u32, host: &mut impl Host) -> Action {
        let root = self.streams.0.get(&context).map(|stream| stream.root);
        match root.and_then(|root| self.roots.get_mut(&root)) {
            Some(Root::Attach(engine)) => {
                engine.request(context, &mut self.streams, &mut self.recent, host)
            }
            Some(Root::Retry(asker)) => asker.request(host),
            Some(Root::Broken(error)) => engine::answer(host, &Reply::unconfigured(error)),
            None => {
                let error = Error::new(Code::Internal, "the request belongs to no configuration");
                host.log(Severity::Error, &engine::line(&error));
                engine::answer(host, &Reply::unconfigured(&error))
            }
        }
    }

    /// A response's headers came.
    #[inline]
    pub fn response(&mut self, context: u32, host: &mut impl Host) {
        let Some(stream) = self.streams.0.get_mut(&context) else {
            return;
        };
        let Some(carried) = stream.carried else {
            return;
        };
        let again = stream.again;
        if let Some(Root::Attach(engine)) = self.roots.get_mut(&stream.root) {
            engine.response(
                context,
                carried,
                again,
                &mut self.streams,
                &mut self.recent,
                host,
            );
        }
    }

    /// A configuration's tick.
    pub fn tick(&mut self, root: u32, host: &mut impl Host) {
        match self.roots.get_mut(&root) {
            Some(Root::Attach(engine)) => engine.tick(&mut self.streams, &mut self.recent, host),
            Some(Root::Retry(asker)) => asker.metrics.flush(host),
            _ => {}
        }
    }

    /// The answer to a configuration's call came, or it failed: then there are no headers.
    pub fn answered(
        &mut self,
        root: u32,
        call: u32,
        headers: usize,
        body: usize,
        host: &mut impl Host,
    ) {
        if let Some(Root::Attach(engine)) = self.roots.get_mut(&root) {
            engine.answered(
                call,
                headers,
                body,
                &mut self.streams,
                &mut self.recent,
                host,
            );
        }
    }

    /// A context ends.
    #[inline]
    pub fn delete(&mut self, context: u32, host: &mut impl Host) {
        match self.streams.0.remove(&context) {
            Some(stream) if stream.held => {
                if let Some(Root::Attach(engine)) = self.roots.get_mut(&stream.root) {
                    engine.gone(context);
                }
            }
            Some(_) => {}
            None => match self.roots.remove(&context) {
                Some(Root::Attach(mut engine)) => engine.flush(host),
                Some(Root::Retry(mut asker)) => asker.metrics.flush(host),
                _ => {}
            },
        }
    }
}

/// Has the router make calls once more that were answered with 401.
struct Asker {
    audience: Audience,
    calls: Calls,
    targets: Vec<TargetId>,
    metrics: Metrics,
}

impl Asker {
    fn new(settings: Settings, host: &mut impl Host) -> Asker {
        host.tick_every(1_000);
        Asker {
            calls: Calls::of(&settings.config),
            targets: settings.config.target_ids().collect(),
            audience: settings.audience,
            metrics: Metrics::new("retry"),
        }
    }

    #[inline]
    fn request(&mut self, host: &mut impl Host) -> Action {
        let target = engine::target(&self.audience, host).and_then(|index| self.targets.get(index));
        let Some(target) = target else {
            return Action::Continue;
        };
        let authorization = host.header(Map::Request, "authorization");
        let authorization = authorization.as_deref().map(engine::text);
        // That the request was a user's is for the other instance to see.
        if !matches!(
            self.calls.decide_passing(*target, authorization, false),
            Decision::Lease { .. }
        ) {
            self.metrics.count(Counter::Passed);
            return Action::Continue;
        }
        // Added, not set: a request may have reasons of its own for being tried again.
        host.add_header(Map::Request, "x-envoy-retry-on", "retriable-status-codes");
        host.add_header(Map::Request, "x-envoy-retriable-status-codes", "401");
        self.metrics.count(Counter::Asked);
        Action::Continue
    }
}

/// Contexts are numbered one after the other; that is spread enough.
#[derive(Default)]
pub(crate) struct Numbers(u64);

type Plain = BuildHasherDefault<Numbers>;

impl Hasher for Numbers {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.0 = (self.0 ^ u64::from(number)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
