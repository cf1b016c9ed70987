"""Middleware takes the user of an inbound request, and what is called meanwhile knows."""

from __future__ import annotations

import asyncio
import contextvars
import pickle
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Callable, Optional
from wsgiref.util import setup_testing_defaults

import pytest

import svcauth.asgi
import svcauth.wsgi
from svcauth._user import User, bearer, current, require_user, user_required, user_token

Seen = list[tuple[Optional[str], bool]]


def seen() -> tuple[str | None, bool]:
    return current().token, current().required


@pytest.mark.parametrize(
    ("field", "token"),
    [
        ("Bearer abc", "abc"),
        ("bearer abc", "abc"),
        ("BEARER  abc ", "abc"),
        ("Bearer ", ""),
        ("Bearer", None),
        ("", None),
        ("Basic abc", None),
        ("Bearerabc def", None),
    ],
)
def test_a_bearer_token_is_read_as_the_rfc_has_it(field: str, token: str | None) -> None:
    assert bearer(field) == token


def test_blocks_say_on_whose_behalf_and_end() -> None:
    with user_token("alice"):
        with user_required():
            assert seen() == ("alice", True)
            with user_token("bob"):
                assert seen() == ("bob", True)
        assert seen() == ("alice", False)
    assert seen() == (None, False)
    with pytest.raises(TypeError):
        user_token(None)  # type: ignore[arg-type]


def test_no_printout_shows_a_users_token() -> None:
    user = User("planted-token")
    assert "planted" not in f"{user} {user!r}"
    with pytest.raises(TypeError):
        pickle.dumps(user)


def test_a_decorated_function_requires_a_user() -> None:
    @require_user
    def plain(name: str) -> tuple[str, tuple[str | None, bool]]:
        return name, seen()

    @require_user
    async def waiting() -> tuple[str | None, bool]:
        await asyncio.sleep(0)
        return seen()

    assert plain("x") == ("x", (None, True))
    assert asyncio.run(waiting()) == (None, True)
    assert plain.__name__ == "plain"
    assert seen() == (None, False)
    with pytest.raises(TypeError, match="with svcauth.user_required"):

        @require_user
        def pieces() -> Iterator[int]:
            yield 1


ROWS = [
    (svcauth.asgi.PassUser, svcauth.wsgi.PassUser, "Bearer alice", ("alice", False)),
    (svcauth.asgi.PassUser, svcauth.wsgi.PassUser, None, (None, False)),
    (svcauth.asgi.PassUser, svcauth.wsgi.PassUser, "Basic YTpi", (None, False)),
    (svcauth.asgi.RequireUser, svcauth.wsgi.RequireUser, "Bearer alice", ("alice", True)),
    (svcauth.asgi.RequireUser, svcauth.wsgi.RequireUser, None, (None, True)),
]


@pytest.mark.parametrize(("asgi", "wsgi", "field", "expected"), ROWS)
def test_the_user_of_the_request_is_taken(asgi: Any, wsgi: Any, field: str | None, expected: Any) -> None:
    calls: Seen = []

    async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(seen())

    def wsgi_app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        calls.append(seen())
        return [b""]

    headers = [] if field is None else [(b"accept", b"*/*"), (b"authorization", field.encode())]
    for kind in ("http", "websocket"):
        asyncio.run(asgi(asgi_app)({"type": kind, "headers": headers}, None, None))
    assert call_wsgi(wsgi(wsgi_app), field) == b""
    assert calls == [expected] * 3
    assert seen() == (None, False)


def test_a_lifespan_has_no_user() -> None:
    calls: Seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        calls.append(seen())

    asyncio.run(svcauth.asgi.RequireUser(app)({"type": "lifespan"}, None, None))  # type: ignore[arg-type]
    assert calls == [(None, False)]


def test_inside_a_required_route_a_user_stays_required() -> None:
    calls: Seen = []

    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        calls.append(seen())
        return [b""]

    call_wsgi(svcauth.wsgi.RequireUser(svcauth.wsgi.PassUser(app)), None)
    assert calls == [(None, True)]


def test_an_answer_that_is_made_piece_by_piece_is_made_for_its_user() -> None:
    closed = []

    class Pieces:
        def __iter__(self) -> Iterator[bytes]:
            for _ in range(3):
                yield (current().token or "nobody").encode()

        def close(self) -> None:
            closed.append(seen())

    application = svcauth.wsgi.PassUser(lambda environ, start_response: Pieces())
    alice = iter(application(environ("Bearer alice"), start_response))
    bob = iter(application(environ("Bearer bob"), start_response))
    # One thread, both answers by turns.
    assert [next(alice), next(bob), next(alice), next(bob)] == [b"alice", b"bob", b"alice", b"bob"]
    assert b"".join(alice) == b"alice"
    alice.close()  # type: ignore[attr-defined]
    assert closed == [("alice", False)]
    assert seen() == (None, False)


def test_a_file_is_given_on_as_it_is() -> None:
    class Wrapper:
        def __iter__(self) -> Iterator[bytes]:
            return iter([b"x"])

    made = Wrapper()
    application = svcauth.wsgi.PassUser(lambda environ, start_response: made)
    assert application({**environ(None), "wsgi.file_wrapper": Wrapper}, start_response) is made


def test_a_thread_that_serves_the_next_request_knows_nothing_of_the_last() -> None:
    calls: Seen = []
    application = svcauth.wsgi.PassUser(lambda environ, start_response: [b""])

    def serve() -> None:
        application(environ("Bearer alice"), start_response)
        calls.append(seen())

    thread = threading.Thread(target=contextvars.Context().run, args=(serve,))
    thread.start()
    thread.join()
    assert calls == [(None, False)]


def start_response(status: str, headers: list[tuple[str, str]], error: Any = None) -> Any:
    return None


def environ(field: str | None) -> dict[str, Any]:
    made: dict[str, Any] = {} if field is None else {"HTTP_AUTHORIZATION": field}
    setup_testing_defaults(made)
    return made


def call_wsgi(application: Callable[..., Iterable[bytes]], field: str | None) -> bytes:
    return b"".join(application(environ(field), start_response))
