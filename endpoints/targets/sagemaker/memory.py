"""What this process has seen of an account, so that a look asks only for what has changed since.

Nothing rests on it: it is empty after a start, each worker has its own, and whatever may have changed is asked again.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from .live import Component, Live

MOST = 20_000
# Seconds for which a thing that was just made may not be found everywhere (reliability.md F23).
VISIBLE = 60.0
A_MOMENT = 3.0
# Status and time of change of an endpoint, and of its component where it has one.
Mark = tuple[str, datetime, str, datetime | None]


@dataclass(frozen=True)
class Seen:
    """An endpoint of ours. `autoscaled` says that a scalable target owns its number, `asked_at` when that was asked."""

    uid: UUID
    live: Live
    component: Component | None
    at: float
    autoscaled: bool = False
    asked_at: float = 0.0


class Memory:
    """Safe to share between threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self._lock = threading.Lock()
        self._seen: dict[str, Seen] = {}
        self._owners: dict[tuple[str, datetime], UUID | None] = {}
        self._listed: dict[str, Mark] = {}
        self._looked: set[str] = set()
        self._created: dict[str, float] = {}
        self._tidied: dict[str, str] = {}

    def get(self, name: str) -> Seen | None:
        return self._seen.get(name)

    def put(self, seen: Seen) -> None:
        with self._lock:
            if len(self._seen) >= MOST:
                self._seen.clear()
            self._seen[seen.live.name] = seen
            self._created.pop(seen.live.name, None)

    def note_scaling(self, name: str, *, autoscaled: bool) -> None:
        """What a step of ours has just found or made."""
        with self._lock:
            if name in self._seen:
                self._seen[name] = replace(self._seen[name], autoscaled=autoscaled, asked_at=self.clock())

    def listed(self, name: str) -> Mark | None:
        """How a listing had it when it was described last."""
        return self._listed.get(name)

    def note_listed(self, name: str, mark: Mark) -> None:
        with self._lock:
            if name in self._seen:
                self._listed[name] = mark

    def note_looked(self, names: Iterable[str]) -> None:
        """A look at many has just described these; a step of one of them follows at once."""
        with self._lock:
            self._looked.update(names)

    def take_look(self, name: str) -> Seen | None:
        """What that look has seen, once and only for a moment."""
        with self._lock:
            if name not in self._looked:
                return None
            self._looked.discard(name)
        seen = self._seen.get(name)
        return seen if seen is not None and self.clock() - seen.at < A_MOMENT else None

    def note_created(self, name: str) -> None:
        with self._lock:
            self._created = {each: at for each, at in self._created.items() if self.clock() - at < VISIBLE}
            self._created[name] = self.clock()

    def is_new(self, name: str) -> bool:
        """Whether we made it a moment ago, so that AWS may not show it everywhere yet."""
        at = self._created.get(name)
        return at is not None and self.clock() - at < VISIBLE

    def tidied(self, name: str, state: str) -> bool:
        """Whether it was tidied in this state before; notes that it is now."""
        with self._lock:
            if len(self._tidied) >= MOST:
                self._tidied.clear()
            was, self._tidied[name] = self._tidied.get(name), state
        return was == state

    def forget(self, name: str) -> None:
        with self._lock:
            self._seen.pop(name, None)
            self._listed.pop(name, None)
            self._created.pop(name, None)
            self._tidied.pop(name, None)

    def keep_only(self, names: Collection[str]) -> None:
        """After a complete listing."""
        with self._lock:
            self._looked.intersection_update(names)
            for name in self._seen.keys() - set(names):
                del self._seen[name]
                self._listed.pop(name, None)

    def owner(self, live: Live, ask: Callable[[], UUID | None], *, is_settled: bool) -> UUID | None:
        """Whose endpoint it is by its tags, asked once: one that is made anew under the same name has another time.

        Where it is not settled, its tags may be seen later than itself.
        """
        key = (live.arn, live.created)
        with self._lock:
            if key in self._owners:
                return self._owners[key]
        found = ask()
        if found is None and not is_settled:
            return None
        with self._lock:
            if len(self._owners) >= MOST:
                self._owners.clear()
            self._owners[key] = found
        return found

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()
            self._owners.clear()
            self._listed.clear()
            self._looked.clear()
            self._created.clear()
            self._tidied.clear()


_memories: dict[tuple[UUID, str], Memory] = {}


def memory_of(account: UUID, region: str) -> Memory:
    return _memories.setdefault((account, region), Memory())
