//! Virtual time, what happens when, and the phases of a run.

use crate::{
    clock::Machine,
    host::{Process, Waiter},
    promise::{Broken, Promise},
    random::Random,
    receiver::Receiver,
    server::{Audience, Meaning, Reply, Server},
    setup::{Kind, Service},
    store::Store,
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque},
    fmt,
};
use svcauth_core::{
    Now,
    client::{Outcome, StoreOperation, TaskId},
    wire::Request,
};

/// A run that lasts longer is ended; the length of each phase is drawn so that few reach it.
const MOST_STEPS: u64 = 4_000;
/// Steps that a failing run tells of, unless `SVCAUTH_STORY` says otherwise.
const STORY: usize = 60;

pub(crate) struct World {
    pub(crate) now: u64,
    pub(crate) random: Random,
    pub(crate) services: Vec<Service>,
    pub(crate) processes: Vec<Process>,
    pub(crate) machines: Vec<Machine>,
    pub(crate) stores: Vec<Store>,
    pub(crate) server: Server,
    pub(crate) receivers: BTreeMap<(usize, usize), Receiver>,
    /// What the secrets' files hold; none where they cannot be read.
    pub(crate) files: BTreeMap<String, Option<Vec<u8>>>,
    pub(crate) users: Vec<String>,
    /// Users' tokens that the server never made.
    pub(crate) made_up: BTreeSet<String>,
    pub(crate) weather: Weather,
    /// True time since which nothing has gone wrong; none while things do.
    pub(crate) calm_since: Option<u64>,
    pub(crate) rough_until: u64,
    pub(crate) patient: Vec<Patient>,
    /// Texts that hide a secret behind an encoding, and went over the network lately.
    pub(crate) encoded_secrets: VecDeque<String>,
    pub(crate) seen: BTreeMap<&'static str, u64>,
    queue: BinaryHeap<Reverse<Entry>>,
    sequence: u64,
    steps: u64,
    story: Option<VecDeque<String>>,
    longest_story: usize,
    violation: Option<Broken>,
}

/// How likely things go wrong, in thousandths.
#[derive(Clone, Copy, Default)]
pub(crate) struct Weather {
    pub(crate) away: bool,
    pub(crate) overloaded: bool,
    pub(crate) slow: bool,
    pub(crate) lost: u64,
    pub(crate) garbled: u64,
    pub(crate) refused: u64,
    pub(crate) store: u64,
    pub(crate) secret: u64,
    pub(crate) spurious_401: u64,
}

/// A caller that does not give up before all is well again.
pub(crate) struct Patient {
    pub(crate) process: usize,
    pub(crate) target: usize,
    pub(crate) user: Option<String>,
    pub(crate) served: bool,
}

/// A process in one of its lives.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Life {
    pub(crate) process: usize,
    pub(crate) incarnation: u32,
}

pub(crate) enum Happening {
    Traffic(Life),
    Flood {
        life: Life,
        target: usize,
        rounds: u64,
    },
    Wake(Life, u64),
    Deadline(Life, u64),
    Arrives {
        life: Life,
        task: TaskId,
        request: Request,
        timeout_ms: u64,
    },
    Answer {
        life: Life,
        task: TaskId,
        outcome: Outcome,
        meaning: Option<Meaning>,
    },
    Store {
        life: Life,
        task: TaskId,
        key: String,
        operation: StoreOperation,
        told: bool,
    },
    ReadSecret {
        life: Life,
        task: TaskId,
        file: String,
    },
    CallArrives {
        life: Life,
        call: Call,
    },
    CallAnswered {
        life: Life,
        call: Call,
        status: u16,
        challenge: &'static str,
    },
    AskAgain {
        patient: usize,
    },
    Chaos,
    Restart(usize),
    Calm,
    Recovered,
    Check,
}

/// One call of a caller.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) target: usize,
    pub(crate) user: Option<String>,
    pub(crate) lease: svcauth_core::client::LeaseId,
    pub(crate) value: String,
    pub(crate) replayable: bool,
    pub(crate) deadline: u64,
}

struct Entry {
    at: u64,
    sequence: u64,
    what: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Entry) -> bool {
        self.sequence == other.sequence
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Entry) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Entry) -> std::cmp::Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

pub(crate) struct Failure {
    pub(crate) seed: u64,
    pub(crate) broken: Broken,
    pub(crate) steps: u64,
    pub(crate) story: Vec<String>,
}

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) steps: u64,
    pub(crate) seen: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "seed {} broke {} after {} steps: {}",
            self.seed, self.broken.promise, self.steps, self.broken.what
        )?;
        for line in &self.story {
            writeln!(f, "    {line}")?;
        }
        let seed = self.seed;
        write!(
            f,
            "replay: SVCAUTH_SEED={seed} cargo test -p svcauth-core --test simulation -- --nocapture"
        )
    }
}

/// Lives through one seed; `tell` keeps the story, which costs time.
pub(crate) fn run(seed: u64, tell: bool) -> Result<Report, Failure> {
    let mut world = World::new(seed, tell);
    world.start();
    while world.violation.is_none() && world.step() {}
    let World {
        violation,
        steps,
        story,
        seen,
        services,
        ..
    } = world;
    match violation {
        None => Ok(Report { steps, seen }),
        Some(broken) => {
            let configured = services
                .iter()
                .map(|service| format!("configuration {}", service.document));
            let story = configured.chain(story.into_iter().flatten()).collect();
            Err(Failure {
                seed,
                broken,
                steps,
                story,
            })
        }
    }
}

impl World {
    fn new(seed: u64, tell: bool) -> World {
        World {
            now: 0,
            random: Random::new(seed),
            services: vec![],
            processes: vec![],
            machines: vec![],
            stores: vec![],
            server: Server::default(),
            receivers: BTreeMap::new(),
            files: BTreeMap::new(),
            users: vec![],
            made_up: BTreeSet::new(),
            weather: Weather::default(),
            calm_since: Some(0),
            rough_until: 0,
            patient: vec![],
            encoded_secrets: VecDeque::new(),
            seen: BTreeMap::new(),
            queue: BinaryHeap::new(),
            sequence: 0,
            steps: 0,
            story: tell.then(VecDeque::new),
            longest_story: crate::number("SVCAUTH_STORY").map_or(STORY, |lines| lines as usize),
            violation: None,
        }
    }

    fn start(&mut self) {
        self.server.change_signing_key(false);
        self.server.secrets_end_after_s = self
            .random
            .chance(400)
            .then(|| self.random.between(30, 600));
        for _ in 0..self.random.between(2, 5) {
            let user = self.server.mint("user");
            self.server.users.insert(user.clone());
            self.users.push(user);
        }
        for index in 0..self.random.between(1, 2) as usize {
            self.add_service(index);
        }
        for process in 0..self.processes.len() {
            self.start_process(process);
        }
        let rough = self.random.between(10_000, 90_000);
        self.begin_rough(rough);
    }

    fn add_service(&mut self, index: usize) {
        let service = Service::new(index, &mut self.random);
        let initial = service.initial_access_token.clone();
        for (id, file) in &service.pairs {
            let secret = self.server.mint_secret(&mut self.random);
            let client = self.server.clients.entry(id.clone()).or_default();
            client.secrets.push((secret.clone(), u64::MAX));
            self.files.insert(file.clone(), Some(secret.into_bytes()));
        }
        if let Some(file) = initial {
            let token = self.server.initial_access_tokens.first().cloned();
            let token = token.unwrap_or_else(|| self.server.mint("iat"));
            self.server.initial_access_tokens.insert(token.clone());
            self.files.insert(file, Some(token.into_bytes()));
        }
        for (n, target) in service.targets.iter().enumerate() {
            self.receivers
                .insert((index, n), Receiver::new(&mut self.random));
            if target.owner != n {
                continue;
            }
            let audience = Audience {
                life_s: service.life_s,
                caching: service.caching,
                refresh: target.refresh,
                authenticated: matches!(service.kind, Kind::Credentials | Kind::Registered),
            };
            self.server
                .audiences
                .insert(target.audience.clone(), audience);
        }
        let shared = service.has_store && self.random.chance(500);
        let store = service.has_store.then(|| {
            self.stores.push(Store::new(self.random.chance(500)));
            self.stores.len() - 1
        });
        self.machines.push(Machine {
            counts_sleep: self.random.chance(500),
            ..Machine::default()
        });
        for _ in 0..if shared { 2 } else { 1 } {
            self.processes
                .push(Process::new(index, self.machines.len() - 1, store));
        }
        self.services.push(service);
        self.put_bootstraps(index);
        self.put_static_token(index);
    }

    /// An operator puts fresh bootstrap tokens where the service looks for them.
    pub(crate) fn put_bootstraps(&mut self, service: usize) {
        let files: Vec<String> = self.services[service]
            .targets
            .iter()
            .filter_map(|target| target.bootstrap.clone())
            .collect();
        for file in files {
            let token = self.server.mint("bt");
            self.server.bootstraps.insert(token.clone());
            self.files.insert(file, Some(token.into_bytes()));
        }
    }

    pub(crate) fn put_static_token(&mut self, service: usize) {
        let Some(file) = self.services[service].static_token.clone() else {
            return;
        };
        let expires_at = self.now + 100_000_000;
        let value = self
            .server
            .access_token("static", expires_at, &mut self.random);
        let record = crate::server::TokenRecord {
            audience: self.services[service].targets[0].audience.clone(),
            user: None,
            expires_at,
            key: self.server.signing_key,
            refresh_token: None,
            truthful: true,
        };
        self.server.tokens.insert(value.clone(), record);
        self.files.insert(file, Some(value.into_bytes()));
    }

    /// One thing happens; none is left when the run is over.
    fn step(&mut self) -> bool {
        let Some(Reverse(entry)) = self.queue.pop() else {
            return false;
        };
        self.now = self.now.max(entry.at);
        self.steps += 1;
        if self.steps > MOST_STEPS {
            return false;
        }
        if let Some(process) = entry.what.process() {
            let asleep_until = self.machines[self.processes[process].machine].asleep_until;
            if asleep_until > self.now {
                self.at(asleep_until, entry.what);
                return true;
            }
        }
        match entry.what {
            Happening::Recovered => self.check_recovery(),
            Happening::Check => return self.goes_on(),
            Happening::Calm => self.begin_calm(),
            Happening::Chaos => self.chaos(),
            Happening::Restart(process) => self.start_process(process),
            Happening::AskAgain { patient } => self.ask_patiently(patient),
            Happening::Arrives {
                life,
                task,
                request,
                timeout_ms,
            } => {
                self.request_arrives(life, task, &request, timeout_ms);
            }
            other => self.live(other),
        }
        true
    }

    /// What concerns a process that may be dead by now.
    fn live(&mut self, what: Happening) {
        if let Happening::Store {
            life,
            task,
            key,
            operation,
            told,
        } = what
        {
            // What was handed to the operating system is done even if the process dies.
            return self.use_store(life, task, &key, &operation, told);
        }
        let life = match &what {
            Happening::Traffic(life)
            | Happening::Flood { life, .. }
            | Happening::Wake(life, _)
            | Happening::Deadline(life, _)
            | Happening::Answer { life, .. }
            | Happening::ReadSecret { life, .. }
            | Happening::CallArrives { life, .. }
            | Happening::CallAnswered { life, .. } => *life,
            _ => return,
        };
        if !self.is_alive(life) {
            return;
        }
        let process = life.process;
        match what {
            Happening::Traffic(_) => self.traffic(process),
            Happening::Flood { target, rounds, .. } => self.flood(life, target, rounds),
            Happening::Wake(_, stamp) => self.wake(process, stamp),
            Happening::Deadline(_, waiter) => self.give_up(process, waiter),
            Happening::Answer {
                task,
                outcome,
                meaning,
                ..
            } => self.answer(process, task, outcome, meaning),
            Happening::ReadSecret { task, file, .. } => self.read_secret(process, task, &file),
            Happening::CallArrives { call, .. } => self.call_arrives(life, call),
            Happening::CallAnswered {
                call,
                status,
                challenge,
                ..
            } => {
                self.call_answered(process, call, status, challenge);
            }
            _ => {}
        }
    }

    fn begin_rough(&mut self, length: u64) {
        self.calm_since = None;
        let draw = |random: &mut Random, most: u64| {
            if random.chance(600) {
                random.below(most)
            } else {
                0
            }
        };
        self.weather = Weather {
            away: false,
            overloaded: false,
            slow: false,
            lost: draw(&mut self.random, 400),
            garbled: draw(&mut self.random, 600),
            refused: draw(&mut self.random, 250),
            store: draw(&mut self.random, 300),
            secret: draw(&mut self.random, 200),
            spurious_401: draw(&mut self.random, 400),
        };
        let first = self.now + self.random.below(5_000);
        self.rough_until = self.now + length;
        self.at(first, Happening::Chaos);
        self.at(self.rough_until, Happening::Calm);
    }

    /// Everything is as it should be from here on, and stays so until it is checked that all recovered.
    fn begin_calm(&mut self) {
        let awake = self
            .machines
            .iter()
            .map(|machine| machine.asleep_until)
            .max()
            .unwrap_or(0);
        if awake > self.now {
            return self.at(awake, Happening::Calm);
        }
        self.tell(|| "all is well from here on".into());
        self.heal();
        self.calm_since = Some(self.now);
        for process in 0..self.processes.len() {
            if self.processes[process].client.is_none() {
                self.start_process(process);
            }
        }
        self.patient.clear();
        for process in 0..self.processes.len() {
            let service = &self.services[self.processes[process].service];
            let targets: Vec<(usize, bool)> = service
                .targets
                .iter()
                .enumerate()
                .map(|(n, target)| (n, target.user_token == "exchange"))
                .collect();
            for (target, exchanges) in targets {
                self.patient.push(Patient {
                    process,
                    target,
                    user: None,
                    served: false,
                });
                if exchanges {
                    let user = self.users[0].clone();
                    self.patient.push(Patient {
                        process,
                        target,
                        user: Some(user),
                        served: false,
                    });
                }
            }
        }
        for patient in 0..self.patient.len() {
            let at = self.now + self.random.below(2_000);
            self.at(at, Happening::AskAgain { patient });
        }
        // Then a while longer, in which nobody may ever have to wait.
        let lives = self
            .services
            .iter()
            .map(|service| 3_000 * service.life_s)
            .max()
            .unwrap_or(0);
        let recovered = self.now + self.recovery_ms();
        self.at(recovered, Happening::Recovered);
        self.at(recovered + lives.min(60_000), Happening::Check);
    }

    fn check_recovery(&mut self) {
        let missed = self.patient.iter().find(|patient| !patient.served);
        if let Some(Patient {
            process,
            target,
            user,
            ..
        }) = missed
        {
            let since = self.now - self.calm_since.unwrap_or(0);
            let what = format!(
                "p{process} t{target} {}: no token although all has been well for {since} ms; {:?}",
                if user.is_some() { "(user)" } else { "" },
                self.processes[*process]
                    .client
                    .as_ref()
                    .zip(self.target_id(*process, *target))
                    .map(|(client, id)| client.health(id)),
            );
            self.fail(Promise::Recovery, what);
        }
        self.patient.clear();
    }

    /// Whether there is another rough time after the calm.
    fn goes_on(&mut self) -> bool {
        if self.steps < 800 && self.random.chance(400) {
            let length = self.random.between(5_000, 60_000);
            self.begin_rough(length);
            return true;
        }
        false
    }

    /// How long it may take until no trace of trouble is left.
    pub(crate) fn recovery_ms(&self) -> u64 {
        self.services
            .iter()
            .map(|service| service.recovery_ms)
            .max()
            .unwrap_or(0)
            + 2_000
    }

    pub(crate) fn at(&mut self, at: u64, what: Happening) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry {
            at,
            sequence: self.sequence,
            what,
        }));
    }

    pub(crate) fn life(&self, process: usize) -> Life {
        Life {
            process,
            incarnation: self.processes[process].incarnation,
        }
    }

    pub(crate) fn is_alive(&self, life: Life) -> bool {
        let process = &self.processes[life.process];
        process.client.is_some() && process.incarnation == life.incarnation
    }

    pub(crate) fn clock(&self, process: usize) -> Now {
        self.machines[self.processes[process].machine].now(self.now)
    }

    pub(crate) fn fail(&mut self, promise: Promise, what: String) {
        self.tell(|| format!("VIOLATION of {promise}: {what}"));
        self.violation.get_or_insert(Broken { promise, what });
    }

    pub(crate) fn tell(&mut self, line: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            if story.len() >= self.longest_story {
                story.pop_front();
            }
            story.push_back(format!("{:>9} {}", self.now, line()));
        }
    }

    pub(crate) fn is_telling(&self) -> bool {
        self.story.is_some()
    }

    pub(crate) fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    pub(crate) fn deliver(&mut self, life: Life, task: TaskId, reply: Reply, after: u64) {
        let outcome = Outcome::Response(svcauth_core::wire::Response {
            status: reply.status,
            headers: reply.headers,
            body: reply.body.into(),
        });
        self.at(
            self.now + after,
            Happening::Answer {
                life,
                task,
                outcome,
                meaning: Some(reply.meaning),
            },
        );
    }

    pub(crate) fn forget_waiter(&mut self, process: usize, waiter: u64) -> Option<Waiter> {
        self.processes[process].waiters.remove(&waiter)
    }
}

impl Happening {
    /// The process whose machine must be awake for it.
    fn process(&self) -> Option<usize> {
        match self {
            Happening::Traffic(life)
            | Happening::Flood { life, .. }
            | Happening::Wake(life, _)
            | Happening::Deadline(life, _)
            | Happening::Answer { life, .. }
            | Happening::Store { life, .. }
            | Happening::ReadSecret { life, .. }
            | Happening::CallAnswered { life, .. } => Some(life.process),
            Happening::Restart(process) => Some(*process),
            _ => None,
        }
    }
}
