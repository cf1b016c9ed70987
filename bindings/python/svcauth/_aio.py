"""The client for asyncio."""

from __future__ import annotations

import asyncio
import logging
import warnings
from typing import TYPE_CHECKING, Any, Optional, Union

from ._client import Client, Health, Stats, document, read_document
from ._driven import Driven
from ._lease import Lease, Token
from ._send import sender_of
from ._threaded import Threaded

if TYPE_CHECKING:
    import os
    from types import TracebackType

    import aiohttp
    import httpx

    from ._adapters import AiohttpMiddleware
    from ._secrets import SecretFunction


class AsyncClient:
    """One identity, its targets, and their tokens, for asyncio.

        async with httpx.AsyncClient() as http, svcauth.AsyncClient.open("svcauth.json", http=http) as client:
            response = await http.get(url, auth=client.auth())

    Nothing in it blocks the event loop. The client's own requests, to the authorization server, go out on `http`, an
    `httpx.AsyncClient` or an `aiohttp.ClientSession`: TLS and proxies are its business then. Without it they go through
    svcauth's own HTTP client, on threads of its own.

    A task that is cancelled ends its own waiting and never the request that others wait for. A client is used in one
    event loop at a time.
    """

    def __init__(
        self,
        config: Union[dict[str, Any], str, bytes],
        *,
        http: Union[httpx.AsyncClient, aiohttp.ClientSession, None] = None,
        secrets: Optional[SecretFunction] = None,
        logger: Optional[logging.Logger] = None,
    ) -> None:
        """Makes a client of a configuration document: a dict, or JSON. Touches no network.

        `secrets` knows the secrets that the configuration names with `callback`, by that name; it may be a coroutine
        function. Events go to `logger`, the one named `svcauth` unless given.
        """
        self._engine: Union[Driven, Threaded]
        if http is None:
            self._engine = Threaded(Client(config, secrets=secrets, logger=logger))
        else:
            sender = sender_of(http)
            self._engine = Driven(document(config), sender, secrets, logger or logging.getLogger("svcauth"))

    @classmethod
    def open(
        cls,
        path: Union[str, os.PathLike[str]],
        *,
        http: Union[httpx.AsyncClient, aiohttp.ClientSession, None] = None,
        secrets: Optional[SecretFunction] = None,
        logger: Optional[logging.Logger] = None,
    ) -> AsyncClient:
        """Makes a client as the configuration file at `path` says."""
        return cls(read_document(path), http=http, secrets=secrets, logger=logger)

    async def token(self, target: str) -> Token:
        """The service's own access token for a target, for `Authorization: Bearer …`. A secret.

        While there is one nothing is waited for; it is refreshed in the background. Otherwise it waits as long as
        `timeouts.wait_s` says, or until the task is cancelled.
        """
        return (await self.lease(target)).token

    async def lease(self, target: str) -> Lease:
        """`token`, with what is known about it."""
        cell = self._engine.named(target)
        return cell.fresh() or await self._engine.lease(cell)

    def auth(self, target: Optional[str] = None) -> httpx.Auth:
        """For `auth=` of httpx.AsyncClient: adds the right token to each call, and makes a call once more with a new one
        where the first was refused. With a target, only that one's token is added.

        A redirect to another path of the same origin is followed with the token, as httpx does it; `transport` looks at
        each hop.
        """
        from ._adapters import httpx_auth

        return httpx_auth(self._engine, self._number(target))

    def transport(
        self, base: Optional[httpx.AsyncBaseTransport] = None, *, target: Optional[str] = None
    ) -> httpx.AsyncBaseTransport:
        """For `transport=` of httpx.AsyncClient: does what `auth` does for each hop of a call, so that after a redirect
        out of the target no token goes along. `base` makes the calls."""
        import httpx

        from ._adapters import httpx_transport

        return httpx_transport(self._engine, self._number(target), base or httpx.AsyncHTTPTransport())

    def middleware(self, *, target: Optional[str] = None) -> AiohttpMiddleware:
        """For `middlewares=` of aiohttp.ClientSession (aiohttp 3.12 or newer): does what `transport` does for httpx."""
        from ._adapters import aiohttp_middleware

        return aiohttp_middleware(self._engine, self._number(target))

    def _number(self, target: Optional[str]) -> Optional[int]:
        return None if target is None else self._engine.named(target).target

    async def ready(self) -> None:
        """Waits until every target has a token, for a program that wants to be sure before it serves. The error is that
        of the first target that has none in time, or can have none now."""
        asked = [asyncio.ensure_future(self.lease(name)) for name in self._engine.names]
        try:
            await asyncio.gather(*asked)
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def health(self) -> dict[str, Health]:
        """How the targets are doing, for probes. Asks for nothing and never waits."""
        return self._engine.health()

    def stats(self) -> Stats:
        """Counters since the client was made."""
        return self._engine.stats()

    def secrets_changed(self) -> None:
        """Says that secrets may have changed: what failed for want of a good one is tried at once."""
        self._engine.secrets_changed()

    async def aclose(self) -> None:
        """Ends the client: those who wait are told `Closed`, and so is everybody who asks later. With a store in the
        configuration it waits for answers that may have to be saved, `timeouts.store_s` at the most. No task and no
        thread is left. The program's HTTP client stays open."""
        await self._engine.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        kind: Optional[type[BaseException]],
        error: Optional[BaseException],
        traceback: Optional[TracebackType],
    ) -> None:
        await self.aclose()

    def __repr__(self) -> str:
        return "<svcauth.AsyncClient>"

    def __reduce__(self) -> Any:
        raise TypeError("a client is not pickled")

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None and not engine.closed:
            warnings.warn(f"{self!r} was not closed: use `async with`, or await aclose()", ResourceWarning, stacklevel=2)
