"""The programs of examples/python, as processes of their own against the lab."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import ROOT, SECRET, Lab, eventually

EXAMPLES = ROOT / "examples" / "python"
SCRIPT, PARAMETERS = "/boot/v1/bootscript?host=", "/boot/v1/bootparameters?host="


class Service:
    def __init__(self, process: subprocess.Popen[str], url: str, log: Path) -> None:
        self.process, self.url, self.log = process, url, log

    def get(self, path: str, user: str | None = None) -> tuple[int, str]:
        """As a caller without svcauth."""
        headers = {} if user is None else {"Authorization": f"Bearer {user}"}
        try:
            with urllib.request.urlopen(urllib.request.Request(self.url + path, headers=headers), timeout=60) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    def end(self) -> str:
        """Ends it as an operator does; its log."""
        self.process.send_signal(signal.SIGTERM)
        # Uvicorn ends by the signal once it has shut down.
        assert self.process.wait(60) in (0, -signal.SIGTERM), self.log.read_text()
        return self.log.read_text()


@pytest.fixture
def run(lab: Lab, tmp_path: Path) -> Iterator[Callable[..., Service]]:
    """Starts `python -m …` or a script of the examples, and waits until it says where it listens."""
    config = tmp_path / "svcauth.json"
    config.write_text(json.dumps(lab.config()))
    log = tmp_path / "log"
    started: list[subprocess.Popen[str]] = []

    def start(*command: str, listens: str) -> Service:
        here = {"SVCAUTH_CONFIG": str(config), "SMD_URL": lab.smd, "BSS_SECRET": SECRET, "PYTHONFAULTHANDLER": "1"}
        words = [each.format(config=config, smd=lab.smd) for each in command]
        with log.open("w") as file:
            process = subprocess.Popen(
                [sys.executable, *words],
                cwd=EXAMPLES,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **here},
                stdout=file,
                stderr=subprocess.STDOUT,
                text=True,
            )
        started.append(process)
        found: list[str] = []

        def listening() -> bool:
            assert process.poll() is None, log.read_text()
            found[:] = re.findall(listens, log.read_text())
            return bool(found)

        eventually(listening)
        service = Service(process, found[0], log)
        eventually(lambda: reached(service))
        return service

    yield start
    for process in started:
        process.kill()
        process.wait()


def reached(service: Service) -> bool:
    host, port = service.url.removeprefix("http://").split(":")
    with contextlib.suppress(OSError), socket.create_connection((host, int(port)), 5):
        return True
    return False


GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--workers", "2")
LISTENS = r"(?:listening on|running on|Listening at:) (http://[0-9.:]+)"
SERVICES = {
    "the standard library": ("boot_scripts.py", "{config}", "{smd}", "127.0.0.1:0"),
    "gunicorn": (*GUNICORN, "boot_scripts:application('{config}', '{smd}')"),
    "gunicorn that preloads": (*GUNICORN, "--preload", "--threads", "4", "boot_scripts_flask:app"),
    "uvicorn": ("-m", "uvicorn", "--port", "0", "boot_scripts_fastapi:app"),
}


@pytest.mark.parametrize("name", SERVICES)
def test_each_call_to_smd_carries_the_right_token(name: str, lab: Lab, run: Callable[..., Service]) -> None:
    service = run(*SERVICES[name], listens=LISTENS)
    alice = lab.user_token()
    expired = lab.post("/lab/user-token", {"sub": "bob", "scopes": ["read"], "lifetime": -10})["access_token"]
    rows: list[tuple[str, str | None, int, str, list[tuple[int, str | None]]]] = [
        (SCRIPT + "x0c0s0b0n0", None, 200, "xname=x0c0s0b0n0 role=", [(200, "bss")]),
        (SCRIPT + "x0c0s0b0n1", alice, 200, "xname=x0c0s0b0n1", [(200, "alice")]),
        (SCRIPT + "x0c0s0b0n1", expired, 401, "SMD answered 401", [(401, None)]),
        (SCRIPT + "x9", None, 404, "SMD answered 404", [(404, "bss")]),
        # An encoded slash is in no target: no token goes along.
        (SCRIPT + "..%2F..%2F..%2Fadmin", None, 401, "SMD answered 401", [(401, None)]),
        (PARAMETERS + "x0c0s0b0n2", alice, 200, "x0c0s0b0n2", [(200, "alice")]),
        (PARAMETERS + "x0c0s0b0n2", None, 401, "user", []),
        (PARAMETERS + "x0c0s0b0n2", expired, 401, "SMD answered 401", [(401, None)]),
    ]
    for path, user, status, says, seen in rows:
        lab.post("/lab/reset", None)
        got, body = service.get(path, user)
        calls = [(each["status"], each["sub"]) for each in lab.log("smd")]
        assert (got, calls) == (status, seen), (path, body)
        assert says in body
    log = service.end()
    for told in (SECRET, "eyJ", "Traceback", "Fatal Python error"):
        assert told not in log, log


@pytest.mark.parametrize("name", SERVICES)
def test_a_new_signing_key_is_noticed_by_nobody(name: str, lab: Lab, run: Callable[..., Service]) -> None:
    lab.post("/lab/smd", {"keys": "always"})
    service = run(*SERVICES[name], listens=LISTENS)
    for _ in range(8):
        assert service.get(SCRIPT + "x0c0s0b0n0")[0] == 200
    lab.post("/lab/keys/rotate", None)
    for _ in range(8):
        assert service.get(SCRIPT + "x0c0s0b0n0")[0] == 200
    assert 401 in [each["status"] for each in lab.log("smd")]
    service.end()


def test_the_service_starts_while_the_authorization_server_is_away(lab: Lab, run: Callable[..., Service]) -> None:
    lab.fault("token", {"action": {"answer": {"status": 503}}})
    service = run(*SERVICES["the standard library"], listens=LISTENS)
    status, body = service.get(SCRIPT + "x0c0s0b0n0")
    assert (status, service.get("/boot/v1/service/status")[0]) == (503, 503), body
    lab.fault("token", {})
    eventually(lambda: service.get(SCRIPT + "x0c0s0b0n0")[0] == 200)
    log = service.end()
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    assert {"refresh_failed", "token_received", "call"} <= {each.get("event") for each in events}


def test_the_flow_is_walked_step_by_step(lab: Lab) -> None:
    done = script("flow.py", lab.issuer, lab.node)
    assert done.returncode == 0, done.stderr
    assert "200 x0c0s0b0n0" in done.stdout
    assert "eyJ" not in done.stdout + done.stderr
    assert [(each["status"], each["client_id"] is not None) for each in lab.log("smd")] == [(200, True)]
    refused = script("flow.py", lab.elsewhere, lab.node)
    assert refused.returncode == 1
    assert "Traceback" not in refused.stderr


def test_the_notebooks_cells_run(lab: Lab, tmp_path: Path) -> None:
    config = tmp_path / "svcauth.json"
    config.write_text(json.dumps(lab.config()))
    here = {"SVCAUTH_CONFIG": str(config), "SMD_URL": lab.smd, "USER_TOKEN": lab.user_token()}
    done = script("notebook.py", **here)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == ["200", "200"]
    assert [(each["status"], each["sub"]) for each in lab.log("smd")] == [(200, "bss"), (200, "alice"), (200, "bss")]


def script(*command: str, **environment: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        cwd=EXAMPLES,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
