"""What is peculiar to urllib3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin

from . import _errors
from ._routes import LEASE
from ._secret import Token

if TYPE_CHECKING:
    from collections.abc import Mapping

    import urllib3

    from ._auth import Auth
    from ._routes import Route

_MOST_REDIRECTS = 10


class Pool:
    """Makes the calls of a pool manager with the right token. Made by `Client.urllib3`."""

    def __init__(self, auth: Auth, pool: urllib3.PoolManager) -> None:
        if not callable(getattr(pool, "request", None)):
            raise _errors.wrong_type("pool", "a urllib3.PoolManager", pool)
        self._auth = auth
        self._pool = pool

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        redirect: bool = True,
        **settings: Any,
    ) -> urllib3.BaseHTTPResponse:
        """As PoolManager.request; a redirect is followed with the token only within the target.

        A call that is refused is made once more with a new token, unless its body is read from something.
        """
        given = dict(self._pool.headers if headers is None else headers)
        auth, client = self._auth, self._auth._client
        has_authorization = any(name.lower() == "authorization" for name in given)
        carried = auth.carried(url, has_authorization)
        route = client._route(url, has_authorization)
        left = _MOST_REDIRECTS
        while True:
            response = self._send(route, carried, method, url, given, settings)
            location = response.get_redirect_location() if redirect else None
            if not location:
                return response
            if left == 0:
                return response
            left -= 1
            response.drain_conn()
            to = urljoin(url, location)
            if has_authorization and not _same_origin(url, to):
                given = {name: value for name, value in given.items() if name.lower() != "authorization"}
                has_authorization = False
            route_there = auth.redirected(to, url) if carried is not None else None
            carried = None
            if route_there is not None:
                route = route_there
                carried = client._lease_for(route)._authorization if route.kind == LEASE else route.authorization
            else:
                route = client._route(to, has_authorization)
            if response.status == 303 and method != "HEAD":
                method = "GET"
                for name in ("body", "fields", "json"):
                    settings.pop(name, None)
                given = {name: value for name, value in given.items() if not name.lower().startswith("content-")}
            url = to

    def _send(
        self,
        route: Route,
        carried: Token | None,
        method: str,
        url: str,
        given: dict[str, str],
        settings: dict[str, Any],
    ) -> urllib3.BaseHTTPResponse:
        auth = self._auth
        response = self._attempt(route, carried, method, url, given, settings, retried=False)
        body = settings.get("body")
        replay = body is None or isinstance(body, (bytes, str))
        lease = auth.again(route, carried, response.status, _challenges(response), replay=replay)
        if lease is None:
            return response
        response.drain_conn()
        carried = lease._authorization
        response = self._attempt(route, carried, method, url, given, settings, retried=True)
        auth.again(route, carried, response.status, _challenges(response), replay=False)
        return response

    def _attempt(
        self,
        route: Route,
        carried: Token | None,
        method: str,
        url: str,
        given: dict[str, str],
        settings: dict[str, Any],
        retried: bool,
    ) -> urllib3.BaseHTTPResponse:
        headers = given if carried is None else {**given, "Authorization": carried}
        try:
            response = self._pool.request(method, url, headers=headers, redirect=False, **settings)
        except Exception:
            self._auth.tell(route, carried, method, None, retried)
            raise
        self._auth.tell(route, carried, method, response.status, retried)
        return response

    def __repr__(self) -> str:
        return f"<svcauth.Pool of {type(self._pool).__name__}>"


def _challenges(response: urllib3.BaseHTTPResponse) -> list[str]:
    return list(response.headers.getlist("WWW-Authenticate"))


def _same_origin(one: str, other: str) -> bool:
    from urllib3.util import parse_url

    a, b = parse_url(one), parse_url(other)
    return (a.scheme, a.host, a.port) == (b.scheme, b.host, b.port)
