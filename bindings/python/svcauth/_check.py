"""What is given by a caller, checked once."""

from __future__ import annotations

from . import _errors


def text(name: str, value: object) -> bytes:
    """A str as the library takes it."""
    if not isinstance(value, str):
        raise _errors.wrong_type(name, "a str", value)
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise _errors.ArgumentError(
            "this has half a character (a surrogate) in it", code="invalid_argument", member=name
        ) from None


def seconds(name: str, value: object) -> float | None:
    """A time to wait; None stays None."""
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _errors.wrong_type(name, "a number of seconds or None", value)
    # Nothing lasts longer than a year, and NaN is no time.
    if not value >= 0:
        raise _errors.ArgumentError("this has to be 0 or more seconds", code="invalid_argument", member=name)
    return float(min(value, 365 * 24 * 3600))
