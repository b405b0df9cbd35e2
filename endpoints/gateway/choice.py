"""Which target a call goes to first, and which ones stand behind it: made once for each snapshot, asked for each call."""

from __future__ import annotations

import math
from bisect import bisect
from collections.abc import Sequence
from hashlib import blake2b
from itertools import accumulate
from random import random
from typing import Generic, Protocol, TypeVar


class HasId(Protocol):
    @property
    def endpoint_id(self) -> int: ...


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

    __slots__ = ("_mains", "_orders", "_scored", "_standby", "_sums", "_trials", "only")

    def __init__(self, ways: Sequence[Weighted[T]], standby: Sequence[T]) -> None:
        """`ways` share the calls by their weights, all above 0; `standby` come last, in this order."""
        if standby and all(way.is_trial for way in ways):
            standby, ways = [*standby, *[way.target for way in ways]], ()
        self._standby = tuple(standby)
        self._mains = [way.target for way in ways if not way.is_trial]
        self._trials = [way.target for way in ways if way.is_trial]
        self._orders = [self._behind(way.target, self._mains) for way in ways]
        self._sums = list(accumulate(way.weight for way in ways))
        self._scored = [(way.target.endpoint_id.to_bytes(16, "big"), way.weight, way.target) for way in ways]
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
        scored = sorted([(-math.log(_fraction(session, salt)) / weight, index, target)
                         for index, (salt, weight, target) in enumerate(self._scored)])
        targets = [target for _score, _index, target in scored]
        return self._behind(targets[0], [one for one in targets if all(one is not trial for trial in self._trials)])

    def _behind(self, first: T, mains: Sequence[T]) -> tuple[T, ...]:
        return (first, *[one for one in mains if one is not first], *self._standby,
                *[one for one in self._trials if one is not first])


def _fraction(session: bytes, salt: bytes) -> float:
    """A number between 0 and 1, not 0, that only this session has with this target."""
    return (int.from_bytes(blake2b(session, digest_size=7, salt=salt).digest(), "big") + 1) / 2**56
