//! A running Envoy: what it says about itself, and its end.

use std::{
    fs::{self, File},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{
    Bootstrap, PATIENCE, Request,
    built::{envoy_program, filter_module, repository},
};

/// Runs Envoy until this process ends, whatever ends it, and notes Envoy's process id.
const UNTIL_INPUT_CLOSES: &str = r#"
exec 3<&0 </dev/null
"$@" 3<&- &
envoy=$!
echo $envoy >"$PROCESS_ID.new" && mv "$PROCESS_ID.new" "$PROCESS_ID"
(cat <&3 >/dev/null; kill -KILL $envoy 2>/dev/null) &
exec 3<&-
wait $envoy
"#;

/// How Envoy is started.
#[derive(Clone, Debug)]
pub struct Settings {
    bootstrap: Text,
    concurrency: u32,
    log_level: String,
    component_log_level: Option<String>,
    environment: Vec<(String, String)>,
}

/// A bootstrap's text, and what its file's name ends in.
#[derive(Clone, Debug)]
struct Text {
    text: String,
    extension: &'static str,
}

impl Settings {
    /// With a bootstrap that was built here.
    pub fn of(bootstrap: Bootstrap) -> Settings {
        Settings::with(bootstrap.json().to_string(), "json")
    }

    /// With one of examples/envoy as it is shipped, but for the module's path and the ports: its own are chosen by the
    /// system, the others stand for these addresses.
    ///
    /// # Panics
    /// When the example cannot be read, does not name such a port, or the module cannot be built.
    pub fn example(name: &str, services: &[(u16, SocketAddr)]) -> Settings {
        let file = repository().join("examples/envoy").join(name);
        let mut text =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut put = |shipped: &str, here: &str| {
            assert!(text.contains(shipped), "{name} has no {shipped}");
            text = text.replace(shipped, here);
        };
        match filter_module() {
            Ok(module) => put("target/svcauth-proxy.wasm", &module.display().to_string()),
            Err(error) => panic!("no filter: {error}"),
        }
        for own in ["port_value: 9901", "port_value: 10000"] {
            put(own, "port_value: 0");
        }
        for (port, address) in services {
            put(
                &format!("port_value: {port}"),
                &format!("port_value: {}", address.port()),
            );
        }
        for (port, address) in services {
            text = text.replace(&format!("127.0.0.1:{port}"), &address.to_string());
        }
        Settings::with(text, "yaml")
    }

    /// Another text in place of one that is there.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn replace(mut self, there: &str, here: &str) -> Settings {
        let text = &mut self.bootstrap.text;
        assert!(text.contains(there), "the configuration has no {there}");
        *text = text.replace(there, here);
        self
    }

    fn with(text: String, extension: &'static str) -> Settings {
        Settings {
            bootstrap: Text { text, extension },
            concurrency: 2,
            log_level: "info".into(),
            component_log_level: None,
            environment: Vec::new(),
        }
    }

    /// The number of workers; 2 unless it is said.
    #[must_use]
    pub fn concurrency(mut self, workers: u32) -> Settings {
        self.concurrency = workers;
        self
    }

    /// The level of all logs; `info` unless it is said.
    #[must_use]
    pub fn log_level(mut self, level: &str) -> Settings {
        self.log_level = level.into();
        self
    }

    /// Levels of single logs: `wasm:trace`.
    #[must_use]
    pub fn component_log_level(mut self, levels: &str) -> Settings {
        self.component_log_level = Some(levels.into());
        self
    }

    /// A variable of Envoy's environment.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Settings {
        self.environment.push((name.into(), value.into()));
        self
    }
}

/// A running Envoy. It is killed when this is dropped.
#[derive(Debug)]
pub struct Envoy {
    process: Child,
    input: Option<ChildStdin>,
    folder: TempDir,
    admin: SocketAddr,
    id: u32,
}

impl Envoy {
    /// Starts it; when this returns its listeners accept connections.
    ///
    /// # Panics
    /// When it does not start; [`try_start`](Envoy::try_start) returns the error instead.
    pub fn start(settings: &Settings) -> Envoy {
        Envoy::try_start(settings).unwrap_or_else(|error| panic!("Envoy does not start: {error}"))
    }

    /// Starts it; when this returns its listeners accept connections. The error has the end of its log.
    pub fn try_start(settings: &Settings) -> io::Result<Envoy> {
        let folder = tempfile::Builder::new()
            .prefix("svcauth-envoy-")
            .tempdir()?;
        let file = |name: &str| folder.path().join(name);
        let Text { text, extension } = &settings.bootstrap;
        let bootstrap = file("bootstrap").with_extension(extension);
        fs::write(&bootstrap, text)?;
        let mut command = Command::new("sh");
        command
            .args(["-c", UNTIL_INPUT_CLOSES, "sh"])
            .arg(envoy_program()?)
            .args(["--disable-hot-restart", "--concurrency"])
            .arg(settings.concurrency.to_string())
            .args(["--log-level", &settings.log_level, "--config-path"])
            .arg(&bootstrap)
            .arg("--admin-address-path")
            .arg(file("admin"))
            // A listener that is replaced lets its connections go with their next answer, and waits for that.
            .args(["--drain-strategy", "immediate", "--drain-time-s", "60"])
            .current_dir(repository())
            .env("PROCESS_ID", file("process-id"))
            .envs(settings.environment.iter().cloned())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(File::create(file(LOG))?);
        if let Some(levels) = &settings.component_log_level {
            command.args(["--component-log-level", levels]);
        }
        let mut process = command.spawn()?;
        let input = process.stdin.take();
        let mut starting = Starting {
            process,
            input,
            folder: folder.path().to_owned(),
        };
        match starting.wait() {
            Ok((admin, id)) => Ok(Envoy {
                process: starting.process,
                input: starting.input,
                folder,
                admin,
                id,
            }),
            Err(error) => {
                starting.input = None;
                let _ = starting.process.wait();
                Err(error)
            }
        }
    }

    /// Where a listener listens.
    ///
    /// # Panics
    /// When there is no such listener.
    pub fn address(&self, listener: &str) -> SocketAddr {
        let listeners = self.admin("/listeners?format=json").json();
        let found = listeners["listener_statuses"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|status| status["name"] == listener)
            .and_then(|status| {
                let address = &status["local_address"]["socket_address"];
                let port = address["port_value"].as_u64()?;
                format!("{}:{port}", address["address"].as_str()?)
                    .parse()
                    .ok()
            });
        found.unwrap_or_else(|| panic!("Envoy has no listener {listener}: {listeners}"))
    }

    /// What a path of the admin port answers.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn admin(&self, path: &str) -> crate::Answer {
        self.ask(&Request::get(path))
    }

    /// The same for orders.
    ///
    /// # Panics
    /// When it does not answer.
    pub fn order(&self, path: &str) -> crate::Answer {
        self.ask(&Request::post(path, ""))
    }

    fn ask(&self, request: &Request) -> crate::Answer {
        match request.send(self.admin) {
            Ok(answer) => answer,
            Err(error) => panic!(
                "Envoy's admin port does not answer: {error}\n{}",
                tail(&self.log())
            ),
        }
    }

    /// A counter or gauge; none if Envoy does not know it (yet).
    pub fn stat(&self, name: &str) -> Option<u64> {
        let stats = self.stats();
        stats
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, value)| *value)
    }

    /// All counters and gauges.
    pub fn stats(&self) -> Vec<(String, u64)> {
        let answer = self.admin("/stats?format=json").json();
        answer["stats"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|stat| Some((stat["name"].as_str()?.to_owned(), stat["value"].as_u64()?)))
            .collect()
    }

    /// Everything that Envoy has logged.
    pub fn log(&self) -> String {
        let log = fs::read(self.folder.path().join(LOG)).unwrap_or_default();
        String::from_utf8_lossy(&log).into_owned()
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.id
    }

    /// CPU time that all its threads have used.
    ///
    /// # Errors
    /// Where there is no /proc.
    pub fn cpu_time(&self) -> io::Result<Duration> {
        let mut nanoseconds = 0;
        for thread in fs::read_dir(format!("/proc/{}/task", self.id))? {
            let used = fs::read_to_string(thread?.path().join("schedstat"))?;
            nanoseconds += used
                .split(' ')
                .next()
                .and_then(|used| used.parse::<u64>().ok())
                .unwrap_or_default();
        }
        Ok(Duration::from_nanos(nanoseconds))
    }

    /// Bytes of memory in use, its program's own pages included.
    ///
    /// # Errors
    /// Where there is no /proc.
    pub fn memory(&self) -> io::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.id))?;
        let kilobytes = status
            .lines()
            .find_map(|line| {
                line.strip_prefix("VmRSS:")?
                    .split_whitespace()
                    .next()?
                    .parse()
                    .ok()
            })
            .unwrap_or(0u64);
        Ok(kilobytes << 10)
    }

    /// Whether it still runs.
    pub fn runs(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.process.wait();
    }
}

const LOG: &str = "envoy.log";

/// An Envoy that does not accept connections yet.
struct Starting {
    process: Child,
    input: Option<ChildStdin>,
    folder: PathBuf,
}

impl Starting {
    fn wait(&mut self) -> io::Result<(SocketAddr, u32)> {
        let started = Instant::now();
        let mut known = None;
        loop {
            if let Some(status) = self.process.try_wait()? {
                return Err(self.failure(&format!("it ended with {status}")));
            }
            if known.is_none() {
                known = self.read("admin").zip(self.read("process-id"));
            }
            if let Some((admin, id)) = known {
                let ready = Request::get("/ready").send(admin);
                if ready.is_ok_and(|answer| answer.status == 200) {
                    return Ok((admin, id));
                }
            }
            if started.elapsed() > PATIENCE {
                return Err(self.failure("it does not get ready"));
            }
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn read<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        let text = fs::read_to_string(self.folder.join(name)).ok()?;
        text.trim().parse().ok()
    }

    fn failure(&self, what: &str) -> io::Error {
        let log = read_lossy(&self.folder.join(LOG));
        io::Error::other(format!("{what}\n{}", tail(&log)))
    }
}

fn read_lossy(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned()
}

/// The last lines.
fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(20)..].join("\n")
}
