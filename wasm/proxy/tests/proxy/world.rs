//! A proxy in memory: worker threads with one filter each, shared data between them, and requests on their way.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};
use svcauth_core::Now;
use svcauth_proxy::{Action, CallFailure, Filter, Host, Map, MetricKind, Reply, Severity, Shared};

pub(crate) const WALL: u64 = 1_800_000_000_000;

/// What all threads have in common.
#[derive(Default)]
pub(crate) struct Common {
    pub(crate) now: u64,
    pub(crate) shared: BTreeMap<String, (Vec<u8>, u32)>,
    pub(crate) version: u32,
    pub(crate) contexts: u32,
    pub(crate) calls: u32,
    pub(crate) metrics: BTreeMap<String, u64>,
    pub(crate) log: Vec<(Severity, String)>,
    /// Whether the proxy refuses to write headers.
    pub(crate) headers_fail: bool,
}

/// A request, as its context sees it.
#[derive(Default)]
pub(crate) struct Request {
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) response: BTreeMap<String, String>,
    pub(crate) properties: BTreeMap<String, String>,
    pub(crate) reply: Option<Reply>,
    /// Whether it went on to the service.
    pub(crate) went_on: bool,
    pub(crate) since: u64,
}

/// A request to the authorization server.
pub(crate) struct Call {
    pub(crate) id: u32,
    pub(crate) root: u32,
    pub(crate) cluster: String,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
    until: u64,
}

/// One thread of the proxy.
pub(crate) struct Proxy {
    pub(crate) common: Rc<RefCell<Common>>,
    pub(crate) requests: BTreeMap<u32, Request>,
    roots: BTreeSet<u32>,
    current: u32,
    pub(crate) calls: Vec<Call>,
    answer: (Vec<(String, String)>, Vec<u8>),
    /// When each configuration's tick comes, and how often.
    ticks: BTreeMap<u32, (u64, u64)>,
    metrics: Vec<String>,
    pub(crate) clusters: Vec<&'static str>,
    pub(crate) variables: BTreeMap<&'static str, &'static str>,
}

impl Host for Proxy {
    fn now(&mut self) -> Now {
        let mono_ms = self.common.borrow().now;
        Now {
            mono_ms,
            wall_ms: WALL + mono_ms,
        }
    }

    fn mono_ms(&mut self) -> u64 {
        self.common.borrow().now
    }

    fn log(&mut self, severity: Severity, line: &str) {
        self.common.borrow_mut().log.push((severity, line.into()));
    }

    fn random(&mut self, bytes: &mut [u8]) -> bool {
        let mut common = self.common.borrow_mut();
        common.contexts += 1;
        bytes.fill(common.contexts as u8);
        true
    }

    fn variable(&mut self, name: &str) -> Option<Vec<u8>> {
        self.variables
            .get(name)
            .map(|value| value.as_bytes().to_vec())
    }

    fn header(&mut self, map: Map, name: &str) -> Option<Vec<u8>> {
        let request = self.requests.get(&self.current)?;
        let headers = match map {
            Map::Request => &request.headers,
            Map::Response => &request.response,
        };
        headers.get(name).map(|value| value.as_bytes().to_vec())
    }

    fn set_header(&mut self, map: Map, name: &str, value: &str) -> bool {
        if self.common.borrow().headers_fail {
            return false;
        }
        let Some(request) = self.requests.get_mut(&self.current) else {
            return false;
        };
        let headers = match map {
            Map::Request => &mut request.headers,
            Map::Response => &mut request.response,
        };
        headers.insert(name.into(), value.into());
        true
    }

    fn add_header(&mut self, map: Map, name: &str, value: &str) -> bool {
        let before = self.header(map, name);
        let before = before.map(|value| String::from_utf8(value).unwrap() + ",");
        self.set_header(map, name, &(before.unwrap_or_default() + value))
    }

    fn property(&mut self, path: &str) -> Option<Vec<u8>> {
        let request = self.requests.get(&self.current)?;
        request
            .properties
            .get(path)
            .map(|value| value.as_bytes().to_vec())
    }

    fn set_property(&mut self, path: &str, value: &str) -> bool {
        match self.requests.get_mut(&self.current) {
            Some(request) => {
                request.properties.insert(path.into(), value.into());
                true
            }
            None => false,
        }
    }

    fn enter(&mut self, context: u32) -> bool {
        let known = self.requests.contains_key(&context) || self.roots.contains(&context);
        if known {
            self.current = context;
        }
        known
    }

    fn resume(&mut self) -> bool {
        match self.requests.get_mut(&self.current) {
            Some(request) => {
                assert!(!request.went_on, "a request goes on once");
                assert!(request.reply.is_none(), "what is answered does not go on");
                request.went_on = true;
                true
            }
            None => false,
        }
    }

    fn respond(&mut self, reply: &Reply) -> bool {
        let Some(request) = self.requests.get_mut(&self.current) else {
            return false;
        };
        assert!(
            request.reply.is_none() && !request.went_on,
            "a request is answered once"
        );
        request.reply = Some(reply.clone());
        true
    }

    fn tick_every(&mut self, milliseconds: u32) -> bool {
        let root = self.root_of_current();
        let period = u64::from(milliseconds);
        let at = self.common.borrow().now + period;
        self.ticks.insert(root, (at, period));
        true
    }

    fn call(
        &mut self,
        cluster: &str,
        headers: &[(&str, &str)],
        body: &[u8],
        timeout_ms: u32,
    ) -> Result<u32, CallFailure> {
        assert!(
            self.roots.contains(&self.current),
            "a request's callback sends nothing"
        );
        if !self.clusters.contains(&cluster) {
            return Err(CallFailure::Refused);
        }
        let mut common = self.common.borrow_mut();
        common.calls += 1;
        self.calls.push(Call {
            id: common.calls,
            root: self.current,
            cluster: cluster.into(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
            body: String::from_utf8(body.to_vec()).unwrap(),
            until: common.now + u64::from(timeout_ms),
        });
        Ok(common.calls)
    }

    fn answer_headers(&mut self) -> Vec<(String, String)> {
        self.answer.0.clone()
    }

    fn answer_body(&mut self, most: usize) -> Vec<u8> {
        self.answer.1.iter().take(most).copied().collect()
    }

    fn shared(&mut self, key: &str) -> Option<(Vec<u8>, u32)> {
        self.common.borrow().shared.get(key).cloned()
    }

    fn share(&mut self, key: &str, value: &[u8], version: Option<u32>) -> Shared {
        let mut common = self.common.borrow_mut();
        if common.shared.get(key).map(|(_, version)| *version) != version {
            return Shared::Conflict;
        }
        common.version += 1;
        let record = (value.to_vec(), common.version);
        common.shared.insert(key.into(), record);
        Shared::Written
    }

    fn metric(&mut self, _kind: MetricKind, name: &str) -> Option<u32> {
        self.metrics.push(name.into());
        Some(self.metrics.len() as u32 - 1)
    }

    fn add(&mut self, metric: u32, by: u64) {
        let name = self.metrics[metric as usize].clone();
        *self.common.borrow_mut().metrics.entry(name).or_default() += by;
    }

    fn record(&mut self, metric: u32, value: u64) {
        let name = self.metrics[metric as usize].clone();
        self.common.borrow_mut().metrics.insert(name, value);
    }
}

impl Proxy {
    fn root_of_current(&self) -> u32 {
        match self.requests.get(&self.current) {
            Some(request) => request.properties["root"].parse().unwrap(),
            None => self.current,
        }
    }
}

/// A thread with its filter.
pub(crate) struct Worker {
    pub(crate) proxy: Proxy,
    pub(crate) filter: Filter,
}

pub(crate) struct World {
    pub(crate) common: Rc<RefCell<Common>>,
    pub(crate) workers: Vec<Worker>,
}

impl World {
    pub(crate) fn new(workers: usize) -> World {
        let common = Rc::new(RefCell::new(Common {
            now: 1_000,
            ..Common::default()
        }));
        let mut world = World {
            common,
            workers: vec![],
        };
        for _ in 0..workers {
            world.workers.push(Worker {
                proxy: Proxy {
                    common: Rc::clone(&world.common),
                    requests: BTreeMap::new(),
                    roots: BTreeSet::new(),
                    current: 0,
                    calls: vec![],
                    answer: (vec![], vec![]),
                    ticks: BTreeMap::new(),
                    metrics: vec![],
                    clusters: vec!["hydra"],
                    variables: [("BSS_SECRET", "the-client-secret")].into(),
                },
                filter: Filter::default(),
            });
        }
        world
    }

    /// The same configuration in every thread; its context in each.
    pub(crate) fn configure(&mut self, document: &str) -> Vec<u32> {
        let workers = 0..self.workers.len();
        workers
            .map(|at| self.try_configure(at, document.as_bytes()).expect("valid"))
            .collect()
    }

    pub(crate) fn try_configure(&mut self, at: usize, bytes: &[u8]) -> Option<u32> {
        let root = self.number();
        let Worker { proxy, filter } = &mut self.workers[at];
        proxy.roots.insert(root);
        proxy.current = root;
        filter.create(root, 0);
        filter.configure(root, bytes, proxy).then_some(root)
    }

    pub(crate) fn number(&mut self) -> u32 {
        let mut common = self.common.borrow_mut();
        common.contexts += 1;
        common.contexts
    }

    /// A request comes; its context, and what becomes of it at first.
    pub(crate) fn request(
        &mut self,
        at: usize,
        root: u32,
        headers: &[(&str, &str)],
    ) -> (u32, Action) {
        self.request_with(at, root, headers, &[])
    }

    pub(crate) fn request_with(
        &mut self,
        at: usize,
        root: u32,
        headers: &[(&str, &str)],
        properties: &[(&str, &str)],
    ) -> (u32, Action) {
        let context = self.number();
        let now = self.common.borrow().now;
        let owned = |pairs: &[(&str, &str)]| {
            pairs
                .iter()
                .map(|(a, b)| ((*a).into(), (*b).into()))
                .collect()
        };
        let Worker { proxy, filter } = &mut self.workers[at];
        let mut request = Request {
            headers: owned(headers),
            properties: owned(properties),
            since: now,
            ..Request::default()
        };
        request.properties.insert("root".into(), root.to_string());
        proxy.requests.insert(context, request);
        proxy.current = context;
        filter.create(context, root);
        let action = filter.request(context, proxy);
        if action == Action::Continue {
            proxy.requests.get_mut(&context).unwrap().went_on = true;
        }
        (context, action)
    }

    /// The service answers.
    pub(crate) fn respond(&mut self, at: usize, context: u32, headers: &[(&str, &str)]) {
        let Worker { proxy, filter } = &mut self.workers[at];
        let request = proxy.requests.get_mut(&context).unwrap();
        request.response = headers
            .iter()
            .map(|(a, b)| ((*a).into(), (*b).into()))
            .collect();
        proxy.current = context;
        filter.response(context, proxy);
        assert_eq!(proxy.current, context, "it ends where it began");
    }

    /// A request ends, or its caller goes away.
    pub(crate) fn end(&mut self, at: usize, context: u32) -> Request {
        let Worker { proxy, filter } = &mut self.workers[at];
        filter.delete(context, proxy);
        proxy.roots.remove(&context);
        proxy.ticks.remove(&context);
        proxy.requests.remove(&context).unwrap_or_default()
    }

    /// The attempt after a 401: another context with the same headers.
    pub(crate) fn again(&mut self, at: usize, root: u32, context: u32) -> (u32, Action) {
        let before = self.end(at, context);
        let headers: Vec<(&str, &str)> = before.headers.iter().map(|(a, b)| (&**a, &**b)).collect();
        self.request(at, root, &headers)
    }

    /// Time passes, and with it the ticks.
    pub(crate) fn pass(&mut self, milliseconds: u64) {
        let end = self.common.borrow().now + milliseconds;
        loop {
            let ticks = self.workers.iter().enumerate().flat_map(|(at, worker)| {
                let ticks = worker.proxy.ticks.iter();
                ticks.map(move |(root, (due, _))| (*due, at, *root))
            });
            let tick = ticks.min().filter(|(due, ..)| *due <= end);
            let late = self.under_way().into_iter().find(|(at, place)| {
                let until = self.workers[*at].proxy.calls[*place].until;
                until <= tick.map_or(end, |(due, ..)| due)
            });
            if let Some((at, place)) = late {
                let until = self.workers[at].proxy.calls[place].until;
                let mut common = self.common.borrow_mut();
                common.now = common.now.max(until);
                drop(common);
                self.answer_to(at, place, &[], b"");
                continue;
            }
            let Some((due, at, root)) = tick else {
                break;
            };
            let mut common = self.common.borrow_mut();
            common.now = common.now.max(due);
            drop(common);
            self.tick(at, root);
        }
        self.common.borrow_mut().now = end;
    }

    pub(crate) fn tick(&mut self, at: usize, root: u32) {
        let now = self.common.borrow().now;
        let Worker { proxy, filter } = &mut self.workers[at];
        if let Some((due, period)) = proxy.ticks.get_mut(&root) {
            *due = now + (*period).max(1);
        }
        proxy.current = root;
        filter.tick(root, proxy);
        if proxy.ticks.contains_key(&root) {
            assert_eq!(proxy.current, root, "it ends where it began");
        }
    }

    /// The calls under way: the thread and the place in its list.
    pub(crate) fn under_way(&self) -> Vec<(usize, usize)> {
        let workers = self.workers.iter().enumerate();
        workers
            .flat_map(|(at, worker)| (0..worker.proxy.calls.len()).map(move |place| (at, place)))
            .collect()
    }

    /// The authorization server answers the first call under way.
    pub(crate) fn answer(&mut self, status: &str, body: &str) {
        let headers = [(":status", status), ("content-type", "application/json")];
        self.answer_with(&headers, body.as_bytes());
    }

    pub(crate) fn answer_with(&mut self, headers: &[(&str, &str)], body: &[u8]) {
        let (at, place) = self.under_way()[0];
        self.answer_to(at, place, headers, body);
    }

    fn answer_to(&mut self, at: usize, place: usize, headers: &[(&str, &str)], body: &[u8]) {
        let Worker { proxy, filter } = &mut self.workers[at];
        let call = proxy.calls.remove(place);
        proxy.answer = (
            headers
                .iter()
                .map(|(a, b)| ((*a).into(), (*b).into()))
                .collect(),
            body.to_vec(),
        );
        proxy.current = call.root;
        filter.answered(call.root, call.id, headers.len(), body.len(), proxy);
    }

    pub(crate) fn grant(&mut self, token: &str, lifetime_s: u64) {
        let body = format!(
            r#"{{"access_token":"{token}","token_type":"bearer","expires_in":{lifetime_s}}}"#
        );
        self.answer("200", &body);
    }

    pub(crate) fn see(&self, at: usize, context: u32) -> &Request {
        &self.workers[at].proxy.requests[&context]
    }

    pub(crate) fn carries(&self, at: usize, context: u32) -> Option<&str> {
        self.see(at, context)
            .headers
            .get("authorization")
            .map(String::as_str)
    }

    pub(crate) fn code(&self, at: usize, context: u32) -> &str {
        let reply = self.see(at, context).reply.as_ref();
        reply.map_or("", |reply| &reply.details)
    }

    pub(crate) fn counted(&mut self, name: &str) -> u64 {
        self.pass(1_100);
        self.common
            .borrow()
            .metrics
            .get(name)
            .copied()
            .unwrap_or_default()
    }

    pub(crate) fn logged(&self, part: &str) -> usize {
        self.common
            .borrow()
            .log
            .iter()
            .filter(|(_, line)| line.contains(part))
            .count()
    }

    /// No log, metric, reply or audit line may hold any of these.
    pub(crate) fn assert_hidden(&self, secrets: &[&str]) {
        let common = self.common.borrow();
        for secret in secrets {
            for (_, line) in &common.log {
                assert!(!line.contains(secret), "{line}");
            }
            for name in common.metrics.keys() {
                assert!(!name.contains(secret), "{name}");
            }
            for worker in &self.workers {
                for request in worker.proxy.requests.values() {
                    assert!(
                        !format!("{:?} {:?}", request.reply, request.properties).contains(secret)
                    );
                }
            }
        }
    }
}
