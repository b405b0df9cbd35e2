"""What all services share, and what each account has in each region."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tests.simulators.aws.clock import Clock
from tests.simulators.aws.messages import Identity

State = TypeVar("State")


@dataclass(slots=True)
class Durations:
    """Seconds of the simulator's clock. In AWS most of them are minutes."""

    creating: float = 1.0
    updating: float = 1.0
    rolling_back: float = 0.5
    deleting: float = 0.5
    component: float = 0.5
    cluster: float = 1.0
    node: float = 0.5
    invisible: float = 0.0  # how long a describe finds nothing after a create


@dataclass(slots=True)
class World:
    clock: Clock = field(default_factory=Clock)
    durations: Durations = field(default_factory=Durations)
    lock: threading.RLock = field(default_factory=threading.RLock)
    misuses: list[str] = field(default_factory=list)
    """What AWS allows and warns of, such as deleting an endpoint configuration in use."""


@dataclass(frozen=True, slots=True)
class Spot:
    """An account in a region."""

    account: str
    region: str
    partition: str = "aws"

    @classmethod
    def of(cls, identity: Identity, region: str) -> Spot:
        return cls(identity.account, region, identity.arn.split(":")[1])

    def arn(self, service: str, resource: str) -> str:
        return f"arn:{self.partition}:{service}:{self.region}:{self.account}:{resource}"


class PerSpot(dict[Spot, State]):
    """A service's state, made when it is first asked for."""

    def __init__(self, make: Callable[[Spot], State]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, spot: Spot) -> State:
        self[spot] = self._make(spot)
        return self[spot]


class Plan:
    """What will happen to one thing, and when."""

    def __init__(self) -> None:
        self._steps: list[tuple[float, Callable[[float], None]]] = []

    def then(self, at: float, step: Callable[[float], None]) -> None:
        self._steps.append((at, step))
        self._steps.sort(key=lambda each: each[0])

    def settle(self, now: float) -> None:
        """Does what is due; each step is told when it was due."""
        while self._steps and self._steps[0][0] <= now:
            at, step = self._steps.pop(0)
            step(at)

    def clear(self) -> None:
        self._steps.clear()
