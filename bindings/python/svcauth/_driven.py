"""The core driven by an asyncio event loop: its requests go out on the program's HTTP client, the store and secrets are
read in threads. All of it runs in the loop's thread, so that no lock is needed."""

from __future__ import annotations

import asyncio
import contextvars
import copy
import inspect
import json
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, TypeVar, Union

from . import _check, _errors, _events, _native
from ._core import IDLE, PANIC, Core, Now, Output, now
from ._errors import Error
from ._health import Health, Stats, TargetHealth, target_health
from ._lease import Lease
from ._routes import LEASE, Route, Routes, event
from ._secret import Token, takes_secrets
from ._secrets import SecretFailed, from_environment, from_file
from ._send import Request, Sender, SendFailed
from ._store import SUPPORTED, FileStore, StoreFailed
from ._user import current

if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Iterable

    from ._secrets import SecretFunction

T = TypeVar("T")
News = Union[Lease, Error, None]

# What panics each time must not be asked for ever.
PANICS_APART = 10.0
THREADS = 8


class Cell:
    """The place of one token: the service's own, or one that a user's token is exchanged for."""

    __slots__ = ("lease", "record", "subject", "target", "waiting")

    def __init__(self, target: int, subject: bytes = b"") -> None:
        self.target = target
        self.subject = subject
        self.lease: Lease | None = None
        # For another core that takes the place of the one it came from; a secret.
        self.record = b""
        self.waiting: set[asyncio.Future[News]] = set()

    def fresh(self) -> Lease | None:
        """The lease at hand, if it can be handed out without asking the core."""
        lease = self.lease
        return lease if lease is not None and time.monotonic() < lease._until else None

    def wake(self, news: News) -> None:
        waiting, self.waiting = self.waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(news)


class CoreRoute(Route):
    """What the core has decided about calls to a URL."""

    __slots__ = ("cell",)
    #: Of kind lease: the place of its token.
    cell: Cell


class CoreRoutes(Routes):
    """Those that are remembered, until the core takes its word back."""

    __slots__ = ("_driven",)

    def __init__(self, driven: Driven, names: list[str]) -> None:
        super().__init__(0, names)
        self._driven = driven

    @takes_secrets
    def decide(self, url: str, user: str | None, required: bool, flags: int = 0, first: str | None = None) -> CoreRoute:
        text, token, before = _check.text("url", url), b"", b""
        if user is not None:
            flags |= _native.CALL_HAS_USER_TOKEN
            token = _check.text("user_token", user)
        if required:
            flags |= _native.CALL_USER_REQUIRED
        if first is not None:
            flags |= _native.CALL_REDIRECTED
            before = _check.text("url", first)
        return self._driven.decide(text, flags, token, before, self._names)


class Driven:
    """It has what `_auth` and `_httpx` ask of a Client; but what waits is a coroutine."""

    def __init__(
        self,
        config: bytes,
        sender: Sender,
        secrets: SecretFunction | None,
        logger: logging.Logger | None,
    ) -> None:
        self._sender = sender
        self._secrets = secrets
        self._logger = logger
        self._config = config
        self._capabilities = (
            _native.CAPABILITY_SECRET_FILES
            | _native.CAPABILITY_SECRET_ENVIRONMENT
            | (_native.CAPABILITY_SECRET_CALLBACK if secrets is not None else 0)
            | (_native.CAPABILITY_DURABLE_STORE if SUPPORTED else 0)
        )
        self._core = self._made(self._capabilities)
        settings = json.loads(self._core.settings())
        self.names: list[str] = settings["targets"]
        self._wait: float = settings["timeouts"]["wait_ms"] / 1000
        self._save: float = settings["timeouts"]["store_ms"] / 1000
        self._store: FileStore | None = None
        if settings["store"] is not None and SUPPORTED:
            self._store = FileStore(settings["store"]["file"], self._save)
        elif settings["needs_durable_store"]:
            # The core says it.
            self._made(self._capabilities & ~_native.CAPABILITY_DURABLE_STORE)
        self._cells: dict[tuple[int, bytes], Cell] = {}
        self._panicked = -PANICS_APART
        self._busy: set[str] = set()
        self._named: dict[str, Cell] = {}
        self._routes = CoreRoutes(self, self.names)
        self.asked = self.waited = 0
        self.closed = False
        self._process = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._begin(None)

    def _made(self, capabilities: int) -> Core:
        return Core(self._config, capabilities, random.SystemRandom().getrandbits(64), now())

    # The event loop.

    def bind(self) -> asyncio.AbstractEventLoop:
        """Work goes on in the loop that runs; after a fork, and after the loop before was closed, in another one."""
        loop = asyncio.get_running_loop()
        if loop is not self._loop or os.getpid() != self._process:
            before = self._loop
            if before is not None and not before.is_closed() and os.getpid() == self._process:
                raise _errors.ArgumentError(
                    "this client is used by another event loop; make one for each", code="invalid_argument"
                )
            self._begin(loop)
        return loop

    def _begin(self, loop: asyncio.AbstractEventLoop | None) -> None:
        self._loop = loop
        self._process = os.getpid()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._wake_at = _native.NEVER
        self._threads: ThreadPoolExecutor | None = None
        self._busy.clear()
        for cell in self._cells.values():
            cell.waiting = set()

    async def _in_a_thread(self, function: Callable[..., T], *arguments: Any) -> T:
        assert self._loop is not None
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="svcauth")
        return await self._loop.run_in_executor(self._threads, function, *arguments)

    # One call into the core, and all that follows from it. Nothing waits in between.

    def turn(self, call: Callable[[Core, Now], T]) -> T:
        if self.closed:
            raise _errors.closed()
        self.bind()
        return self._turn(call)

    def _turn(self, call: Callable[[Core, Now], T]) -> T:
        try:
            asked = self._core
            try:
                return call(asked, now())
            except Error as error:
                if error.result != PANIC or not self._replaced(asked, error):
                    raise
            return call(self._core, now())
        finally:
            self._poll()

    def _poll(self) -> None:
        while True:
            asked = self._core
            try:
                output = asked.poll(now())
            except Error as error:
                if error.result == PANIC and self._replaced(asked, error):
                    continue
                return
            if output.kind == IDLE:
                self._arm(output.idle_until)
                return
            if output.kind == _native.OUTPUT_KIND_LEASE:
                self._deliver(output)
            elif output.kind == _native.OUTPUT_KIND_EVENT:
                _events.tell(self._logger, output.level, output.event)
            elif output.kind == _native.OUTPUT_KIND_CALLS_CHANGED:
                self._routes.forget()
            elif not self._done_at_once(output):
                self._start(output)

    def _arm(self, at: int) -> None:
        if self.closed or at == self._wake_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_at = at
        if at != _native.NEVER:
            self._timer = self._loop.call_later(max(at / 1000 - time.monotonic(), 0.001), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._wake_at = _native.NEVER
        if not self.closed:
            self._poll()

    def _deliver(self, output: Output) -> None:
        cell = self.cell(output.target, output.subject)
        if output.state == _native.LEASE_STATE_READY:
            if not self.closed:
                cell.lease, cell.record = output.lease, output.record
            cell.wake(output.lease)
        elif output.state == _native.LEASE_STATE_ONCE:
            cell.lease = None
            cell.wake(output.lease)
        elif output.state == _native.LEASE_STATE_CLEARED:
            cell.lease = None
            if output.subject:
                del self._cells[output.target, output.subject]
                cell.wake(None)
        elif output.state == _native.LEASE_STATE_FAILED:
            cell.wake(output.failure)

    def _replaced(self, ended: Core, why: Error) -> bool:
        """Puts another core in the place of one that panicked, which is a bug. It takes over the service's own leases,
        and those who wait ask again."""
        if self._core is not ended:
            return True
        often = time.monotonic() - self._panicked < PANICS_APART
        try:
            made = self._made(self._capabilities)
        except Error:
            return False
        self._panicked = time.monotonic()
        self._core = made
        ended.free()
        self._routes.forget()
        at = now()
        for cell in self._cells.values():
            if cell.lease is not None and cell.record:
                made.adopt(cell.target, cell.record, _native.RECORD_CLOCK_SAME, at)
            cell.wake(why if often else None)
        told = json.dumps({"event": "client_replaced", "error": str(why)}).encode()
        _events.tell(self._logger, _native.EVENT_LEVEL_ERROR, told)
        return not often

    # Tasks.

    def _done_at_once(self, task: Output) -> bool:
        if task.kind == _native.OUTPUT_KIND_RANDOM:
            value = os.urandom(task.random)
            self._answer(lambda core, at: core.complete_bytes(task.task, value, at))
        elif task.kind == _native.OUTPUT_KIND_READ_SECRET and task.secret_kind == _native.SECRET_KIND_ENVIRONMENT:
            try:
                value = from_environment(task.secret)
            except SecretFailed as failed:
                detail = str(failed)
                self._answer(lambda core, at: core.complete_failed(task.task, detail, at))
            else:
                self._answer(lambda core, at: core.complete_bytes(task.task, value, at))
        elif task.kind == _native.OUTPUT_KIND_OTHER_TASK:
            self._answer(lambda core, at: core.complete_unsupported(task.task, at))
        else:
            return False
        return True

    def _answer(self, answer: Callable[[Core, Now], None]) -> None:
        try:
            answer(self._core, now())
        except Error:
            pass  # the poll that follows tells of a panic

    def _start(self, task: Output) -> None:
        assert self._loop is not None
        # No caller's context: what it says about a user is no business of ours.
        started = contextvars.Context().run(self._loop.create_task, self._perform(task))
        self._tasks.add(started)
        started.add_done_callback(self._tasks.discard)

    async def _perform(self, task: Output) -> None:
        answer: Callable[[Core, Now], None]
        try:
            if task.kind == _native.OUTPUT_KIND_SEND:
                answer = await self._send(task)
            elif task.kind == _native.OUTPUT_KIND_READ_SECRET:
                answer = await self._read(task)
            else:
                answer = await self._in_a_thread(_use, self._store, task)
        except asyncio.CancelledError:
            self._answer(lambda core, at: _give_up(core, task, "it was cancelled", at))
            raise
        except Exception as error:  # another's code: an HTTP client, a function for secrets
            detail = type(error).__name__
            self._answer(lambda core, at: _give_up(core, task, detail, at))
        else:
            self._answer(answer)
        self._poll()

    async def _send(self, task: Output) -> Callable[[Core, Now], None]:
        request = Request(task.method, task.url, task.headers, task.body, task.timeout / 1000, task.most)
        try:
            answer = await self._sender.send(request)
        except SendFailed as failed:
            kind, detail = failed.kind, failed.detail
            return lambda core, at: core.complete_send_failed(task.task, kind, detail, at)
        return lambda core, at: core.complete_response(task.task, answer.status, answer.fields, answer.body, at)

    async def _read(self, task: Output) -> Callable[[Core, Now], None]:
        left = task.deadline / 1000 - time.monotonic()
        try:
            if task.secret_kind == _native.SECRET_KIND_FILE:
                value = await self._in_a_thread(from_file, task.secret)
            else:
                value = await asyncio.wait_for(self._ask(task.secret), left)
        except SecretFailed as failed:
            detail = str(failed)
            return lambda core, at: core.complete_failed(task.task, detail, at)
        except asyncio.TimeoutError:
            return lambda core, at: core.complete_failed(task.task, "the function for secrets took too long", at)
        return lambda core, at: core.complete_bytes(task.task, value, at)

    async def _ask(self, name: str) -> bytes:
        """Does not call a function again that hangs: it would take one thread after another."""
        function = self._secrets
        if function is None:
            raise SecretFailed("the program gave no function for secrets")
        if name in self._busy:
            raise SecretFailed("the program's function for secrets has not come back from the last call")
        self._busy.add(name)
        busy = self._busy
        if inspect.iscoroutinefunction(function):
            asked: asyncio.Future[Any] = asyncio.ensure_future(function(name))
        else:
            asked = asyncio.ensure_future(self._in_a_thread(function, name))
        asked.add_done_callback(lambda _: busy.discard(name))
        try:
            secret = await asked
            if asyncio.iscoroutine(secret) or asyncio.isfuture(secret):
                secret = await secret
        except (asyncio.CancelledError, asyncio.TimeoutError):
            raise
        except Exception as error:
            raise SecretFailed(f"the program's function for secrets failed with {type(error).__name__}") from None
        if isinstance(secret, str):
            secret = secret.encode()
        if not isinstance(secret, bytes):
            raise SecretFailed(f"the program's function for secrets gave {type(secret).__name__}, not str or bytes")
        return secret

    # Tokens.

    def cell(self, target: int, subject: bytes = b"") -> Cell:
        known = self._cells.get((target, subject))
        if known is None:
            known = self._cells[target, subject] = Cell(target, subject)
        return known

    def named(self, target: str) -> Cell:
        """The place of the service's own token for a target."""
        try:
            return self._named[target]
        except (KeyError, TypeError):
            pass
        if self.closed:
            raise _errors.closed()
        number = self._core.target(_check.text("target", target).decode())
        known = self._named[target] = self.cell(number)
        return known

    def check(self, target: str) -> None:
        self.named(target)

    def at_hand(self, target: str) -> Lease | None:
        return self.named(target).fresh()

    async def lease(self, target: str) -> Lease:
        cell = self.named(target)
        return cell.fresh() or await self._get(cell, lambda core, at: core.token(cell.target, at))

    async def _get(self, cell: Cell, ask: Callable[[Core, Now], Lease | None]) -> Lease:
        self.asked += 1
        end = time.monotonic() + self._wait
        first = True
        while True:
            # Whoever waits is in the list before the core is asked.
            waiter = self._enlisted(cell)
            try:
                lease = self.turn(ask)
                if lease is not None:
                    return lease
                if first:
                    self.waited += 1
                    first = False
                await asyncio.wait((waiter,), timeout=max(end - time.monotonic(), 0))
            finally:
                cell.waiting.discard(waiter)
            if not waiter.done():
                raise self._reason(cell.target) or _errors.timeout(self.names[cell.target])
            news = waiter.result()
            if isinstance(news, Error):
                raise copy.copy(news)  # each who waits has a traceback of their own
            if news is not None:
                return news

    def _enlisted(self, cell: Cell) -> asyncio.Future[News]:
        if self.closed:
            raise _errors.closed()
        waiter: asyncio.Future[News] = self.bind().create_future()
        cell.waiting.add(waiter)
        return waiter

    def _reason(self, target: int) -> Error | None:
        """Why the last attempt for a target failed; None where it did not."""
        error = json.loads(self._core.health(target))["error"]
        return None if error is None else _errors.from_json(error)

    # Calls.

    def decide(self, url: bytes, flags: int, user_token: bytes, redirected_from: bytes, names: list[str]) -> CoreRoute:
        if self.closed:
            raise _errors.closed()
        asked = self._core
        try:
            decision = asked.decide(url, flags, user_token, redirected_from)
        except Error as error:
            if error.result != PANIC or not self._replaced(asked, error):
                raise
            decision = self._core.decide(url, flags, user_token, redirected_from)
        route = CoreRoute(decision, url, names)
        if route.kind == LEASE:
            subject = _native.decision_get_text(decision, _native.DECISION_TEXT_SUBJECT)
            route.cell = self.cell(_native.decision_target(decision), subject)
        return route

    def _route(self, url: str, has_authorization: bool = False) -> Route:
        user = current()
        return self._routes.find(url.partition("?")[0], user.token, user.required, has_authorization)

    def _redirected(self, url: str, first: str) -> Route:
        user = current()
        return self._routes.decide(url.partition("?")[0], user.token, user.required, first=first.partition("?")[0])

    def _fresh(self, route: CoreRoute) -> Lease | None:
        return route.cell.fresh()

    async def _lease_for(self, route: CoreRoute) -> Lease:
        return route.cell.fresh() or await self._get(route.cell, lambda core, at: core.token_for(route.decision, at))

    async def _after_401(
        self, route: CoreRoute, number: int, status: int, challenges: Iterable[str], *, replay: bool
    ) -> Lease | None:
        """The lease to make a refused call once more with; None where its answer is the caller's."""
        fields = "".join(f"WWW-Authenticate: {one_line(each)}\r\n" for each in challenges).encode("utf-8", "replace")
        again = _native.REPLAY_POSSIBLE if replay else _native.REPLAY_IMPOSSIBLE
        try:
            what = self.turn(lambda core, at: core.answered(route.decision, status, fields, again))
            if what == _native.ANSWERED_DELIVER:
                return None
            if what == _native.ANSWERED_REPORT:
                again = _native.REPLAY_IMPOSSIBLE
            return await self._reject(route, number, again)
        except Error:
            return None

    async def _reject(self, route: CoreRoute, number: int, replay: int) -> Lease | None:
        end = time.monotonic() + self._wait
        last = False
        while True:
            waiter = self._enlisted(route.cell)
            try:
                what, lease = self.turn(lambda core, at: core.reject(route.decision, number, replay, at))
                if what != _native.REJECTION_WAIT or last:
                    return lease
                self.waited += 1
                await asyncio.wait((waiter,), timeout=max(end - time.monotonic(), 0))
                last = not waiter.done()
            finally:
                route.cell.waiting.discard(waiter)

    def _tell(self, route: Route, carried: Token | None, method: str, status: int | None, retried: bool) -> None:
        """Logs an attempt of a call."""
        logger = _events.logger_or_default(self._logger, _events.INFO)
        if logger is not None and logger.isEnabledFor(_events.INFO):
            _events.log(logger, _events.INFO, event(route, carried, method, status, retried))

    # The rest.

    def health(self) -> Health:
        if self.closed:
            raise _errors.closed()
        targets: dict[str, TargetHealth] = {}
        at = now()
        for number, name in enumerate(self.names):
            told = json.loads(self._core.health(number))
            retry_at = told["retry_at_ms"]
            told["retry_in_ms"] = None if retry_at is None else max(retry_at - at.mono, 0)
            targets[name] = target_health(told)
        ready = all(each.ready for each in targets.values() if each.asked_for)
        return Health(ready, targets)

    def stats(self) -> Stats:
        if self.closed:
            raise _errors.closed()
        told = self._core.stats()
        threads = 0 if self._threads is None else len(self._threads._threads)
        return Stats(
            told.requests,
            told.token_requests,
            told.tokens_received,
            told.failures,
            told.rejections,
            self.asked,
            self.waited,
            threads,
            told.events_dropped,
            0,
        )

    def secrets_changed(self) -> None:
        self.turn(lambda core, at: core.secrets_changed(at))

    async def aclose(self) -> None:
        if self.closed:
            return
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for cell in self._cells.values():
            cell.lease = None
            cell.wake(_errors.closed())
        if self._loop is not None and self._loop is asyncio.get_running_loop() and os.getpid() == self._process:
            await self._finish()
        self._core.free()
        self._routes.forget()
        self._config = b""
        await self._sender.aclose()
        if self._threads is not None:
            self._threads.shutdown(wait=False)

    async def _finish(self) -> None:
        """Lets requests come to their end where there is a store: their answers may hold what can be used once."""
        end = time.monotonic() + self._save
        while self._store is not None and self._tasks and time.monotonic() < end:
            await asyncio.wait(set(self._tasks), timeout=end - time.monotonic(), return_when=asyncio.FIRST_COMPLETED)
        while self._tasks:
            tasks = set(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def one_line(text: str) -> str:
    return text.replace("\r", " ").replace("\n", " ")


def _use(store: FileStore | None, task: Output) -> Callable[[Core, Now], None]:
    """Does a task of the store; the answer to it."""
    number = task.task
    try:
        if store is None:
            raise StoreFailed("the program has no durable store")
        if task.operation == _native.STORE_OPERATION_GET:
            value, version = store.get(task.key)
            return lambda core, at: core.complete_record(number, value, version, at)
        if task.operation == _native.STORE_OPERATION_PUT:
            written = store.put(task.key, task.version, task.value)
            outcome = _native.STORE_OUTCOME_STORED if written else _native.STORE_OUTCOME_CONFLICT
            return lambda core, at: core.complete_store(number, outcome, written, at)
        if task.operation == _native.STORE_OPERATION_LOCK:
            fence, left = store.lock(task.key, task.ttl)
            taken = _native.STORE_OUTCOME_LOCKED if fence else _native.STORE_OUTCOME_HELD
            return lambda core, at: core.complete_store(number, taken, fence or left, at)
        if task.operation == _native.STORE_OPERATION_UNLOCK:
            store.unlock(task.key, task.fence)
            return lambda core, at: core.complete_store(number, _native.STORE_OUTCOME_DONE, 0, at)
    except StoreFailed as failed:
        detail = str(failed)
        return lambda core, at: core.complete_failed(number, detail, at)
    return lambda core, at: core.complete_unsupported(number, at)


def _give_up(core: Core, task: Output, detail: str, at: Now) -> None:
    if task.kind == _native.OUTPUT_KIND_SEND:
        core.complete_send_failed(task.task, _native.SEND_FAILURE_BROKEN, detail, at)
    else:
        core.complete_failed(task.task, detail, at)
