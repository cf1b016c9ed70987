//! How tasks are done, and what becomes of them on the way.

use crate::{
    form,
    host::{file, is_token_endpoint},
    odd,
    promise::Promise,
    server::{Meaning, Reply, presented},
    watch::{Key, Shown},
    world::{Happening, Life, World},
};
use svcauth_core::{
    client::{Outcome, SendFailure, StoreOperation, SubjectId, Task, TaskId, TaskKind},
    wire::Request,
};

impl World {
    pub(crate) fn start_task(&mut self, p: usize, task: Task) {
        let life = self.life(p);
        let now = self.clock(p).mono_ms;
        self.tell(|| {
            let what = match &task.kind {
                TaskKind::Send { request, .. } => {
                    format!("send {} {}", request.method.as_str(), request.url)
                }
                other => format!("{other:?}"),
            };
            format!("p{p} task {:?}: {what}", task.id)
        });
        self.processes[p].last_task = Some(task.id);
        let token = match &task.kind {
            TaskKind::Send { request, .. } if is_token_endpoint(&request.url) => {
                self.check_request(p, request)
            }
            TaskKind::Send { request, .. } => {
                self.check_registration(p, request);
                None
            }
            _ => None,
        };
        let attempt = match &task.kind {
            TaskKind::Store { key, .. } => key
                .strip_prefix("refresh_token/t")
                .and_then(|target| target.parse().ok())
                .map(|target| (target, None)),
            _ => token,
        };
        let tokens = self.tokens(p);
        let watch = &mut self.processes[p].watch;
        let verdict =
            watch.task_handed_out((task.id, task.deadline_ms), token, attempt, now, tokens);
        self.judge(p, verdict);
        match task.kind {
            TaskKind::Send {
                request,
                timeout_ms,
                ..
            } => self.send(life, task.id, request, timeout_ms),
            TaskKind::ReadSecret { reference } => {
                let after = if self.calm_since.is_none() && self.chance(self.weather.secret) {
                    7_000
                } else {
                    3
                };
                let at = self.now + self.random.below(after);
                let file = file(&reference);
                self.at(
                    at,
                    Happening::ReadSecret {
                        life,
                        task: task.id,
                        file,
                    },
                );
            }
            TaskKind::Random { bytes } => {
                let outcome = if self.calm_since.is_none() && self.chance(self.weather.secret) {
                    Outcome::Failed {
                        detail: "no entropy".into(),
                    }
                } else {
                    Outcome::Bytes(vec![7; bytes].into())
                };
                self.soon(life, task.id, outcome);
            }
            TaskKind::Store { key, operation } => self.reach_store(life, task.id, key, operation),
            _ => {}
        }
    }

    fn chance(&mut self, per_mille: u64) -> bool {
        self.random.chance(per_mille)
    }

    fn soon(&mut self, life: Life, task: TaskId, outcome: Outcome) {
        let at = self.now + self.random.below(3);
        self.at(
            at,
            Happening::Answer {
                life,
                task,
                outcome,
                meaning: None,
            },
        );
    }

    /// Which token a request is for; that it is asked for rightly.
    fn check_request(&mut self, p: usize, request: &Request) -> Option<Key> {
        if let Some(value) = request.header("authorization") {
            self.encoded_secrets
                .push_back(value.trim_start_matches("Basic ").to_owned());
            while self.encoded_secrets.len() > 16 {
                self.encoded_secrets.pop_front();
            }
        }
        let body = String::from_utf8_lossy(request.body.expose()).into_owned();
        let form = form::parse(&body);
        let service = self.processes[p].service;
        let audience = form.get("audience").map_or("bare", String::as_str);
        let Some(target) = self.services[service].target_at(audience) else {
            self.fail(
                Promise::RightToken,
                format!("p{p}: a request for nobody's token: {body}"),
            );
            return None;
        };
        let subject = form.get("subject_token").cloned();
        let user = subject
            .as_deref()
            .filter(|token| self.server.users.contains(*token) || self.made_up.contains(*token))
            .map(SubjectId::of);
        let credentials = presented(request, &form);
        if self.is_registered(p)
            && let (Some((id, _)), Some(store)) = (&credentials, self.processes[p].store)
            && !self.stores[store].ever_held(id)
        {
            let what = format!("p{p}: the registration {id} is used and was never saved");
            self.fail(Promise::SavedFirst, what);
        }
        let grant = form
            .get("refresh_token")
            .cloned()
            .or(subject)
            .unwrap_or_default();
        let key = (target, user);
        let clock = self.clock(p);
        let shown: Shown = (credentials, grant);
        let config = &self.services[service].config;
        let verdict = self.processes[p]
            .watch
            .token_requested(key, shown, clock, config);
        self.judge(p, verdict);
        Some(key)
    }

    /// Before a client comes into being the store must have taken note of the intent.
    fn check_registration(&mut self, p: usize, request: &Request) {
        if !request.url.ends_with("/oauth2/register") {
            return;
        }
        let Some(store) = self.processes[p].store else {
            return;
        };
        let record = self.stores[store].text("registration");
        if !record.contains("\"intent\"") {
            self.fail(
                Promise::SavedFirst,
                format!("p{p}: registers while the store holds {record:?}"),
            );
        }
    }

    fn send(&mut self, life: Life, task: TaskId, request: Request, timeout_ms: u64) {
        let latency = match (self.calm_since, self.weather.slow) {
            (None, true) => self.random.below(timeout_ms * 3 / 2),
            (None, false) => self.random.between(1, 200),
            _ => self.random.between(1, 20),
        };
        if self.calm_since.is_none()
            && (self.weather.away && self.chance(950) || self.chance(self.weather.lost / 2))
        {
            return self.lose(life, task, timeout_ms, true);
        }
        self.at(
            self.now + latency,
            Happening::Arrives {
                life,
                task,
                request,
                timeout_ms,
            },
        );
    }

    /// No answer comes, in one of the ways in which that can be.
    fn lose(&mut self, life: Life, task: TaskId, timeout_ms: u64, before_arrival: bool) {
        let (failure, after) = match (before_arrival, self.random.below(6)) {
            (true, 0) => (SendFailure::Tls, 5),
            (true, 1 | 2) => (SendFailure::Refused, 2),
            (_, 3) => return,
            (_, 4) => (SendFailure::Timeout, timeout_ms),
            (false, 0) => (SendFailure::TooLarge, 20),
            _ => (SendFailure::Broken, 20),
        };
        let outcome = Outcome::SendFailed {
            failure,
            detail: "as the system says".into(),
        };
        let at = self.now + self.random.between(1, after);
        self.at(
            at,
            Happening::Answer {
                life,
                task,
                outcome,
                meaning: None,
            },
        );
    }

    pub(crate) fn request_arrives(
        &mut self,
        life: Life,
        task: TaskId,
        request: &Request,
        timeout_ms: u64,
    ) {
        let reply = self.reply(request);
        self.tell(|| {
            format!(
                "server answers {task:?} of p{}: {} {:?}",
                life.process, reply.status, reply.meaning
            )
        });
        if let Some(twice) = self.server.spent_twice.pop() {
            self.fail(
                Promise::SpentOnce,
                format!("the refresh token {twice} came to the server again after it was used"),
            );
        }
        if self.calm_since.is_some() {
            let after = self.random.between(1, 20);
            return self.deliver(life, task, reply, after);
        }
        if self.chance(self.weather.lost / 2) {
            return self.lose(life, task, timeout_ms, false);
        }
        let mut after = self.random.between(1, 200);
        if self.weather.slow && self.chance(500) {
            after = self.random.below(timeout_ms * 3 / 2);
        }
        if self.chance(self.weather.lost / 4) {
            let again = after + self.random.below(3_000);
            self.deliver(life, task, reply.clone(), again);
        }
        if self.chance(self.weather.lost / 20) {
            let outcome = Outcome::Done;
            return self.at(
                self.now + after,
                Happening::Answer {
                    life,
                    task,
                    outcome,
                    meaning: None,
                },
            );
        }
        self.deliver(life, task, reply, after);
    }

    /// What answers: the server, or something before it that keeps the request to itself.
    fn reply(&mut self, request: &Request) -> Reply {
        let now = self.now;
        if self.calm_since.is_none() {
            if self.weather.overloaded && self.chance(700) {
                return odd::overload(&mut self.random);
            }
            if self.chance(self.weather.refused) {
                return odd::refusal(&mut self.random);
            }
            if self.chance(self.weather.garbled) {
                return self.mangled(request);
            }
        }
        self.server.serve(request, now, &mut self.random)
    }

    fn mangled(&mut self, request: &Request) -> Reply {
        let now = self.now;
        if self.chance(400) {
            let broken = odd::broken(request, &mut self.random);
            // What is refused in the server's name was not looked at by the server.
            if broken.meaning != Meaning::Refused && self.chance(500) {
                self.server.serve(request, now, &mut self.random);
            }
            return broken;
        }
        let reply = self.server.serve(request, now, &mut self.random);
        if reply.status >= 300 {
            return reply;
        }
        let token = serde_json::from_slice::<serde_json::Value>(&reply.body).unwrap_or_default();
        if let Some(record) = token["access_token"]
            .as_str()
            .and_then(|value| self.server.tokens.get_mut(value))
        {
            record.truthful = false;
        }
        odd::garbled(reply, now, &mut self.random)
    }

    pub(crate) fn read_secret(&mut self, p: usize, task: TaskId, file: &str) {
        let content = self.files.get(file).cloned().flatten();
        let fails = self.calm_since.is_none() && self.chance(self.weather.secret);
        let outcome = match content {
            Some(bytes) if !fails => {
                self.processes[p].reading = Some((file.to_owned(), bytes.clone()));
                Outcome::Bytes(bytes.into())
            }
            _ if fails && self.chance(300) => return,
            _ => Outcome::Failed {
                detail: "no such file".into(),
            },
        };
        self.answer(p, task, outcome, None);
    }

    fn reach_store(&mut self, life: Life, task: TaskId, key: String, operation: StoreOperation) {
        let soon = self.now + self.random.below(3);
        if self.calm_since.is_none() && self.chance(self.weather.store) {
            match self.random.below(6) {
                0 => return,
                1 => {
                    return self.soon(
                        life,
                        task,
                        Outcome::Failed {
                            detail: "disk full".into(),
                        },
                    );
                }
                2 => return self.soon(life, task, Outcome::Conflict),
                3 => {
                    return self.at(
                        soon,
                        Happening::Store {
                            life,
                            task,
                            key,
                            operation,
                            told: false,
                        },
                    );
                }
                // Long enough to come after the deadline, now and then.
                _ => {
                    let at = self.now + self.random.below(8_000);
                    return self.at(
                        at,
                        Happening::Store {
                            life,
                            task,
                            key,
                            operation,
                            told: true,
                        },
                    );
                }
            }
        }
        self.at(
            soon,
            Happening::Store {
                life,
                task,
                key,
                operation,
                told: true,
            },
        );
    }

    pub(crate) fn use_store(
        &mut self,
        life: Life,
        task: TaskId,
        key: &str,
        operation: &StoreOperation,
        told: bool,
    ) {
        let Some(store) = self.processes[life.process].store else {
            return;
        };
        let owner = (life.process, life.incarnation);
        let outcome = self.stores[store].run(owner, key, operation, self.now);
        if matches!(outcome, Outcome::Held { .. }) {
            self.saw("(lock held by another)");
        }
        if !told && self.chance(500) {
            return;
        }
        let outcome = if told {
            outcome
        } else {
            Outcome::Failed {
                detail: "input/output error".into(),
            }
        };
        if self.is_alive(life) {
            if key == "registration"
                && matches!(outcome, Outcome::Record { .. } | Outcome::Stored { .. })
            {
                let record = self.stores[store].text(key);
                self.processes[life.process].reading = Some((key.to_owned(), record.into_bytes()));
            }
            self.answer(life.process, task, outcome, None);
        }
    }
}
