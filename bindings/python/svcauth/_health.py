"""How a client is doing, for probes and counters."""

from __future__ import annotations

import datetime
import json
from typing import Any, NamedTuple

from . import _errors


class TargetHealth(NamedTuple):
    """How one target's token is doing."""

    #: Whether a token can be served now.
    ready: bool
    #: Whether anybody has asked for one yet.
    asked_for: bool
    #: When the token expires; None where there is none.
    expires_at: datetime.datetime | None
    #: Why the last attempt failed; None if it did not.
    error: _errors.Error | None
    #: In how many seconds the next attempt is; None where none is due.
    retry_in: float | None


class Health(NamedTuple):
    """How all targets are doing."""

    #: Whether every target that was asked for a token can serve one now.
    ready: bool
    #: Each target by its name.
    targets: dict[str, TargetHealth]


class Stats(NamedTuple):
    """Counters since the client was made."""

    #: Requests of all kinds to the authorization server, and token requests among them.
    requests: int
    token_requests: int
    #: Tokens that came, and attempts that brought none.
    tokens_received: int
    failures: int
    #: Rejections by called services that were acted on.
    rejections: int
    #: How often the library was asked for a token that it had to see about, and had to be waited for.
    asked: int
    waited: int
    #: Threads of the library's there are now.
    threads: int
    #: Events that were lost because nobody fetched them, and that were not told because `logging` was too slow.
    events_dropped: int
    events_untold: int


def health(text: bytes) -> Health:
    told = json.loads(text)
    return Health(told["ready"], {name: target_health(each) for name, each in told["targets"].items()})


def target_health(told: dict[str, Any]) -> TargetHealth:
    expires_at, retry_in, error = told["expires_at_wall_ms"], told["retry_in_ms"], told["error"]
    return TargetHealth(
        told["ready"],
        told["asked_for"],
        None if expires_at is None else datetime.datetime.fromtimestamp(expires_at / 1000, datetime.timezone.utc),
        None if error is None else _errors.from_json(error),
        None if retry_in is None else retry_in / 1000,
    )


def stats(counters: Any) -> Stats:
    of_client = counters.client
    return Stats(
        of_client.requests,
        of_client.token_requests,
        of_client.tokens_received,
        of_client.failures,
        of_client.rejections,
        counters.asked,
        counters.waited,
        counters.threads,
        of_client.events_dropped,
        counters.events_untold,
    )
