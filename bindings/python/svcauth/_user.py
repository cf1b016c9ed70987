"""On whose behalf outgoing calls are made."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Callable, Optional, TypeVar, cast

F = TypeVar("F", bound=Callable[..., Any])


class User:
    """What a context says about the user. No printout shows the token."""

    __slots__ = ("required", "token")

    def __init__(self, token: Optional[str] = None, required: bool = False) -> None:
        self.token = token
        self.required = required

    def __repr__(self) -> str:
        return "<svcauth user>" if self.token is not None else "<no svcauth user>"

    def __reduce__(self) -> Any:
        raise TypeError("a user's token is not written down")


NOBODY = User()

user: ContextVar[User] = ContextVar("svcauth_user", default=NOBODY)

current: Callable[[], User] = user.get


@contextmanager
def user_token(token: str) -> Iterator[None]:
    """Marks calls that are made inside as made on behalf of the user who holds `token`, as it stood behind
    `Bearer` in the inbound request.

    What the called service gets is the target's `user_token`: this token, one it is exchanged for, or the
    service's own. It goes to no URL outside of the targets.
    """
    if not isinstance(token, str):
        raise TypeError("the user's token is a str")
    before = user.set(User(token, current().required))
    try:
        yield
    finally:
        user.reset(before)


@contextmanager
def user_required() -> Iterator[None]:
    """Marks calls that are made inside as belonging to a user's request: without a user's token they are refused
    with `UserTokenMissing`, instead of being made with the service's own."""
    before = user.set(User(current().token, True))
    try:
        yield
    finally:
        user.reset(before)


def require_user(function: F) -> F:
    """`user_required` for a whole function, synchronous or not: a route of FastAPI, a view of Flask.

    Put it below the decorator that makes the function a route.
    """
    if inspect.iscoroutinefunction(function):

        @functools.wraps(function)
        async def waiting(*arguments: Any, **named: Any) -> Any:
            with user_required():
                return await function(*arguments, **named)

        return cast(F, waiting)
    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("a generator runs when it is read: write `with svcauth.user_required():` in it")

    @functools.wraps(function)
    def calling(*arguments: Any, **named: Any) -> Any:
        with user_required():
            return function(*arguments, **named)

    return cast(F, calling)


def bearer(field: str) -> Optional[str]:
    """The token of an Authorization field (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1)."""
    scheme, space, rest = field.partition(" ")
    if not space or scheme.lower() != "bearer":
        return None
    return rest.strip(" ")
