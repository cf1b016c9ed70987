"""What adds the right token to the calls of requests and httpx."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from . import _errors
from ._fork import importing
from ._lease import Authorization
from ._routes import LEASE, NOTHING, Route
from ._secret import Token

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable

    import httpx
    import requests

    from ._client import Client
    from ._lease import Lease

Request = TypeVar("Request")
UNAUTHORIZED = 401


class Auth:
    """Adds the right token to each call, and makes a call once more with a new one where the first was refused.

    One object is an AuthBase for requests and an Auth for httpx, for any number of sessions, threads and tasks. Made
    by `Client.auth`.
    """

    __slots__ = ("_client", "_hook", "target")

    def __init__(self, client: Client, target: str | None = None) -> None:
        self._client = client
        self.target = target
        self._hook = self._on_response

    # requests

    def __call__(self, request: Request) -> Request:
        """Takes a PreparedRequest of requests, and gives it back with the token."""
        prepared: requests.PreparedRequest = request  # type: ignore[assignment]
        try:
            headers, hooks, url = prepared.headers, prepared.hooks["response"], prepared.url or ""
        except AttributeError:
            raise _errors.wrong_type("request", "a PreparedRequest of requests", request) from None
        # Asking the headers themselves takes an exception, and half of the time of all this.
        names = getattr(headers, "_store", None)
        has_authorization = "Authorization" in headers if names is None else "authorization" in names
        carried = None if has_authorization else self._client._at_hand(url, self.target)
        if carried is None:
            carried = self.carried(url, has_authorization)
        if carried is not None:
            headers["Authorization"] = carried
        hooks.append(self._hook)
        return request

    def _on_response(self, response: requests.Response, **settings: Any) -> requests.Response:
        with importing:
            from ._requests import on_response

        return on_response(self, response, settings)

    # httpx

    requires_request_body = False
    requires_response_body = False

    if not TYPE_CHECKING:

        @property
        def __class__(self):
            # httpx takes an instance of its class Auth, which is not imported for those who do not use it.
            if "httpx" in sys.modules:
                with importing:
                    from ._httpx import OfHttpx

                return OfHttpx
            return type(self)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Implements httpx.Auth."""
        with importing:
            from ._httpx import flow
            from ._threads import Wait

        steps = flow(self, request)
        step = next(steps)
        try:
            while True:
                step = steps.send(step.wait() if isinstance(step, Wait) else (yield step))
        except StopIteration:
            return

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Implements httpx.Auth. What waits does so on a thread."""
        with importing:
            from ._httpx import flow
            from ._threads import Wait, run

        steps = flow(self, request)
        step = next(steps)
        try:
            while True:
                step = steps.send(await run(step) if isinstance(step, Wait) else (yield step))
        except StopIteration:
            return

    # What all have in common.

    def carried(self, url: str, has_authorization: bool) -> Token | None:
        """The header that a call carries; None for nothing of ours. Waits for a token."""
        client = self._client
        route = client._route(url, has_authorization)
        if not self.covers(route):
            return None
        return client._lease_for(route)._authorization if route.kind == LEASE else route.authorization

    def covers(self, route: Route) -> bool:
        """Whether this object adds what the call carries."""
        return self.target is None or route.target == self.target

    def redirected(self, url: str, before: str) -> Route | None:
        """What a call carries that comes from a redirect of one that carried a token; None for nothing of ours."""
        try:
            route = self._client._redirected(url, before)
        except _errors.Error:
            return None
        return route if route.kind != NOTHING and self.covers(route) else None

    def again(
        self, route: Route, carried: Token | None, status: int, challenges: Iterable[str], *, replay: bool
    ) -> Lease | None:
        """The lease to make a call once more with; None where the answer is the caller's."""
        if status != UNAUTHORIZED or not isinstance(carried, Authorization):
            return None
        return self._client._after_401(route, carried.number, status, challenges, replay=replay)

    def tell(self, route: Route, carried: Token | None, method: str, status: int | None, retried: bool = False) -> None:
        """Logs an attempt of a call."""
        self._client._tell(route, carried, method, status, retried)

    def __repr__(self) -> str:
        return f"<svcauth.Auth{'' if self.target is None else ' ' + self.target}>"

    def __copy__(self) -> Auth:
        return self

    def __deepcopy__(self, memo: Any) -> Auth:
        return self

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("what adds tokens is not pickled; open a client of the same configuration")
