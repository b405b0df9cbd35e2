"""What an account has of SageMaker in one region."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.simulators.aws.errors import AwsFault, invalid
from tests.simulators.aws.messages import Params
from tests.simulators.aws.world import Plan, Spot, World

NO_CAPACITY = ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error. Please retry "
               "using a different ML instance type or after some time.")  # fmt: skip
NO_PING = ("The primary container for production variant {variant} did not pass the ping health check. Please check CloudWatch "
           "logs for this endpoint.")  # fmt: skip


@dataclass(slots=True)
class Rule:
    """The next matching creation or update fails, `times` often (None: all of them).

    on: create, update, rollback (the update fails and so does going back), component.
    name: a pattern of endpoints' or components' names.
    """

    name: str = "*"
    on: str = "create"
    reason: str = NO_CAPACITY
    times: int | None = 1

    def takes(self, on: str, name: str) -> bool:
        if self.on != on or self.times == 0 or not fnmatch.fnmatchcase(name, self.name):
            return False
        self.times = None if self.times is None else self.times - 1
        return True


@dataclass(slots=True)
class Thing:
    """A model or an endpoint configuration: what was asked for, with a name and a time."""

    name: str
    arn: str
    asked: Params
    created: float
    modified: float
    plan: Plan = field(default_factory=Plan)
    removed: bool = False


@dataclass(slots=True)
class Endpoint(Thing):
    status: str = "Creating"
    config_name: str = ""
    failure: str = ""
    variants: dict[str, Params] = field(default_factory=dict)  # count, weight, desired, as they are now
    pending: Params | None = None
    deployment: Params | None = None  # the last DeploymentConfig
    served: Params = field(default_factory=dict)  # the configuration that answers calls
    statuses: list[str] = field(default_factory=list)

    def become(self, status: str, at: float, failure: str = "") -> None:
        self.status, self.modified, self.failure = status, at, failure
        self.statuses.append(status)


@dataclass(slots=True)
class Component(Thing):
    status: str = "Creating"
    failure: str = ""
    copies: int = 0
    desired: int = 0


@dataclass
class Region:
    """The state of one account in one region."""

    spot: Spot
    world: World
    rules: list[Rule]
    quotas: dict[str, int]
    models: dict[str, Thing] = field(default_factory=dict)
    configs: dict[str, Thing] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    components: dict[str, Component] = field(default_factory=dict)
    clusters: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, dict[str, str]] = field(default_factory=dict)  # by ARN
    scaled: set[str] = field(default_factory=set)
    """Resources that Application Auto Scaling has as targets: endpoint/NAME/variant/NAME."""
    log: Callable[[str, str], None] = lambda _group, _line: None

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def arn(self, kind: str, name: str) -> str:
        return self.spot.arn("sagemaker", f"{kind}/{name.lower() if kind != 'cluster' else name}")

    def settle(self) -> None:
        """Brings everything to the present."""
        now = self.now
        for kind in (self.endpoints, self.components, self.clusters):
            for name, thing in list(kind.items()):
                thing.plan.settle(now)
                if thing.removed:
                    del kind[name]
                    self.tags.pop(thing.arn, None)

    def failure(self, on: str, name: str) -> str:
        """Why this creation or update shall fail; nothing: it works."""
        return next((rule.reason for rule in self.rules if rule.takes(on, name)), "")

    def put_tags(self, arn: str, given: list[Params]) -> None:
        self.tags.setdefault(arn, {}).update({tag["Key"]: tag["Value"] for tag in given})
        if len(self.tags[arn]) > 50:
            raise AwsFault("ResourceLimitExceeded", "The account-level service limit 'Tags per resource' is 50.")


WORDS = {"model": "model", "endpoint-config": "endpoint configuration", "endpoint": "endpoint",
         "inference-component": "inference component"}  # fmt: skip


def find(here: Region, kind: str, things: dict[str, Any], name: str) -> Any:
    """
    :raises AwsFault: ValidationException, "Could not find …"; also for what is so new that AWS doesn't show it yet.
    """
    thing = things.get(name)
    is_new = thing is not None and here.now - thing.created < here.world.durations.invisible
    if thing is None or is_new:
        raise invalid(f'Could not find {WORDS[kind]} "{here.arn(kind, name)}".')
    return thing


def refuse_existing(here: Region, kind: str, things: dict[str, Any], name: str) -> str:
    """The ARN of a name that is free.

    :raises AwsFault: "Cannot create already existing …".
    """
    arn = here.arn(kind, name)
    if name in things:
        raise invalid(f'Cannot create already existing {WORDS[kind]} "{arn}".')
    return arn
