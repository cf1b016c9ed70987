"""How long it takes from an empty environment to the first token from the lab, and what is installed then.

SVCAUTH_LAB=… bench/install.py WHEEL [ROUNDS]
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

FIRST_TOKEN = "import sys, svcauth\nwith svcauth.Client.open(sys.argv[1]) as client: client.token('smd')"


def main(wheel: str, rounds: int) -> None:
    lab = subprocess.Popen(
        [os.environ["SVCAUTH_LAB"], "--until-stdin-closes"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert lab.stdin is not None and lab.stdout is not None
    urls = json.loads(lab.stdout.readline())
    client = {"client_id": "bss", "client_secret": "a-secret", "scope": "read", "grant_types": ["client_credentials"]}
    made = urllib.request.Request(
        urls["admin"] + "/admin/clients", json.dumps(client).encode(), {"Content-Type": "application/json"}
    )
    urllib.request.urlopen(made).close()
    document = {
        "issuer": urls["issuer"],
        "client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
        "targets": {"smd": {"urls": [urls["smd"]], "scopes": ["read"]}},
    }
    os.environ["BSS_SECRET"] = "a-secret"
    taken: dict[str, list[float]] = {"venv": [], "pip install": [], "first token": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            python = folder / "venv" / "bin" / "python"
            config = folder / "svcauth.json"
            config.write_text(json.dumps(document))
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index", wheel]
            steps = [
                ("venv", [sys.executable, "-m", "venv", folder / "venv"]),
                ("pip install", pip),
                ("first token", [python, "-I", "-c", FIRST_TOKEN, config]),
            ]
            for step, command in steps:
                began = time.monotonic()
                subprocess.run(command, check=True)
                taken[step].append(time.monotonic() - began)
            installed = sum(each.stat().st_size for each in folder.glob("venv/lib/*/site-packages/svcauth*/**/*"))
    lab.stdin.close()
    lab.wait()
    for step, times in taken.items():
        print(f"{step:12} {min(times):6.2f} s, median {statistics.median(times):.2f} s of {rounds}")
    together = [a + b for a, b in zip(taken["pip install"], taken["first token"])]
    print(f"{'together':12} {min(together):6.2f} s without the venv (goal: below 5 s)")
    print(f"the wheel has {Path(wheel).stat().st_size / 1e6:.2f} MB, installed {installed / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
