//! Proof that the simulation can fail: breaks the core on purpose, in one way after the other, and looks
//! whether the seeds of `make test` catch each, by the check that is for it.
//!
//! `make prove`, or for some breaks `make prove BREAK="no-back-off any-scheme"`. It works on a copy of the core
//! below the target directory, and fails if a break is not caught or no longer fits the source.

mod breaks;

use breaks::{BREAKS, Break, Edit};
use std::{
    env, fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    thread,
    time::{Duration, Instant},
};

/// A run that takes longer hangs.
const LONGEST_RUN: Duration = Duration::from_secs(600);
/// Seeds that the copy must pass as it is.
const SOUND_SEEDS: &str = "200";

fn main() -> ExitCode {
    let names: Vec<String> = env::args().skip(1).collect();
    if let Some(unknown) = names
        .iter()
        .find(|name| BREAKS.iter().all(|it| it.name != **name))
    {
        let known: Vec<&str> = BREAKS.iter().map(|it| it.name).collect();
        eprintln!(
            "no break is called {unknown}; there are {}",
            known.join(", ")
        );
        return ExitCode::from(2);
    }
    let chosen = |it: &&Break| names.is_empty() || names.iter().any(|name| name == it.name);
    let lab = match Lab::new() {
        Ok(lab) => lab,
        Err(error) => {
            eprintln!("the core cannot be copied: {error}");
            return ExitCode::FAILURE;
        }
    };
    if let Err(why) = lab.is_sound() {
        eprintln!("the unbroken copy does not pass: {why}");
        return ExitCode::FAILURE;
    }
    let mut rows = Vec::new();
    let mut missed = 0;
    for it in BREAKS.iter().filter(chosen) {
        match lab.catch(it) {
            Ok(caught) => {
                println!("{}: {} by {}", it.name, caught, it.promise);
                rows.push(format!(
                    "| {} | {} | `{}` | {} | {:.1} s |",
                    it.promise,
                    it.what,
                    it.name,
                    caught.seed,
                    caught.after.as_secs_f64()
                ));
            }
            Err(why) => {
                println!("{}: NOT CAUGHT: {why}", it.name);
                missed += 1;
            }
        }
    }
    println!("\n| promise | the broken client | break | first seed | after |");
    println!("|---|---|---|---|---|");
    rows.iter().for_each(|row| println!("{row}"));
    if missed > 0 {
        println!(
            "\n{missed} of {} breaks were not caught",
            rows.len() + missed
        );
        return ExitCode::FAILURE;
    }
    println!("\nall {} breaks were caught", rows.len());
    ExitCode::SUCCESS
}

/// What the simulation said of a broken core.
struct Caught {
    seed: u64,
    what: String,
    after: Duration,
}

impl std::fmt::Display for Caught {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let what: String = self.what.chars().take(160).collect();
        write!(f, "seed {} caught it, \"{what}\",", self.seed)
    }
}

/// A copy of the core in a workspace of its own.
struct Lab {
    root: PathBuf,
    target: PathBuf,
}

impl Lab {
    fn new() -> io::Result<Lab> {
        let core = Path::new(env!("CARGO_MANIFEST_DIR"));
        let temporary = Path::new(env!("CARGO_TARGET_TMPDIR"));
        let lab = Lab {
            root: temporary.join("prove"),
            // The same as the caller's, so that what the core depends on is built once.
            target: temporary.parent().unwrap_or(temporary).to_owned(),
        };
        if lab.root.exists() {
            fs::remove_dir_all(&lab.root)?;
        }
        copy(core, &lab.root.join("core"))?;
        let workspace = core.join("..");
        fs::copy(workspace.join("Cargo.lock"), lab.root.join("Cargo.lock"))?;
        let manifest = fs::read_to_string(workspace.join("Cargo.toml"))?;
        let manifest = ["members", "default-members", "exclude"]
            .into_iter()
            .fold(manifest, |text, name| without_array(&text, name))
            .replacen("[workspace]\n", "[workspace]\nmembers = [\"core\"]\n", 1);
        fs::write(lab.root.join("Cargo.toml"), manifest)?;
        Ok(lab)
    }

    fn is_sound(&self) -> Result<(), String> {
        let simulation = self.build()?;
        match self.run(&simulation, "SVCAUTH_SEEDS", SOUND_SEEDS)? {
            (true, _) => Ok(()),
            (false, said) => Err(said),
        }
    }

    /// The first seed whose story breaks the promise, replayed.
    fn catch(&self, it: &Break) -> Result<Caught, String> {
        let sound = self.apply(it.edits)?;
        let caught = self
            .build()
            .and_then(|simulation| self.look(it, &simulation));
        for (path, text) in sound {
            fs::write(path, text).map_err(|error| error.to_string())?;
        }
        caught
    }

    fn look(&self, it: &Break, simulation: &Path) -> Result<Caught, String> {
        let began = Instant::now();
        let (passed, said) = self.run(simulation, "SVCAUTH_UNTIL", it.promise)?;
        let after = began.elapsed();
        if passed {
            return Err("all seeds passed".to_owned());
        }
        let broke = format!(" broke {}: ", it.promise);
        let Some((seed, what)) = said.lines().find_map(|line| {
            let (seed, what) = line.strip_prefix("seed ")?.split_once(&broke)?;
            Some((seed.parse().ok()?, what.to_owned()))
        }) else {
            let others = said.lines().find(|line| line.contains(" broke "));
            return Err(format!(
                "its promise was not seen broken, only: {}",
                others.unwrap_or(&said)
            ));
        };
        self.replay(it, simulation, seed)?;
        Ok(Caught { seed, what, after })
    }

    /// The seed alone must fail in the same way and tell its story.
    fn replay(&self, it: &Break, simulation: &Path, seed: u64) -> Result<(), String> {
        let (passed, said) = self.run(simulation, "SVCAUTH_SEED", &seed.to_string())?;
        let tells = if it.promise == "no-panic" {
            said.contains("panicked at")
        } else {
            let story = said.lines().filter(|line| line.starts_with("    ")).count();
            story > 1
                && said.contains(&format!("seed {seed} broke {} after", it.promise))
                && said.contains(&format!("replay: SVCAUTH_SEED={seed} "))
        };
        if passed || !tells {
            return Err(format!(
                "seed {seed} caught it, and alone it says something else:\n{said}"
            ));
        }
        Ok(())
    }

    /// Changes the copy; what the files held before.
    fn apply(&self, edits: &[Edit]) -> Result<Vec<(PathBuf, String)>, String> {
        let mut before = Vec::new();
        for edit in edits {
            let path = self.root.join("core/src").join(edit.file);
            let text =
                fs::read_to_string(&path).map_err(|error| format!("{}: {error}", edit.file))?;
            let times = text.matches(edit.from).count();
            if times != 1 {
                return Err(format!(
                    "it no longer fits the source: {} has {times} times {}",
                    edit.file, edit.from
                ));
            }
            fs::write(&path, text.replacen(edit.from, edit.to, 1))
                .map_err(|error| error.to_string())?;
            before.push((path, text));
        }
        // The text that a file had before its first edit is put back last.
        before.reverse();
        Ok(before)
    }

    /// The simulation, built against the copy.
    fn build(&self) -> Result<PathBuf, String> {
        let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
        command
            .args(["test", "--package", "svcauth-core", "--test", "simulation"])
            .args(["--no-run", "--message-format", "json-render-diagnostics"])
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        let (built, said) = finish(&mut command, &self.root)?;
        if !built {
            return Err(format!("it does not build:\n{said}"));
        }
        said.lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
            .filter(|message| message["target"]["name"] == "simulation")
            .find_map(|message| Some(message["executable"].as_str()?.into()))
            .ok_or_else(|| format!("cargo names no executable:\n{said}"))
    }

    /// Whether the simulation passed, and what it said.
    fn run(&self, simulation: &Path, name: &str, value: &str) -> Result<(bool, String), String> {
        let mut command = Command::new(simulation);
        command.arg("--nocapture").current_dir(&self.root);
        for name in [
            "SVCAUTH_SEED",
            "SVCAUTH_FIRST_SEED",
            "SVCAUTH_STORY",
            "SVCAUTH_UNTIL",
        ] {
            command.env_remove(name);
        }
        finish(command.env(name, value), &self.root)
    }
}

/// Runs a command to its end: whether it succeeded, and all that it said.
fn finish(command: &mut Command, directory: &Path) -> Result<(bool, String), String> {
    let failed = |error: io::Error| error.to_string();
    let path = directory.join("said.txt");
    let said = fs::File::create(&path).map_err(failed)?;
    command.stdin(Stdio::null());
    command
        .stderr(said.try_clone().map_err(failed)?)
        .stdout(said);
    let mut child = command.spawn().map_err(failed)?;
    let began = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().map_err(failed)? {
            break status;
        }
        if began.elapsed() > LONGEST_RUN {
            child.kill().map_err(failed)?;
            child.wait().map_err(failed)?;
            return Err(format!("no end after {} s", LONGEST_RUN.as_secs()));
        }
        thread::sleep(Duration::from_millis(20));
    };
    let said = fs::read(&path).map_err(failed)?;
    Ok((
        status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (name, path) = (entry.file_name(), entry.path());
        if !entry.file_type()?.is_dir() {
            fs::copy(&path, to.join(name))?;
        } else if name != "fuzz" && name != "target" {
            copy(&path, &to.join(name))?;
        }
    }
    Ok(())
}

/// The manifest without the array `name`.
fn without_array(manifest: &str, name: &str) -> String {
    let start = manifest.find(&format!("\n{name} = ["));
    let end = start.and_then(|start| Some(start + manifest[start..].find(']')? + 1));
    match (start, end) {
        (Some(start), Some(end)) => format!("{}{}", &manifest[..start], &manifest[end..]),
        _ => manifest.to_owned(),
    }
}
