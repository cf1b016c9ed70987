//! The events that a client told.

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
};
use svcauth::Event;

#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Mutex<Vec<Event>>>);

impl Heard {
    pub(crate) fn listener(&self) -> impl Fn(&Event) + Send + Sync + 'static {
        let heard = self.clone();
        move |event| heard.with(|events| events.push(event.clone()))
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.with(|events| events.clone())
    }

    pub(crate) fn count(&self, name: &str) -> usize {
        self.with(|events| events.iter().filter(|event| event.name() == name).count())
    }

    /// The latest event of that name.
    pub(crate) fn last(&self, name: &str) -> Option<Event> {
        self.with(|events| events.iter().rfind(|event| event.name() == name).cloned())
    }

    /// The calls, oldest first.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.all().iter().filter_map(Call::of).collect()
    }

    fn with<R>(&self, look: impl FnOnce(&mut Vec<Event>) -> R) -> R {
        look(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The event of one call, with the path in place of the URL.
pub(crate) struct Call {
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) status: Option<u16>,
    pub(crate) kind: &'static str,
    pub(crate) subject: Option<String>,
    pub(crate) client_id: Option<String>,
    pub(crate) retried: bool,
}

impl Call {
    fn of(event: &Event) -> Option<Call> {
        let Event::Call {
            method,
            url,
            status,
            kind,
            subject,
            client_id,
            retried,
            ..
        } = event
        else {
            return None;
        };
        let after_scheme = url.split_once("://").map_or(url.as_str(), |(_, rest)| rest);
        let path = after_scheme
            .find('/')
            .map_or("/", |start| &after_scheme[start..]);
        Some(Call {
            method: method.clone(),
            path: path.to_owned(),
            status: *status,
            kind,
            subject: subject.clone(),
            client_id: client_id.clone(),
            retried: *retried,
        })
    }

    /// The last part of the path: the node.
    pub(crate) fn node(&self) -> &str {
        Path::new(&self.path)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or_default()
    }
}
