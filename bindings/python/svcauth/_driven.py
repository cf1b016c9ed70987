"""The core driven by an asyncio event loop: its requests go out on the program's HTTP client, the store and secrets are
read in threads. All of it runs in the loop's thread, so that no lock is needed."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import json
import logging
import os
import random
import time
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Callable, Optional, TypeVar, Union

from . import _errors, _events, _native
from ._core import IDLE, NEVER, Call, Core, Decision, Now, Output, now
from ._errors import Error
from ._lease import Lease
from ._secrets import SecretFailed, SecretFunction, from_environment, from_file
from ._send import Request, SendFailed, Sender
from ._store import SUPPORTED, FileStore, StoreFailed

T = TypeVar("T")
News = Union[Lease, Error, None]

# What panics each time must not be asked for ever.
PANICS_APART = 10.0
THREADS = 8


class Cell:
    """The place of one token: the service's own, or one that a user's token is exchanged for."""

    __slots__ = ("lease", "subject", "target", "waiting")

    def __init__(self, target: int, subject: bytes = b"") -> None:
        self.target = target
        self.subject = subject
        self.lease: Optional[Lease] = None
        self.waiting: set[asyncio.Future[News]] = set()

    def fresh(self) -> Optional[Lease]:
        """The lease at hand, if it can be handed out without asking the core."""
        lease = self.lease
        return lease if lease is not None and time.monotonic() < lease._ask_at else None

    def wake(self, news: News) -> None:
        waiting, self.waiting = self.waiting, set()
        for each in waiting:
            if not each.done():
                each.set_result(news)


class Driven:
    def __init__(
        self,
        config: bytes,
        sender: Sender,
        secrets: Optional[SecretFunction],
        logger: logging.Logger,
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
        self._store: Optional[FileStore] = None
        if settings["store"] is not None and SUPPORTED:
            self._store = FileStore(settings["store"]["file"], self._save)
        elif settings["needs_durable_store"]:
            # The core says it.
            self._made(self._capabilities & ~_native.CAPABILITY_DURABLE_STORE)
        self._cells: dict[tuple[int, bytes], Cell] = {}
        self._panicked = -PANICS_APART
        self._busy: set[str] = set()
        self.decisions: dict[object, Decision] = {}
        self.asked = self.waited = 0
        self.closed = False
        self._process = 0
        self._loop: Optional[asyncio.AbstractEventLoop] = None
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
                raise _errors.invalid_argument("this client is used by another event loop; make one for each")
            self._begin(loop)
        return loop

    def _begin(self, loop: Optional[asyncio.AbstractEventLoop]) -> None:
        self._loop = loop
        self._process = os.getpid()
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: Optional[asyncio.TimerHandle] = None
        self._wake_at = NEVER
        self._threads: Optional[ThreadPoolExecutor] = None
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
                if error.result != _native.RESULT_PANIC or not self._replaced(asked, error):
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
                if error.result == _native.RESULT_PANIC and self._replaced(asked, error):
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
                self.decisions.clear()
            elif not self._done_at_once(output):
                self._start(output)

    def _arm(self, at: int) -> None:
        if self.closed or at == self._wake_at or self._loop is None:
            return
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._wake_at = at
        if at != NEVER:
            self._timer = self._loop.call_later(max(at / 1000 - time.monotonic(), 0.001), self._wake)

    def _wake(self) -> None:
        self._timer = None
        self._wake_at = NEVER
        if not self.closed:
            self._poll()

    def _deliver(self, output: Output) -> None:
        cell = self.cell(output.target, output.subject)
        if output.state == _native.LEASE_STATE_READY:
            if not self.closed:
                cell.lease = output.lease
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
        self.decisions.clear()
        at = now()
        for cell in self._cells.values():
            if cell.lease is not None and not cell.subject:
                made.adopt(cell.target, cell.lease._record(at), _native.RECORD_CLOCK_SAME, at)
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
            asked: Awaitable[Any] = function(name)
            if not isinstance(asked, asyncio.Future):
                asked = asyncio.ensure_future(asked)
        else:
            asked = asyncio.ensure_future(self._in_a_thread(function, name))
        asked.add_done_callback(lambda _: busy.discard(name))  # type: ignore[attr-defined]
        try:
            secret = await asked
            if inspect.isawaitable(secret):
                secret = await secret
        except (asyncio.CancelledError, asyncio.TimeoutError):
            raise
        except Exception as error:
            raise SecretFailed(f"the program's function for secrets failed with {type(error).__name__}") from None
        if not isinstance(secret, str):
            raise SecretFailed(f"the program's function for secrets gave {type(secret).__name__} and not str")
        return secret.encode()

    # Tokens.

    def cell(self, target: int, subject: bytes = b"") -> Cell:
        known = self._cells.get((target, subject))
        if known is None:
            known = self._cells[target, subject] = Cell(target, subject)
        return known

    def target(self, name: str) -> int:
        return self._core.target(name)

    async def lease(self, cell: Cell) -> Lease:
        """The service's own token for a target."""
        return cell.fresh() or await self._get(cell, lambda core, at: core.token(cell.target, at))

    async def lease_for(self, call: Call, decision: Decision) -> Lease:
        cell = self.cell(decision.target or 0, decision.subject)
        # The decision may be of a core before.
        return cell.fresh() or await self._get(cell, lambda core, at: core.token_for(decision, at))

    async def _get(self, cell: Cell, ask: Callable[[Core, Now], Optional[Lease]]) -> Lease:
        self.asked += 1
        end = time.monotonic() + self._wait
        first = True
        while True:
            lease, waiter = self._asked(cell, ask)
            if waiter is None:
                assert lease is not None
                return lease
            if first:
                self.waited += 1
                first = False
            try:
                await asyncio.wait((waiter,), timeout=max(end - time.monotonic(), 0))
            finally:
                self._forget(cell, waiter)
            if not waiter.done():
                raise self._reason(cell.target) or _errors.timeout(
                    "no token in time; check the server, or wait longer (timeouts.wait_s)"
                )
            news = waiter.result()
            if isinstance(news, Error):
                raise news.again()
            if news is not None:
                return news

    def _asked(
        self, cell: Cell, ask: Callable[[Core, Now], Optional[Lease]]
    ) -> tuple[Optional[Lease], Optional[asyncio.Future[News]]]:
        """A lease, or what tells when there is news. Whoever waits is in the list before the core is asked."""
        waiter: asyncio.Future[News] = self.bind().create_future()
        cell.waiting.add(waiter)
        try:
            lease = self.turn(ask)
        except BaseException:
            self._forget(cell, waiter)
            raise
        if lease is None:
            return None, waiter
        self._forget(cell, waiter)
        return lease, None

    def _forget(self, cell: Cell, waiter: asyncio.Future[News]) -> None:
        cell.waiting.discard(waiter)

    def _reason(self, target: int) -> Optional[Error]:
        """Why the last attempt for a target failed; None where it did not."""
        told = json.loads(self._core.health(target))
        return _errors.of_json(told["error"], told["retry_at_ms"]) if told["error"] is not None else None

    # Calls.

    def decide(self, call: Call) -> Decision:
        if self.closed:
            raise _errors.closed()
        asked = self._core
        try:
            return asked.decide(call)
        except Error as error:
            if error.result != _native.RESULT_PANIC or not self._replaced(asked, error):
                raise
        return self._core.decide(call)

    def answered(self, decision: Decision, status: int, fields: bytes, replay: int) -> int:
        try:
            return self._core.answered(decision, status, fields, replay)
        except Error:
            return _native.ANSWERED_DELIVER

    def report(self, decision: Decision, lease: Lease) -> None:
        """Says that a lease was refused, where the call is not made again."""
        try:
            self.turn(lambda core, at: core.reject(decision, lease._id, _native.REPLAY_IMPOSSIBLE, at))
        except Error:
            pass

    async def reject(self, decision: Decision, sent: Lease) -> Optional[Lease]:
        """Says that a lease was refused, and waits for another one; None to deliver the answer."""
        cell = self.cell(decision.target or 0, decision.subject)
        end = time.monotonic() + self._wait
        last = False
        while True:
            waiter: asyncio.Future[News] = self.bind().create_future()
            cell.waiting.add(waiter)
            try:
                what, lease = self.turn(lambda core, at: core.reject(decision, sent._id, _native.REPLAY_POSSIBLE, at))
                if what != _native.REJECTION_WAIT or last:
                    return lease
                self.waited += 1
                await asyncio.wait((waiter,), timeout=max(end - time.monotonic(), 0))
                last = not waiter.done()
            except Error:
                return None
            finally:
                self._forget(cell, waiter)

    # The rest.

    def health(self) -> dict[str, Any]:
        return {name: json.loads(self._core.health(number)) for number, name in enumerate(self.names)}

    def stats(self) -> Any:
        return self._core.stats()

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
        self.decisions.clear()
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


def _use(store: Optional[FileStore], task: Output) -> Callable[[Core, Now], None]:
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
