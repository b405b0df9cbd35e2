"""Which target a call goes to first, and which ones stand behind it: made once for each snapshot, asked for each call."""

from __future__ import annotations

from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from math import log
from random import random
from typing import Generic, Protocol, TypeVar
from zlib import crc32


class HasId(Protocol):
    @property
    def endpoint_id(self) -> int: ...


MASK = 2**64 - 1
T = TypeVar("T", bound=HasId)
T_co = TypeVar("T_co", bound=HasId, covariant=True)


class Weighted(Protocol[T_co]):
    @property
    def target(self) -> T_co: ...
    @property
    def weight(self) -> float: ...
    @property
    def is_trial(self) -> bool: ...


class Choice(Generic[T]):
    """Orders of targets. `only` is the one order there is, where nothing has to be chosen; else None.

    Behind the first come the other mains, then the standby targets, and last one on trial: it gets no more than its share
    while another can answer.
    """

    __slots__ = ("_mains", "_orders", "_scored", "_standby", "_sums", "_trials", "_ways", "only")

    def __init__(self, ways: Sequence[Weighted[T]], standby: Sequence[T]) -> None:
        """`ways` share the calls by weights above 0, those on trial by % of all; `standby` come last, in this order."""
        if standby and all(way.is_trial for way in ways):
            standby, ways = [*standby, *[way.target for way in ways]], ()
        self._standby = tuple(standby)
        self._mains = [way.target for way in ways if not way.is_trial]
        self._trials = [way.target for way in ways if way.is_trial]
        self._orders = [self._behind(way.target, self._mains) for way in ways]
        weights = _weights(ways)
        self._sums = list(accumulate(weights))
        self._ways = tuple(ways)
        self._scored = [(_salt(way.target.endpoint_id), -1 / weight, number)
                        for number, (way, weight) in enumerate(zip(ways, weights, strict=True))]
        self.only = (self._orders[0] if ways else self._standby) if len(ways) < 2 else None

    def draw(self) -> tuple[T, ...]:
        """An order whose first target is drawn by weight. Only where `only` is None."""
        sums = self._sums
        return self._orders[bisect(sums, random() * sums[-1], 0, len(sums) - 1)]

    def of(self, session: bytes) -> tuple[T, ...]:
        """The order that this session always gets, in every process, for as long as these are the targets.

        Rendezvous hashing with weights (Schindelhauer and Schomaker, 2005): when a target goes or its weight changes,
        only the sessions move that must.
        """
        seed = crc32(session)
        scored = [(log(_fraction(seed ^ salt)) * share, number) for salt, share, number in self._scored]
        scored.sort()
        ways = self._ways
        order = [ways[number].target for _score, number in scored]
        if not self._trials:
            return (*order, *self._standby)
        return self._behind(order[0], [ways[number].target for _score, number in scored if not ways[number].is_trial])

    def _behind(self, first: T, mains: Sequence[T]) -> tuple[T, ...]:
        return (first, *[one for one in mains if one is not first], *self._standby,
                *[one for one in self._trials if one is not first])


def _weights(ways: Sequence[Weighted[T]]) -> list[float]:
    """All on one scale: where a main is not ready, the others take its share, and one on trial keeps its own."""
    mains = sum(way.weight for way in ways if not way.is_trial)
    tried = sum(way.weight for way in ways if way.is_trial)
    return [way.weight * (mains / (100 - tried) if way.is_trial and mains else 1) for way in ways]


def _salt(endpoint_id: int) -> int:
    """64 bits that are the same in every process."""
    return int.from_bytes(blake2b(b"%d" % endpoint_id, digest_size=8).digest(), "big")


def _fraction(mixed: int) -> float:
    """A number above 0 and up to 1 from 64 bits, which look like others for each input (SplitMix64's last steps)."""
    mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 & MASK
    mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB & MASK
    return ((mixed ^ mixed >> 31) + 1) / 2**64
