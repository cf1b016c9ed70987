"""What adds the right token to the calls of httpx and aiohttp, for asyncio."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ._auth import Auth
from ._driven import Driven
from ._fork import importing
from ._routes import LEASE, NOTHING, Route
from ._threads import Wait, run

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable

    import aiohttp
    import httpx

    from ._lease import Lease
    from ._secret import Token

    Handler = Callable[[aiohttp.ClientRequest], Awaitable[aiohttp.ClientResponse]]


class AsyncAuth(Auth):
    """Adds the right token to each call, and makes a call once more with a new one where the first was refused.

    One object is an Auth for httpx.AsyncClient and a middleware for aiohttp.ClientSession, for any number of them. Made
    by `AsyncClient.auth`.
    """

    __slots__ = ()

    if not TYPE_CHECKING:

        @property
        def __class__(self):
            # As for Auth.
            import sys

            if "httpx" in sys.modules:
                from ._httpx import OfHttpx

                return OfHttpx
            return type(self)

    async def _waited(self, what: Wait) -> Any:
        """On the event loop where the client is driven by it, on a thread otherwise."""
        if isinstance(self._client, Driven):
            found = what.wait()
            return None if found is None else await found
        return await run(what)

    # httpx

    def sync_auth_flow(self, request: Any) -> NoReturn:
        raise TypeError("this is for httpx.AsyncClient; the auth of a svcauth.Client is for both")

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        """Implements httpx.Auth."""
        with importing:
            from ._httpx import flow

        steps = flow(self, request)
        try:
            step = next(steps)
            while True:
                step = steps.send(await self._waited(step) if isinstance(step, Wait) else (yield step))
        except StopIteration:
            return

    # aiohttp

    async def __call__(  # type: ignore[override]
        self, request: aiohttp.ClientRequest, handler: Handler
    ) -> aiohttp.ClientResponse:
        """Implements a middleware of aiohttp, which is asked for each hop of a call."""
        response = await self._hopped(request, handler)
        _note_redirect(response)
        return response

    async def _hopped(self, request: aiohttp.ClientRequest, handler: Handler) -> aiohttp.ClientResponse:
        url = str(request.url)
        has_authorization = "Authorization" in request.headers
        route = self._hop(request, url, has_authorization)
        if route is None:
            return await handler(request)
        if route.kind == NOTHING or not self.covers(route):
            response = await handler(request)
            self.tell(route, None, request.method, response.status)
            return response
        lease: Lease | None = None
        carried: Token | None = route.authorization
        if route.kind == LEASE:
            lease = self._client._fresh(route)
            if lease is None:
                lease = await self._waited(Wait(lambda: self._client._lease_for(route), _key(self, route)))
            carried = lease._authorization if lease is not None else None
        assert carried is not None
        response = await self._sent(handler, request, route, carried, False)
        if lease is None or response.status != 401:
            return response
        again = await self._again(request, route, carried, response, _can_be_sent_again(request))
        if again is None:
            return response
        response.release()
        response = await self._sent(handler, request, route, again._authorization, True)
        if response.status == 401:
            await self._again(request, route, again._authorization, response, False)
        return response

    def _hop(self, request: aiohttp.ClientRequest, url: str, has_authorization: bool) -> Route | None:
        """What a hop carries: after a redirect nothing, unless the first hop carried a token of the same target."""
        last = _last.get()
        # All hops of a call have the same timer. Without it, what is where the last answer led to follows from that.
        timer = getattr(request, "_timer", None)
        follows = last.timer is timer if timer is not None else url in last.leads_to
        first = last.first if follows else url
        _last.set(_Hop(timer, first))
        if first != url:
            return None if has_authorization else self.redirected(url, first)
        return self._client._route(url, has_authorization)

    async def _sent(
        self, handler: Handler, request: aiohttp.ClientRequest, route: Route, carried: Token, retried: bool
    ) -> aiohttp.ClientResponse:
        request.headers["Authorization"] = carried
        try:
            response = await handler(request)
        except BaseException:
            self.tell(route, carried, request.method, None, retried)
            raise
        self.tell(route, carried, request.method, response.status, retried)
        return response

    async def _again(
        self,
        request: aiohttp.ClientRequest,
        route: Route,
        carried: Token,
        response: aiohttp.ClientResponse,
        replay: bool,
    ) -> Lease | None:
        challenges = response.headers.getall("WWW-Authenticate", [])
        try:
            found: Lease | None = await self._waited(
                Wait(lambda: self.again(route, carried, response.status, challenges, replay=replay))
            )
        except BaseException:
            response.close()
            raise
        return found


class _Hop(NamedTuple):
    """The last hop that this task has made."""

    timer: object
    #: Where the call was first made to.
    first: str
    #: Where its answer leads to.
    leads_to: tuple[str, ...] = ()


_last: ContextVar[_Hop] = ContextVar("svcauth_last", default=_Hop(None, ""))  # noqa: B039, it does not change


def _note_redirect(response: aiohttp.ClientResponse) -> None:
    location = response.headers.get("Location")
    if location is None or response.status not in (301, 302, 303, 307, 308):
        return
    try:
        to = {str(response.url.join(type(response.url)(location, encoded=each))) for each in (True, False)}
    except ValueError:
        return  # it is not followed
    _last.set(_last.get()._replace(leads_to=tuple(to)))


def _can_be_sent_again(request: aiohttp.ClientRequest) -> bool:
    return not getattr(request.body, "consumed", False)


def _key(auth: Auth, route: Route) -> Any:
    # Those who wait for the same token wait together.
    return None if route.of_user else (id(auth._client), route.target)
