"""Locks that a fork waits for: what a thread was amidst of, a child would wait for for ever."""

from __future__ import annotations

import os
from _thread import RLock

# What hangs does not keep a program from forking.
_PATIENCE = 1.0

# Held around an import that comes late: Python's own lock of the module stays with a thread that the child lacks.
importing = RLock()
# Held while an event is told: so does the lock of a stream that is written to.
telling = RLock()


def hold(lock: RLock) -> None:
    """Has forks wait for a lock from now on."""
    held = False

    def before() -> None:
        nonlocal held
        held = lock.acquire(timeout=_PATIENCE)

    def in_parent() -> None:
        if held:
            lock.release()

    if hasattr(os, "register_at_fork"):
        # What threads that the child lacks have of it goes.
        os.register_at_fork(before=before, after_in_parent=in_parent, after_in_child=lock._at_fork_reinit)  # type: ignore[attr-defined]


hold(importing)
