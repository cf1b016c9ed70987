"""The lab on real sockets, and clients of it."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import svcauth

NODE = "/hsm/v2/State/Components/x0c0s0b0n0"
SECRET = "a secret: 100%"
ROOT = Path(__file__).resolve().parents[3]


class Journal(logging.Handler):
    """A log that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def events(self, name: str) -> list[dict[str, Any]]:
        return [vars(record) for record in list(self.records) if getattr(record, "event", None) == name]

    def text(self) -> str:
        return "\n".join(f"{record.getMessage()} {vars(record)!r}" for record in list(self.records))


class Lab:
    """A running svcauth-lab with the client bss."""

    def __init__(self, *arguments: str) -> None:
        program = os.environ.get("SVCAUTH_LAB")
        if not program:
            pytest.fail("SVCAUTH_LAB does not name the svcauth-lab program; make python-test builds it and says where")
        self.process = subprocess.Popen(
            [program, "--until-stdin-closes", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.urls: dict[str, str] = json.loads(self.process.stdout.readline())
        self.issuer, self.admin, self.smd = self.urls["issuer"], self.urls["admin"], self.urls["smd"]
        self.elsewhere = self.urls["elsewhere"]
        self.node = self.smd + NODE
        self.post(
            "/admin/clients",
            {"client_id": "bss", "client_secret": SECRET, "scope": "read", "grant_types": ["client_credentials"]},
        )

    def stop(self) -> None:
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()

    def ask(self, method: str, path: str, body: object = None) -> Any:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.admin + path, data, {"Content-Type": "application/json"}, method=method)
        with urllib.request.urlopen(request, timeout=30) as response:
            text = response.read()
        return json.loads(text) if text else None

    def post(self, path: str, body: object) -> Any:
        return self.ask("POST", path, body)

    def get(self, path: str) -> Any:
        return self.ask("GET", path)

    def fault(self, endpoint: str, fault: dict[str, Any]) -> None:
        self.post("/lab/faults", {"endpoint": endpoint, "fault": fault})

    def log(self, service: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.get(f"/lab/log?service={service}")
        return found

    def token_requests(self) -> int:
        return sum(entry["path"] == "/oauth2/token" for entry in self.log("issuer"))

    def user_token(self) -> str:
        token: str = self.post("/lab/user-token", {"sub": "alice", "scopes": ["read"]})["access_token"]
        return token

    def config(self, **more: Any) -> dict[str, Any]:
        """What a service that calls SMD says; `more` is laid over it."""
        base = {
            "issuer": self.issuer,
            "client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
            "targets": {"smd": {"urls": [self.smd + "/hsm/v2"], "scopes": ["read"]}},
        }
        merged: dict[str, Any] = merge(base, more)
        return merged


def merge(base: Any, over: Any) -> Any:
    """RFC 7396."""
    if not isinstance(over, dict):
        return over
    merged = dict(base) if isinstance(base, dict) else {}
    for name, value in over.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


@pytest.fixture
def start_lab(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Lab]]:
    monkeypatch.setenv("BSS_SECRET", SECRET)
    started = []

    def start(*arguments: str) -> Lab:
        lab = Lab(*arguments)
        started.append(lab)
        return lab

    yield start
    for lab in started:
        lab.stop()


@pytest.fixture
def lab(start_lab: Callable[..., Lab]) -> Lab:
    return start_lab()


@pytest.fixture
def journal() -> Journal:
    return Journal()


@pytest.fixture
def logger(journal: Journal) -> logging.Logger:
    made = logging.Logger("test", logging.DEBUG)
    made.addHandler(journal)
    return made


@pytest.fixture
def client(lab: Lab, logger: logging.Logger) -> Iterator[svcauth.Client]:
    with svcauth.Client(lab.config(), logger=logger) as made:
        yield made


def in_threads(count: int, work: Callable[[], Any]) -> list[Any]:
    """What `work` gives on so many threads that start at once."""
    gate, results = threading.Barrier(count), []

    def run() -> None:
        gate.wait()
        results.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def python(code: str, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs a program of its own, which ends in a while."""
    return subprocess.run(
        [sys.executable, "-X", "faulthandler", "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), **environment},
        # Not where the sources are, which would be imported in place of what is installed.
        cwd=os.path.dirname(__file__),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def eventually(condition: Callable[[], object]) -> None:
    """Waits until it is so; longer than a busy machine needs."""
    pause = threading.Event()
    for _ in range(6000):
        if condition():
            return
        pause.wait(0.01)
    raise AssertionError("it has not come to that in a minute")
