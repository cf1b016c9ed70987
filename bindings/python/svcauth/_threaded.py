"""The library's own HTTP client for an event loop: what waits does so on threads."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from ._errors import Error
from ._threads import Wait, run

if TYPE_CHECKING:
    from ._client import Client
    from ._health import Health, Stats
    from ._lease import Lease


class Threaded:
    def __init__(self, client: Client) -> None:
        self.client = client

    @property
    def closed(self) -> bool:
        return self.client._closed

    @property
    def names(self) -> list[str]:
        return self.client._settings()

    def check(self, target: str) -> None:
        self.client._number(target)

    def at_hand(self, target: str) -> Lease | None:
        try:
            lease = self.client._held.get(target)
        except TypeError:
            return None
        return lease if lease is not None and monotonic() < lease._until else None

    async def lease(self, target: str) -> Lease:
        client = self.client
        client._number(target)
        try:
            return client.lease(target, timeout=0)
        except Error:
            # Those who wait for the same token wait together.
            lease: Lease = await run(Wait(lambda: client.lease(target), (id(client), target)))
            return lease

    def health(self) -> Health:
        return self.client.health()

    def stats(self) -> Stats:
        return self.client.stats()

    def secrets_changed(self) -> None:
        self.client.secrets_changed()

    async def aclose(self) -> None:
        await run(Wait(self.client.close))
