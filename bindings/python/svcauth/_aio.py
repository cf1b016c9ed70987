"""The client for asyncio."""

from __future__ import annotations

import asyncio
import inspect
import os
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from . import _check, _errors
from ._client import Client, _document
from ._driven import Driven
from ._fork import importing
from ._lease import Lease
from ._secret import Token, takes_secrets
from ._send import sender_of
from ._threaded import Threaded

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping
    from types import TracebackType

    import aiohttp
    import httpx

    from ._aio_auth import AsyncAuth
    from ._health import Health, Stats
    from ._secrets import SecretFunction

_MOST_BYTES = 1 << 20


class AsyncClient:
    """One identity, its targets, and their tokens, for asyncio.

        async with httpx.AsyncClient() as http, svcauth.AsyncClient.open("svcauth.json", http=http) as client:
            response = await http.get(url, auth=client.auth())

    Nothing in it blocks the event loop. The client's own requests, to the authorization server, go out on `http`, an
    `httpx.AsyncClient` or an `aiohttp.ClientSession`: TLS and proxies are its business then. Without it they go through
    svcauth's own HTTP client, on threads of its own.

    A task that is cancelled ends its own waiting and never the request that others wait for. A client is used in one
    event loop at a time. `config`, `logger` and `secrets` are as for `Client`; with `http`, `secrets` may be a
    coroutine function.
    """

    __slots__ = ("__weakref__", "_engine")

    @takes_secrets
    def __init__(
        self,
        config: Mapping[str, Any] | str | bytes,
        *,
        http: httpx.AsyncClient | aiohttp.ClientSession | None = None,
        logger: logging.Logger | None = None,
        secrets: SecretFunction | None = None,
    ) -> None:
        self._engine: Driven | Threaded
        if http is not None:
            self._engine = Driven(_document(config), sender_of(http), secrets, logger)
            return
        if inspect.iscoroutinefunction(secrets):
            raise _errors.ArgumentError(
                "secrets is a coroutine function, which runs where http is given",
                code="invalid_argument",
                member="secrets",
            )
        self._engine = Threaded(Client(config, logger=logger, secrets=secrets))  # type: ignore[arg-type]

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = "svcauth.json",
        *,
        http: httpx.AsyncClient | aiohttp.ClientSession | None = None,
        logger: logging.Logger | None = None,
        secrets: SecretFunction | None = None,
    ) -> AsyncClient:
        """Makes a client as the configuration file at `path` says."""
        return cls(_read(path), http=http, logger=logger, secrets=secrets)

    async def token(self, target: str) -> Token:
        """The service's own access token for a target: a str that hides in `repr`.

        While there is one nothing is waited for; it is refreshed in the background. Otherwise it waits as long as
        `timeouts.wait_s` says, or until the task is cancelled. Raises why there is none.
        """
        lease = self._engine.at_hand(target)
        if lease is None:
            lease = await self._engine.lease(target)
        return lease._token

    async def lease(self, target: str) -> Lease:
        """As `token`, with what is known about it."""
        return self._engine.at_hand(target) or await self._engine.lease(target)

    def auth(self, target: str | None = None) -> AsyncAuth:
        """What adds the right token to each call of httpx.AsyncClient, as its `auth`, and of aiohttp.ClientSession, as
        one of its `middlewares` (aiohttp 3.12 or newer).

        A call to a URL of no target goes out as it is, and so does one that has an Authorization of its own. With
        the name of a target, its token is the only one that is added. A call that is refused is made once more with
        a new token, if its body can be sent again.
        """
        with importing:
            from ._aio_auth import AsyncAuth

        engine = self._engine
        if target is not None:
            engine.check(target)
        # What is driven has all that is asked of a Client here.
        return AsyncAuth(engine.client if isinstance(engine, Threaded) else engine, target)  # type: ignore[arg-type]

    async def ready(self) -> None:
        """Waits until every target has a token: for a program that wants to be sure before it serves.

        Raises why one has none in time.
        """
        asked = [asyncio.ensure_future(self.lease(name)) for name in self._engine.names]
        try:
            await asyncio.gather(*asked)
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)

    def healthy(self) -> bool:
        """Whether every target that was asked for a token can serve one now. Never waits."""
        return self.health().ready

    def health(self) -> Health:
        """How the targets are doing, for a probe. Asks for nothing and never waits."""
        return self._engine.health()

    def stats(self) -> Stats:
        """Counters since the client was made."""
        return self._engine.stats()

    def secrets_changed(self) -> None:
        """Says that secrets have changed: what failed for want of a good one is tried at once."""
        self._engine.secrets_changed()

    async def aclose(self) -> None:
        """Ends the client. Those who wait are told Closed, and so is everybody who asks later. No task is left, and the
        program's HTTP client stays open.

        With a store in the configuration it waits for answers that may have to be saved, `timeouts.store_s` at the
        most.
        """
        await self._engine.aclose()

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is not None and not engine.closed:
            warnings.warn("a svcauth.AsyncClient was not closed: await its aclose", ResourceWarning, stacklevel=2)

    def __repr__(self) -> str:
        return f"<svcauth.AsyncClient{' (closed)' if self._engine.closed else ''}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a client is not pickled or copied; open another one of the same configuration")


def _read(path: str | os.PathLike[str]) -> bytes:
    try:
        name = os.fspath(path)
    except TypeError:
        raise _errors.wrong_type("path", "a str or a path", path) from None
    _check.text("path", name)
    try:
        with open(name, "rb") as file:
            text = file.read(_MOST_BYTES + 1)
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or "this is no path"
        raise _errors.ConfigurationError(
            f"the configuration cannot be read: {why}", code="invalid_configuration", member=name
        ) from None
    if len(text) > _MOST_BYTES:
        raise _errors.ConfigurationError(
            f"the configuration is larger than {_MOST_BYTES} bytes", code="invalid_configuration", member=name
        )
    return text
