"""What happened, told to `logging`: the message is the event's name with its members, which the record has too."""

from __future__ import annotations

import os
import sys

from . import _errors, _native
from ._fork import hold, importing, telling

TYPE_CHECKING = False  # typing's costs an import
if TYPE_CHECKING:
    import logging
    from collections.abc import Callable, Mapping
    from typing import Any

INFO, WARNING, ERROR = 20, 30, 40
_LEVELS = {_native.EVENT_LEVEL_INFO: INFO, _native.EVENT_LEVEL_WARN: WARNING, _native.EVENT_LEVEL_ERROR: ERROR}

# What a record of logging has by itself: a member of that name cannot be given to it.
_TAKEN = frozenset(
    "name msg args levelname levelno pathname filename module exc_info exc_text stack_info lineno funcName created "
    "msecs relativeCreated thread threadName processName process taskName message asctime".split()
)


def tell(logger: logging.Logger | None, level: int, event: bytes) -> None:
    """Logs an event of the library's, which is a JSON object."""
    number = _LEVELS.get(level, ERROR)
    logger = logger_or_default(logger, number)
    if logger is not None and logger.isEnabledFor(number):
        with importing:
            import json

        log(logger, number, json.loads(event))


def logger_or_default(logger: logging.Logger | None, level: int) -> logging.Logger | None:
    """The program's logger, or the one named `svcauth`; None where nobody would hear it."""
    if logger is not None:
        return logger
    # A program without logging sees warnings on its standard error, as from any library.
    if level < WARNING and "logging" not in sys.modules:
        return None
    with importing:
        import logging

    return logging.getLogger("svcauth")


def log(logger: logging.Logger, level: int, members: Mapping[str, Any]) -> None:
    """Logs an event; members that are None are left out."""
    told = {name: value for name, value in members.items() if value is not None}
    text = " ".join(f"{name}={_shown(value)}" for name, value in told.items() if name != "event")
    extra = {f"svcauth_{name}" if name in _TAKEN else name: value for name, value in told.items()}
    logger.log(level, "svcauth %s %s", told.get("event", ""), text, extra=extra)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str) and value.isprintable() and " " not in value and '"' not in value:
        return value
    with importing:
        import json

    return json.dumps(value)


class Sink:
    """What the callbacks of one client need. It does not keep the client alive."""

    __slots__ = ("logger", "secrets")

    def __init__(self, logger: logging.Logger | None, secrets: Callable[[str], str | bytes] | None) -> None:
        self.logger = logger
        self.secrets = secrets


# The callbacks that are under way.
under_way: set[object] = set()

_forks_wait = False


def _let_forks_wait() -> None:
    """To be called when `logging` has been imported: who registers later comes first, and it takes locks too."""
    global _forks_wait
    if not _forks_wait:
        _forks_wait = True
        hold(telling)
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=under_way.clear)


# By the context that the library gives to callbacks. An entry goes when its client was closed.
_sinks: dict[int, Sink] = {}
_last = 0


def enter(sink: Sink) -> int:
    """Gives the context under which callbacks find a sink."""
    global _last
    while True:
        # Two threads may see the same number, and one of them finds the place taken.
        _last = context = _last + 1
        if _sinks.setdefault(context, sink) is sink:
            return context


def leave(context: int) -> None:
    _sinks.pop(context, None)


def _on_event(context: int | None, level: int, text: int | None, length: int) -> None:
    call = object()
    under_way.add(call)
    try:
        sink = _sinks.get(context or 0)
        if sink is not None and logger_or_default(sink.logger, _LEVELS.get(level, ERROR)) is not None:
            _let_forks_wait()
            with telling:
                tell(sink.logger, level, _native.text_at(text, length))
    except BaseException:
        # A logger that fails is the program's business, and this thread has nobody to tell.
        pass
    finally:
        under_way.discard(call)


def _on_secret(context: int | None, text: int | None, length: int, request: int) -> None:
    call = object()
    under_way.add(call)
    try:
        sink = _sinks.get(context or 0)
        if sink is None or sink.secrets is None:
            _native.secret_request_fail(request, b"the client was closed")
            return
        try:
            found = sink.secrets(_native.text_at(text, length).decode())
        except BaseException as error:
            # What it says may hold the secret; its kind does not.
            _native.secret_request_fail(request, f"the function for secrets raised {type(error).__name__}".encode())
            return
        if isinstance(found, str):
            found = found.encode()
        if not isinstance(found, bytes):
            why = f"the function for secrets gave {type(found).__name__}, and has to give str or bytes"
            _native.secret_request_fail(request, why.encode())
            return
        _native.secret_request_answer(request, found)
    except BaseException as error:
        try:
            _native.secret_request_fail(request, type(error).__name__.encode())
        except BaseException:
            pass
    finally:
        under_way.discard(call)


# They stay as long as the process does: a thread of the library may be about to call one.
_event = _native.EVENT_CALLBACK(_on_event)
_secret = _native.SECRET_CALLBACK(_on_secret)


def callbacks(context: int, with_secrets: bool) -> Any:
    """The functions that a transport calls, with their context; None where it must not call any."""
    if not _native.is_main_interpreter():
        if with_secrets:
            message = "a function for secrets is for the main interpreter only; name files or variables"
            raise _errors.ConfigurationError(message, code="unsupported", member="secrets")
        return None
    made = _native.callbacks(context, _event)
    if with_secrets:
        made.secret = _secret
    return made
