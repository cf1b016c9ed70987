//! What goes wrong with servers, operators, machines and processes, and how all is made well again.

use crate::{
    setup::Kind,
    world::{Happening, Life, World},
};
use svcauth_core::client::{Outcome, TaskId};

impl World {
    pub(crate) fn chaos(&mut self) {
        if self.calm_since.is_some() || self.now >= self.rough_until {
            return;
        }
        let service = self.random.index(self.services.len());
        let p = self.random.index(self.processes.len());
        match self.random.below(18) {
            0 | 1 => self.weather.away = !self.weather.away,
            2 => self.weather.overloaded = !self.weather.overloaded,
            3 => self.weather.slow = !self.weather.slow,
            4 | 5 => self.rotate_secret(service),
            6 => self.disturb_file(),
            7 | 8 => {
                let keep_old = self.random.chance(500);
                self.server.change_signing_key(keep_old);
                self.tell(|| "the server signs with a new key".into());
            }
            9 => self.step_clock(),
            10 => self.sleep(),
            11 | 12 => self.crash(p),
            13 => self.say_that_secrets_changed(p),
            14 => self.forget_client(service),
            15 => self.answer_out_of_the_blue(p),
            16 => self.begin_flood(p),
            _ => {
                self.weather.spurious_401 = self.random.below(800);
                for receiver in self.receivers.values_mut() {
                    receiver.refresh(&self.server, self.now);
                }
            }
        }
        let pause = self.random.pick(&[500, 3_000, 15_000, 60_000]);
        let at = self.now + self.random.between(1, pause);
        self.at(at, Happening::Chaos);
    }

    /// A new secret: the server may know it before or after the file has it, and drop the old one or not.
    fn rotate_secret(&mut self, service: usize) {
        if self.services[service].pairs.is_empty() {
            return;
        }
        let index = self.random.index(self.services[service].pairs.len());
        let (id, file) = self.services[service].pairs[index].clone();
        let secret = self.server.mint_secret(&mut self.random);
        let (drop_old, write) = (self.random.chance(500), self.random.chance(700));
        if let Some(client) = self.server.clients.get_mut(&id) {
            if drop_old {
                client.secrets.clear();
            }
            client.secrets.push((secret.clone(), u64::MAX));
        }
        if write {
            self.files.insert(file.clone(), Some(secret.into_bytes()));
        }
        self.tell(|| {
            format!("new secret for {id}; old one dropped: {drop_old}; {file} written: {write}")
        });
    }

    fn disturb_file(&mut self) {
        let names: Vec<String> = self.files.keys().cloned().collect();
        if names.is_empty() {
            return;
        }
        let index = self.random.index(names.len());
        let content = match self.random.below(4) {
            0 => Some(b"".to_vec()),
            1 => Some(b"\xff\xfe".to_vec()),
            // A token that nobody made would be one that no server knows.
            2 if !names[index].ends_with("/static") => Some(self.server.mint("wrong").into_bytes()),
            _ => None,
        };
        self.tell(|| format!("{} is disturbed", names[index]));
        self.files.insert(names[index].clone(), content);
    }

    fn step_clock(&mut self) {
        let machine = self.random.index(self.machines.len());
        let by = self.random.pick(&[1_000, 60_000, 4_000_000, 100_000_000]);
        let step = self.random.between(0, 2 * by) as i64 - by as i64;
        self.machines[machine].step_ms = step;
        self.tell(|| format!("machine {machine}: the wall clock is {step} ms wrong"));
    }

    fn sleep(&mut self) {
        let machine = self.random.index(self.machines.len());
        if self.machines[machine].asleep_until > self.now {
            return;
        }
        let longest = self.random.pick(&[500, 20_000, 400_000]);
        let length = self.random.between(1, longest);
        self.machines[machine].sleep(self.now, length);
        self.tell(|| format!("machine {machine} sleeps {length} ms"));
    }

    fn crash(&mut self, p: usize) {
        if self.processes[p].client.is_none() {
            return;
        }
        let now = self.clock(p);
        self.processes[p].crash(now);
        self.tell(|| format!("p{p} crashes"));
        let at = self.now + self.random.below(5_000);
        self.at(at, Happening::Restart(p));
    }

    fn is_awake(&self, p: usize) -> bool {
        self.machines[self.processes[p].machine].asleep_until <= self.now
    }

    fn say_that_secrets_changed(&mut self, p: usize) {
        let now = self.clock(p);
        if !self.is_awake(p) {
            return;
        }
        let Some(client) = &mut self.processes[p].client else {
            return;
        };
        client.secrets_changed(now);
        self.processes[p].watch.secrets_changed(now.mono_ms);
        self.tell(|| format!("p{p} is told that secrets changed"));
        self.settle(p);
    }

    /// The server loses a registered client that worked: one that never did is not replaced.
    fn forget_client(&mut self, service: usize) {
        if self.services[service].kind != Kind::Registered {
            return;
        }
        let processes = self
            .processes
            .iter()
            .filter(|process| process.service == service);
        let ids: Vec<Option<String>> = processes.map(|process| process.works_as.clone()).collect();
        if let Some(Some(id)) = ids.first()
            && ids.iter().all(|other| other.as_ref() == Some(id))
        {
            self.server.clients.remove(id);
            self.tell(|| format!("the server forgets {id}"));
        }
    }

    /// Calls come in with users' tokens that somebody made up.
    fn begin_flood(&mut self, p: usize) {
        let targets = &self.services[self.processes[p].service].targets;
        let exchanging = targets
            .iter()
            .position(|target| target.user_token == "exchange");
        if let Some(target) = exchanging {
            let (life, rounds) = (self.life(p), self.random.between(2, 6));
            self.at(
                self.now,
                Happening::Flood {
                    life,
                    target,
                    rounds,
                },
            );
        }
    }

    fn answer_out_of_the_blue(&mut self, p: usize) {
        let known = self.processes[p].last_task.map_or(0, |id| id.0);
        let id = if self.random.chance(500) {
            known + 1_000
        } else {
            self.random.below(known + 1)
        };
        let life = self.life(p);
        if self.is_alive(life) && self.is_awake(p) && !self.processes[p].watch.awaits(TaskId(id)) {
            self.answer(p, TaskId(id), Outcome::Done, None);
        }
    }

    /// Everything in its place: servers, files, clocks. Locks and back-offs stay as they are.
    pub(crate) fn heal(&mut self) {
        self.weather = Default::default();
        for machine in &mut self.machines {
            machine.step_ms = 0;
        }
        for service in 0..self.services.len() {
            for (id, file) in self.services[service].pairs.clone() {
                let secret = self.server.mint_secret(&mut self.random);
                self.server
                    .clients
                    .entry(id)
                    .or_default()
                    .secrets
                    .push((secret.clone(), u64::MAX));
                self.files.insert(file, Some(secret.into_bytes()));
            }
            if let Some(file) = self.services[service].initial_access_token.clone() {
                let token = self
                    .server
                    .initial_access_tokens
                    .first()
                    .cloned()
                    .unwrap_or_default();
                self.files.insert(file, Some(token.into_bytes()));
            }
            self.put_bootstraps(service);
            self.put_static_token(service);
        }
    }

    pub(crate) fn restart_traffic(&mut self, life: Life) {
        let pause = if self.calm_since.is_some() {
            20_000
        } else {
            self.random.pick(&[100, 1_000, 5_000])
        };
        let at = self.now + self.random.between(1, pause);
        self.at(at, Happening::Traffic(life));
    }
}
