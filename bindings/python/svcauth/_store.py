"""The durable store in a file, which any number of processes may share, those of the other hosts of svcauth too:

    { "format": 1, "last": 7,
      "records": { "registration": { "version": 6, "value": "base64url" } },
      "locks": { "registration": { "owner": "4711-3f…", "fence": 7, "taken_ms": 1700000000000, "ttl_ms": 60000 } } }

Each operation reads the file and, where it changes something, writes a new one beside it, syncs it and renames it:
whoever is killed at whatever moment leaves the old file or the new one. An operation holds the system's lock on
<file>.lock for these milliseconds only; the lock that the core takes for longer is an entry in the file that ends by
itself.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import stat
import sys
import time
from collections.abc import Iterator
from typing import Any

# Where files cannot be locked so, the core refuses a configuration that needs a store.
SUPPORTED = sys.platform != "win32"
if sys.platform != "win32":
    import fcntl

FORMAT = 1
SKEW_MS = 5_000
Document = dict[str, Any]


class StoreFailed(Exception):
    """Why an operation could not be done, without secrets."""


class FileStore:
    """One process's way to the file. An operation blocks, for `wait` seconds at the most."""

    def __init__(self, path: str, wait: float) -> None:
        self._path = path
        self._wait = wait
        self._owner = ""
        self._process = 0

    def get(self, key: str) -> tuple[bytes, int]:
        """The record's value and version; version 0 where it does not exist. The file is always whole."""
        record = self._read()["records"].get(key)
        return (b"", 0) if record is None else self._record(record)

    def put(self, key: str, version: int, value: bytes) -> int:
        """Writes the record if it still has that version; the new version, 0 where it has another one."""
        with self._change() as document:
            record = document["records"].get(key)
            if (0 if record is None else self._record(record)[1]) != version:
                return 0
            written = _next(document)
            text = base64.urlsafe_b64encode(value).rstrip(b"=").decode()
            document["records"][key] = {"version": written, "value": text}
            self._write(document)
            return written

    def lock(self, key: str, ttl_ms: int) -> tuple[int, int]:
        """The fence of the lock, or 0 and in how many milliseconds another one's ends."""
        with self._change() as document:
            now = time.time_ns() // 1_000_000
            held = document["locks"].get(key)
            left = _time_left(held, now)
            if left > 0 and held["owner"] != self.owner():
                return 0, left
            fence = _next(document)
            document["locks"][key] = {"owner": self.owner(), "fence": fence, "taken_ms": now, "ttl_ms": ttl_ms}
            self._write(document)
            return fence, 0

    def unlock(self, key: str, fence: int) -> None:
        with self._change() as document:
            held = document["locks"].get(key)
            if isinstance(held, dict) and held.get("fence") == fence:
                del document["locks"][key]
                self._write(document)

    def owner(self) -> str:
        """What tells this store's locks from those of others: in this process too, and of a forked one."""
        process = os.getpid()
        if process != self._process:
            self._owner = f"{process}-{os.urandom(8).hex()}"
            self._process = process
        return self._owner

    @contextlib.contextmanager
    def _change(self) -> Iterator[Document]:
        """The document, while no other process and no other thread is at it."""
        path = self._path + ".lock"
        deadline = time.monotonic() + self._wait
        try:
            guard = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise self._cannot("be locked", path, error) from None
        try:
            self._take(guard, path, deadline)
            try:
                yield self._read()
            finally:
                # Said rather than left to the closing: a process that was forked meanwhile has the file open too.
                fcntl.flock(guard, fcntl.LOCK_UN)
        finally:
            os.close(guard)

    def _take(self, guard: int, path: str, deadline: float) -> None:
        pause = 0.001
        while True:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise StoreFailed(f"{self._path} is locked by another process that does not go on") from None
                time.sleep(min(pause, left))
                pause = min(2 * pause, 0.02)
            except OSError as error:
                raise self._cannot("be locked", path, error) from None
            else:
                return

    def _read(self) -> Document:
        try:
            with open(self._path, "rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                if mode & 0o077:
                    raise StoreFailed(
                        f"{self._path} holds secrets and others may read it (mode {mode:04o}); "
                        f"say: chmod 600 {self._path}"
                    )
                text = file.read()
        except FileNotFoundError:
            return {"format": FORMAT, "last": 0, "records": {}, "locks": {}}
        except OSError as error:
            raise self._cannot("be read", self._path, error) from None
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            raise self._damaged() from None
        if not isinstance(document, dict) or not _is_number(document.get("format")):
            raise self._damaged()
        if document["format"] != FORMAT:
            raise StoreFailed(
                f"{self._path} has format {document['format']}, written by another version of svcauth; "
                f"this one knows format {FORMAT}"
            )
        if not _is_number(document.setdefault("last", 0)):
            raise self._damaged()
        for name in ("records", "locks"):
            if not isinstance(document.setdefault(name, {}), dict):
                raise self._damaged()
        return document

    def _record(self, record: Any) -> tuple[bytes, int]:
        if not isinstance(record, dict) or not _is_number(record.get("version")) or record["version"] == 0:
            raise self._damaged()
        text = record.get("value")
        try:
            if not isinstance(text, str) or not text.isascii() or "+" in text or "/" in text or "=" in text:
                raise ValueError
            return base64.b64decode(text + "=" * (-len(text) % 4), b"-_", validate=True), record["version"]
        except (ValueError, binascii.Error):
            raise self._damaged() from None

    def _write(self, document: Document) -> None:
        text = json.dumps(document, separators=(",", ":")).encode()
        try:
            self._replace(text)
        except OSError as error:
            raise self._cannot("be written", self._path, error) from None

    def _replace(self, text: bytes) -> None:
        beside = self._path + ".new"
        # Left by a process that was killed; and nobody's link is followed.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        file = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            while text:
                text = text[os.write(file, text) :]
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(beside, self._path)
        directory = os.open(os.path.dirname(self._path) or ".", os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def _damaged(self) -> StoreFailed:
        return StoreFailed(
            f"{self._path} is no state file of svcauth, or damaged; move it away, then the client starts anew"
        )

    def _cannot(self, what: str, path: str, error: OSError) -> StoreFailed:
        directory = os.path.dirname(path) or "."
        advice = "see to the file system"
        if isinstance(error, FileNotFoundError):
            advice = f"make the directory {directory}"
        elif isinstance(error, PermissionError):
            advice = f"make it and the directory {directory} belong to the user of this process"
        return StoreFailed(f"the state file {path} cannot {what} ({error.strerror}); {advice}")


def _next(document: Document) -> int:
    """Versions and fences come from one counter, so that none comes twice."""
    document["last"] += 1
    last: int = document["last"]
    return last


def _time_left(held: Any, now: int) -> int:
    """How long a lock still lasts. What is damaged does not count; nor does one from the future, which was taken before
    the clock was set back: nobody knows how long ago."""
    if not isinstance(held, dict) or not isinstance(held.get("owner"), str):
        return 0
    taken: Any = held.get("taken_ms")
    ttl: Any = held.get("ttl_ms")
    if not _is_number(taken) or not _is_number(ttl) or taken > now + SKEW_MS:
        return 0
    return max(int(taken + ttl), now) - now


def _is_number(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**64
