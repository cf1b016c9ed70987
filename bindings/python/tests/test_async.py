"""AsyncClient against the lab: on httpx, on aiohttp, and on svcauth's own HTTP client."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import logging
import os
import pickle
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import svcauth
from conftest import SECRET, Journal, Lab
from svcauth import AsyncClient

KINDS = ["httpx", "aiohttp", "own"]
DRIVEN = ["httpx", "aiohttp"]


Get = Callable[..., Awaitable[int]]


def under_way(lab: Lab) -> int:
    """Token requests that the lab has and has not answered."""
    count: int = lab.get("/lab/stats")["endpoints"].get("token", {}).get("in_flight", 0)
    return count


@contextlib.asynccontextmanager
async def http_of(kind: str) -> AsyncIterator[Any]:
    if kind == "httpx":
        async with httpx.AsyncClient() as http:
            yield http
    elif kind == "aiohttp":
        async with aiohttp.ClientSession() as session:
            yield session
    else:
        yield None


@contextlib.asynccontextmanager
async def opened(kind: str, config: Any, **more: Any) -> AsyncIterator[AsyncClient]:
    async with http_of(kind) as http, AsyncClient(config, http=http, **more) as client:
        yield client


@contextlib.asynccontextmanager
async def caller(kind: str, client: AsyncClient, target: str | None = None) -> AsyncIterator[Get]:
    """Makes calls that carry tokens; gives the status."""
    if kind == "aiohttp":
        async with aiohttp.ClientSession(middlewares=[client.auth(target)]) as session:

            async def get(url: str, method: str = "GET", body: Any = None, headers: Any = None) -> int:
                async with session.request(method, url, data=body, headers=headers) as response:
                    await response.read()
                    return response.status

            yield get
    else:
        async with httpx.AsyncClient(auth=client.auth(target), follow_redirects=True) as http:

            async def call(url: str, method: str = "GET", body: Any = None, headers: Any = None) -> int:
                return (await http.request(method, url, content=body, headers=headers)).status_code

            yield call


@pytest.mark.parametrize("kind", KINDS)
def test_a_token_is_requested_once_and_served(kind: str, lab: Lab, logger: logging.Logger, journal: Journal) -> None:
    async def story() -> None:
        async with opened(kind, lab.config(), logger=logger) as client:
            tokens = await asyncio.gather(*(client.token("smd") for _ in range(64)))
            assert len(set(map(str, tokens))) == 1
            lease = await client.lease("smd")
            assert lease.token == tokens[0]
            assert lease.scopes == ("read",)
            assert lease.client_id == "bss"
            await client.ready()
            assert client.healthy()
            assert client.stats().token_requests == 1

    asyncio.run(story())
    assert lab.token_requests() == 1
    assert len(journal.events("token_received")) == 1
    for secret in (SECRET, "eyJ"):
        assert secret not in journal.text()


@pytest.mark.parametrize("kind", KINDS)
def test_each_call_carries_the_right_token(kind: str, lab: Lab, logger: logging.Logger, journal: Journal) -> None:
    alice = lab.user_token()

    async def story() -> None:
        async with opened(kind, lab.config(), logger=logger) as client, caller(kind, client) as get:
            assert await get(lab.node) == 200
            with svcauth.user_token(alice):
                assert await get(lab.node) == 200
            assert await get(lab.elsewhere + "/x") == 200
            assert await get(lab.node, headers={"Authorization": "Bearer mine"}) == 401
            with svcauth.user_required(), pytest.raises(svcauth.UserTokenMissing):
                await get(lab.node)

    asyncio.run(story())
    seen = [(each["status"], each["sub"]) for each in lab.log("smd")]
    assert seen == [(200, "bss"), (200, "alice"), (401, None)]
    assert [each["authorization"] for each in lab.log("elsewhere")] == [None]
    told = [(each.get("kind"), each.get("status"), each.get("subject")) for each in journal.events("call")]
    assert told == [("service", 200, "bss"), ("user", 200, "alice"), ("none", 200, None), ("caller", 401, None)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_call_is_made_once_more(kind: str, lab: Lab, logger: logging.Logger, journal: Journal) -> None:
    lab.post("/lab/smd", {"keys": "always"})

    async def story() -> None:
        async with opened(kind, lab.config(), logger=logger) as client, caller(kind, client) as get:
            assert await get(lab.node) == 200
            lab.post("/lab/keys/rotate", None)
            assert await get(lab.node) == 200
            assert client.stats().rejections == 1

    asyncio.run(story())
    assert [each["status"] for each in lab.log("smd")] == [200, 401, 200]
    assert [each["retried"] for each in journal.events("call")] == [False, False, True]


@pytest.mark.parametrize("kind", KINDS)
def test_what_cannot_be_sent_again_is_refused_and_the_next_call_has_a_new_token(kind: str, lab: Lab) -> None:
    lab.post("/lab/smd", {"keys": "always"})

    async def pieces() -> AsyncIterator[bytes]:
        yield b"{}"

    async def story() -> None:
        async with opened(kind, lab.config()) as client, caller(kind, client) as get:
            assert await get(lab.node) == 200
            lab.post("/lab/keys/rotate", None)
            assert await get(lab.smd + "/hsm/v2/State/Components/Query", "POST", pieces()) == 401
            assert await get(lab.node) == 200

    asyncio.run(story())
    assert [each["status"] for each in lab.log("smd")] == [200, 401, 200]


@pytest.mark.parametrize("kind", KINDS)
def test_no_token_follows_a_redirect_out_of_the_target(kind: str, lab: Lab) -> None:
    there = f"{lab.smd}/redirect?status=307&to="
    config = lab.config(
        targets={
            "smd": {"urls": [lab.smd + "/hsm/v2", lab.smd + "/redirect"]},
            "other": {"urls": [lab.elsewhere], "scopes": ["read"]},
        }
    )

    async def story() -> None:
        async with opened(kind, config) as client, caller(kind, client) as get:
            assert await get(there + lab.node) == 200
            assert await get(there + lab.elsewhere + "/x") == 200
            # Of the same origin, and outside of the target.
            assert await get(there + lab.smd + "/other") == 404

    asyncio.run(story())
    assert [each["authorization"] for each in lab.log("elsewhere")] == [None]
    assert [each["authorization"] for each in lab.log("smd") if each["path"] == "/other"] == [None]


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_targets_name_no_other_token_is_added(kind: str, lab: Lab) -> None:
    config = lab.config(targets={"other": {"urls": [lab.elsewhere], "scopes": ["read"]}})

    async def story() -> None:
        async with opened(kind, config) as client, caller(kind, client, "other") as get:
            assert await get(lab.node) == 401
            assert await get(lab.elsewhere + "/x") == 200

    asyncio.run(story())
    assert [each["authorization"] is not None for each in lab.log("elsewhere")] == [True]


@pytest.mark.parametrize("kind", KINDS)
def test_a_waiter_that_is_cancelled_harms_no_other(kind: str, lab: Lab) -> None:
    lab.fault("token", {"action": "hold"})

    async def story() -> None:
        async with opened(kind, lab.config()) as client:
            first = asyncio.ensure_future(client.token("smd"))
            others = [asyncio.ensure_future(client.token("smd")) for _ in range(8)]
            while not under_way(lab):
                await asyncio.sleep(0.01)
            first.cancel()
            others[0].cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            with pytest.raises(asyncio.TimeoutError):
                await asyncio.wait_for(client.token("smd"), 0.01)
            await asyncio.to_thread(lab.fault, "token", {})
            assert len({str(each) for each in await asyncio.gather(*others[1:])}) == 1

    asyncio.run(story())
    assert lab.token_requests() == 1


@pytest.mark.parametrize("kind", KINDS)
def test_those_who_wait_are_told_when_it_is_closed_and_nothing_is_left(kind: str, lab: Lab) -> None:
    lab.fault("token", {"action": "hold"})

    async def story() -> None:
        async with http_of(kind) as http:
            client = AsyncClient(lab.config(), http=http)
            waiting = [asyncio.ensure_future(client.token("smd")) for _ in range(4)]
            while not under_way(lab):
                await asyncio.sleep(0.01)
            await client.aclose()
            for each in await asyncio.gather(*waiting, return_exceptions=True):
                assert isinstance(each, svcauth.Closed)
            with pytest.raises(svcauth.Closed):
                await client.token("smd")
            with pytest.raises(svcauth.Closed):
                await client.lease("smd")
            await client.aclose()
            assert asyncio.all_tasks() == {asyncio.current_task()}
            assert "closed" in repr(client)

    asyncio.run(story())
    assert not [each.name for each in threading.enumerate() if each.name.startswith("svcauth_")]


@pytest.mark.parametrize("kind", KINDS)
def test_the_loop_is_never_blocked(kind: str, lab: Lab) -> None:
    lab.fault("token", {"delay_ms": 300})
    turns = []

    async def story() -> None:
        async with opened(kind, lab.config()) as client:
            asked = asyncio.ensure_future(client.token("smd"))
            while not asked.done():
                turns.append(time.monotonic())
                await asyncio.sleep(0)
            await asked

    asyncio.run(story())
    # It went round all the time, and not twice or thrice.
    assert len(turns) > 20


@pytest.mark.parametrize("kind", KINDS)
def test_why_there_is_no_token_is_told_to_all_who_wait(kind: str, lab: Lab) -> None:
    lab.fault("token", {"action": {"answer": {"status": 400, "body": '{"error":"invalid_scope"}'}}})

    async def story() -> None:
        async with opened(kind, lab.config()) as client:
            answers = await asyncio.gather(*(client.token("smd") for _ in range(3)), return_exceptions=True)
            for each in answers:
                assert isinstance(each, svcauth.OAuthError)
                assert (each.oauth_error, each.status) == ("invalid_scope", 400)
            if kind != "own":
                # Each has a traceback of its own.
                assert len({id(each) for each in answers}) == 3
            health = client.health()
            assert not health.ready
            assert isinstance(health.targets["smd"].error, svcauth.OAuthError)
            assert health.targets["smd"].retry_in is not None
            with pytest.raises(svcauth.OAuthError):
                await client.ready()
            with pytest.raises(svcauth.UnknownTarget):
                await client.token("none")

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_while_the_server_is_away_callers_wait_as_long_as_they_are_told(kind: str, lab: Lab) -> None:
    lab.post("/lab/away", {"service": "issuer"})
    config = lab.config(issuer=None, endpoints={"token": lab.issuer + "/oauth2/token"}, timeouts={"wait_s": 0.3})

    async def story() -> None:
        async with opened(kind, config) as client:
            with pytest.raises(svcauth.NetworkError) as failed:
                await client.token("smd")
            assert failed.value.code == "connection_failed"

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_a_registration_is_kept_in_the_store_that_all_hosts_share(kind: str, lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "state.json"
    config = lab.config(
        client={
            "credentials": None,
            "registration": {"metadata": {"grant_types": ["client_credentials"], "scope": "read"}},
        },
        endpoints={"registration": lab.issuer + "/oauth2/register"},
        store={"file": str(file)},
    )

    async def story() -> str:
        async with opened(kind, config) as client:
            return str((await client.lease("smd")).client_id)

    first = asyncio.run(story())
    assert asyncio.run(story()) == first
    # And the blocking client finds it there too.
    with svcauth.Client(config) as client:
        assert client.lease("smd").client_id == first
    assert json.loads(file.read_text())["locks"] == {}
    assert sum(each["path"] == "/oauth2/register" for each in lab.log("issuer")) == 1


@pytest.mark.parametrize("kind", DRIVEN)
def test_secrets_come_from_files_and_functions(kind: str, lab: Lab, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    asked = []

    def plain(name: str) -> str:
        asked.append((name, threading.current_thread() is threading.main_thread()))
        return SECRET

    async def waiting(name: str) -> bytes:
        await asyncio.sleep(0)
        asked.append((name, threading.current_thread() is threading.main_thread()))
        return SECRET.encode()

    async def story(reference: Any, secrets: Any = None) -> None:
        config = lab.config(client={"credentials": [{"client_id": "bss", "client_secret": reference}]})
        async with opened(kind, config, secrets=secrets) as client:
            assert await client.token("smd")

    asyncio.run(story({"file": str(file)}))
    asyncio.run(story({"callback": "vault"}, plain))
    asyncio.run(story({"callback": "vault"}, waiting))
    assert asked == [("vault", False), ("vault", True)]
    with pytest.raises(svcauth.ConfigurationError):
        asyncio.run(story({"callback": "vault"}))


@pytest.mark.parametrize("kind", DRIVEN)
def test_a_function_for_secrets_that_fails_is_told_without_what_it_says(
    kind: str, lab: Lab, logger: logging.Logger, journal: Journal
) -> None:
    def fails(name: str) -> str:
        raise ValueError("planted-secret")

    async def story(secrets: Any, says: str) -> None:
        config = lab.config(client={"credentials": [{"client_id": "bss", "client_secret": {"callback": "vault"}}]})
        async with opened(kind, config, secrets=secrets, logger=logger) as client:
            with pytest.raises(svcauth.SecretError, match=says):
                await client.token("smd")

    asyncio.run(story(fails, "ValueError"))
    asyncio.run(story(lambda name: 1, "int"))
    assert "planted" not in journal.text()


def test_a_coroutine_function_for_secrets_needs_an_event_loop_that_runs_it(lab: Lab) -> None:
    async def secrets(name: str) -> str:
        return SECRET

    with pytest.raises(svcauth.ArgumentError, match="http"):
        AsyncClient(lab.config(), secrets=secrets)


@pytest.mark.parametrize("kind", DRIVEN)
def test_the_programs_http_client_adds_nothing_of_its_own(kind: str, lab: Lab) -> None:
    async def story() -> None:
        if kind == "httpx":
            http: Any = httpx.AsyncClient(
                auth=("user", "planted"), cookies={"a": "planted"}, headers={"X": "planted"}, params={"p": "planted"}
            )
        else:
            http = aiohttp.ClientSession(
                cookies={"a": "planted"}, headers={"X": "planted", "Authorization": "Basic planted"}
            )
        async with http, AsyncClient(lab.config(), http=http) as client:
            assert await client.token("smd")

    asyncio.run(story())
    assert lab.token_requests() == 1
    assert "planted" not in json.dumps(lab.log("issuer"))


@pytest.mark.parametrize("kind", DRIVEN)
def test_an_http_client_that_was_closed_is_told_of(kind: str, lab: Lab) -> None:
    async def story() -> None:
        async with http_of(kind) as http:
            client = AsyncClient(lab.config(timeouts={"wait_s": 0.2}), http=http)
        async with client:
            with pytest.raises(svcauth.NetworkError) as failed:
                await client.token("smd")
            assert failed.value.code == "connection_failed"

    asyncio.run(story())


@pytest.mark.parametrize("kind", DRIVEN)
def test_a_redirect_of_the_authorization_server_is_not_followed(kind: str, lab: Lab) -> None:
    lab.fault("token", {"action": {"answer": {"status": 307, "location": lab.elsewhere + "/token"}}})

    async def story() -> None:
        async with http_of(kind) as http:
            if kind == "httpx":
                http.follow_redirects = True
            async with AsyncClient(lab.config(), http=http) as client:
                with pytest.raises(svcauth.ServerError) as failed:
                    await client.token("smd")
                assert failed.value.code == "unexpected_redirect"

    asyncio.run(story())
    assert lab.log("elsewhere") == []


@pytest.mark.parametrize("kind", DRIVEN)
@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ({"action": "drop"}, "connection_broken"),
        ({"action": "cut"}, "connection_broken"),
        ({"delay_ms": 1000}, "timeout"),
        ({"action": {"answer": {"status": 200, "body": "x" * 100_000}}}, "answer_too_large"),
        ({"action": {"answer": {"status": 200, "content_type": "text/html", "body": "<p>"}}}, "malformed_answer"),
        ({"action": {"answer": {"status": 503}}}, "server_error"),
    ],
)
def test_what_goes_wrong_with_an_answer_has_its_name(kind: str, fault: Any, code: str, lab: Lab) -> None:
    lab.fault("token", fault)
    config = lab.config(timeouts={"wait_s": 1, "request_s": 0.5}, limits={"answer_bytes": 65536})

    async def story() -> None:
        async with opened(kind, config) as client:
            with pytest.raises(svcauth.Error) as failed:
                await client.token("smd")
            assert failed.value.code == code

    asyncio.run(story())


@pytest.mark.parametrize("kind", DRIVEN)
def test_tls_that_cannot_be_set_up_is_told_as_such(kind: str, lab: Lab) -> None:
    endpoint = lab.issuer.replace("http:", "https:") + "/oauth2/token"

    async def story() -> None:
        config = lab.config(issuer=None, endpoints={"token": endpoint}, timeouts={"wait_s": 1})
        async with opened(kind, config) as client:
            with pytest.raises(svcauth.NetworkError) as failed:
                await client.token("smd")
            assert failed.value.code == "tls_failed"

    asyncio.run(story())


@pytest.mark.parametrize("kind", DRIVEN)
def test_it_goes_on_in_the_next_loop_and_not_in_two_at_once(kind: str, lab: Lab) -> None:
    client: Any = None

    async def first() -> str:
        nonlocal client
        async with http_of(kind) as http:
            client = AsyncClient(lab.config(), http=http)
            token = str(await client.token("smd"))

            def elsewhere() -> None:
                with pytest.raises(svcauth.ArgumentError, match="another event loop"):
                    asyncio.run(other())

            async def other() -> None:
                client._engine.cell(0).lease = None
                await client.token("smd")

            held = client._engine.cell(0).lease
            await asyncio.to_thread(elsewhere)
            client._engine.cell(0).lease = held
            return token

    async def second() -> str:
        async with client:
            return str(await client.token("smd"))

    assert asyncio.run(first()) == asyncio.run(second())


@pytest.mark.parametrize("kind", DRIVEN)
def test_a_core_that_panics_is_replaced(kind: str, lab: Lab, logger: logging.Logger, journal: Journal) -> None:
    async def story() -> None:
        async with opened(kind, lab.config(), logger=logger) as client:
            token = await client.token("smd")
            engine: Any = client._engine
            ended = engine._core
            panicked = svcauth.InternalError("svcauth panicked at here")
            panicked.result = 6

            def panics(*arguments: Any) -> Any:
                raise panicked

            ended.secrets_changed = ended.poll = panics
            client.secrets_changed()
            assert engine._core is not ended
            # The other one has taken over the token.
            assert str(await client.token("smd")) == str(token)
            engine._core.secrets_changed = panics
            with pytest.raises(svcauth.InternalError):
                client.secrets_changed()

    asyncio.run(story())
    assert lab.token_requests() == 1
    assert len(journal.events("client_replaced")) == 2


@pytest.mark.parametrize("kind", DRIVEN)
def test_the_configuration_of_what_it_cannot_do_is_refused(kind: str, lab: Lab, tmp_path: Path) -> None:
    async def story() -> None:
        pair = {"certificate_file": str(tmp_path / "c"), "key_file": str(tmp_path / "k")}
        async with http_of(kind) as http:
            with pytest.raises(svcauth.ConfigurationError) as refused:
                AsyncClient(lab.config(tls=pair), http=http)
            assert refused.value.code == "unsupported"

    asyncio.run(story())


@pytest.mark.parametrize("given", [1, "x", object(), threading.local()])
def test_what_is_no_http_client_is_refused(given: Any, lab: Lab) -> None:
    with pytest.raises(TypeError, match=r"httpx.AsyncClient, an aiohttp.ClientSession or None"):
        AsyncClient(lab.config(), http=given)


@pytest.mark.parametrize("given", [None, 1, b"{", "{", {"x": {1}}, {}, []])
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_no_configuration_is_refused(kind: str, given: Any) -> None:
    async def story() -> None:
        async with http_of(kind) as http:
            with pytest.raises((svcauth.ConfigurationError, svcauth.ArgumentError)):
                AsyncClient(given, http=http)

    asyncio.run(story())


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.text(), max_size=2)
)


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_is_given_is_a_token_or_an_error_of_ours(kind: str, lab: Lab) -> None:
    async def story() -> None:
        async with opened(kind, lab.config()) as client:

            async def attempt(value: Any) -> None:
                for function in (client.token, client.lease):
                    with contextlib.suppress(svcauth.Error):
                        await function(value)
                with contextlib.suppress(svcauth.Error):
                    client.auth(value)

            tasks: list[Any] = []

            @settings(max_examples=60, deadline=None)
            @given(ODD)
            def drive(value: Any) -> None:
                tasks.append(value)

            drive()
            for value in tasks:
                await attempt(value)
            await client.aclose()
            for value in tasks:
                with pytest.raises(svcauth.Error):
                    await client.token(value)
            for function in (client.health, client.stats, client.secrets_changed, client.healthy):
                with contextlib.suppress(svcauth.Closed):
                    function()

    asyncio.run(story())


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(svcauth.ConfigurationError, match="No such file") as failed:
        AsyncClient.open(tmp_path / "none.json")
    assert failed.value.member == str(tmp_path / "none.json")
    with pytest.raises(svcauth.ArgumentError):
        AsyncClient.open(1)  # type: ignore[arg-type]
    with pytest.raises(svcauth.ConfigurationError):
        AsyncClient.open("\0")


def test_a_client_is_not_pickled_and_tells_no_secret(lab: Lab) -> None:
    async def story() -> None:
        async with opened("httpx", lab.config()) as client:
            await client.token("smd")
            auth = client.auth("smd")
            with pytest.raises(TypeError):
                pickle.dumps(client)
            with pytest.raises(TypeError):
                pickle.dumps(auth)
            shown = f"{client!r} {client} {auth!r} {client._engine!r} {vars(client._engine)}"
            for secret in (SECRET, "eyJ"):
                assert secret not in shown

    asyncio.run(story())


def test_a_client_that_was_not_closed_is_told_of() -> None:
    with pytest.warns(ResourceWarning, match="not closed"):
        AsyncClient({"issuer": "https://a.example", "targets": {"smd": {"urls": ["https://b.example"]}},
                     "client": {"credentials": [{"client_id": "a", "client_secret": {"env": "X"}}]}})  # fmt: skip
        gc.collect()


@pytest.mark.parametrize("kind", DRIVEN)
def test_a_forked_child_serves_on_and_asks_for_itself(kind: str, lab: Lab) -> None:
    client: Any = None

    async def parent() -> str:
        nonlocal client
        async with http_of(kind) as http:
            client = AsyncClient(lab.config(), http=http)
            return str(await client.token("smd"))

    async def child() -> str:
        client._engine._sender = (await _sender(kind)) or client._engine._sender
        served = str(await client.token("smd"))
        client._engine.cell(0).lease = None
        return served if str(await client.token("smd")) else ""

    token = asyncio.run(parent())
    reader, writer = os.pipe()
    forked = os.fork()
    if forked == 0:
        try:
            os.write(writer, asyncio.run(child()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        assert pipe.read() == token
    os.waitpid(forked, 0)
    asyncio.run(client.aclose())


async def _sender(kind: str) -> Any:
    """An HTTP client of the child's own loop, as a program makes it after a fork."""
    from svcauth._send import sender_of

    return sender_of(httpx.AsyncClient() if kind == "httpx" else aiohttp.ClientSession())


@pytest.mark.parametrize("kind", KINDS)
def test_short_tokens_and_many_tasks(kind: str, start_lab: Callable[..., Lab]) -> None:
    lab = start_lab("--ttl", "2")
    rounds = 2.5

    async def story() -> int:
        async with opened(kind, lab.config()) as client:
            await client.ready()
            end, calls = time.monotonic() + rounds, 0

            async def busy() -> None:
                nonlocal calls
                while time.monotonic() < end:
                    assert await client.token("smd")
                    calls += 1
                    await asyncio.sleep(0.005)

            await asyncio.gather(*(busy() for _ in range(32)))
            return calls

    assert asyncio.run(story()) > 0
    assert lab.token_requests() < 10
