"""Secrets are read anew each time the core asks, so that a change is seen."""

from __future__ import annotations

import os
import stat
from collections.abc import Awaitable
from typing import Callable, Union

MOST_BYTES = 64 << 10

SecretFunction = Callable[[str], Union[str, Awaitable[str]]]


class SecretFailed(Exception):
    """Why a secret cannot be had, without secrets."""


def from_file(path: str) -> bytes:
    # A pipe is read once only, and opening a terminal would wait for ever.
    try:
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise SecretFailed("it is no regular file")
    except (OSError, ValueError) as error:
        raise SecretFailed(f"it cannot be examined ({_cause(error)})") from None
    try:
        with open(path, "rb", buffering=0) as file:
            value = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise SecretFailed(f"it cannot be read ({_cause(error)})") from None
    if value is None or len(value) > MOST_BYTES:
        raise SecretFailed(f"it is larger than {MOST_BYTES} bytes, which is no secret")
    return value


def from_environment(name: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise SecretFailed("it is not set")
    return os.fsencode(value)


def _cause(error: Exception) -> str:
    """Without the path, which the core names anyway."""
    return getattr(error, "strerror", None) or "no path"
