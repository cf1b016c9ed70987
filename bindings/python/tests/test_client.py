"""The client itself, against the lab."""

from __future__ import annotations

import copy
import gc
import json
import logging
import pickle
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import svcauth
from conftest import SECRET, Journal, Lab, eventually, in_threads, python


def test_64_threads_with_an_empty_cache_cost_one_request(lab: Lab, client: svcauth.Client) -> None:
    lab.fault("token", {"delay_ms": 50})
    tokens = in_threads(64, lambda: client.token("smd"))
    assert len(set(tokens)) == 1 and len(tokens) == 64
    assert lab.token_requests() == 1


def test_a_token_is_served_without_the_library(client: svcauth.Client) -> None:
    first = client.token("smd")
    asked = client.stats().asked
    assert [client.token("smd") for _ in range(1000)] == [first] * 1000
    assert client.stats().asked == asked


def test_a_token_is_followed_by_the_next(start_lab: Callable[..., Lab], logger: logging.Logger) -> None:
    with svcauth.Client(start_lab("--ttl", "2").config(), logger=logger) as client:
        first = client.token("smd")
        eventually(lambda: client.token("smd") != first)


def test_a_lease_says_what_is_known_and_no_more(client: svcauth.Client) -> None:
    lease = client.lease("smd")
    assert lease.scopes == ("read",) and lease.client_id == "bss" and lease.subject == "bss"
    assert lease.token == client.token("smd") and lease.authorization == f"Bearer {lease.token}"
    assert 0 < lease.expires_in <= 20
    assert abs(lease.expires_at.timestamp() - time.time() - lease.expires_in) < 1
    assert len(lease.id) == 16
    for each in (lease, lease.token, lease.authorization, client, client.auth("smd"), [lease.token]):
        assert str(lease.token) not in repr(each)
    for each in (lease, client, client.auth("smd")):
        assert str(lease.token) not in str(each)
        assert str(lease.token) not in f"{each} {each!r} {each!s}"
    with pytest.raises(TypeError):
        svcauth.Lease()


def test_nothing_that_holds_a_secret_is_pickled_or_copied(client: svcauth.Client) -> None:
    lease = client.lease("smd")
    message = svcauth.exchange.token("https://h.example/token", client_id="a", client_secret="b")
    grant = svcauth.exchange.RefreshToken("secret")
    for each in (client, lease, lease.token, lease.authorization, client.auth(), message, grant):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError):
                pickle.dumps(each, protocol)
    for each in (client, lease):
        with pytest.raises(TypeError):
            copy.copy(each)
        with pytest.raises(TypeError):
            copy.deepcopy(each)


def test_an_error_is_pickled_whole() -> None:
    with pytest.raises(svcauth.ConfigurationError) as raised:
        svcauth.Client({"issuer": "nonsense"})
    again = pickle.loads(pickle.dumps(raised.value))
    assert type(again) is svcauth.ConfigurationError
    assert (str(again), vars(again)) == (str(raised.value), vars(raised.value))


def test_an_unknown_target_is_named(client: svcauth.Client) -> None:
    for ask in (client.token, client.lease, client.auth):
        with pytest.raises(svcauth.UnknownTarget, match="smt") as raised:
            ask("smt")
        assert isinstance(raised.value, LookupError)


def test_a_server_that_is_away_and_comes_back(lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    lab.post("/lab/away", {"service": "issuer"})
    began = time.monotonic()
    with pytest.raises(svcauth.NetworkError):
        client.lease("smd", timeout=0.3)
    assert time.monotonic() - began >= 0.3
    eventually(lambda: journal.events("refresh_failed") or journal.events("metadata_failed"))
    assert not client.healthy()
    error = client.health().targets["smd"].error
    assert error is None or isinstance(error, svcauth.Error)
    with pytest.raises(svcauth.Error):
        client.ready(timeout=0)


def test_ready_waits_for_every_target(lab: Lab, logger: logging.Logger) -> None:
    more = {"bss": {"urls": [lab.elsewhere], "scopes": ["read"]}}
    with svcauth.Client(lab.config(targets=more), logger=logger) as client:
        client.ready()
        health = client.health()
        assert health.ready and all(each.ready and each.expires_at for each in health.targets.values())
        assert client.stats().tokens_received == 2


def test_a_timeout_is_kept_and_its_error_is_pythons_own_too(lab: Lab, client: svcauth.Client) -> None:
    lab.fault("token", {"action": "hold"})
    for patience in (0, 0.25):
        began = time.monotonic()
        with pytest.raises(svcauth.Timeout) as raised:
            client.lease("smd", timeout=patience)
        assert time.monotonic() - began >= patience
        assert isinstance(raised.value, TimeoutError) and raised.value.code == "timeout"
    lab.ask("DELETE", "/lab/faults")
    assert client.token("smd")
    assert lab.token_requests() == 1


def test_closing_wakes_who_waits(lab: Lab, client: svcauth.Client) -> None:
    lab.fault("token", {"action": "hold"})
    told = []

    def wait() -> None:
        with pytest.raises(svcauth.Closed):
            client.token("smd")
        told.append(1)

    threads = [threading.Thread(target=wait) for _ in range(8)]
    for thread in threads:
        thread.start()
    eventually(lambda: client.stats().waited >= 8)
    client.close()
    for thread in threads:
        thread.join()
    assert len(told) == 8


def test_a_closed_client_says_so(lab: Lab, client: svcauth.Client) -> None:
    client.token("smd")
    auth = client.auth()
    client.close()
    client.close()
    import requests

    request = requests.Request("GET", lab.node).prepare()
    for ask in (
        lambda: client.token("smd"),
        lambda: client.lease("smd"),
        lambda: client.ready(),
        lambda: client.authorization(lab.node),
        lambda: client.refused(lab.node, "Bearer x"),
        lambda: client.exchange(svcauth.exchange.metadata(lab.issuer)),
        lambda: auth(request),
        lambda: svcauth.urlopen(client, lab.node),
    ):
        with pytest.raises(svcauth.Closed) as raised:
            ask()
        assert raised.value.code == "closed"
    assert repr(client) == "<svcauth.Client (closed)>"
    # These tell how it was.
    assert client.stats().tokens_received == 1
    client.health()
    client.secrets_changed()


def test_a_client_that_nobody_holds_closes_itself(lab: Lab) -> None:
    from svcauth import _client, _events

    client = svcauth.Client(lab.config())
    client.token("smd")
    client.authorization(lab.node)
    auth, context = client.auth(), client._context
    del client
    assert context in _client._open
    del auth
    gc.collect()
    assert context not in _client._open and context not in _events._sinks


def test_secrets_come_from_a_function(lab: Lab, logger: logging.Logger, journal: Journal) -> None:
    asked = []

    def secrets(name: str) -> str:
        asked.append(name)
        if len(asked) == 1:
            raise RuntimeError(f"the vault is sealed: {SECRET}")
        return SECRET

    pair = [{"client_id": "bss", "client_secret": {"callback": "vault/bss"}}]
    with svcauth.Client(lab.config(client={"credentials": pair}), logger=logger, secrets=secrets) as client:
        with pytest.raises(svcauth.SecretError, match="the function for secrets raised RuntimeError"):
            client.token("smd")
        client.secrets_changed()
        assert client.token("smd")
    assert asked == ["vault/bss"] * 2
    assert SECRET not in journal.text()


@pytest.mark.parametrize("wrong", [None, 5, "", "\udc80", b"\xff"])
def test_a_function_for_secrets_that_gives_nonsense(wrong: Any, lab: Lab, logger: logging.Logger) -> None:
    pair = [{"client_id": "bss", "client_secret": {"callback": "vault/bss"}}]
    with (
        svcauth.Client(lab.config(client={"credentials": pair}), logger=logger, secrets=lambda name: wrong) as client,
        pytest.raises(svcauth.SecretError),
    ):
        client.token("smd")


def test_a_configuration_that_needs_a_function_for_secrets_is_refused_without(lab: Lab) -> None:
    pair = [{"client_id": "bss", "client_secret": {"callback": "vault/bss"}}]
    with pytest.raises(svcauth.ConfigurationError) as raised:
        svcauth.Client(lab.config(client={"credentials": pair}))
    assert raised.value.code == "unsupported"


def test_a_logger_that_fails_harms_nobody(lab: Lab, capfd: pytest.CaptureFixture[str]) -> None:
    class Broken(logging.Logger):
        def log(self, *arguments: Any, **named: Any) -> None:
            raise RuntimeError("no disk")

    with svcauth.Client(lab.config(), logger=Broken("broken", logging.DEBUG)) as client:
        assert client.token("smd")
    assert capfd.readouterr() == ("", "")


def test_no_secret_is_in_logs_reprs_or_tracebacks(lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    import httpx
    import requests

    planted, caught = svcauth.Token("s3cr3t" + "-value"), []
    token, alice = client.token("smd"), svcauth.Token(lab.user_token())
    with svcauth.user_token(alice):
        client.session().get(lab.node)
        with pytest.raises(svcauth.ArgumentError) as raised:
            client.authorization("\udc80")
        caught.append(raised.value)
    lab.fault("smd", {"action": {"answer": {"status": 401}}})
    client.session().get(lab.node)
    httpx.get(lab.node, auth=client.auth())

    class Fails(requests.adapters.HTTPAdapter):
        def send(self, request: Any, *arguments: Any, **named: Any) -> Any:
            headers, hooks = request.headers, request.hooks
            raise ValueError("in the middle of a call", len(headers), len(hooks))

    session = client.session()
    session.mount("http://", Fails())
    bss = {"credentials": [{"client_id": "bss", "client_secret": {"value": planted}}]}
    config = svcauth.Token(json.dumps({**lab.config(), "client": bss, "nonsense": 1}))
    answer = svcauth.Token(f'{{"access_token": "{planted}"}}')
    message = svcauth.exchange.token(lab.issuer + "/oauth2/token", client_id="bss", client_secret=planted)
    for wrong in (
        lambda: session.get(lab.node),
        lambda: client.exchange(message),
        lambda: message.parse(200, {}, answer.encode()),
        lambda: svcauth.Client(config),
        lambda: svcauth.exchange.token("nonsense", client_secret=planted),
        lambda: svcauth.exchange.register("https://a.example", initial_access_token=svcauth.Token(planted + "\n")),
        lambda: svcauth.exchange.Registration.from_json(answer),
    ):
        with pytest.raises((svcauth.Error, ValueError)) as raised:
            wrong()
        caught.append(raised.value)
    shown = [journal.text(), repr(message), repr(vars(session))]
    for error in caught:
        told = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown += ["".join(told.format()), repr(vars(error))]
    secrets = [str.__str__(each) for each in (token, alice, planted)] + [SECRET]
    found = [text[max(text.index(each) - 300, 0) :][:400] for text in shown for each in secrets if each in text]
    assert not found, found[0]


def test_events_go_to_the_logger_named_svcauth(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "svcauth"), svcauth.Client(lab.config()) as client:
        client.token("smd")
        eventually(lambda: [r for r in caplog.records if vars(r).get("event") == "token_received"])
    (record,) = [r for r in caplog.records if vars(r).get("event") == "token_received"]
    assert record.name == "svcauth" and record.levelno == logging.INFO
    assert vars(record)["target"] == "smd" and vars(record)["scopes"] == ["read"]
    assert "svcauth token_received target=smd" in record.getMessage()


def test_an_interrupt_ends_a_wait_at_once(lab: Lab) -> None:
    lab.fault("token", {"action": "hold"})
    code = """
import json, os, signal, sys, threading, time, svcauth
# A shell has its jobs in the background ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
client = svcauth.Client(json.loads(sys.argv[1]))
def interrupt():
    while not client.stats().waited:
        time.sleep(0.001)
    began.append(time.monotonic())
    os.kill(os.getpid(), signal.SIGINT)
began = []
threading.Thread(target=interrupt).start()
try:
    getattr(client, sys.argv[2])(*sys.argv[3:])
except KeyboardInterrupt:
    print("interrupted", time.monotonic() - began[0] < 10)
client.close()
"""
    for call in (("token", "smd"), ("ready",), ("authorization", lab.node)):
        ran = python(code, json.dumps(lab.config(timeouts={"wait_s": 300})), *call, BSS_SECRET=SECRET)
        assert (ran.returncode, ran.stdout, ran.stderr) == (0, "interrupted True\n", ""), call


ENDINGS = {
    "with a token": "client.token('smd')",
    "with a request under way": "start()",
    "with threads that wait": "[threading.Thread(target=quiet, daemon=True).start() for _ in range(8)]; start()",
    "by sys.exit": "client.token('smd'); sys.exit(0)",
    "closed": "client.token('smd'); client.close()",
    "in a cycle": "client.token('smd'); cycle = [client]; cycle.append(cycle); del client",
    "never used": "pass",
}


@pytest.mark.parametrize("how", ENDINGS)
def test_the_interpreter_ends_cleanly(how: str, lab: Lab) -> None:
    if "under way" in how or "wait" in how:
        lab.fault("token", {"action": "hold"})
    code = f"""
import json, sys, threading, time, logging, svcauth
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
def quiet():
    try:
        client.token("smd")
    except svcauth.Closed:
        pass
def start():
    threading.Thread(target=quiet, daemon=True).start()
    while not client.stats().token_requests:
        time.sleep(0.001)
client = svcauth.Client(json.loads(sys.argv[1]), secrets=lambda name: {SECRET!r})
{ENDINGS[how]}
"""
    pair = [{"client_id": "bss", "client_secret": {"callback": "bss"}}]
    for _ in range(3):
        ran = python(code, json.dumps(lab.config(client={"credentials": pair}, timeouts={"request_s": 50})))
        assert (ran.returncode, ran.stderr) == (0, "")


def test_a_token_ends_while_the_interpreter_does(start_lab: Callable[..., Lab]) -> None:
    # Refreshes come at any time, and so while modules are taken down.
    lab = start_lab("--ttl", "1")
    code = f"""
import json, sys, time, logging, svcauth
logging.basicConfig(level=logging.DEBUG, stream=sys.stdout)
clients = [svcauth.Client(json.loads(sys.argv[1]), secrets=lambda name: {SECRET!r}) for _ in range(20)]
for client in clients:
    client.token("smd")
time.sleep(float(sys.argv[2]))
"""
    pair = [{"client_id": "bss", "client_secret": {"callback": "bss"}}]
    for each in range(6):
        ran = python(code, json.dumps(lab.config(client={"credentials": pair})), str(0.6 + each / 20))
        assert (ran.returncode, ran.stderr) == (0, "")


IN_A_SUB_INTERPRETER = """
import json, sys
sys.path[:] = json.loads(PATH)
import svcauth
client = svcauth.Client(json.loads(CONFIG))
try:
    svcauth.Client(json.loads(CONFIG), secrets=print)
except svcauth.ConfigurationError as error:
    assert error.code == "unsupported", error
assert client.token("smd")
with svcauth.urlopen(client, NODE) as response:
    print(response.status, flush=True)
client.close()
"""


def test_a_client_works_in_a_sub_interpreter(lab: Lab) -> None:
    code = """
import json, sys
try:
    import _interpreters as interpreters
except ImportError:
    import _xxsubinterpreters as interpreters
inside = sys.argv[3]
for name, value in (("PATH", json.dumps(sys.path)), ("CONFIG", sys.argv[1]), ("NODE", sys.argv[2])):
    inside = inside.replace(name, repr(value))
made = interpreters.create("legacy") if sys.version_info >= (3, 13) else interpreters.create()
failed = interpreters.run_string(made, inside)
interpreters.destroy(made)
sys.exit(str(failed) if failed else 0)
"""
    ran = python(code, json.dumps(lab.config()), lab.node, IN_A_SUB_INTERPRETER, BSS_SECRET=SECRET)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "200\n", "")


def test_a_single_message_is_sent_with_the_clients_transport(lab: Lab, client: svcauth.Client) -> None:
    answer = client.exchange(svcauth.exchange.metadata(lab.issuer))
    assert answer.issuer == lab.issuer and answer.token_endpoint == lab.issuer + "/oauth2/token"


def test_the_configuration_is_read_from_a_file(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "svcauth.json"
    path.write_text(json.dumps(lab.config()))
    for name in (path, str(path)):
        with svcauth.Client.open(name) as client:
            assert client.token("smd")
    with svcauth.Client(path.read_text()) as client:
        assert client.token("smd")
    with svcauth.Client(path.read_bytes()) as client:
        assert client.token("smd")
