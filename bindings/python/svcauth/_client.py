"""The client: one identity, the targets it calls, and their tokens."""

from __future__ import annotations

import atexit
import os
from time import monotonic, sleep

from . import _check, _errors, _events, _native
from ._fork import importing
from ._lease import Lease, take
from ._routes import LEASE, Route, Routes, event
from ._secret import Token, takes_secrets
from ._user import NOBODY, current

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable, Mapping
    from types import TracebackType
    from typing import Any, NoReturn, TypeVar

    import requests
    from httpx import AsyncClient as HttpxAsyncClient
    from httpx import Client as HttpxClient
    from urllib3 import PoolManager

    from ._auth import Auth
    from ._health import Health, Stats
    from ._urllib3 import Pool
    from .exchange import Message

    Secrets = Callable[[str], "str | bytes"]
    Answer = TypeVar("Answer")

# A signal is handled between two calls of the library, so none of them waits for longer.
_SLICE = 0.1


class Client:
    """One identity, its targets, and their tokens; for any number of threads.

    `config` is the configuration document as a dict, or as its JSON text. Touches no network and starts no thread:
    both happen when the first token is asked for. Events and calls go to `logger`, by default the one named
    `svcauth`. `secrets` knows the secrets that the configuration names with `callback`; it runs on a thread of its
    own and may block.

    Raises ConfigurationError, whose `member` names what is wrong, and LibraryError where there is no library.
    """

    __slots__ = (
        "__weakref__",
        "_closed",
        "_context",
        "_handle",
        "_held",
        "_names",
        "_numbers",
        "_routes",
        "_sink",
        "_started",
        "_wait_s",
    )

    # The service's own leases, by their target's name: what `token` serves from.
    _held: dict[str, Lease]

    @takes_secrets
    def __init__(
        self,
        config: Mapping[str, Any] | str | bytes,
        *,
        logger: logging.Logger | None = None,
        secrets: Secrets | None = None,
    ) -> None:
        self._make(_native.transport_new, _document(config), logger, secrets)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str] = "svcauth.json",
        *,
        logger: logging.Logger | None = None,
        secrets: Secrets | None = None,
    ) -> Client:
        """Makes a client as the configuration file at `path` says; see the class."""
        try:
            name = os.fspath(path)
        except TypeError:
            raise _errors.wrong_type("path", "a str or a path", path) from None
        client = cls.__new__(cls)
        client._make(_native.transport_open, _check.text("path", name), logger, secrets)
        return client

    def _make(
        self, function: Callable[..., int], given: bytes, logger: logging.Logger | None, secrets: Secrets | None
    ) -> None:
        if logger is not None and not callable(getattr(logger, "isEnabledFor", None)):
            raise _errors.wrong_type("logger", "a logging.Logger or None", logger)
        if secrets is not None and not callable(secrets):
            raise _errors.wrong_type("secrets", "a function or None", secrets)
        self._handle = 0
        self._closed = False
        self._held = {}
        self._numbers: dict[str, int] = {}
        self._names: list[str] | None = None
        self._wait_s = 0.0
        self._sink = _events.Sink(logger, secrets)
        self._context = _events.enter(self._sink)
        # The library's clock starts in between, so what is said in its times comes no later than it means.
        self._started = monotonic()
        try:
            self._handle = function(given, _events.callbacks(self._context, secrets is not None))
        except BaseException:
            _events.leave(self._context)
            raise
        _open[self._context] = self._handle
        self._routes: Routes | None = None

    def token(self, target: str) -> Token:
        """The service's own access token for a target: a str that hides in `repr`.

        While there is one, this takes a look at the clock. Otherwise it waits, `timeouts.wait_s` of the
        configuration at the most; `lease` waits as long as it is told. Raises why there is none: what the server
        answered, or at the end of that time the reason of the last failure.
        """
        # Without another parameter: a call that has all of them is quicker.
        try:
            lease = self._held[target]
        except (KeyError, TypeError):
            pass
        else:
            if monotonic() < lease._until:
                return lease._token
        return self._fetch(target, None)._token

    def lease(self, target: str, timeout: float | None = None) -> Lease:
        """As `token`, with what is known about it. Waits `timeout` seconds at the most, where that is given."""
        try:
            lease = self._held[target]
        except (KeyError, TypeError):
            pass
        else:
            if monotonic() < lease._until:
                return lease
        return self._fetch(target, timeout)

    def auth(self, target: str | None = None) -> Auth:
        """What adds the right token to each call of requests and of httpx, with or without asyncio.

        A call to a URL of no target goes out as it is, and so does one that has an Authorization of its own. With
        the name of a target, its token is the only one that is added. A call that is refused is made once more with
        a new token, if its body can be sent again.
        """
        with importing:
            from ._auth import Auth

        if target is not None:
            self._number(target)
        return Auth(self, target)

    def session(self, target: str | None = None) -> requests.Session:
        """A session of requests that adds the right token to each call; see `auth`."""
        with importing:
            from ._requests import Session

        return Session(self.auth(target))

    def httpx(self, target: str | None = None, **settings: Any) -> HttpxClient:
        """A client of httpx that adds the right token to each call; see `auth`. `settings` are its own."""
        with importing:
            import httpx

        return httpx.Client(auth=self.auth(target), **settings)

    def async_httpx(self, target: str | None = None, **settings: Any) -> HttpxAsyncClient:
        """As `httpx`, for asyncio and trio. No call holds up the loop."""
        with importing:
            import httpx

        return httpx.AsyncClient(auth=self.auth(target), **settings)

    def urllib3(self, pool: PoolManager, target: str | None = None) -> Pool:
        """Makes the calls of a pool manager of urllib3 with the right token; see `auth`."""
        with importing:
            from ._urllib3 import Pool

        return Pool(self.auth(target), pool)

    def authorization(self, url: str, *, timeout: float | None = None) -> Token | None:
        """The value of the Authorization header that a call to a URL carries; None where it carries none. A secret.

        For HTTP libraries that have no helper here. The call is not logged. Where the service refuses the token, say
        so with `refused`.
        """
        route = self._route(url)
        if route.kind == LEASE:
            return self._lease_for(route, timeout)._authorization
        return route.authorization

    def refused(self, url: str, authorization: str) -> None:
        """Says that the service at a URL answered 401 to a call with what `authorization` gave.

        Later calls get another token.
        """
        if not isinstance(authorization, str):
            raise _errors.wrong_type("authorization", "a str", authorization)
        route = self._route(url)
        if route.kind != LEASE:
            return
        number = getattr(authorization, "number", None)
        if number is None:
            lease = self._fresh(route)
            if lease is None or lease._authorization != authorization:
                # It was replaced meanwhile.
                return
            number = lease.number
        self._after_401(route, number, 401, (), replay=False)

    def exchange(self, message: Message[Answer]) -> Answer:
        """Sends a message of `svcauth.exchange`, and reads its answer.

        With the TLS, the proxy and the limits of the configuration; the client's own tokens are not concerned.
        """
        with importing:
            from .exchange import Message

        if not isinstance(message, Message):
            raise _errors.wrong_type("message", "a message of svcauth.exchange", message)
        return message._sent_by(lambda exchange: _native.transport_exchange(self._handle, exchange))

    def ready(self, timeout: float | None = None) -> None:
        """Waits until every target has a token: for a program that wants to be sure before it serves.

        Raises why the first has none in time.
        """
        self._wait(lambda ms: _native.transport_ready(self._handle, ms), timeout)

    def healthy(self) -> bool:
        """Whether every target that was asked for a token can serve one now. Never waits."""
        return self.health().ready

    def health(self) -> Health:
        """How the targets are doing, for a probe. Asks for nothing and never waits."""
        with importing:
            from ._health import health

        return health(_native.take_text(_native.transport_health(self._handle)))

    def stats(self) -> Stats:
        """Counters since the client was made."""
        with importing:
            from ._health import stats

        return stats(_native.transport_stats(self._handle))

    def secrets_changed(self) -> None:
        """Says that secrets have changed: what failed for want of a good one is tried at once."""
        _native.transport_secrets_changed(self._handle)

    def close(self) -> None:
        """Ends the client. Those who wait are told Closed, and so is everybody who asks later.

        Waits for what is being saved to the store, `timeouts.store_s` at the most; where a token that can be used
        once is on its way, for the answer too, `timeouts.request_s` more.
        """
        self._closed = True
        self._held = {}
        self._routes = None
        _native.transport_close(self._handle)
        _events.leave(self._context)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        try:
            handle = _open.pop(self._context, 0)
            if handle:
                _native.transport_free(handle)
                _events.leave(self._context)
        except Exception:
            # It was never made, or the interpreter ends.
            pass

    def __repr__(self) -> str:
        return f"<svcauth.Client{' (closed)' if self._closed else ''}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a client is not pickled or copied; open another one of the same configuration")

    def _number(self, target: str) -> int:
        try:
            return self._numbers[target]
        except (KeyError, TypeError):
            number: int = _native.transport_target(self._handle, _check.text("target", target))
            self._numbers[target] = number
            return number

    def _settings(self) -> list[str]:
        """The names of the targets, by their numbers; and what else of the configuration is heeded here."""
        names = self._names
        if names is None:
            with importing:
                import json

            told = json.loads(_native.take_text(_native.transport_settings(self._handle)))
            self._wait_s = told["timeouts"]["wait_ms"] / 1000
            self._names = names = list(told["targets"])
        return names

    def _fetch(self, target: str, timeout: float | None) -> Lease:
        """The service's own lease for a target that has none at hand, or whose time to look has come."""
        number = self._number(target)
        held = self._held
        handle = self._wait(lambda ms: _native.transport_lease(self._handle, number, ms), timeout)
        lease = take(handle, self._started, held.get(target))
        # After `close` nothing is put into what is served from.
        held[target] = lease
        return lease

    def _lease_for(self, route: Route, timeout: float | None = None) -> Lease:
        """The lease of a call."""
        target = route.target
        assert target is not None
        if not route.of_user:
            return self.lease(target, timeout=timeout)
        handle = self._wait(lambda ms: _native.transport_lease_for(self._handle, route.decision, ms), timeout)
        return take(handle, self._started)

    def _fresh(self, route: Route) -> Lease | None:
        """The lease of a call, if it can be had without waiting."""
        if not route.of_user:
            lease = self._held.get(route.target or "")
            if lease is not None and monotonic() < lease._until:
                return lease
        try:
            return self._lease_for(route, 0)
        except _errors.Timeout:
            return None

    def _wait(self, ask: Callable[[int], Any], timeout: float | None) -> Any:
        """What the library gives, which is asked for so many milliseconds at a time."""
        left = _check.seconds("timeout", timeout)
        if left is None:
            self._settings()
            left = self._wait_s
        end = monotonic() + left
        while True:
            began = monotonic()
            ms = _slice(end - began)
            try:
                return ask(ms)
            except _errors.Error:
                # What came before its time is an answer.
                now = monotonic()
                if now - began < ms / 1000 or now >= end:
                    raise

    def _at_hand(self, url: str, target: str | None) -> Token | None:
        """What most calls carry, as fast as can be: the service's own token for a URL that is known. None: ask."""
        routes = self._routes
        if routes is None or current() is not NOBODY:
            return None
        route = routes.of_service.get(url.partition("?")[0] if "?" in url else url)
        if route is None or route.kind != LEASE:
            return None
        name = route.target
        lease = self._held.get(name or "")
        now = monotonic()
        if lease is None or now >= lease._until or now >= routes.until or (target is not None and name != target):
            return None
        return lease._authorization

    def _route(self, url: str, has_authorization: bool = False) -> Route:
        """What a call of this context carries."""
        if not isinstance(url, str):
            raise _errors.wrong_type("url", "a str", url)
        user = current()
        return self._known().find(url.partition("?")[0], user.token, user.required, has_authorization)

    def _known(self) -> Routes:
        routes = self._routes
        if routes is None:
            if self._closed:
                raise _errors.closed()
            routes = self._routes = Routes(self._handle, self._settings())
        return routes

    def _redirected(self, url: str, first: str) -> Route:
        """What a call carries that was redirected; `first` is a URL that carried a token."""
        user = current()
        return self._known().decide(url.partition("?")[0], user.token, user.required, first=first.partition("?")[0])

    def _after_401(
        self, route: Route, number: int, status: int, challenges: Iterable[str], *, replay: bool
    ) -> Lease | None:
        """The lease to make a refused call once more with; None where its answer is the caller's."""
        fields = "".join(f"WWW-Authenticate: {_one_line(each)}\r\n" for each in challenges).encode("utf-8", "replace")
        again = _native.REPLAY_POSSIBLE if replay else _native.REPLAY_IMPOSSIBLE
        what = route.answered(self._handle, status, fields, again)
        if what == _native.ANSWERED_DELIVER:
            return None
        if what == _native.ANSWERED_REPORT:
            again = _native.REPLAY_IMPOSSIBLE
        target = route.target
        held = self._held.get(target or "") if not route.of_user else None
        if held is not None and held.number == number:
            # Who asks meanwhile waits with us.
            self._held.pop(target or "", None)
        handle = self._reject(route, number, again)
        if not handle:
            return None
        lease = take(handle, self._started)
        if not route.of_user and target is not None:
            self._held[target] = lease
        return lease

    def _reject(self, route: Route, number: int, replay: int) -> int:
        self._settings()
        end = monotonic() + self._wait_s
        while True:
            began = monotonic()
            ms = _slice(end - began)
            _, handle = _native.transport_reject(self._handle, route.decision, number, replay, ms)
            now = monotonic()
            if handle or now - began < ms / 1000 or now >= end:
                return int(handle)

    def _tell(self, route: Route, carried: Token | None, method: str, status: int | None, retried: bool) -> None:
        """Logs an attempt of a call."""
        logger = _events.logger_or_default(self._sink.logger, _events.INFO)
        if logger is not None and logger.isEnabledFor(_events.INFO):
            _events.log(logger, _events.INFO, event(route, carried, method, status, retried))


def _document(config: object) -> bytes:
    if isinstance(config, bytes):
        return config
    if isinstance(config, str):
        return _check.text("config", config)
    with importing:
        import json

    try:
        if not hasattr(config, "keys"):
            raise _errors.wrong_type("config", "a dict or JSON text", config)
        return json.dumps(dict(config), allow_nan=False).encode()  # type: ignore[call-overload]
    except (TypeError, ValueError, RecursionError) as error:
        if isinstance(error, _errors.Error):
            raise
        # What it says may name a value, which may be a secret.
        raise _errors.ArgumentError(
            "this holds something that JSON does not have; write dicts, lists, texts, numbers, booleans and None",
            code="invalid_argument",
            member="config",
        ) from None


def _slice(left: float) -> int:
    return int(max(min(left, _SLICE), 0) * 1000)


def _one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


# The clients that are open in this process, by the context of their callbacks.
_open: dict[int, int] = {}


def _close_all() -> None:
    """Ends all threads that may call the interpreter, before it ends."""
    handles = list(_open.values())
    for handle in handles:
        try:
            _native.transport_close(handle)
        except _errors.Error:
            pass
    # None begins any more, and those under way are short, but for the program's own function for secrets.
    began = monotonic()
    while (waited := monotonic() - began) < 1:
        if not _events.under_way and (waited > 0.05 or not any(map(_threads, handles))):
            break
        sleep(0.001)


def _threads(handle: int) -> int:
    try:
        count: int = _native.transport_stats(handle).threads
        return count
    except _errors.Error:
        # It was freed meanwhile, or is a parent's.
        return 0


atexit.register(_close_all)
