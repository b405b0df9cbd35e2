"""Finds the function that plays an operation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.simulators.aws.messages import Call, Params
from tests.simulators.aws.sagemaker.state import Region, Rule
from tests.simulators.aws.world import PerSpot, Spot, World

Handler = Callable[[Region, Params], Params]
HANDLERS: dict[str, Handler] = {}


def plays(operation: str) -> Callable[[Handler], Handler]:
    """Registers the function that plays this operation."""

    def register(handler: Handler) -> Handler:
        HANDLERS[operation] = handler
        return handler

    return register


class SageMaker:
    def __init__(self, world: World, log: Callable[[Spot, str, str], None]) -> None:
        self.world, self._log = world, log
        self.rules: list[Rule] = []
        self.quotas: dict[str, int] = {}
        """Instances for endpoints, by type; a type that isn't named has no limit."""
        self.regions: PerSpot[Region] = PerSpot(self._region)

    def _region(self, spot: Spot) -> Region:
        return Region(spot, self.world, self.rules, self.quotas, log=lambda group, line: self._log(spot, group, line))

    def reset(self) -> None:
        self.rules.clear()
        self.quotas.clear()
        self.regions.clear()

    def answer(self, call: Call) -> Params | None:
        """None: not played here."""
        handler = HANDLERS.get(call.operation)
        if handler is None:
            return None
        with self.world.lock:
            return handler(self.here(Spot.of(call.identity, call.region)), call.params)

    def here(self, spot: Spot) -> Region:
        """The region's state, brought to the present."""
        with self.world.lock:
            region = self.regions[spot]
            region.settle()
            return region

    def fail(self, name: str = "*", *, on: str = "create", times: int | None = 1, **reason: Any) -> Rule:
        """The next matching creation or update ends Failed (or goes back): see `Rule`."""
        rule = Rule(name, on, times=times, **reason)
        self.rules.append(rule)
        return rule
