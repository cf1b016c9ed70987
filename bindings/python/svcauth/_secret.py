"""Secrets that are not shown by accident."""

from __future__ import annotations

from . import _errors

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TypeVar

    Function = TypeVar("Function", bound=Callable[..., Any])


class Token(str):
    """A secret text that hides in `repr`, and so in tracebacks, containers and logs of them. It is not pickled."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce_ex__(self, protocol: Any) -> NoReturn:
        raise TypeError("a secret is not pickled or copied; hand over the configuration")


def takes_secrets(function: Function) -> Function:
    """Marks a function whose arguments may hold secrets: its errors come without the frames that hold them."""

    def call(*given: Any, **named: Any) -> Any:
        try:
            return function(*given, **named)
        except _errors.Error as error:
            failed = error.with_traceback(None)
        del given, named
        raise failed

    call.__doc__, call.__name__, call.__qualname__ = function.__doc__, function.__name__, function.__qualname__
    call.__module__, call.__wrapped__ = function.__module__, function  # type: ignore[attr-defined]
    return call  # type: ignore[return-value]
