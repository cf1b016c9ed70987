//! A host in virtual time: it does what a step says, answers what no step is about, and notes what came out.

use super::{
    answer::outcome,
    scenario::Scenario,
    show::{self, Known},
    store::Store,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Debug,
};
use svcauth_core::{
    Client, Config, Error, Event, Now, Secret,
    client::{
        Answered, Call, Capabilities, Completion, Lease, LeaseId, LeaseRecord, LeaseState, Outcome,
        Output, RecordClock, Subject, SubjectId, TargetId, Task, TaskId, TaskKind,
    },
};

/// 2027-01-15T08:00:00Z
const WALL_START: u64 = 1_800_000_000_000;
const MONO_START: u64 = 1_000_000;
/// More than any scenario needs between two steps; a client that spins goes past it.
const MOST_OUTPUTS: usize = 10_000;

/// Members whose text must be seen in no event, error or debug output.
const SECRET_MEMBERS: [&str; 4] = [
    "access_token",
    "refresh_token",
    "client_secret",
    "registration_access_token",
];

pub(crate) struct Clock {
    /// Since the scenario's start, from MONO_START on.
    mono_ms: u64,
    wall_step_ms: i64,
    /// What the client's monotonic clock shows more than that.
    mono_step_ms: i64,
}

impl Clock {
    fn now(&self) -> Now {
        let wall = (WALL_START + self.mono_ms - MONO_START) as i64 + self.wall_step_ms;
        Now {
            mono_ms: (self.mono_ms as i64 + self.mono_step_ms) as u64,
            wall_ms: wall as u64,
        }
    }

    pub(crate) fn since_start(&self, mono_ms: u64) -> i64 {
        mono_ms as i64 - self.mono_step_ms - MONO_START as i64
    }

    pub(crate) fn wall_since_start(&self, wall_ms: u64) -> i64 {
        wall_ms as i64 - WALL_START as i64
    }
}

pub(crate) struct Host<'a> {
    scenario: &'a Scenario,
    client: Client,
    clock: Clock,
    idle_until: Option<u64>,
    secrets: BTreeMap<String, String>,
    store: Store,
    random: u8,
    /// Tasks that steps answer, in the order they came.
    open: Vec<Task>,
    names: BTreeMap<String, TaskId>,
    handed_out: Vec<TaskId>,
    known: Known,
    /// The leases that were announced, by their token, and the records made of them.
    announced: BTreeMap<String, Lease>,
    records: BTreeMap<String, Secret>,
    planted: BTreeSet<String>,
    tasks: Vec<Value>,
    leases: Vec<Value>,
    events: Vec<Value>,
    result: Value,
}

impl<'a> Host<'a> {
    /// # Errors
    /// The client cannot be made with this configuration and these capabilities.
    pub(crate) fn start(scenario: &'a Scenario) -> Result<Host<'a>, Error> {
        let clock = Clock {
            mono_ms: MONO_START,
            wall_step_ms: 0,
            mono_step_ms: 0,
        };
        let client = client(scenario, clock.now())?;
        let mut host = Host {
            scenario,
            client,
            clock,
            idle_until: None,
            secrets: BTreeMap::new(),
            store: Store::default(),
            random: 0,
            open: vec![],
            names: BTreeMap::new(),
            handed_out: vec![],
            known: Known::new(),
            announced: BTreeMap::new(),
            records: BTreeMap::new(),
            planted: BTreeSet::new(),
            tasks: vec![],
            leases: vec![],
            events: vec![],
            result: Value::Null,
        };
        host.change_secrets(&scenario.secrets);
        host.store.change(&scenario.store, MONO_START);
        Ok(host)
    }

    /// Does one step; what came out of it.
    pub(crate) fn step(&mut self, step: &Value) -> Result<Value, String> {
        check_members(step)?;
        self.clear();
        if let Some(at) = step["at"].as_u64() {
            self.advance(MONO_START + at, step["asleep"] == true)?;
        }
        self.clock.wall_step_ms += step["wall_step"].as_i64().unwrap_or(0);
        self.change_secrets(&step["secrets"]);
        self.store.change(&step["store"], MONO_START);
        self.learn(step);
        self.result = self.act(step)?;
        self.poll()?;
        Ok(self.seen())
    }

    fn clear(&mut self) {
        self.handed_out.clear();
        self.tasks.clear();
        self.leases.clear();
        self.events.clear();
        self.result = Value::Null;
    }

    /// What has come out since the step began.
    pub(crate) fn seen(&self) -> Value {
        let health: BTreeMap<String, Value> = self
            .client
            .targets()
            .map(|target| (self.name(target), self.health(target)))
            .collect();
        json!({
            "result": self.result,
            "tasks": self.tasks,
            "leases": self.leases,
            "events": self.events,
            "idle_until": self.idle_until.map(|until| until as i64 - MONO_START as i64),
            "store": self.store.show(MONO_START, self.clock.mono_ms),
            "health": health,
            "stats": serde_json::to_value(self.client.stats()).unwrap(),
        })
    }

    /// Gives the tasks of a step the names that it says.
    pub(crate) fn name_tasks(&mut self, step: &Value) {
        let tasks = step["expect"]["tasks"].as_array();
        for (task, id) in tasks.into_iter().flatten().zip(&self.handed_out) {
            if let Some(name) = task["as"].as_str() {
                self.names.insert(name.into(), *id);
            }
        }
    }

    /// Polls at each time on the way that the client asked for; nothing may come of it before the step.
    fn advance(&mut self, to: u64, asleep: bool) -> Result<(), String> {
        if to < self.clock.mono_ms {
            return Err("the step's time is before that of the last step".into());
        }
        while let Some(until) = self.idle_until.filter(|until| *until < to && !asleep) {
            self.clock.mono_ms = until;
            self.poll()?;
            if !(self.tasks.is_empty() && self.leases.is_empty() && self.events.is_empty()) {
                let at = until - MONO_START;
                return Err(format!("something happened before the step, at {at}"));
            }
        }
        self.clock.mono_ms = to;
        Ok(())
    }

    fn act(&mut self, step: &Value) -> Result<Value, String> {
        let now = self.clock.now();
        let user = step["user"].as_str();
        let subject = user.map_or(Subject::Service, Subject::User);
        if let Some(target) = step["token"].as_str() {
            let target = self.target(target)?;
            let state = self.client.token(target, subject, now);
            self.check_planted(&state)?;
            return Ok(show::state(&state, &self.clock));
        }
        if let Some(token) = step["reject"].as_str() {
            let target = self.target(step["target"].as_str().unwrap_or("smd"))?;
            let rejection = self.client.reject(target, subject, LeaseId::of(token), now);
            return Ok(show::rejection(&rejection, &self.clock));
        }
        if let Some(token) = step["report"].as_str() {
            let target = self.target(step["target"].as_str().unwrap_or("smd"))?;
            self.client.report(target, subject, LeaseId::of(token), now);
        }
        if let Some(answer) = step.get("answer") {
            let id = self.task_to_answer(step["task"].as_str())?;
            self.open.retain(|task| task.id != id);
            return Ok(match self.client.complete(id, outcome(answer)?, now) {
                Completion::Accepted => json!("accepted"),
                _ => json!("ignored"),
            });
        }
        if step["register"] == true {
            let registration = self.client.register(now);
            self.check_planted(&registration)?;
            return Ok(show::registration(&registration, &self.clock));
        }
        if step["secrets_changed"] == true {
            self.client.secrets_changed(now);
        }
        if let Some(token) = step["record"].as_str() {
            let lease = self.announced.get(token).ok_or("no lease has this token")?;
            let record = lease.record(now);
            self.check_planted(&record)?;
            self.records.insert(token.into(), record.to_json());
        }
        if let Some(token) = step["adopt"].as_str() {
            return self.adopt(token, step);
        }
        if step["restart"] == true {
            self.clock.mono_step_ms += step["mono_step"].as_i64().unwrap_or(0);
            let now = self.clock.now();
            self.client = client(self.scenario, now).map_err(|error| error.to_string())?;
            self.open.clear();
        }
        match step.get("call") {
            Some(made) => self.call(made),
            None => Ok(Value::Null),
        }
    }

    fn adopt(&mut self, token: &str, step: &Value) -> Result<Value, String> {
        let target = self.target(step["target"].as_str().unwrap_or("smd"))?;
        let clock = match step["clock"].as_str() {
            Some("same") => RecordClock::Same,
            Some("other") => RecordClock::Other,
            _ => return Err("clock is same or other".into()),
        };
        let record = self.records.get(token).ok_or("no record has this token")?;
        let record = LeaseRecord::from_json(record.expose().as_bytes());
        let record = record.map_err(|error| error.to_string())?;
        let now = self.clock.now();
        Ok(match self.client.adopt(target, &record, clock, now) {
            true => json!("adopted"),
            false => json!("not_adopted"),
        })
    }

    fn task_to_answer(&self, name: Option<&str>) -> Result<TaskId, String> {
        match name {
            Some("unknown") => Ok(TaskId(999_999)),
            Some(name) => self
                .names
                .get(name)
                .copied()
                .ok_or(format!("no task has the name {name}")),
            None => {
                let mut open = self
                    .open
                    .iter()
                    .filter(|task| task.deadline_ms > self.clock.now().mono_ms);
                open.next()
                    .map(|task| task.id)
                    .ok_or("no task is open".into())
            }
        }
    }

    fn call(&self, made: &Value) -> Result<Value, String> {
        let calls = self.client.calls();
        let call = Call {
            url: made["url"].as_str().unwrap_or_default(),
            has_authorization: made["has_authorization"] == true,
            user_token: made["user_token"].as_str(),
            user_required: made["user_required"] == true,
            redirected_from: made["redirected_from"].as_str(),
        };
        let decision = calls.decide(&call);
        let mut shown = show::decision(&decision, |target| self.name(target));
        if let Some(answer) = made.get("answer") {
            let challenges = answer["www_authenticate"].as_array().into_iter().flatten();
            let answered = calls.answered(
                &decision,
                answer["status"].as_u64().unwrap_or_default() as u16,
                challenges.filter_map(Value::as_str),
                answer["replayable"] == true,
            );
            shown["answered"] = json!(match answered {
                Answered::Deliver => "deliver",
                Answered::Retry => "retry",
                Answered::Report => "report",
                _ => "unknown",
            });
        }
        Ok(shown)
    }

    /// Polls until idle; tasks that no step is about are done on the way.
    fn poll(&mut self) -> Result<(), String> {
        for _ in 0..MOST_OUTPUTS {
            match self.client.poll(self.clock.now()) {
                Output::Idle { until } => {
                    let since_start = until.map(|until| self.clock.since_start(until));
                    self.idle_until = since_start.map(|at| (at + MONO_START as i64) as u64);
                    return match self.idle_until {
                        Some(until) if until <= self.clock.mono_ms => Err(format!(
                            "idle until {}, which is past",
                            until as i64 - MONO_START as i64
                        )),
                        _ => Ok(()),
                    };
                }
                Output::Task(task) => self.task(task),
                Output::Lease(change) => {
                    self.check_planted(&change)?;
                    if let LeaseState::Ready(lease) | LeaseState::Once(lease) = &change.state {
                        self.announced.insert(lease.value().into(), lease.clone());
                    }
                    let target = self.name(change.target);
                    self.leases
                        .push(show::change(&change, &target, &self.clock, &self.known));
                }
                Output::Event(event) => self.event(&event)?,
                _ => {}
            }
        }
        Err(format!("more than {MOST_OUTPUTS} outputs without a pause"))
    }

    fn task(&mut self, task: Task) {
        let by_hand = self
            .scenario
            .by_hand
            .iter()
            .any(|kind| kind == task.kind.name());
        let outcome = match &task.kind {
            TaskKind::ReadSecret { reference } if !by_hand => {
                match self.secrets.get(&show::reference(reference)) {
                    Some(secret) => Outcome::Bytes(secret.as_str().into()),
                    None => Outcome::Failed {
                        detail: "no such file or directory".into(),
                    },
                }
            }
            TaskKind::Random { bytes } if !by_hand => {
                let first = self.random;
                self.random = first.wrapping_add(*bytes as u8);
                let bytes = (0..*bytes).map(|index| first.wrapping_add(index as u8));
                Outcome::Bytes(bytes.collect::<Vec<u8>>().into())
            }
            TaskKind::Store { key, operation } if !by_hand => {
                self.store.run(key, operation, self.clock.mono_ms)
            }
            _ => {
                self.tasks.push(show::task(&task, &self.clock));
                self.handed_out.push(task.id);
                self.open.push(task);
                return;
            }
        };
        self.client.complete(task.id, outcome, self.clock.now());
    }

    fn event(&mut self, event: &Event) -> Result<(), String> {
        self.check_planted(event)?;
        let mut shown = serde_json::to_value(event).unwrap();
        for member in ["lease", "subject"] {
            let text = shown[member]
                .as_str()
                .and_then(|id| self.known.get(id))
                .cloned();
            if let Some(text) = text {
                shown[member] = json!(text);
            }
        }
        self.events.push(shown);
        Ok(())
    }

    fn health(&self, target: TargetId) -> Value {
        let health = self.client.health(target);
        json!({
            "ready": health.ready,
            "asked_for": health.asked_for,
            "expires_at_wall": health.expires_at_wall_ms.map(|at| self.clock.wall_since_start(at)),
            "error": health.error,
            "retry_at": health.retry_at_ms.map(|at| self.clock.since_start(at)),
        })
    }

    fn target(&self, name: &str) -> Result<TargetId, String> {
        self.client
            .target(name)
            .ok_or(format!("no target has the name {name}"))
    }

    fn name(&self, target: TargetId) -> String {
        self.client.calls().target_name(target).into()
    }

    fn change_secrets(&mut self, secrets: &Value) {
        for (name, secret) in secrets.as_object().into_iter().flatten() {
            match secret.as_str() {
                None => self.secrets.remove(name),
                Some(secret) => {
                    self.plant(secret.trim_end());
                    self.secrets.insert(name.clone(), secret.into())
                }
            };
        }
    }

    /// Remembers the tokens and secrets of a step: to name them, and to find them where they must not be.
    fn learn(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value.as_str() {
                        Some(secret) if SECRET_MEMBERS.contains(&name.as_str()) => {
                            self.plant(secret)
                        }
                        Some(user) if name == "user" => self.plant(user),
                        _ => self.learn(value),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.learn(item)),
            _ => {}
        }
    }

    fn plant(&mut self, secret: &str) {
        self.known
            .insert(LeaseId::of(secret).to_string(), secret.into());
        self.known
            .insert(SubjectId::of(secret).to_string(), secret.into());
        if secret.len() >= 8 {
            self.planted.insert(secret.into());
        }
    }

    fn check_planted(&self, output: &impl Debug) -> Result<(), String> {
        let text = format!("{output:?}");
        match self.planted.iter().find(|secret| text.contains(*secret)) {
            Some(secret) => Err(format!("the secret {secret:?} is told: {text}")),
            None => Ok(()),
        }
    }
}

fn check_members(step: &Value) -> Result<(), String> {
    const MEMBERS: [&str; 22] = [
        "note",
        "at",
        "asleep",
        "wall_step",
        "secrets",
        "store",
        "token",
        "user",
        "reject",
        "report",
        "record",
        "adopt",
        "clock",
        "mono_step",
        "target",
        "answer",
        "task",
        "secrets_changed",
        "restart",
        "register",
        "call",
        "expect",
    ];
    let members = step.as_object().ok_or("a step is an object")?;
    match members
        .keys()
        .find(|member| !MEMBERS.contains(&member.as_str()))
    {
        Some(member) => Err(format!("{member} is not known to the format")),
        None => Ok(()),
    }
}

fn client(scenario: &Scenario, now: Now) -> Result<Client, Error> {
    let config = Config::from_json(scenario.config.to_string().as_bytes())?;
    let can = |what: &str| scenario.capabilities[what] != false;
    let mut capabilities = Capabilities::none();
    capabilities.secret_files = can("secret_files");
    capabilities.secret_env = can("secret_env");
    capabilities.secret_callback = can("secret_callback");
    capabilities.durable_store = can("durable_store");
    capabilities.client_certificate = can("client_certificate");
    Client::new(config, capabilities, 1, now)
}
