"""Tokens of one second, and 32 tasks that are always busy with calls: what fails, what is requested, who waits.

SVCAUTH_LAB=… bench/tasks.py [SECONDS]
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.request
from typing import Any

import aiohttp
import httpx

import svcauth

TASKS = 32
NODE = "/hsm/v2/State/Components/x0c0s0b0n0"


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, {"Content-Type": "application/json"})) as answer:
        text = answer.read()
        return json.loads(text) if text else None


async def story(kind: str, urls: dict[str, str], seconds: float) -> str:
    document = {
        "issuer": urls["issuer"],
        "client": {"credentials": [{"client_id": "bss", "client_secret": {"env": "BSS_SECRET"}}]},
        "targets": {"smd": {"urls": [urls["smd"]], "scopes": ["read"]}},
    }
    http: Any = {"httpx": httpx.AsyncClient, "aiohttp": aiohttp.ClientSession, "own": lambda: None}[kind]()
    calls = failed = 0
    async with svcauth.AsyncClient(document, http=http) as client, httpx.AsyncClient(auth=client.auth()) as caller:
        await client.ready()
        before = client.stats()
        end = time.monotonic() + seconds

        async def busy() -> None:
            nonlocal calls, failed
            while time.monotonic() < end:
                response = await caller.get(urls["smd"] + NODE)
                calls += 1
                failed += response.status_code != 200

        await asyncio.gather(*(busy() for _ in range(TASKS)))
        after = client.stats()
    if http is not None:
        await (http.aclose() if kind == "httpx" else http.close())
    requests = (after.token_requests - before.token_requests) / seconds
    waited = after.waited - before.waited
    return f"{kind:8} {calls} calls, {failed} failed, {requests:.2f} token requests/s, {waited} waited after the first"


def main(seconds: float) -> None:
    lab = subprocess.Popen(
        [os.environ["SVCAUTH_LAB"], "--until-stdin-closes", "--ttl", "1"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert lab.stdin is not None and lab.stdout is not None
    urls = json.loads(lab.stdout.readline())
    client = {"client_id": "bss", "client_secret": "a-secret", "scope": "read", "grant_types": ["client_credentials"]}
    ask(urls["admin"] + "/admin/clients", client)
    os.environ["BSS_SECRET"] = "a-secret"
    for kind in ("httpx", "aiohttp", "own"):
        print(asyncio.run(story(kind, urls, seconds)), flush=True)
    lab.stdin.close()
    lab.wait()


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 60)
