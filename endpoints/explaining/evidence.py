"""What was seen of an endpoint that is not as wished, in the same frozen values for every kind of place.

Text in here comes from outside: whoever fills it has cleaned and capped it (portal.tenancy.text.clean).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from endpoints.states import Cause


@dataclass(frozen=True)
class Asked:
    """What one replica asks for, for the figures in a next step. Units as in targets.base.Resources."""

    gpus: int = 0
    cpu_millis: int = 0
    memory_bytes: int = 0
    nodes: int = 1
    image: str = ""
    model: str = ""
    release: str = ""
    start_seconds: int = 0


@dataclass(frozen=True)
class Replica:
    """One pod, or one engine process of a host.

    `name` is what events call it. `waiting` is the reason that a container gives for not running, with `message`;
    `ended` that of its last end, with `ended_because` and `exit_code`; `unplaced` is the scheduler's message while no
    node takes it.
    """

    name: str
    index: int
    phase: str
    ready: bool = False
    revision: int = 0
    node: str = ""
    waiting: str = ""
    message: str = ""
    ended: str = ""
    ended_because: str = ""
    exit_code: int | None = None
    restarts: int = 0
    unplaced: str = ""
    made_at: datetime | None = None
    since: datetime | None = None
    ended_at: datetime | None = None
    container: str = ""
    log: str = ""
    previous_log: str = ""
    # Its node's GPUs are made up by a fake GPU operator.
    simulated: bool = False
    going: bool = False
    # Whether it answers the calls of its replica, which may have more pods on other nodes.
    leads: bool = True

    @property
    def ran(self) -> bool:
        """Whether its container has run at least once."""
        return bool(self.phase == "Running" or self.restarts or self.exit_code is not None or self.log or self.previous_log)


@dataclass(frozen=True)
class Machine:
    """A node as the inventory has it, seen with the profile's placement.

    `taints` are those that it does not tolerate, in words; `chosen` says whether the node selector takes the node.
    """

    name: str
    gpus: int = 0
    taints: str = ""
    chosen: bool = True


@dataclass(frozen=True)
class Condition:
    """One line of an object's status; `object` is Kind/name."""

    object: str
    type: str
    status: str
    reason: str = ""
    message: str = ""
    since: datetime | None = None

    @property
    def is_bad(self) -> bool:
        return self.status == "False"


@dataclass(frozen=True)
class Happening:
    """An event of the place: what happened to which object (Kind/name), how often, and when last."""

    object: str
    reason: str
    message: str
    warning: bool = True
    count: int = 1
    first: datetime | None = None
    last: datetime | None = None


@dataclass(frozen=True)
class Trouble:
    """What concerns the place or the wish rather than a replica: no way to it, a refusal, a name that is taken."""

    cause: Cause
    message: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Evidence:
    """Everything that was seen. `wanted` is the number of replicas that there should be now, 0 where none should."""

    wanted: int
    looked_at: datetime
    replicas: tuple[Replica, ...] = ()
    conditions: tuple[Condition, ...] = ()
    events: tuple[Happening, ...] = ()
    troubles: tuple[Trouble, ...] = ()
    # Every node that the inventory knows; empty where there is no inventory.
    machines: tuple[Machine, ...] = ()
    # The last lines that were kept when it failed, for when the replica that wrote them is gone.
    kept_log: str = ""
    kept_at: datetime | None = None
    asked: Asked = field(default_factory=Asked)
    # What could not be read, so that nobody takes its absence for good news.
    unread: tuple[str, ...] = ()

    @property
    def ready(self) -> int:
        return sum(replica.ready for replica in self.replicas)
