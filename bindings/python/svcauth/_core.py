"""The core's poll and complete: everything goes in and comes out as plain Python values, and no handle of the library
but those of a Core, a Decision and a Lease outlives a call."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from . import _native
from ._errors import Error
from ._lease import Lease, take

# Results that svcauth.h calls SVCAUTH_RESULT_WRONG_KIND and SVCAUTH_RESULT_PANIC.
WRONG_KIND = 4
PANIC = 6


class Now(NamedTuple):
    """The time that goes into a call, in milliseconds."""

    mono: int
    """Never goes back, from any fixed point."""
    wall: int
    """Since 1970."""


def now() -> Now:
    """The clocks of this process: `time.monotonic` and `time.time`."""
    return Now(time.monotonic_ns() // 1_000_000, time.time_ns() // 1_000_000)


class Decision:
    """What the core said about one call."""

    __slots__ = ("authorization", "handle", "kind", "subject", "target")

    def __init__(self, handle: int) -> None:
        self.handle = handle
        self.kind: int = _native.decision_get_kind(handle)
        self.target: int | None = None
        try:
            self.target = _native.decision_target(handle)
        except Error as error:
            if error.result != WRONG_KIND:
                raise
        # Of kind user token; a secret.
        self.authorization: str = _native.decision_get_text(handle, _native.DECISION_TEXT_AUTHORIZATION).decode()
        # Of kind lease: whose, 32 bytes; empty for the service's own.
        self.subject: bytes = _native.decision_get_text(handle, _native.DECISION_TEXT_SUBJECT)

    def __repr__(self) -> str:
        return f"Decision({self.kind})"

    def __del__(self) -> None:
        _native.decision_free(self.handle)


@dataclass(repr=False)
class Output:
    """Something that the client wants of the program. Which members are set follows from the kind."""

    kind: int
    idle_until: int = _native.NEVER

    task: int = 0
    deadline: int = 0

    target: int = 0
    state: int = 0
    subject: bytes = b""
    lease: Lease | None = None
    record: bytes = b""
    """Of a service's own lease in state ready, for `Core.adopt`: a secret."""
    failure: Error | None = None

    level: int = 0
    event: bytes = b""

    method: str = ""
    url: str = ""
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    timeout: int = 0
    most: int = 0

    secret_kind: int = 0
    secret: str = ""

    random: int = 0

    operation: int = 0
    key: str = ""
    value: bytes = b""
    version: int = 0
    ttl: int = 0
    fence: int = 0

    def __repr__(self) -> str:
        return f"Output({self.kind})"


IDLE = 0
"""The kind of an output that says when to poll again."""


class Core:
    """One identity and the targets it calls. After each call that takes a time, poll until an output is IDLE."""

    def __init__(self, config: bytes, capabilities: int, seed: int, at: Now) -> None:
        self._handle = 0
        self._handle = _native.client_new(config, capabilities, seed, *at)

    def target(self, name: str) -> int:
        number: int = _native.client_target(self._handle, _encoded(name))
        return number

    def token(self, target: int, at: Now) -> Lease | None:
        """None where the token is being got."""
        state, lease = _native.client_token(self._handle, target, *at)
        return _lease(lease) if state == _native.TOKEN_STATE_READY else None

    def decide(self, url: bytes, flags: int = 0, user_token: bytes = b"", redirected_from: bytes = b"") -> int:
        """The handle of a decision, which the caller frees; a Decision and a Route do."""
        decision: int = _native.client_decide(self._handle, url, flags, user_token, redirected_from)
        return decision

    def token_for(self, decision: int, at: Now) -> Lease | None:
        """`token` for a call whose decision is to carry a lease."""
        state, lease = _native.client_token_for(self._handle, decision, *at)
        return _lease(lease) if state == _native.TOKEN_STATE_READY else None

    def answered(self, decision: int, status: int, fields: bytes, replay: int) -> int:
        what: int = _native.client_answered(self._handle, decision, status, fields, replay)
        return what

    def reject(self, decision: int, lease: int, replay: int, at: Now) -> tuple[int, Lease | None]:
        what, again = _native.client_reject(self._handle, decision, lease, replay, *at)
        return what, _lease(again) if what == _native.REJECTION_RETRY else None

    def register(self, at: Now) -> bool:
        """Whether there are credentials; otherwise the registration is under way."""
        return bool(_native.client_register(self._handle, *at) == _native.REGISTRATION_STATE_REGISTERED)

    def registration(self) -> bytes:
        """What the server answered then, as JSON: a secret. Empty where there was no registration."""
        return _native.take_text(_native.client_registration(self._handle))

    def adopt(self, target: int, record: bytes, clock: int, at: Now) -> bool:
        """Takes over the lease of another client of the same configuration; whether it is served."""
        return bool(_native.client_adopt(self._handle, target, record, clock, *at) == _native.ADOPTION_ADOPTED)

    def settings(self) -> bytes:
        """What of the configuration the program itself has to heed, as JSON."""
        return _native.take_text(_native.client_settings(self._handle))

    def health(self, target: int) -> bytes:
        """How a target's token is doing, as JSON."""
        return _native.take_text(_native.client_health(self._handle, target))

    def stats(self) -> Any:
        return _native.client_stats(self._handle)

    def secrets_changed(self, at: Now) -> None:
        _native.client_secrets_changed(self._handle, *at)

    def poll(self, at: Now) -> Output:
        handle, idle_until = _native.client_poll(self._handle, *at)
        if not handle:
            return Output(IDLE, idle_until)
        try:
            return _read(handle, at)
        finally:
            _native.output_free(handle)

    def complete_response(self, task: int, status: int, fields: bytes, body: bytes, at: Now) -> None:
        _native.client_complete_response(self._handle, task, status, fields, body, *at)

    def complete_send_failed(self, task: int, failure: int, detail: str, at: Now) -> None:
        _native.client_complete_send_failed(self._handle, task, failure, _encoded(detail), *at)

    def complete_bytes(self, task: int, value: bytes, at: Now) -> None:
        _native.client_complete_bytes(self._handle, task, value, *at)

    def complete_record(self, task: int, value: bytes, version: int, at: Now) -> None:
        _native.client_complete_record(self._handle, task, value, version, *at)

    def complete_store(self, task: int, outcome: int, number: int, at: Now) -> None:
        _native.client_complete_store(self._handle, task, outcome, number, *at)

    def complete_failed(self, task: int, detail: str, at: Now) -> None:
        _native.client_complete_failed(self._handle, task, _encoded(detail), *at)

    def complete_unsupported(self, task: int, at: Now) -> None:
        _native.client_complete_unsupported(self._handle, task, *at)

    def free(self) -> None:
        """Wipes and frees. It may be called more than once."""
        handle, self._handle = self._handle, 0
        if handle:
            _native.client_free(handle)

    def __repr__(self) -> str:
        return "Core()"

    def __del__(self) -> None:
        self.free()


def _read(handle: int, at: Now) -> Output:
    output = Output(_native.output_get_kind(handle))
    kind = output.kind
    if kind == _native.OUTPUT_KIND_LEASE:
        change = _native.output_lease_change(handle)
        output.target, output.state = change.target, change.state
        output.subject = _native.output_get_text(handle, _native.OUTPUT_TEXT_SUBJECT)
        if output.state in (_native.LEASE_STATE_READY, _native.LEASE_STATE_ONCE):
            lease = _native.output_lease(handle)
            if output.state == _native.LEASE_STATE_READY and not output.subject:
                output.record = _native.take_text(_native.lease_record(lease, *at))
            output.lease = _lease(lease)
        elif output.state == _native.LEASE_STATE_FAILED:
            output.failure = _native.failure(_native.output_error(handle))
        return output
    if kind == _native.OUTPUT_KIND_EVENT:
        output.level = _native.output_event_level(handle)
        output.event = _native.output_get_text(handle, _native.OUTPUT_TEXT_EVENT)
        return output
    if kind == _native.OUTPUT_KIND_CALLS_CHANGED:
        return output
    task = _native.output_task(handle)
    output.task, output.deadline = task.id, task.deadline_ms
    if kind == _native.OUTPUT_KIND_SEND:
        output.method = _text(handle, _native.OUTPUT_TEXT_METHOD)
        output.url = _text(handle, _native.OUTPUT_TEXT_URL)
        output.body = _native.output_get_text(handle, _native.OUTPUT_TEXT_BODY)
        send = _native.output_send(handle)
        output.timeout, output.most = send.timeout_ms, send.max_bytes
        for index in range(send.headers):
            name, value = _native.output_header(handle, index)
            output.headers.append((name.decode(), value.decode()))
    elif kind == _native.OUTPUT_KIND_READ_SECRET:
        output.secret_kind = _native.output_secret_kind(handle)
        output.secret = _text(handle, _native.OUTPUT_TEXT_SECRET)
    elif kind == _native.OUTPUT_KIND_RANDOM:
        output.random = _native.output_random(handle)
    elif kind == _native.OUTPUT_KIND_STORE:
        store = _native.output_store(handle)
        output.operation, output.version = store.operation, store.version
        output.ttl, output.fence = store.ttl_ms, store.fence
        output.key = _text(handle, _native.OUTPUT_TEXT_KEY)
        if store.operation == _native.STORE_OPERATION_PUT:
            output.value = _native.output_get_text(handle, _native.OUTPUT_TEXT_VALUE)
    return output


def _lease(handle: int) -> Lease:
    lease = take(handle, 0.0)
    # The core tells what becomes of it, so that nobody has to look before.
    lease._until = lease._info.ask_at_ms / 1000
    return lease


def _text(handle: int, which: int) -> str:
    text: bytes = _native.output_get_text(handle, which)
    return text.decode()


def _encoded(text: str) -> bytes:
    """UTF-8; what is none, as a name of a file may be, is replaced."""
    return text.encode("utf-8", "replace")
