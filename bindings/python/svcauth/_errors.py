"""What goes wrong, by whose fault it is."""

from __future__ import annotations

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any


class Error(Exception):
    """Whatever svcauth raises. Holds no secret."""

    #: The stable name of what went wrong: `invalid_configuration`, `oauth_error`, `timeout`, …
    code: str
    #: What is wrong and what to do.
    message: str
    #: The member of the configuration (`targets.smd.scopes`), argument, header or URL that is wrong.
    member: str | None
    #: `error` and `error_description` as the server sent them (RFC 6749 section 5.2).
    oauth_error: str | None
    description: str | None
    #: The WWW-Authenticate header that came with it.
    challenge: str | None
    #: The HTTP status of the answer that is wrong; None where there was none.
    status: int | None
    #: How long the server asks to wait, in seconds.
    retry_after: float | None
    #: Where the configuration document is no JSON, in bytes from its start.
    offset: int | None
    #: The number of the code in svcauth.h; 0 where this package itself found it.
    result: int
    _retry_at_ms: int | None

    def __init__(
        self, message: str, *, code: str = "internal", member: str | None = None, text: str | None = None
    ) -> None:
        if text is None:
            text = f"{member}: {message} ({code})" if member else f"{message} ({code})"
        super().__init__(text)
        self.code = code
        self.message = message
        self.member = member
        self.oauth_error = self.description = self.challenge = None
        self.status = self.offset = self._retry_at_ms = None
        self.retry_after = None
        self.result = 0

    def __reduce__(self) -> tuple[Callable[..., Error], tuple[Any, ...]]:
        return _again, (type(self), str(self), dict(self.__dict__))


def _again(kind: type[Error], text: str, members: dict[str, Any]) -> Error:
    error = kind(members.get("message", ""), code=members.get("code", "internal"), text=text)
    error.__dict__.update(members)
    return error


class ConfigurationError(Error, ValueError):
    """The configuration is wrong, or needs what this program cannot do; `member` names the place."""


class ArgumentError(Error, TypeError, ValueError):
    """An argument is of the wrong type or makes no sense; `member` names it."""


class UnknownTarget(Error, LookupError):
    """No target of that name is configured."""


class Closed(Error):
    """The client was closed."""


class LibraryError(Error, ImportError):
    """libsvcauth is missing, is for another platform, or belongs to another release."""


class SecretError(Error):
    """A secret could not be read, is empty or is not text."""


class StoreError(Error):
    """The durable store cannot be read, written or locked, or holds something else."""


class UserTokenMissing(Error):
    """The call belongs to a user's request that carries no token of the user."""


class ServerError(Error):
    """What a server answered is of no use; `status` is its HTTP status."""


class OAuthError(ServerError):
    """The server answered with an OAuth error: `oauth_error`, `description` (RFC 6749 section 5.2)."""


class NetworkError(Error):
    """No answer came, or not all of it."""


class Timeout(NetworkError, TimeoutError):
    """No answer in time, or no token in the time that the caller had."""


class InternalError(Error):
    """A bug in svcauth; please report it."""


_KINDS: dict[int, type[Error]] = {
    100: ConfigurationError,
    101: ArgumentError,
    102: UnknownTarget,
    103: ConfigurationError,
    104: SecretError,
    105: StoreError,
    106: StoreError,
    107: UserTokenMissing,
    108: Closed,
    109: NetworkError,
    200: OAuthError,
    301: Timeout,
}
# Of the library's callers: whatever is given to it is checked before, but for what only it can read.
_ARGUMENTS = (2, 3)


def _kind(result: int) -> type[Error]:
    known = _KINDS.get(result)
    if known is not None:
        return known
    if result in _ARGUMENTS:
        return ArgumentError
    if 200 <= result < 300:
        return ServerError
    if 300 <= result < 400:
        return NetworkError
    return InternalError


def from_library(
    result: int,
    texts: Sequence[str],
    *,
    status: int,
    retry_after: float | None,
    retry_at_ms: int | None,
    offset: int | None,
) -> Error:
    """The error that an error object of the library describes, by its texts in the order of their numbers."""
    text, code, message, member, oauth_error, description, challenge = texts
    error = _kind(result)(message, code=code, member=member or None, text=text)
    error.result = result
    error.oauth_error = oauth_error or None
    error.description = description or None
    error.challenge = challenge or None
    error.status = status or None
    error.retry_after = retry_after
    error.offset = offset
    error._retry_at_ms = retry_at_ms
    return error


def from_json(told: dict[str, Any]) -> Error:
    """The error that the library tells as a member of a JSON object."""
    oauth = told.get("oauth") or {}
    kind = _BY_CODE.get(str(told.get("code")), ServerError if oauth or told.get("status") else NetworkError)
    error = kind(str(told.get("message", "")), code=str(told.get("code", "internal")), member=told.get("member"))
    error.oauth_error = oauth.get("error")
    error.description = oauth.get("description")
    error.challenge = told.get("challenge")
    error.status = told.get("status")
    after = told.get("retry_after_ms")
    error.retry_after = after / 1000 if isinstance(after, (int, float)) else None
    return error


_BY_CODE: dict[str, type[Error]] = {
    "invalid_configuration": ConfigurationError,
    "unsupported": ConfigurationError,
    "invalid_argument": ArgumentError,
    "unknown_target": UnknownTarget,
    "secret_unavailable": SecretError,
    "store_unavailable": StoreError,
    "store_corrupt": StoreError,
    "user_token_missing": UserTokenMissing,
    "closed": Closed,
    "oauth_error": OAuthError,
    "timeout": Timeout,
    "internal": InternalError,
}


def without_object(result: int, name: str) -> Error:
    """The error of a function that says no more than its result."""
    error = _kind(result)(f"svcauth_{name} answered {result}", code="closed" if result == 108 else "internal")
    error.result = result
    return error


def closed() -> Closed:
    error = Closed("the client was closed; open another one", code="closed")
    error.result = 108
    return error


def timeout(target: str) -> Timeout:
    message = "no token in time; check the server, or wait longer (timeouts.wait_s)"
    error = Timeout(message, code="timeout", member=f"targets.{target}")
    error.result = 301
    return error


def wrong_type(name: str, expected: str, given: object) -> ArgumentError:
    # Its type, and not what it holds: that may be a secret.
    message = f"this is {type(given).__name__}, and has to be {expected}"
    return ArgumentError(message, code="invalid_argument", member=name)
