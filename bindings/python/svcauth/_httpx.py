"""What is peculiar to httpx."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx

from ._auth import Auth
from ._routes import LEASE, NOTHING
from ._secret import Token
from ._threads import Wait

if TYPE_CHECKING:
    from collections.abc import Generator

    from ._routes import Route


class OfHttpx(Auth, httpx.Auth):
    """What an Auth is for httpx."""


class OneHop(httpx.Headers):
    """Headers with an Authorization that is sent and not copied: a redirect that httpx follows goes without it."""

    def __init__(self, headers: httpx.Headers, authorization: str) -> None:
        super().__init__(headers)
        self._whole = httpx.Headers(headers)
        self._whole["Authorization"] = authorization

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return self._whole.raw

    def keys(self) -> Any:
        return self._whole.keys()

    def values(self) -> Any:
        return self._whole.values()

    def items(self) -> Any:
        return self._whole.items()

    def multi_items(self) -> list[tuple[str, str]]:
        return self._whole.multi_items()

    def get_list(self, key: str, split_commas: bool = False) -> list[str]:
        return self._whole.get_list(key, split_commas)

    def __getitem__(self, key: str) -> str:
        return self._whole[key]

    def __setitem__(self, key: str, value: str) -> None:
        self._whole[key] = value
        super().__setitem__(key, value)

    def __delitem__(self, key: str) -> None:
        del self._whole[key]
        if httpx.Headers.__contains__(self, key):
            super().__delitem__(key)

    def __contains__(self, key: Any) -> bool:
        return key in self._whole

    def __len__(self) -> int:
        return len(self._whole)

    def __repr__(self) -> str:
        return repr(self._whole)


def flow(auth: Auth, request: httpx.Request) -> Generator[httpx.Request | Wait, Any, None]:
    """Yields requests to send, and what has to be waited for; is sent what comes of them."""
    if not isinstance(request, httpx.Request):
        from . import _errors

        raise _errors.wrong_type("request", "a Request of httpx", request)
    client = auth._client
    url, has_authorization = str(request.url), "Authorization" in request.headers
    route = client._route(url, has_authorization)
    if route.kind == NOTHING or not auth.covers(route):
        response = yield request
        _tell_all(auth, route, None, [*response.history, response])
        return
    plain = request.headers
    carried: Token | None = route.authorization
    if route.kind == LEASE:
        lease = client._fresh(route)
        if lease is None:
            lease = yield _lease(auth, route)
        carried = lease._authorization
    assert carried is not None
    request.headers = OneHop(plain, carried)
    response = yield request
    seen = _tell_all(auth, route, carried, [*response.history, response])
    retried = 0
    # Twice: once after a redirect within the target, and once after a 401.
    while response.status_code == 401 and retried < 2:
        sent = response.request
        if _has_token(sent):
            replay = isinstance(sent.stream, httpx.ByteStream)
            lease = yield _again(auth, route, carried, response, replay)
            if lease is None:
                return
            carried = lease._authorization
            request, retried = sent, 2
        else:
            # Where a redirect led to within the target, the token belongs too.
            route_there = _within(auth, url, response)
            if route_there is None or not isinstance(sent.stream, httpx.ByteStream):
                return
            route, url = route_there, str(sent.url)
            if route.kind == LEASE:
                lease = client._fresh(route)
                if lease is None:
                    lease = yield _lease(auth, route)
                carried = lease._authorization
            else:
                carried = route.authorization
            request, plain, retried = sent, sent.headers, 1
        assert carried is not None
        request.headers = OneHop(plain if retried == 1 else _plain(request), carried)
        response = yield request
        seen = _tell_all(auth, route, carried, [*response.history, response][seen:], retried=retried == 2) + seen
    if response.status_code == 401 and _has_token(response.request):
        yield _again(auth, route, carried, response, False)


def _lease(auth: Auth, route: Route) -> Wait:
    # Those who wait for the same token wait together.
    key = None if route.of_user else (id(auth._client), route.target)
    return Wait(lambda: auth._client._lease_for(route), key)


def _again(auth: Auth, route: Route, carried: Token, response: httpx.Response, replay: bool) -> Wait:
    challenges = response.headers.get_list("WWW-Authenticate")
    return Wait(lambda: auth.again(route, carried, response.status_code, challenges, replay=replay))


def _has_token(request: httpx.Request) -> bool:
    return isinstance(request.headers, OneHop)


def _plain(request: httpx.Request) -> httpx.Headers:
    headers = httpx.Headers(request.headers.multi_items())
    headers.pop("Authorization", None)
    return headers


def _within(auth: Auth, first: str, response: httpx.Response) -> Route | None:
    """What the last hop carries, where no hop has left the target."""
    route, before = None, first
    for hop in [*response.history, response]:
        to = str(hop.request.url)
        if to == before:
            continue
        route = auth.redirected(to, before)
        if route is None:
            return None
        before = to
    return route


def _tell_all(
    auth: Auth, route: Route, carried: Token | None, answers: list[httpx.Response], retried: bool = False
) -> int:
    """Logs a call and where redirects led it."""
    for answer in answers:
        request = answer.request
        ours = carried if _has_token(request) else None
        there = route
        if ours is None:
            there = auth._client._route(str(request.url), "Authorization" in request.headers)
        auth.tell(there, ours, request.method, answer.status_code, retried)
    return len(answers)
