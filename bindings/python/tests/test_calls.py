"""Calls through each HTTP library, against the lab."""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import ssl
import urllib.error
from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pytest
import requests
import trio
import urllib3

import svcauth
from conftest import NODE, SECRET, Journal, Lab, eventually, in_threads

# Made once: reading the system's certificates takes a while.
TLS = ssl.create_default_context()


class Stack(Protocol):
    """Makes a call with one HTTP library, and gives its status."""

    def __call__(self, url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int: ...


def _headers(authorization: str | None) -> dict[str, str]:
    return {} if authorization is None else {"Authorization": authorization}


def of_requests(client: svcauth.Client, target: str | None = None) -> Stack:
    session = requests.Session()
    session.auth = client.auth(target)

    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        with session.request(method, url, data=body, headers=_headers(authorization), timeout=30) as response:
            response.content  # noqa: B018
            return response.status_code

    return call


def of_the_session(client: svcauth.Client, target: str | None = None) -> Stack:
    session = client.session(target)

    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        with session.request(method, url, data=body, headers=_headers(authorization)) as response:
            response.content  # noqa: B018
            return response.status_code

    return call


def of_httpx(client: svcauth.Client, target: str | None = None) -> Stack:
    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        with client.httpx(target, follow_redirects=True, timeout=30, verify=TLS) as caller:
            return caller.request(method, url, content=body, headers=_headers(authorization)).status_code

    return call


def _async(client: svcauth.Client, target: str | None, run: Callable[..., Any]) -> Stack:
    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        async def made() -> int:
            async with client.async_httpx(target, follow_redirects=True, timeout=30, verify=TLS) as caller:
                response = await caller.request(method, url, content=body, headers=_headers(authorization))
                return response.status_code

        status: int = run(made)
        return status

    return call


def of_asyncio(client: svcauth.Client, target: str | None = None) -> Stack:
    return _async(client, target, lambda made: asyncio.run(made()))


def of_trio(client: svcauth.Client, target: str | None = None) -> Stack:
    return _async(client, target, trio.run)


def of_urllib3(client: svcauth.Client, target: str | None = None) -> Stack:
    pool = client.urllib3(urllib3.PoolManager(), target)

    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        response = pool.request(method, url, body=body, headers=_headers(authorization))
        return response.status

    return call


def of_the_standard_library(client: svcauth.Client, target: str | None = None) -> Stack:
    def call(url: str, method: str = "GET", body: Any = None, authorization: str | None = None) -> int:
        request = urllib.request.Request(url, body, _headers(authorization), method=method)
        try:
            with svcauth.urlopen(client, request, target=target, timeout=30) as response:
                response.read()
                return response.status
        except urllib.error.HTTPError as error:
            error.close()
            return error.code

    return call


Make = Callable[..., Stack]
STACKS: list[Make] = [
    of_requests,
    of_the_session,
    of_httpx,
    of_asyncio,
    of_trio,
    of_urllib3,
    of_the_standard_library,
]
all_stacks = pytest.mark.parametrize("stack", STACKS)


@all_stacks
def test_a_call_carries_the_token_and_is_logged(
    stack: Make, lab: Lab, client: svcauth.Client, journal: Journal
) -> None:
    call = stack(client)
    assert call(f"{lab.node}?q=secret") == 200
    assert lab.log("smd")[-1]["sub"] == "bss"
    (told,) = journal.events("call")
    expected = {
        "target": "smd",
        "method": "GET",
        "url": lab.node,
        "status": 200,
        "kind": "service",
        "subject": "bss",
        "client_id": "bss",
        "retried": False,
    }
    assert {name: told.get(name) for name in expected} == expected


@all_stacks
def test_many_callers_share_one_token_and_survive_a_new_signing_key(
    stack: Make, lab: Lab, client: svcauth.Client
) -> None:
    lab.fault("token", {"delay_ms": 20})
    call = stack(client)
    assert in_threads(16, lambda: stack(client)(lab.node)) == [200] * 16
    assert lab.token_requests() == 1
    lab.post("/lab/smd", {"keys": "always"})
    lab.post("/lab/keys/rotate", {})
    assert in_threads(16, lambda: stack(client)(lab.node)) == [200] * 16
    assert lab.token_requests() == 2
    assert any(entry["status"] == 401 for entry in lab.log("smd"))
    assert call(lab.node) == 200


@all_stacks
def test_a_second_401_is_the_callers(stack: Make, lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    lab.fault("smd", {"action": {"answer": {"status": 401}}})
    before = len(lab.log("smd"))
    assert stack(client)(lab.node) == 401
    assert len(lab.log("smd")) - before == 2
    assert [told["retried"] for told in journal.events("call")] == [False, True]


@all_stacks
def test_no_token_goes_elsewhere(stack: Make, lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    call = stack(client)
    alice = lab.user_token()
    assert call(lab.elsewhere + "/") == 200
    assert journal.events("call")[-1]["kind"] == "none"
    with svcauth.user_token(alice):
        assert call(lab.elsewhere + "/") == 200
    for status in (302, 303, 307, 308):
        lab.fault("smd", {"action": {"answer": {"status": status, "location": lab.elsewhere + "/"}}, "times": 1})
        assert call(lab.node) == 200
    seen = lab.log("elsewhere")
    assert len(seen) == 6
    assert not any(entry.get("authorization") for entry in seen)


@all_stacks
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("status", [302, 307])
def test_a_token_follows_redirects_within_its_target_only(
    stack: Make, user: bool, status: int, lab: Lab, logger: logging.Logger
) -> None:
    urls = [lab.smd + "/hsm/v2", lab.smd + "/redirect"]
    with svcauth.Client(lab.config(targets={"smd": {"urls": urls}}), logger=logger) as client:
        call = stack(client)
        with svcauth.user_token(lab.user_token()) if user else contextlib.nullcontext():
            # Out of the target and to another origin.
            assert call(f"{lab.smd}/redirect?to={lab.elsewhere}/&status={status}") == 200
            assert not lab.log("elsewhere")[-1].get("authorization")
            # Within the target.
            assert call(f"{lab.smd}/redirect?to={lab.node}&status={status}") == 200
            assert lab.log("smd")[-1]["sub"] == ("alice" if user else "bss")
            # Out of it and back.
            back = f"{lab.elsewhere}/redirect?to={lab.node}"
            call(f"{lab.smd}/redirect?to={back}&status={status}")
    assert not any(entry.get("authorization") for entry in lab.log("elsewhere"))


@all_stacks
def test_a_redirect_to_another_path_of_the_same_origin_goes_without_the_token(
    stack: Make, lab: Lab, logger: logging.Logger
) -> None:
    with svcauth.Client(lab.config(targets={"smd": {"urls": [lab.smd + "/redirect"]}}), logger=logger) as client:
        assert stack(client)(f"{lab.smd}/redirect?to={lab.node}&status=307") == 401
    seen = lab.log("smd")[-1]
    assert seen["path"] == NODE and not seen.get("authorization") and not seen.get("sub")


@all_stacks
def test_a_redirect_into_a_target_goes_without_its_token(stack: Make, lab: Lab, logger: logging.Logger) -> None:
    with svcauth.Client(lab.config(), logger=logger) as client:
        call = stack(client)
        assert call(lab.node) == 200
        assert call(f"{lab.smd}/redirect?to={lab.node}&status=307") == 401
    assert not lab.log("smd")[-1].get("sub")


@all_stacks
def test_the_users_token_is_passed_on(stack: Make, lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    call = stack(client)
    with svcauth.user_token(lab.user_token()):
        assert call(lab.node) == 200
    assert lab.log("smd")[-1]["sub"] == "alice"
    assert lab.token_requests() == 0
    told = journal.events("call")[-1]
    assert told["kind"] == "user" and told["subject"] == "alice"
    with svcauth.user_token("expired"):
        assert call(lab.node) == 401
    assert lab.token_requests() == 0


@all_stacks
def test_a_call_that_needs_a_user_is_refused_without_one(
    stack: Make, lab: Lab, client: svcauth.Client, journal: Journal
) -> None:
    call = stack(client)
    assert call(lab.node) == 200
    before = len(lab.log("smd"))
    with svcauth.user_required(), pytest.raises(svcauth.UserTokenMissing) as refused:
        call(lab.node)
    assert refused.value.code == "user_token_missing"
    assert len(lab.log("smd")) == before
    eventually(lambda: journal.events("user_token_missing"))
    with svcauth.user_required():
        assert call(lab.elsewhere + "/") == 200
        with svcauth.user_token(lab.user_token()):
            assert call(lab.node) == 200


@all_stacks
def test_the_callers_own_authorization_is_left_alone(
    stack: Make, lab: Lab, client: svcauth.Client, journal: Journal
) -> None:
    call = stack(client)
    if stack in (of_requests, of_the_session):
        # requests itself gives way to an auth.
        session = client.session()
        request = requests.Request("GET", lab.node, headers=_headers("Bearer mine")).prepare()
        assert client.auth()(request).headers["Authorization"] == "Bearer mine"
        assert session.send(request).status_code == 401
    else:
        assert call(lab.node, authorization="Bearer mine") == 401
        assert journal.events("call")[-1]["kind"] == "caller"
    assert lab.token_requests() == 0


@all_stacks
def test_with_a_target_only_its_token_is_added(stack: Make, lab: Lab, logger: logging.Logger) -> None:
    other = {"urls": [lab.smd + "/hsm/v2/State"], "scopes": ["read"]}
    with svcauth.Client(lab.config(targets={"state": other}), logger=logger) as client:
        assert stack(client, "smd")(lab.node) == 401
        assert lab.token_requests() == 0
        assert stack(client, "state")(lab.node) == 200


QUERY = b'{"ComponentIDs":["x0c0s0b0n0"]}'


@pytest.mark.parametrize("of", ["bytes", "file", "generator"])
@all_stacks
def test_a_body_is_sent_again_if_it_can_be(stack: Make, of: str, lab: Lab, client: svcauth.Client) -> None:
    call = stack(client)
    assert call(lab.node) == 200
    lab.post("/lab/smd", {"keys": "always"})
    lab.post("/lab/keys/rotate", {})
    before = len(lab.log("smd"))

    def generator() -> Iterator[bytes]:
        yield QUERY

    body: Any = {"bytes": QUERY, "file": io.BytesIO(QUERY), "generator": generator()}[of]
    if stack in (of_asyncio, of_trio) and of != "bytes":

        async def pieces() -> Any:
            yield QUERY

        body = pieces()
    again = of == "bytes" or (of == "file" and stack in (of_requests, of_the_session))
    status = call(lab.smd + "/hsm/v2/State/Components/Query", "POST", body)
    seen = [entry["status"] for entry in lab.log("smd")[before:]]
    assert (status, seen) == ((200, [401, 200]) if again else (401, [401]))
    # The token is known to be refused either way.
    assert call(lab.node) == 200
    assert lab.token_requests() == 2


@all_stacks
def test_where_no_token_can_be_had_the_call_is_not_made(
    stack: Make, lab: Lab, logger: logging.Logger, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BSS_SECRET", "wrong")
    with svcauth.Client(lab.config(), logger=logger) as client, pytest.raises(svcauth.OAuthError) as refused:
        stack(client)(lab.node)
    error = refused.value
    assert (error.code, error.oauth_error, error.status) == ("oauth_error", "invalid_client", 401)
    assert "wrong" not in str(error)
    assert not [entry for entry in lab.log("smd") if entry["path"] == NODE]


def test_a_session_logs_calls_without_answer(lab: Lab, client: svcauth.Client, journal: Journal) -> None:
    session = client.session()
    assert session.get(lab.node).status_code == 200
    lab.post("/lab/away", {"service": "smd"})
    with pytest.raises(requests.ConnectionError):
        session.get(lab.node)
    told = journal.events("call")[-1]
    assert told["kind"] == "service" and "status" not in told


def test_other_http_stacks_ask_for_the_header(lab: Lab, client: svcauth.Client) -> None:
    header = client.authorization(lab.node)
    assert header is not None and header == f"Bearer {client.token('smd')}"
    assert client.authorization(lab.elsewhere) is None
    with svcauth.user_token("alice"):
        assert client.authorization(lab.node) == "Bearer alice"
    lab.post("/lab/smd", {"keys": "always"})
    lab.post("/lab/keys/rotate", {})
    # As a text of the program's own, too.
    client.refused(lab.node, str.__str__(header) + "")
    assert client.authorization(lab.node) != header
    assert lab.token_requests() == 2
    # Late news of a token that was replaced.
    client.refused(lab.node, header)
    client.refused(lab.node, "Bearer of somebody")
    client.authorization(lab.node)
    assert lab.token_requests() == 2


def test_an_auth_made_before_httpx_is_imported_works_with_it(lab: Lab) -> None:
    from conftest import python

    code = f"""
import json, sys, svcauth
client = svcauth.Client(json.loads(sys.argv[1]))
auth = client.auth()
assert isinstance(auth, svcauth.Auth) and "httpx" not in sys.modules
import httpx
assert isinstance(auth, httpx.Auth) and isinstance(auth, svcauth.Auth)
print(httpx.get({lab.node!r}, auth=auth).status_code)
"""
    import json

    ran = python(code, json.dumps(lab.config()), BSS_SECRET=SECRET)
    assert (ran.stdout, ran.stderr) == ("200\n", "")
