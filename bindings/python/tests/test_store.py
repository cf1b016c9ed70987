"""The file of the durable store: whole whatever happens, and shared with other processes and hosts."""

from __future__ import annotations

import base64
import fcntl
import json
import multiprocessing
import os
import stat
import threading
from pathlib import Path
from typing import Any, Callable

import pytest

from svcauth._store import FileStore, StoreFailed

SECONDS = 5.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.json"


def store(path: Path, wait: float = SECONDS) -> FileStore:
    return FileStore(str(path), wait)


def test_a_record_is_there_for_whoever_reads_next(path: Path) -> None:
    one, other = store(path), store(path)
    assert one.get("registration") == (b"", 0)
    version = one.put("registration", 0, b"\x00secret\xff")
    assert version > 0
    assert other.get("registration") == (b"\x00secret\xff", version)
    assert other.put("registration", 0, b"late") == 0
    later = other.put("registration", version, b"")
    assert later > version
    assert one.get("registration") == (b"", later)


def test_the_file_is_the_one_that_other_hosts_write(path: Path) -> None:
    value = base64.urlsafe_b64encode(b'{"client_id":"bss"}??>').rstrip(b"=").decode()
    path.write_text(
        json.dumps({"format": 1, "last": 7, "more": [1], "records": {"r": {"version": 6, "value": value, "more": 2}}})
    )
    path.chmod(0o600)
    one = store(path)
    assert one.get("r") == (b'{"client_id":"bss"}??>', 6)
    assert one.put("other", 0, b"x") == 8
    document = json.loads(path.read_text())
    assert document["more"] == [1]
    assert document["records"]["r"] == {"version": 6, "value": value, "more": 2}
    assert document["records"]["other"] == {"version": 8, "value": "eA"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert sorted(each.name for each in path.parent.iterdir()) == ["state.json", "state.json.lock"]


def test_a_lock_holds_others_off_until_it_ends(path: Path) -> None:
    one, other = store(path), store(path)
    fence, left = one.lock("r", 60_000)
    assert fence > 0
    assert left == 0
    held, left = other.lock("r", 60_000)
    assert held == 0
    assert 0 < left <= 60_000
    # Its own may be taken again.
    again, _ = one.lock("r", 60_000)
    assert again > fence
    other.unlock("r", fence)
    assert other.lock("r", 60_000)[0] == 0
    one.unlock("r", again)
    assert other.lock("r", 60_000)[0] > again


@pytest.mark.parametrize(
    "lock",
    [
        {"owner": "1-a", "fence": 3, "taken_ms": 0, "ttl_ms": 1},
        {"owner": "1-a", "fence": 3, "taken_ms": 2**63, "ttl_ms": 60_000},
        {"owner": 1, "fence": 3},
        {"owner": "1-a", "fence": 3, "taken_ms": "x", "ttl_ms": 1},
        "damaged",
    ],
)
def test_a_lock_that_ended_or_is_damaged_holds_nobody_off(path: Path, lock: Any) -> None:
    path.write_text(json.dumps({"format": 1, "last": 3, "locks": {"r": lock}}))
    path.chmod(0o600)
    assert store(path).lock("r", 1_000) == (4, 0)


def test_a_forked_child_is_another_owner(path: Path) -> None:
    one = store(path)
    before = one.owner()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, one.owner().encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(reader, 100).decode() != before
    assert one.owner() == before
    os.close(reader)
    os.close(writer)


def _count(path: str, rounds: int) -> None:
    one = FileStore(path, 60.0)
    for _ in range(rounds):
        while True:
            value, version = one.get("count")
            if one.put("count", version, str(int(value or b"0") + 1).encode()):
                break


def test_processes_and_threads_do_not_lose_each_others_writes(path: Path) -> None:
    rounds = 20
    processes = [
        multiprocessing.get_context("spawn").Process(target=_count, args=(str(path), rounds)) for _ in range(2)
    ]
    threads = [threading.Thread(target=_count, args=(str(path), rounds)) for _ in range(2)]
    for each in (*processes, *threads):
        each.start()
    for each in (*processes, *threads):
        each.join()
    assert int(store(path).get("count")[0]) == 4 * rounds


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: path.write_text("{"), "is no state file of svcauth, or damaged"),
        (lambda path: path.write_text("[1]"), "is no state file of svcauth, or damaged"),
        (lambda path: path.write_text('{"format":"1"}'), "is no state file of svcauth, or damaged"),
        (lambda path: path.write_text('{"format":2}'), "written by another version"),
        (lambda path: path.write_text('{"format":1,"last":-1}'), "damaged"),
        (lambda path: path.write_text('{"format":1,"records":[]}'), "damaged"),
        (lambda path: path.write_text('{"format":1,"records":{"r":{"version":1,"value":"a+b/"}}}'), "damaged"),
        (lambda path: path.write_text('{"format":1,"records":{"r":{"version":1,"value":"a"}}}'), "damaged"),
        (lambda path: path.write_text('{"format":1,"records":{"r":{"version":true,"value":""}}}'), "damaged"),
        (lambda path: path.write_text("[" * 100_000), "damaged"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "damaged"),
        (lambda path: path.mkdir(), "cannot be read"),
    ],
)
def test_a_file_that_is_none_is_named_and_left_alone(path: Path, make: Callable[[Path], Any], says: str) -> None:
    make(path)
    path.chmod(0o700 if path.is_dir() else 0o600)
    for attempt in (lambda one: one.get("r"), lambda one: one.put("r", 1, b"x")):
        with pytest.raises(StoreFailed, match=says) as failed:
            attempt(store(path))
        assert str(path) in str(failed.value)


def test_a_file_that_others_may_read_is_refused(path: Path) -> None:
    store(path).put("r", 0, b"x")
    path.chmod(0o640)
    with pytest.raises(StoreFailed, match="mode 0640.*chmod 600"):
        store(path).get("r")


def test_a_missing_directory_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreFailed, match="make the directory"):
        store(tmp_path / "none" / "state.json").put("r", 0, b"x")


def test_a_process_that_was_stopped_does_not_stop_this_one_for_ever(path: Path) -> None:
    with open(f"{path}.lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with pytest.raises(StoreFailed, match="locked by another process"):
            store(path, wait=0.01).put("r", 0, b"x")
    assert store(path).put("r", 0, b"x")


def test_what_a_killed_process_left_is_in_nobodys_way(path: Path) -> None:
    elsewhere = path.with_name("elsewhere")
    elsewhere.write_text("mine")
    path.with_name("state.json.new").symlink_to(elsewhere)
    assert store(path).put("r", 0, b"x")
    assert elsewhere.read_text() == "mine"
