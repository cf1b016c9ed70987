//! The recorder: acts are played, facts are noted as they are seen, and at the end a table says what held.

use crate::{
    heard::Heard,
    screen::{Paint, Screen},
};
use std::{
    error::Error,
    fmt::Display,
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};
use svcauth::Event;

/// How long anything is waited for. No fact depends on how fast it comes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(40);

/// Why an act cannot go on.
pub(crate) struct Stop(String);

impl Stop {
    pub(crate) fn because(reason: impl Into<String>) -> Stop {
        Stop(reason.into())
    }
}

impl<E: Error> From<E> for Stop {
    fn from(error: E) -> Stop {
        Stop(error.to_string())
    }
}

pub(crate) struct Stage {
    screen: Screen,
    opened: Instant,
    heard: Vec<Heard>,
    overheard: String,
    secrets: Vec<Planted>,
    played: Vec<Played>,
}

struct Played {
    name: &'static str,
    facts: Vec<Fact>,
}

struct Fact {
    holds: bool,
    text: String,
}

/// A secret that must be nowhere in the output or in an event.
pub(crate) struct Planted {
    pub(crate) what: String,
    pub(crate) secret: String,
}

impl Stage {
    pub(crate) fn open() -> Stage {
        Stage {
            screen: Screen::stdout(),
            opened: Instant::now(),
            heard: Vec::new(),
            overheard: String::new(),
            secrets: Vec::new(),
            played: Vec::new(),
        }
    }

    pub(crate) fn say(&mut self, text: &str) {
        self.screen.line(Paint::Plain, text);
    }

    /// Plays one act; none if it had to stop.
    pub(crate) fn act<T>(
        &mut self,
        name: &'static str,
        title: &str,
        play: impl FnOnce(&mut Act<'_>) -> Result<T, Stop>,
    ) -> Option<T> {
        let number = self.played.len() + 1;
        self.say("");
        self.screen
            .line(Paint::Strong, &format!("{number}. {name}: {title}"));
        let mut act = Act {
            stage: self,
            facts: Vec::new(),
        };
        let end = play(&mut act);
        if let Err(Stop(reason)) = &end {
            act.saw(false, "the act went to its end", reason);
        }
        let facts = act.facts;
        self.played.push(Played { name, facts });
        end.ok()
    }

    /// Plays the act that follows on another one, with what that one left.
    pub(crate) fn next<S, T>(
        &mut self,
        before: Option<S>,
        name: &'static str,
        title: &str,
        play: impl FnOnce(&mut Act<'_>, S) -> Result<T, Stop>,
    ) -> Option<T> {
        self.act(name, title, |act| match before {
            Some(state) => play(act, state),
            None => Err(Stop::because("the act before did not get there")),
        })
    }

    /// Shows the table. Success only if every act was played and every fact held.
    pub(crate) fn close(mut self) -> ExitCode {
        self.say("");
        self.screen.line(Paint::Strong, "Summary");
        for (position, played) in self.played.iter().enumerate() {
            let held = played.facts.iter().filter(|fact| fact.holds).count();
            let (mark, paint) = mark(played.holds());
            let row = format!(
                "  {mark} {:>2}. {:<12} {held} of {} observed",
                position + 1,
                played.name,
                played.facts.len()
            );
            self.screen.line(paint, &row);
        }
        let facts = || self.played.iter().flat_map(|played| &played.facts);
        let held = facts().filter(|fact| fact.holds).count();
        let all = facts().count();
        let seconds = self.opened.elapsed().as_secs();
        self.say(&format!(
            "  {held} of {all} facts in {} acts, {seconds} s",
            self.played.len()
        ));
        if self.played.iter().all(Played::holds) {
            return ExitCode::SUCCESS;
        }
        self.say("");
        self.screen.line(Paint::Bad, "Not observed");
        for played in &self.played {
            for fact in played.facts.iter().filter(|fact| !fact.holds) {
                self.screen
                    .line(Paint::Bad, &format!("  ✗ {}: {}", played.name, fact.text));
            }
        }
        ExitCode::FAILURE
    }
}

impl Played {
    /// An act without facts has shown nothing.
    fn holds(&self) -> bool {
        !self.facts.is_empty() && self.facts.iter().all(|fact| fact.holds)
    }
}

/// One act being played.
pub(crate) struct Act<'a> {
    stage: &'a mut Stage,
    facts: Vec<Fact>,
}

impl Act<'_> {
    /// Tells what happens.
    pub(crate) fn say(&mut self, text: impl Display) {
        self.stage.screen.line(Paint::Plain, &format!("   {text}"));
    }

    /// Shows something as it is: a file, an answer.
    pub(crate) fn show(&mut self, text: &str) {
        for line in text.lines() {
            self.stage
                .screen
                .line(Paint::Faint, &format!("      {line}"));
        }
    }

    /// Notes a fact: what should be, whether it is, and what was seen.
    pub(crate) fn saw(&mut self, holds: bool, what: &str, seen: impl Display) {
        /// Beyond it, what was seen stands on a line of its own.
        const WIDTH: usize = 100;
        let text = format!("{what} ({seen})");
        let (mark, paint) = mark(holds);
        if text.chars().count() <= WIDTH {
            self.stage.screen.line(paint, &format!(" {mark} {text}"));
        } else {
            self.stage.screen.line(paint, &format!(" {mark} {what}"));
            self.stage.screen.line(paint, &format!("     ({seen})"));
        }
        self.facts.push(Fact { holds, text });
    }

    /// Waits for a condition.
    pub(crate) fn until(&mut self, what: &str, mut done: impl FnMut() -> bool) -> Result<(), Stop> {
        let started = Instant::now();
        while !done() {
            if started.elapsed() > PATIENCE {
                let seconds = PATIENCE.as_secs();
                return Err(Stop(format!("waited {seconds} s in vain until {what}")));
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    /// Waits until an event of that name was told for the `nth` time (from 1); the latest of them.
    pub(crate) fn hear(&mut self, heard: &Heard, name: &str, nth: usize) -> Result<Event, Stop> {
        self.until(&format!("the event {name} was told"), || {
            heard.count(name) >= nth
        })?;
        heard
            .last(name)
            .ok_or_else(|| Stop::because("events do not go away"))
    }

    /// An ear for a new client's events; the last act searches all that any ear has heard.
    pub(crate) fn ear(&mut self) -> Heard {
        let heard = Heard::default();
        self.stage.heard.push(heard.clone());
        heard
    }

    /// Notes a secret that must not be told.
    pub(crate) fn plant(&mut self, what: impl Into<String>, secret: impl Into<String>) {
        let (what, secret) = (what.into(), secret.into());
        self.stage.secrets.push(Planted { what, secret });
    }

    pub(crate) fn planted(&self) -> &[Planted] {
        &self.stage.secrets
    }

    /// Notes what another program said, to be searched for secrets too.
    pub(crate) fn overhear(&mut self, said: &str) {
        self.stage.overheard.push_str(said);
        self.stage.overheard.push('\n');
    }

    /// Everything that was shown until now, and what other programs said.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stage.screen.shown(), self.stage.overheard)
    }

    /// Every event of every client.
    pub(crate) fn events(&self) -> Vec<Event> {
        self.stage.heard.iter().flat_map(Heard::all).collect()
    }
}

fn mark(holds: bool) -> (char, Paint) {
    if holds {
        ('✓', Paint::Good)
    } else {
        ('✗', Paint::Bad)
    }
}
