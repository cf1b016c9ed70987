//! The durable store in a file, shared by any number of processes.
//!
//! ```json
//! { "format": 1, "last": 7,
//!   "records": { "registration": { "version": 6, "value": "base64url" } },
//!   "locks": { "registration": { "owner": "4711-3f…", "fence": 7, "taken_ms": 1700000000000, "ttl_ms": 60000,
//!              "boot": "5d1c…" } } }
//! ```
//!
//! Each operation reads the file and, where it changes something, writes a new one beside it, syncs it and
//! renames it: whoever is killed at whatever moment leaves the old file or the new one. An operation holds
//! the system's lock on `<file>.lock` for these milliseconds only; the lock that the core takes for longer is
//! an entry in the file that ends by itself.
//!
//! It ends sooner where its holder is seen to be dead: the holder has the system's lock on `<file>.lock.<fence>`
//! as long as it lives, and the kernel gives that back on death. `boot` names the kernel that knows about it;
//! under another one, which may share no locks over a network, only the time counts.
//!
//! A process that is forked meanwhile has the same open files, and with them the system's locks: they are given
//! back by name, not by closing. Where their holder dies first, its child has them until it ends or runs another
//! program, and again only the time counts.

use crate::sync::{deadline, left, lock};
use base64ct::{Base64UrlUnpadded, Encoding};
use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read, Write},
    path::{Path, PathBuf},
    process,
    sync::Mutex,
    thread,
    time::{Duration, SystemTime},
};
use svcauth_core::{
    SecretBytes,
    client::{Outcome, StoreOperation},
    wire::json::{self, Object, Value},
};
use zeroize::Zeroizing;

const FORMAT: u64 = 1;

/// The store in one file. Clients of several processes may have the same one.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Tells this store's locks from those of others, in this process too.
    owner: String,
    /// Files that are locked as long as this store has the lock of that fence.
    alive: Mutex<BTreeMap<u64, Locked>>,
}

/// A file with the system's lock on it.
#[derive(Debug)]
struct Locked {
    file: File,
    /// Whose lock it is. A forked child has the file open too, and must not give the lock back.
    process: u32,
}

impl Locked {
    /// Locks the file, if nobody else has it locked.
    fn try_new(file: File) -> Result<Locked, TryLockError> {
        file.try_lock()?;
        Ok(Locked::new(file))
    }

    /// Takes over a file that was locked.
    fn new(file: File) -> Locked {
        let process = process::id();
        Locked { file, process }
    }
}

impl Drop for Locked {
    fn drop(&mut self) {
        if self.process == process::id() {
            let _ = self.file.unlock();
        }
    }
}

/// An operation's failure, in one sentence.
type Failure = String;

impl FileStore {
    /// A store in the file at `path`, which is made by the first write. Nothing is read yet.
    pub fn new(path: impl Into<PathBuf>) -> FileStore {
        let random = getrandom::u64().unwrap_or_default();
        FileStore {
            path: path.into(),
            owner: format!("{}-{random:016x}", process::id()),
            alive: Mutex::default(),
        }
    }

    /// The store of a forked process, which has no locks of its parent's.
    pub(super) fn after_fork(&self) -> FileStore {
        FileStore::new(&self.path)
    }

    /// Does one operation, waiting for other processes for `time` at the most.
    pub fn perform(&self, key: &str, operation: StoreOperation, time: Duration) -> Outcome {
        let done = match operation {
            StoreOperation::Get => self.get(key),
            StoreOperation::PutIf { version, value } => {
                self.alone(time, |store| store.put(key, version, &value))
            }
            StoreOperation::Lock { ttl_ms } => self.alone(time, |store| store.lock(key, ttl_ms)),
            StoreOperation::Unlock { fence } => self.alone(time, |store| store.unlock(key, fence)),
            _ => return Outcome::Unsupported,
        };
        done.unwrap_or_else(|detail| Outcome::Failed { detail })
    }

    /// Needs no lock: the file is always whole.
    fn get(&self, key: &str) -> Result<Outcome, Failure> {
        let document = self.read()?;
        let Some(record) = member(&document, "records", key) else {
            return Ok(Outcome::Record {
                value: None,
                version: 0,
            });
        };
        let value = record
            .get("value")
            .and_then(Value::as_str)
            .and_then(|text| Base64UrlUnpadded::decode_vec(text).ok());
        match (value, record.get("version").and_then(Value::as_u64)) {
            (Some(value), Some(version)) => Ok(Outcome::Record {
                value: Some(SecretBytes::from(value)),
                version,
            }),
            _ => Err(self.damaged()),
        }
    }

    fn put(&self, key: &str, version: u64, value: &SecretBytes) -> Result<Outcome, Failure> {
        let mut document = self.read()?;
        let before = match member(&document, "records", key) {
            None => 0,
            Some(record) => record
                .get("version")
                .and_then(Value::as_u64)
                .ok_or_else(|| self.damaged())?,
        };
        if before != version {
            return Ok(Outcome::Conflict);
        }
        let version = next(&mut document);
        let value = Base64UrlUnpadded::encode_string(value.expose());
        let record = Object::from_iter([
            ("version", Value::from(version)),
            ("value", Value::from(value)),
        ]);
        set(&mut document, "records", key, Some(record));
        self.write(&document)?;
        Ok(Outcome::Stored { version })
    }

    fn lock(&self, key: &str, ttl_ms: u64) -> Result<Outcome, Failure> {
        let mut document = self.read()?;
        let now = wall_ms();
        let mut before = None;
        if let Some(lock) = member(&document, "locks", key) {
            let number = |name| lock.get(name).and_then(Value::as_u64).unwrap_or_default();
            let is_ours = lock.get("owner").and_then(Value::as_str) == Some(&self.owner);
            if let (false, Some(left)) = (
                is_ours,
                time_left(number("taken_ms"), number("ttl_ms"), now),
            ) && !self.is_dead(lock)
            {
                return Ok(Outcome::Held {
                    retry_after_ms: Some(left),
                });
            }
            before = Some(number("fence"));
        }
        let fence = next(&mut document);
        let mut entry = Object::from_iter([
            ("owner", Value::from(self.owner.as_str())),
            ("fence", Value::from(fence)),
            ("taken_ms", Value::from(now)),
            ("ttl_ms", Value::from(ttl_ms)),
        ]);
        if let Some(boot) = self.live(fence) {
            entry.insert("boot", Value::from(boot));
        }
        set(&mut document, "locks", key, Some(entry));
        if let Err(failure) = self.write(&document) {
            lock(&self.alive).remove(&fence);
            return Err(failure);
        }
        if let Some(before) = before {
            lock(&self.alive).remove(&before);
            self.bury(before);
        }
        Ok(Outcome::Locked { fence })
    }

    fn unlock(&self, key: &str, fence: u64) -> Result<Outcome, Failure> {
        // Whatever happens below: who gave the lock back holds it no more.
        let life = lock(&self.alive).remove(&fence);
        let mut document = self.read()?;
        let is_ours = |lock: &&Object| {
            lock.get("fence").and_then(Value::as_u64) == Some(fence)
                && lock.get("owner").and_then(Value::as_str) == Some(&self.owner)
        };
        if member(&document, "locks", key).filter(is_ours).is_some() {
            set(&mut document, "locks", key, None);
            self.write(&document)?;
        }
        if life.is_some() {
            self.bury(fence);
        }
        Ok(Outcome::Done)
    }

    /// Shows for how long this process lives, and says to whom: the kernel's boot id. None where that cannot
    /// be shown; then the lock lasts for its time.
    fn live(&self, fence: u64) -> Option<String> {
        let boot = boot()?;
        let mut options = OpenOptions::new();
        let file = private(options.write(true).create(true).truncate(false))
            .open(self.life(fence))
            .ok()?;
        let file = Locked::try_new(file).ok()?;
        lock(&self.alive).insert(fence, file);
        Some(boot)
    }

    /// Whether the process that took `lock` is known to have ended.
    fn is_dead(&self, lock: &Object) -> bool {
        let fence = lock.get("fence").and_then(Value::as_u64);
        let kernel = lock.get("boot").and_then(Value::as_str);
        let (Some(fence), Some(kernel)) = (fence, kernel) else {
            return false;
        };
        let life = || OpenOptions::new().write(true).open(self.life(fence));
        boot().as_deref() == Some(kernel) && life().is_ok_and(|file| Locked::try_new(file).is_ok())
    }

    /// Removes the file of a lock that is over. Where it stays it means nothing: no lock names it.
    fn bury(&self, fence: u64) {
        let _ = fs::remove_file(self.life(fence));
    }

    fn life(&self, fence: u64) -> PathBuf {
        self.beside(&format!(".lock.{fence}"))
    }

    /// Runs `operation` while no other process and no other thread is at it.
    fn alone(
        &self,
        time: Duration,
        operation: impl FnOnce(&FileStore) -> Result<Outcome, Failure>,
    ) -> Result<Outcome, Failure> {
        let path = self.beside(".lock");
        no_link(&path).map_err(|error| self.cannot("be locked", &path, &error))?;
        let guard = private(
            OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false),
        )
        .open(&path)
        .map_err(|error| self.cannot("be locked", &path, &error))?;
        // A process that was stopped while it had the lock must not stop this one for ever.
        let deadline = deadline(time);
        let mut pause = Duration::from_millis(1);
        loop {
            match guard.try_lock() {
                Ok(()) => break,
                Err(TryLockError::Error(error)) => {
                    return Err(self.cannot("be locked", &path, &error));
                }
                Err(TryLockError::WouldBlock) => {
                    let left = left(deadline).ok_or_else(|| {
                        format!(
                            "{} is locked by another process that does not go on",
                            self.path.display()
                        )
                    })?;
                    thread::sleep(pause.min(left));
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
            }
        }
        let _guard = Locked::new(guard);
        operation(self)
    }

    fn read(&self) -> Result<Object, Failure> {
        // To open a pipe would wait for ever.
        if fs::metadata(&self.path).is_ok_and(|metadata| !metadata.is_file()) {
            return Err(format!(
                "{} is no regular file; name another one in store.file",
                self.path.display()
            ));
        }
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(empty()),
            Err(error) => return Err(self.cannot("be read", &self.path, &error)),
        };
        self.check_mode(&file)?;
        let mut text = Zeroizing::new(Vec::with_capacity(4096));
        file.read_to_end(&mut text)
            .map_err(|error| self.cannot("be read", &self.path, &error))?;
        let document = json::parse_object(&text).map_err(|_| self.damaged())?;
        match document.get("format").and_then(Value::as_u64) {
            Some(FORMAT) => Ok(document),
            Some(format) => Err(format!(
                "{} has format {format}, written by another version of svcauth; this one knows format {FORMAT}",
                self.path.display()
            )),
            None => Err(self.damaged()),
        }
    }

    fn write(&self, document: &Object) -> Result<(), Failure> {
        let text = Zeroizing::new(document.to_json());
        // What a server gives to be saved must not make the rest unreadable.
        if text.len() > json::MAX_BYTES {
            return Err(format!(
                "{} would become larger than 1 MiB, and nobody could read it; see to what the server answers",
                self.path.display()
            ));
        }
        let beside = self.beside(".new");
        let written = || -> io::Result<()> {
            // Left by a process that was killed; and nobody's link is followed.
            match fs::remove_file(&beside) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut file =
                private(OpenOptions::new().write(true).create_new(true)).open(&beside)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            fs::rename(&beside, &self.path)?;
            sync_directory(&self.path)
        };
        written().map_err(|error| self.cannot("be written", &self.path, &error))
    }

    fn beside(&self, suffix: &str) -> PathBuf {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(suffix);
        self.path.with_file_name(name)
    }

    #[cfg(unix)]
    fn check_mode(&self, file: &File) -> Result<(), Failure> {
        use std::os::unix::fs::PermissionsExt;
        let mode = file
            .metadata()
            .map_or(0, |metadata| metadata.permissions().mode());
        if mode & 0o077 == 0 {
            return Ok(());
        }
        let path = self.path.display();
        Err(format!(
            "{path} holds secrets and others may read it (mode {:04o}); say: chmod 600 {path}",
            mode & 0o7777
        ))
    }

    #[cfg(not(unix))]
    fn check_mode(&self, _: &File) -> Result<(), Failure> {
        Ok(())
    }

    fn damaged(&self) -> Failure {
        let path = self.path.display();
        format!(
            "{path} is no state file of svcauth, or damaged; move it away, then the client starts anew"
        )
    }

    fn cannot(&self, what: &str, path: &Path, error: &io::Error) -> Failure {
        let directory = directory(&self.path);
        let advice = match error.kind() {
            io::ErrorKind::NotFound => format!("make the directory {}", directory.display()),
            io::ErrorKind::PermissionDenied => {
                format!(
                    "make it and the directory {} belong to the user of this process",
                    directory.display()
                )
            }
            _ => "see to the file system".into(),
        };
        format!(
            "the state file {} cannot {what} ({error}); {advice}",
            path.display()
        )
    }
}

fn empty() -> Object {
    let none = || Value::from(Object::default());
    Object::from_iter([
        ("format", Value::from(FORMAT)),
        ("last", Value::from(0u64)),
        ("records", none()),
        ("locks", none()),
    ])
}

fn member<'a>(document: &'a Object, group: &str, key: &str) -> Option<&'a Object> {
    document.get(group)?.as_object()?.get(key)?.as_object()
}

fn set(document: &mut Object, group: &'static str, key: &str, entry: Option<Object>) {
    let mut entries = document
        .remove(group)
        .and_then(Value::into_object)
        .unwrap_or_default();
    match entry {
        Some(entry) => {
            entries.insert(key, entry);
        }
        None => {
            entries.remove(key);
        }
    }
    document.insert(group, entries);
}

/// Versions and fences are drawn from one counter, so that none comes twice.
fn next(document: &mut Object) -> u64 {
    let next = document
        .get("last")
        .and_then(Value::as_u64)
        .unwrap_or_default()
        + 1;
    document.insert("last", next);
    next
}

/// How long a lock still lasts. One from the future was taken before the clock was set back: nobody knows
/// how long ago, and it does not count.
fn time_left(taken_ms: u64, ttl_ms: u64, now_ms: u64) -> Option<u64> {
    const SKEW_MS: u64 = 5_000;
    if taken_ms > now_ms.saturating_add(SKEW_MS) {
        return None;
    }
    taken_ms
        .saturating_add(ttl_ms)
        .checked_sub(now_ms)
        .filter(|left| *left > 0)
}

/// Names this run of this kernel, which knows who lives and who does not.
fn boot() -> Option<String> {
    let id = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

fn wall_ms() -> u64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default()
        .as_millis() as u64
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options
}

/// Whoever may write to the directory must not choose which file is made or locked.
fn no_link(path: &Path) -> io::Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.is_file() => Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "it is no regular file",
        )),
        _ => Ok(()),
    }
}

fn directory(path: &Path) -> &Path {
    path.parent()
        .filter(|parent| !parent.as_os_str().is_empty())
        .unwrap_or(Path::new("."))
}

#[cfg(unix)]
fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path))?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_ends_by_itself_whatever_the_clock_does() {
        for (taken, ttl, now, left) in [
            (1_000, 500, 1_000, Some(500)),
            (1_000, 500, 1_499, Some(1)),
            (1_000, 500, 1_500, None),
            (1_000, 500, 900_000, None),
            (3_000, 500, 1_000, Some(2_500)),
            (900_000, 500, 1_000, None),
            (1_000, u64::MAX, 1_000, Some(u64::MAX - 1_000)),
        ] {
            assert_eq!(time_left(taken, ttl, now), left, "{taken} {ttl} {now}");
        }
    }
}
