"""On whose behalf outgoing calls are made."""

from __future__ import annotations

from contextvars import ContextVar

from ._errors import wrong_type
from ._secret import Token as Secret

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from contextvars import Token
    from typing import Any, Callable, TypeVar

    F = TypeVar("F", bound=Callable[..., Any])


class User:
    """What a context says about the user. No printout shows the token."""

    __slots__ = ("required", "token")

    def __init__(self, token: str | None = None, required: bool = False) -> None:
        self.token = None if token is None else Secret(token)
        self.required = required

    def __repr__(self) -> str:
        return "<svcauth: a user>" if self.token is not None else "<svcauth: no user>"

    def __reduce__(self) -> Any:
        raise TypeError("a user's token is not pickled")


# What a context says that nothing was said in.
NOBODY = User()
user: ContextVar[User] = ContextVar("svcauth_user", default=NOBODY)

current = user.get


class _Block:
    __slots__ = ("_before", "_user")

    def __init__(self, of: User) -> None:
        self._user = of

    def __enter__(self) -> None:
        self._before: Token[User] = user.set(self._user)

    def __exit__(self, *_: object) -> None:
        user.reset(self._before)


def user_token(token: str) -> _Block:
    """Marks calls that are made inside as made on behalf of the user who holds `token`, as it stood behind
    `Bearer` in the inbound request:

        with svcauth.user_token(token):
            session.get(url)

    What the called service gets is the target's `user_token`: this token, one it is exchanged for, or the
    service's own. It goes to no URL outside of the targets.
    """
    if not isinstance(token, str):
        raise wrong_type("token", "the user's token, a str", token)
    return _Block(User(token, current().required))


def user_required() -> _Block:
    """Marks calls that are made inside (`with svcauth.user_required():`) as belonging to a user's request: without a
    user's token they are refused with `UserTokenMissing`, instead of being made with the service's own."""
    return _Block(User(current().token, True))


def require_user(function: F) -> F:
    """`user_required` for a whole function, synchronous or not: a route of FastAPI, a view of Flask.

    Put it below the decorator that makes the function a route.
    """
    import functools
    import inspect

    if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
        raise TypeError("a generator runs when it is read: write `with svcauth.user_required():` in it")

    @functools.wraps(function)
    async def waited_for(*arguments: Any, **named: Any) -> Any:
        with user_required():
            return await function(*arguments, **named)

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        with user_required():
            return function(*arguments, **named)

    return waited_for if inspect.iscoroutinefunction(function) else called  # type: ignore[return-value]


def bearer(field: str) -> str | None:
    """The token of an Authorization field (RFC 6750 section 2.1; the scheme in any case, RFC 9110 section 11.1)."""
    scheme, space, rest = field.partition(" ")
    if not space or scheme.lower() != "bearer":
        return None
    return rest.strip(" ")
