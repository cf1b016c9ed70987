"""One outgoing call, whatever the HTTP client: which token it carries, and what a 401 asks for. All of that is the
core's decision; here it is carried out."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import TYPE_CHECKING, Callable, NamedTuple, Optional, Protocol

from . import _native
from ._core import Call, Decision
from ._errors import Error
from ._user import current

if TYPE_CHECKING:
    from ._lease import Lease

UNAUTHORIZED = 401
NO_ANSWER = 0
# Of users' decisions few are kept, so that few tokens stay in memory.
MOST_DECISIONS = 512
MOST_OF_USERS = 64


class Engine(Protocol):
    """What carries out the core's decisions: an event loop, or threads."""

    decisions: dict[object, Decision]

    def decide(self, call: Call) -> Decision: ...
    async def lease_for(self, call: Call, decision: Decision) -> Lease: ...
    def answered(self, decision: Decision, status: int, fields: bytes, replay: int) -> int: ...
    def report(self, decision: Decision, lease: Lease) -> None: ...
    async def reject(self, decision: Decision, sent: Lease) -> Optional[Lease]: ...
    def tell_call(
        self, decision: Decision, lease: Optional[Lease], method: str, url: str, status: int, attempt: int
    ) -> None: ...
    def tell_refused(self, error: Error) -> None: ...


class Outgoing(NamedTuple):
    method: str
    url: str
    has_authorization: bool
    redirected_from: str
    """Where the call was first made to, if it follows a redirect."""
    replayable: Callable[[], bool]
    """Says, once there is an answer, whether the body can be sent again."""


class Answered(NamedTuple):
    status: int
    fields: bytes
    """Its header fields, lines of `Name: value`."""


async def flow(engine: Engine, only: Optional[int], outgoing: Outgoing) -> AsyncGenerator[Optional[str], Answered]:
    """Yields the Authorization to send the call with, None for none of ours, and is sent what was answered; it is closed
    where no answer came. `only` is the one target whose token may be added. It ends when the answer is the caller's."""
    call = _call(outgoing)
    try:
        decision = _decided(engine, call)
    except Error as error:
        engine.tell_refused(error)
        raise

    def tell(lease: Optional[Lease], status: int, attempt: int = _native.ATTEMPT_FIRST) -> None:
        engine.tell_call(decision, lease, outgoing.method, outgoing.url, status, attempt)

    if only is not None and decision.kind != _native.DECISION_KIND_NOTHING and decision.target != only:
        yield None
        return
    if decision.kind != _native.DECISION_KIND_LEASE:
        authorization = decision.authorization if decision.kind == _native.DECISION_KIND_USER_TOKEN else None
        try:
            answer = yield authorization
        except GeneratorExit:
            tell(None, NO_ANSWER)
            raise
        tell(None, answer.status)
        return
    lease = await engine.lease_for(call, decision)
    try:
        answer = yield lease.authorization
    except GeneratorExit:
        tell(lease, NO_ANSWER)
        raise
    tell(lease, answer.status)
    if answer.status != UNAUTHORIZED:
        return
    replay = _native.REPLAY_POSSIBLE if outgoing.replayable() else _native.REPLAY_IMPOSSIBLE
    what = engine.answered(decision, answer.status, answer.fields, replay)
    if what == _native.ANSWERED_REPORT:
        engine.report(decision, lease)
    if what != _native.ANSWERED_RETRY:
        return
    again = await engine.reject(decision, lease)
    if again is None:
        return
    try:
        answer = yield again.authorization
    except GeneratorExit:
        tell(again, NO_ANSWER, _native.ATTEMPT_SECOND)
        raise
    tell(again, answer.status, _native.ATTEMPT_SECOND)
    if answer.status == UNAUTHORIZED:
        what = engine.answered(decision, answer.status, answer.fields, _native.REPLAY_IMPOSSIBLE)
        if what == _native.ANSWERED_REPORT:
            engine.report(decision, again)


def _call(outgoing: Outgoing) -> Call:
    user = current()
    flags = 0
    if outgoing.has_authorization:
        flags |= _native.CALL_HAS_AUTHORIZATION
    if user.required:
        flags |= _native.CALL_USER_REQUIRED
    if user.token is not None:
        flags |= _native.CALL_HAS_USER_TOKEN
    if outgoing.redirected_from:
        flags |= _native.CALL_REDIRECTED
    return Call(outgoing.url, flags, user.token or "", outgoing.redirected_from)


def _decided(engine: Engine, call: Call) -> Decision:
    """What the core said about such a call before, or says of this one. Calls whose URLs differ in their query only
    are decided the same."""
    if call.flags & _native.CALL_REDIRECTED:
        return engine.decide(call)
    place = (call.url.partition("#")[0].partition("?")[0], call.flags, call.user_token)
    decision = engine.decisions.get(place)
    if decision is None:
        decision = engine.decide(call)
        # What a user's token is exchanged for is not kept longer than the core keeps it.
        if not decision.subject:
            most = MOST_OF_USERS if call.flags & _native.CALL_HAS_USER_TOKEN else MOST_DECISIONS
            if len(engine.decisions) >= most:
                engine.decisions.clear()
            engine.decisions[place] = decision
    return decision
