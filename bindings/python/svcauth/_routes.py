"""What calls carry: the library decides, and its answers are remembered for a second."""

from __future__ import annotations

from time import monotonic

from . import _check, _native
from ._fork import importing
from ._lease import Authorization
from ._secret import Token, takes_secrets

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from typing import Any

# What the library answers may change when it has read the issuer's metadata.
_KEPT = 1.0
_MOST, _MOST_OF_USERS = 1024, 64

NOTHING, USER_TOKEN, LEASE = (
    _native.DECISION_KIND_NOTHING,
    _native.DECISION_KIND_USER_TOKEN,
    _native.DECISION_KIND_LEASE,
)


class Route:
    """What the library has decided about calls to a URL."""

    __slots__ = ("_audit", "authorization", "decision", "kind", "of_user", "target", "url")

    def __init__(self, decision: int, url: bytes, names: list[str]) -> None:
        self.decision = decision
        self.url = url
        self._audit: dict[str, Any] | None = None
        self.kind: int = _native.decision_get_kind(decision)
        #: The name of the target; None where it carries nothing.
        self.target = None if self.kind == NOTHING else names[_native.decision_target(decision)]
        #: The header with the user's own token.
        self.authorization: Token | None = None
        #: Whether it carries a token that a user's was exchanged for.
        self.of_user = False
        if self.kind == USER_TOKEN:
            value = _native.decision_get_text(decision, _native.DECISION_TEXT_AUTHORIZATION)
            self.authorization = Token(value.decode())
        elif self.kind == LEASE:
            self.of_user = bool(_native.decision_get_text(decision, _native.DECISION_TEXT_SUBJECT))

    def audit(self) -> dict[str, Any]:
        """What the log says about calls to this URL, whatever becomes of them; to be copied."""
        told = self._audit
        if told is None:
            with importing:
                import json

            event = _native.decision_call_event(self.decision, 0, b"GET", self.url, 0, _native.ATTEMPT_FIRST)
            self._audit = told = dict(json.loads(_native.take_text(event)))
        return told

    def answered(self, transport: int, status: int, challenges: bytes, replay: int) -> int:
        """What to do with the answer to a call: one of ANSWERED."""
        what: int = _native.transport_answered(transport, self.decision, status, challenges, replay)
        return what

    def __del__(self) -> None:
        try:
            _native.decision_free(self.decision)
        except Exception:
            # The interpreter ends, and the module is gone.
            pass


class Routes:
    """Those that are remembered, by what the library's answer depends on."""

    __slots__ = ("_names", "_transport", "of_caller", "of_service", "of_users", "until")

    def __init__(self, transport: int, names: list[str]) -> None:
        self._transport = transport
        self._names = names
        self.until = 0.0
        self.of_service: dict[str, Route] = {}
        self.of_caller: dict[str, Route] = {}
        self.of_users: dict[tuple[str, str, bool], Route] = {}

    def forget(self) -> None:
        self.of_service, self.of_caller, self.of_users = {}, {}, {}

    def find(self, url: str, user: str | None, required: bool, has_authorization: bool) -> Route:
        """The route of a call. `url` is up to its query, which decides nothing."""
        now = monotonic()
        if now >= self.until:
            self.forget()
            self.until = now + _KEPT
        flags = 0
        place: dict[Any, Route]
        key: Any = url
        if has_authorization:
            flags, place, most = _native.CALL_HAS_AUTHORIZATION, self.of_caller, _MOST
        elif user is not None:
            flags, place, most = 0, self.of_users, _MOST_OF_USERS
            key = (url, user, required)
        else:
            place, most = self.of_service, _MOST
        found = place.get(key)
        if found is not None and not (required and place is self.of_service):
            return found
        route = self.decide(url, user, required, flags)
        if len(place) >= most:
            place.clear()
        place[key] = route
        return route

    @takes_secrets
    def decide(self, url: str, user: str | None, required: bool, flags: int = 0, first: str | None = None) -> Route:
        """Asks the library. `first` is where a call that was redirected was made to before."""
        text = _check.text("url", url)
        token = b""
        if user is not None:
            flags |= _native.CALL_HAS_USER_TOKEN
            token = _check.text("user_token", user)
        if required:
            flags |= _native.CALL_USER_REQUIRED
        before = b""
        if first is not None:
            flags |= _native.CALL_REDIRECTED
            before = _check.text("url", first)
        return Route(_native.transport_decide(self._transport, text, flags, token, before), text, self._names)


def event(route: Route, carried: Token | None, method: str, status: int | None, retried: bool) -> dict[str, Any]:
    """The event of one attempt of a call, with the names of the library's. `carried` is what of ours it carried."""
    told = dict(route.audit(), method=method, status=status, retried=retried)
    if isinstance(carried, Authorization):
        told["subject"], told["client_id"] = carried.subject, carried.client_id
    elif carried is None and route.kind != NOTHING:
        told.update(kind="none", subject=None, client_id=None)
    return told


__all__ = ["LEASE", "NOTHING", "USER_TOKEN", "Route", "Routes", "event"]
