//! What happened, told to `tracing` and to the program's own function.

use crate::sync::lock;
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
};
use svcauth_core::{Event, Level};

pub(crate) type Listener = Arc<dyn Fn(&Event) + Send + Sync>;

/// Events wait here until a worker tells them, one after the other: a slow listener holds up no caller.
pub(crate) struct Events {
    listener: Option<Listener>,
    waiting: Mutex<VecDeque<Event>>,
    telling: AtomicBool,
    dropped: AtomicU64,
}

impl Events {
    pub(crate) fn new(listener: Option<Listener>) -> Events {
        Events {
            listener,
            waiting: Mutex::default(),
            telling: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
        }
    }

    pub(crate) fn push(&self, event: Event) {
        /// A listener that hangs must not take all memory.
        const MOST: usize = 4096;
        let mut waiting = lock(&self.waiting);
        if waiting.len() < MOST {
            waiting.push_back(event);
        } else {
            self.dropped.fetch_add(1, SeqCst);
        }
    }

    pub(crate) fn are_waiting(&self) -> bool {
        !self.telling.load(SeqCst) && !lock(&self.waiting).is_empty()
    }

    /// Events that nobody was told, because the listener was too slow.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(SeqCst)
    }

    /// Tells what waits, unless another thread is at it.
    pub(crate) fn emit(&self) {
        while !lock(&self.waiting).is_empty() && !self.telling.swap(true, SeqCst) {
            loop {
                // The lock is not held while the listener runs: it may call back.
                let Some(event) = lock(&self.waiting).pop_front() else {
                    break;
                };
                self.tell(&event);
            }
            self.telling.store(false, SeqCst);
        }
    }

    /// Whether anybody listens to events of calls.
    pub(crate) fn are_heard(&self) -> bool {
        self.listener.is_some() || tracing::enabled!(target: "svcauth", tracing::Level::INFO)
    }

    /// Tells one event on this thread. A listener that panics has heard it.
    pub(crate) fn tell(&self, event: &Event) {
        let _ = catch_unwind(AssertUnwindSafe(|| {
            trace(event);
            if let Some(listener) = &self.listener {
                listener(event);
            }
        }));
    }
}

/// The event's own fields, at its level; the message is its name.
macro_rules! say {
    ($event:expr, $($fields:tt)*) => {
        match $event.level() {
            Level::Error => tracing::error!(target: "svcauth", $($fields)*, "{}", $event.name()),
            Level::Warn => tracing::warn!(target: "svcauth", $($fields)*, "{}", $event.name()),
            _ => tracing::info!(target: "svcauth", $($fields)*, "{}", $event.name()),
        }
    };
}

fn trace(event: &Event) {
    let name = event.name();
    match event {
        Event::TokenRequested {
            target,
            grant,
            client_id,
            subject,
        } => {
            let subject = subject.map(tracing::field::display);
            say!(event, event = name, target = %target, grant, client_id, subject);
        }
        Event::TokenReceived {
            target,
            lease,
            lifetime_s,
            scopes,
            client_id,
            subject,
        } => {
            let (scopes, subject) = (scopes.join(" "), subject.map(tracing::field::display));
            say!(event, event = name, target = %target, lease = %lease, lifetime_s, scopes, client_id, subject);
        }
        Event::LeaseAdopted {
            target,
            lease,
            remaining_s,
            client_id,
        } => {
            say!(event, event = name, target = %target, lease = %lease, remaining_s, client_id);
        }
        Event::ScopeReduced { target, missing } => {
            say!(event, event = name, target = %target, missing = missing.join(" "));
        }
        Event::RefreshFailed {
            target,
            error,
            retry_in_s,
            needs_action,
            serving,
        } => {
            say!(event, event = name, target = %target, error = %error, code = error.code().as_str(), retry_in_s, needs_action, serving);
        }
        Event::Rejected {
            target,
            lease,
            action,
        } => {
            say!(event, event = name, target = %target, lease = %lease, action);
        }
        Event::SuspectRestored { target, lease } | Event::LeaseExpired { target, lease } => {
            say!(event, event = name, target = %target, lease = %lease);
        }
        Event::AbsoluteExpiry { target }
        | Event::ContentTypeMismatch { target }
        | Event::ClockStep { target }
        | Event::UserTokenMissing { target } => say!(event, event = name, target = %target),
        Event::CredentialPromoted {
            client_id,
            position,
        } => say!(event, event = name, client_id, position),
        Event::SecretUnavailable { error } | Event::StoreFailed { error } => {
            say!(event, event = name, error = %error, code = error.code().as_str());
        }
        Event::ManagementUriRefused { client_id, error } => {
            say!(event, event = name, client_id, error = %error, code = error.code().as_str());
        }
        Event::SecretChanged { client_id }
        | Event::Registered { client_id }
        | Event::RegistrationLoaded { client_id }
        | Event::RegistrationRenewed { client_id } => say!(event, event = name, client_id),
        Event::MetadataReceived { issuer } => say!(event, event = name, issuer),
        Event::MetadataFailed { error, retry_in_s }
        | Event::RegistrationFailed { error, retry_in_s } => {
            say!(event, event = name, error = %error, code = error.code().as_str(), retry_in_s);
        }
        Event::ClientSecretExpiring {
            client_id,
            expires_at,
        } => say!(event, event = name, client_id, expires_at),
        Event::AuthorizationAnswered { kind, error } => say!(event, event = name, kind, error),
        Event::RefreshTokenDropped { target, reason } => {
            say!(event, event = name, target = %target, reason)
        }
        Event::LateOutcome { task } => say!(event, event = name, task),
        Event::Call {
            target,
            method,
            url,
            status,
            kind,
            subject,
            client_id,
            retried,
        } => {
            let target = target.as_ref().map(tracing::field::display);
            say!(
                event,
                event = name,
                target,
                method,
                url,
                status,
                kind,
                subject,
                client_id,
                retried
            );
        }
        _ => say!(event, event = name),
    }
}
