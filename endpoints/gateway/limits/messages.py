"""What a gateway process and the shared store tell each other about counters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["level", "minute", "month"]
MOST = 2**53 - 1  # Redis's scripts count in doubles, which are exact up to here


@dataclass(frozen=True, slots=True)
class Line:
    """Where one counter of a process stands.

    `hold` is reserved for running calls; `keep` is what the process goes on using while it waits for the answer. `size`
    is what a call takes, by which the store measures a share; 0 gives the share back. `spends` are used amounts that
    the store does not know yet, with the seconds since then. `month` counts from year 0; `seed` is what the database
    knows to be used in it.
    """

    name: str
    kind: Kind
    limit: int
    hold: int = 0
    keep: int = 0
    size: int = 0
    spends: tuple[tuple[int, int], ...] = ()
    month: int = 0
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """`asks` are new calls: for each of them the lines that it touches, by number, with the amounts that it takes.

    A call is admitted by all of its lines or by none. A request of no process only looks.
    """

    process: str
    lines: Sequence[Line]
    asks: Sequence[Sequence[tuple[int, int]]] = ()
    is_leaving: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """`grant` is what the process may reserve and spend before it asks again, its `hold` included.

    `used` is what calls hold and have spent, everywhere. Of a tight counter nobody has a share: what a process does
    not need, it gives back at once.
    """

    grant: int
    used: int
    is_tight: bool
    is_seeded: bool


@dataclass(frozen=True, slots=True)
class Refusal:
    """Which line has no room for an ask, and in how many seconds it may have.

    `unsure` is what processes have of it that do not know yet that it is short: some of it may come back.
    """

    line: int
    unsure: int
    wait: int


@dataclass(frozen=True, slots=True)
class Reply:
    processes: int
    answers: Sequence[Answer]
    refusals: Sequence[Refusal | None]


class StoreAway(Exception):
    """The store did not answer; whether it did what it was asked to is not known."""


class Store(Protocol):
    """Counts for all gateway processes. Called in one thread at a time."""

    def exchange(self, request: Request) -> Reply:
        """Tell and ask, atomically. Raises StoreAway."""

    def close(self) -> None: ...
