"""Waiting off the event loop, on threads of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Hashable


class Wait:
    """Something that may take a while. Those with the same key, where they have one, wait for the same thing."""

    __slots__ = ("key", "wait")

    def __init__(self, wait: Callable[[], Any], key: Hashable = None) -> None:
        self.wait = wait
        self.key = key


# What is waited for with a key, by the loop and the key.
_shared: dict[tuple[asyncio.AbstractEventLoop, Hashable], asyncio.Future[Any]] = {}


async def run(what: Wait) -> Any:
    """Waits on a thread. A caller that is cancelled goes at once, and the others wait on."""
    import asyncio

    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        # Trio; httpx brings anyio along.
        from anyio import to_thread

        return await to_thread.run_sync(what.wait, abandon_on_cancel=True)
    if what.key is None:
        return await _start(loop, what.wait, None)
    key = (loop, what.key)
    done = _shared.get(key)
    if done is None:
        done = _shared[key] = _start(loop, what.wait, key)
    return await asyncio.shield(done)


def _start(loop: asyncio.AbstractEventLoop, wait: Callable[[], Any], key: Any) -> asyncio.Future[Any]:
    import threading

    done: asyncio.Future[Any] = loop.create_future()

    def finish(result: Any, error: BaseException | None) -> None:
        if done.done():
            return
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error)
            # Whoever waited may have been cancelled; that is no reason for a warning.
            done.exception()

    def work() -> None:
        result, raised = None, None
        try:
            result = wait()
        except BaseException as error:
            raised = error
        _shared.pop(key, None)
        try:
            loop.call_soon_threadsafe(finish, result, raised)
        except RuntimeError:
            # The loop was closed: nobody waits.
            pass

    # Not of the loop's own few threads, which a server that is away would hold up for everybody else.
    threading.Thread(target=work, name="svcauth-wait", daemon=True).start()
    return done
