"""Access tokens as a program holds them: plain Python, so that serving one crosses into no library."""

from __future__ import annotations

from time import monotonic, time

from . import _native
from ._secret import Token

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    import datetime
    from typing import Any, NoReturn


class Authorization(Token):
    """The value of an Authorization header of a lease, with what is told about calls that carry it."""

    __slots__ = ("client_id", "number", "subject")
    number: int
    client_id: str | None
    subject: str | None


class Lease:
    """An access token that may be used now. Keep it for one call, and ask again for the next."""

    __slots__ = (
        "_authorization",
        "_expires_at_wall_ms",
        "_info",
        "_token",
        "_until",
        "client_id",
        "number",
        "scopes",
        "subject",
    )

    _token: Token
    _authorization: Authorization
    # The numbers of the library's: svcauth_lease_info.
    _info: Any
    _expires_at_wall_ms: int
    # Until when it is served without asking the library, on the clock of time.monotonic.
    _until: float
    #: The id as a number; see `id`.
    number: int
    #: The scopes that were granted.
    scopes: tuple[str, ...]
    #: The client it was issued to, as far as known.
    client_id: str | None
    #: Its `sub` claim, unverified, where the token is a JWT.
    subject: str | None

    def __init__(self) -> None:
        raise TypeError("leases come from Client.lease")

    @property
    def token(self) -> Token:
        """The access token. A secret."""
        return self._token

    @property
    def authorization(self) -> Token:
        """The value of the header that carries it, `Bearer …` (RFC 6750 section 2.1). A secret."""
        return self._authorization

    @property
    def id(self) -> str:
        """Names the token without telling it; the same in every process, and in events."""
        return f"{self.number:016x}"

    @property
    def expires_at(self) -> datetime.datetime:
        """When it expires, by the wall clock; in UTC."""
        import datetime

        return datetime.datetime.fromtimestamp(self._expires_at_wall_ms / 1000, datetime.timezone.utc)

    @property
    def expires_in(self) -> float:
        """In how many seconds it expires, by the wall clock."""
        return self._expires_at_wall_ms / 1000 - time()

    def __repr__(self) -> str:
        return f"<svcauth.Lease {self.id} scopes={' '.join(self.scopes)!r} expires_in={self.expires_in:.0f}>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a lease is not pickled or copied; hand over the configuration")


# How long a lease is served without asking the library for the one it has meanwhile. A look costs microseconds.
LOOK = 1.0


def take(handle: int, started: float, known: Lease | None = None) -> Lease:
    """Makes a lease of the library's, which is released; the known one, where it is the same.

    `started` is what time.monotonic showed at 0 of the library's clock.
    """
    try:
        info = _native.lease_get_info(handle)
        until = min(started + info.ask_at_ms / 1000, monotonic() + LOOK)
        if known is not None and known.number == info.id:
            known._info, known._until = info, until
            return known

        def text(which: int) -> str:
            found: bytes = _native.lease_get_text(handle, which)
            return found.decode()

        lease = Lease.__new__(Lease)
        lease._info = info
        lease._token = Token(text(_native.LEASE_TEXT_VALUE))
        lease._authorization = authorization = Authorization(text(_native.LEASE_TEXT_AUTHORIZATION))
        lease._until = until
        lease._expires_at_wall_ms = info.expires_at_wall_ms
        lease.number = authorization.number = info.id
        lease.client_id = authorization.client_id = text(_native.LEASE_TEXT_CLIENT_ID) or None
        lease.subject = authorization.subject = text(_native.LEASE_TEXT_SUBJECT) or None
        lease.scopes = tuple(_native.lease_scope(handle, each).decode() for each in range(info.scopes))
        return lease
    finally:
        _native.lease_release(handle)
