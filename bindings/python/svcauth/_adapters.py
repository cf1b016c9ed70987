"""What puts the flow of a call into httpx and aiohttp. It is imported where one of the two is."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Callable, Optional

from ._flow import Answered, Engine, Outgoing, flow
from ._send import fields

if TYPE_CHECKING:
    import aiohttp
    import httpx

# What is read of an answer that is not delivered, so that its connection is free for the second attempt.
MOST_DRAINED = 64 << 10
FIRST_HOP = "svcauth.first_hop"


def httpx_auth(engine: Engine, only: Optional[int]) -> httpx.Auth:
    import httpx

    class Auth(httpx.Auth):
        """Adds the right token to each call, and makes a call once more with a new one where it was refused."""

        async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
            steps = flow(engine, only, _outgoing(request, ""))
            try:
                authorization = await steps.__anext__()
                while True:
                    if authorization is not None:
                        request.headers["Authorization"] = authorization
                    response = yield request
                    authorization = await steps.asend(Answered(response.status_code, fields(response.headers.raw)))
            except StopAsyncIteration:
                return
            finally:
                await steps.aclose()

        def sync_auth_flow(self, request: httpx.Request) -> Any:
            raise TypeError("this is for httpx.AsyncClient; the auth of a svcauth.Client works with both")

        def __repr__(self) -> str:
            return "<svcauth auth>"

    return Auth()


def httpx_transport(engine: Engine, only: Optional[int], base: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    import httpx

    class Transport(httpx.AsyncBaseTransport):
        """Looks at each hop of a call, so that a redirect out of the target is followed without its token."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            # What is made of a request to follow a redirect takes its extensions along.
            first = request.extensions.setdefault(FIRST_HOP, str(request.url))
            steps = flow(engine, only, _outgoing(request, "" if first == str(request.url) else first))
            response: Optional[httpx.Response] = None
            try:
                authorization = await steps.__anext__()
                while True:
                    if response is not None:
                        await _drained(response)
                    response = await base.handle_async_request(_bearing(request, authorization))
                    authorization = await steps.asend(Answered(response.status_code, fields(response.headers.raw)))
            except StopAsyncIteration:
                assert response is not None
                return response
            except BaseException:
                if response is not None:
                    await response.aclose()
                raise
            finally:
                await steps.aclose()

        async def aclose(self) -> None:
            await base.aclose()

        def __repr__(self) -> str:
            return "<svcauth transport>"

    async def _drained(response: httpx.Response) -> None:
        read = 0
        try:
            async for piece in response.aiter_raw():
                read += len(piece)
                if read > MOST_DRAINED:
                    break
        except httpx.HTTPError:
            pass  # it was not to be delivered
        finally:
            await response.aclose()

    def _bearing(request: httpx.Request, authorization: Optional[str]) -> httpx.Request:
        """A request of its own: what a redirect is made of has no token of ours."""
        if authorization is None:
            return request
        headers = request.headers.copy()
        headers["Authorization"] = authorization
        return httpx.Request(
            request.method, request.url, headers=headers, stream=request.stream, extensions=request.extensions
        )

    return Transport()


def _outgoing(request: httpx.Request, redirected_from: str) -> Outgoing:
    import httpx

    def replayable() -> bool:
        return isinstance(request.stream, httpx.ByteStream)

    return Outgoing(request.method, str(request.url), "Authorization" in request.headers, redirected_from, replayable)


AiohttpHandler = Callable[["aiohttp.ClientRequest"], Awaitable["aiohttp.ClientResponse"]]
AiohttpMiddleware = Callable[["aiohttp.ClientRequest", AiohttpHandler], Awaitable["aiohttp.ClientResponse"]]

# The timer of the call that the task has made last, which all its hops share, and where it was first made to.
_last: ContextVar[tuple[object, str]] = ContextVar("svcauth_last", default=(None, ""))


def aiohttp_middleware(engine: Engine, only: Optional[int]) -> AiohttpMiddleware:
    async def middleware(request: aiohttp.ClientRequest, handler: AiohttpHandler) -> aiohttp.ClientResponse:
        url = str(request.url)
        timer, first = _last.get()
        if timer is not request.timer:
            first = url
            _last.set((request.timer, first))
        redirected_from = "" if first == url else first

        def replayable() -> bool:
            body: Any = request.body
            return not getattr(body, "consumed", False)

        outgoing = Outgoing(request.method, url, "Authorization" in request.headers, redirected_from, replayable)
        steps = flow(engine, only, outgoing)
        response: Optional[aiohttp.ClientResponse] = None
        try:
            authorization = await steps.__anext__()
            while True:
                if response is not None:
                    response.release()
                if authorization is not None:
                    request.headers["Authorization"] = authorization
                response = await handler(request)
                authorization = await steps.asend(Answered(response.status, fields(response.raw_headers)))
        except StopAsyncIteration:
            assert response is not None
            return response
        except BaseException:
            if response is not None:
                response.close()
            raise
        finally:
            await steps.aclose()

    return middleware
