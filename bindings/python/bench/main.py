"""What is promised about speed and size, as ratios in one run: main.py SECONDS_UNDER_LOAD"""

from __future__ import annotations

import gc
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from time import monotonic, perf_counter
from typing import Any

import svcauth

NODE = "/hsm/v2/State/Components/x0c0s0b0n0"
missed = []


def figure(name: str, value: float, unit: str, goal: float) -> None:
    late = "" if value <= goal else "   MISSED"
    if late:
        missed.append(name)
    print(f"{name:<66}{value:>9.3g} {unit:<4} goal <= {goal:g}{late}", flush=True)


class Lab:
    def __init__(self, ttl: int) -> None:
        self.process = subprocess.Popen(
            [os.environ["SVCAUTH_LAB"], "--until-stdin-closes", "--ttl", str(ttl)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdout is not None
        urls = json.loads(self.process.stdout.readline())
        self.issuer, self.admin, self.smd = urls["issuer"], urls["admin"], urls["smd"]
        client = {
            "client_id": "bss",
            "client_secret": "s3cr3t",
            "scope": "read",
            "grant_types": ["client_credentials"],
        }
        self.post("/admin/clients", client)

    def post(self, path: str, body: object) -> None:
        request = urllib.request.Request(self.admin + path, json.dumps(body).encode())
        request.add_header("Content-Type", "application/json")
        urllib.request.urlopen(request, timeout=30).close()

    def token_requests(self) -> int:
        with urllib.request.urlopen(self.admin + "/lab/log?service=issuer", timeout=30) as response:
            return sum(entry["path"] == "/oauth2/token" for entry in json.load(response))

    def config(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "client": {"credentials": [{"client_id": "bss", "client_secret": {"value": "s3cr3t"}}]},
            "targets": {"smd": {"urls": [self.smd + "/hsm/v2", "https://smd.example/hsm/v2"], "scopes": ["read"]}},
        }

    def stop(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def nanoseconds(calls: dict[str, tuple[Callable[[Any], Any], int]]) -> dict[str, float]:
    """The best time of each call, all of them in turn so that a busy machine is busy for all. A call is one that
    takes how often it is made."""
    best: dict[str, float] = {}
    gc.disable()
    for _ in range(40):
        for name, (call, times) in calls.items():
            took = call(times) / times * 1e9
            best[name] = min(best.get(name, took), took)
    gc.enable()
    return best


def token_and_attach(lab: Lab) -> None:
    import google.auth.credentials
    import google.oauth2.credentials
    import msal
    import requests
    import requests_oauthlib
    from authlib.integrations.requests_client import OAuth2Session
    from requests.structures import CaseInsensitiveDict

    client = svcauth.Client(lab.config())
    token = str(client.token("smd"))
    held = client.lease("smd")
    auth = client.auth("smd")
    url = "https://smd.example" + NODE

    def plain(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            held._token  # noqa: B018
            time.monotonic()
        return perf_counter() - began

    def ours(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            client.token("smd")
        return perf_counter() - began

    authlib = OAuth2Session("bss", "s3cr3t", token={"access_token": token, "expires_at": time.time() + 3600})

    def of_authlib(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            authlib.ensure_active_token(authlib.token)
        return perf_counter() - began

    class Answer:
        status_code, headers = 200, dict[str, str]()

        def __init__(self, body: object) -> None:
            self.text = json.dumps(body)
            self.content = self.text.encode()

        def raise_for_status(self) -> None:
            pass

    class Http:
        """Knows tenants and gives tokens, without a network."""

        def get(self, url: str, **_: Any) -> Answer:
            base = "https://login.microsoftonline.com/common"
            return Answer(
                {
                    "authorization_endpoint": base + "/authorize",
                    "token_endpoint": base + "/token",
                    "issuer": base,
                    "tenant_discovery_endpoint": base,
                    "metadata": [],
                }
            )

        def post(self, url: str, **_: Any) -> Answer:
            return Answer({"access_token": token, "token_type": "Bearer", "expires_in": 3600})

        def close(self) -> None:
            pass

    application = msal.ConfidentialClientApplication(
        "bss",
        client_credential="s3cr3t",
        authority="https://login.microsoftonline.com/common",
        http_client=Http(),
        instance_discovery=False,
    )
    assert application.acquire_token_for_client(["read"])["access_token"] == token

    def of_msal(times: int) -> float:
        began = perf_counter()
        for _ in range(times):
            application.acquire_token_for_client(["read"])
        return perf_counter() - began

    def prepared(times: int) -> list[requests.PreparedRequest]:
        made = []
        for _ in range(times):
            request = requests.PreparedRequest()
            request.headers = CaseInsensitiveDict({"User-Agent": "x", "Accept": "*/*"})
            # As each call has it: a text of its own.
            request.url = "".join((url, "?a=1"))
            made.append(request)
        return made

    def attach(times: int) -> float:
        made = prepared(times)
        began = perf_counter()
        for request in made:
            auth(request)
        return perf_counter() - began

    credentials = google.oauth2.credentials.Credentials(token)

    def of_google(times: int) -> float:
        made = prepared(times)
        began = perf_counter()
        for request in made:
            credentials.before_request(None, "GET", request.url, request.headers)
        return perf_counter() - began

    oauthlib = requests_oauthlib.OAuth2("bss", token={"access_token": token, "token_type": "Bearer"})

    def of_oauthlib(times: int) -> float:
        made = prepared(times)
        began = perf_counter()
        for request in made:
            request.method = "GET"
            oauthlib(request)
        return perf_counter() - began

    best = nanoseconds(
        {
            "plain": (plain, 20000),
            "token": (ours, 20000),
            "authlib": (of_authlib, 5000),
            "msal": (of_msal, 500),
            "attach": (attach, 500),
            "google": (of_google, 500),
            "oauthlib": (of_oauthlib, 500),
        }
    )
    print("nanoseconds: " + ", ".join(f"{name} {each:.0f}" for name, each in best.items()))
    figure("token(), against an attribute read plus a clock read", best["token"] / best["plain"], "", 2)
    figure("token(), against Authlib's ensure_active_token", best["token"] / best["authlib"], "", 0.5)
    figure("token(), against MSAL's acquire_token_for_client", best["token"] / best["msal"], "", 0.02)
    figure("attach to requests, against google-auth's before_request", best["attach"] / best["google"], "", 0.5)
    figure("attach to requests, against requests-oauthlib", best["attach"] / best["oauthlib"], "", 1)
    client.close()


def resident_kb() -> int:
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def import_cost() -> None:
    code = """
import gc, sys, time
def resident():
    return int(next(line for line in open("/proc/self/status") if line.startswith("VmRSS")).split()[1])
before, began = resident(), time.perf_counter()
import svcauth
from svcauth import _native
_native.library()
print(time.perf_counter() - began, resident() - before)
"""
    runs = []
    for _ in range(21):
        # Without the site's own imports, which are not ours to count.
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        seconds, kilobytes = ran.stdout.split()
        runs.append((float(seconds) * 1000, int(kilobytes) / 1024))
    figure("import, the library loaded: best of 21", min(each[0] for each in runs), "ms", 10)
    figure("resident memory of that", statistics.median(each[1] for each in runs), "MB", 3)


def at_once(count: int, work: Callable[[], Any]) -> None:
    gate = threading.Barrier(count)

    def run() -> None:
        gate.wait()
        work()

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def an_empty_cache(lab: Lab) -> None:
    before = lab.token_requests()
    with svcauth.Client(lab.config()) as client:
        at_once(64, lambda: client.token("smd"))
    figure("token requests of 64 threads with an empty cache", lab.token_requests() - before, "", 1)


def under_load(seconds: float) -> None:
    lab = Lab(1)
    failed: list[BaseException] = []
    calls = [0]
    with svcauth.Client(lab.config()) as client:
        client.token("smd")
        waited, end = client.stats().waited, monotonic() + seconds

        def busy() -> None:
            count = 0
            while monotonic() < end:
                try:
                    client.token("smd")
                except svcauth.Error as error:
                    failed.append(error)
                count += 1
                if not count % 64:
                    time.sleep(0.001)
            calls[0] += count

        at_once(32, busy)
        requests = lab.token_requests()
        waited = client.stats().waited - waited
    lab.stop()
    print(f"{calls[0]} calls of 32 threads in {seconds:g} s with tokens of 1 s, {requests} token requests")
    figure("failed among them", len(failed), "", 0)
    figure("token requests a second", requests / seconds, "", 1.5)
    figure("callers that waited after the first token", waited, "", 0)


def memory(lab: Lab) -> None:
    with svcauth.Client(lab.config()) as client:
        for _ in range(100_000):
            client.token("smd")
        before = resident_kb()
        for _ in range(1_000_000):
            client.token("smd")
        figure("resident memory that 1,000,000 tokens add", (resident_kb() - before) / 1024, "MB", 0.5)
    config = json.dumps(lab.config())

    def opened(count: int) -> None:
        for each in range(count):
            with svcauth.Client(config) as client:
                if not each % 100:
                    client.token("smd")

    opened(2000)
    gc.collect()
    before, files = resident_kb(), descriptors()
    opened(10_000)
    gc.collect()
    end = monotonic() + 30
    while descriptors() > files and monotonic() < end:
        time.sleep(0.01)
    figure("resident memory that 10,000 clients add", (resident_kb() - before) / 1024, "MB", 2)
    figure("file descriptors left", descriptors() - files, "", 0)


def main() -> None:
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 60
    lab = Lab(3600)
    import_cost()
    an_empty_cache(lab)
    memory(lab)
    token_and_attach(lab)
    lab.stop()
    if seconds:
        under_load(seconds)
    if missed:
        sys.exit("missed: " + ", ".join(missed))


main()
