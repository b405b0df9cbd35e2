"""What every kind of place can do, in frozen values; a target never sees a row of the endpoints' tables."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Protocol, runtime_checkable
from uuid import UUID

from endpoints.explaining import Evidence
from endpoints.states import Cause
from models_catalog.sizing import Shape
from portal.tenancy.fields import derived

# Of one run of one replica, as pages and programs get it.
LOG_LINES = 400
LOG_CHARS = 65_536


def engine_key(uid: UUID) -> str:
    """What the engines of an endpoint want of callers where their address is open to others than the portal."""
    return derived(f"engine of endpoint {uid}")


class TargetError(Exception):
    """The one error of targets. `permanent` ends the attempt until the wish changes; all else is tried again.

    `of_the_place` says that every endpoint there is concerned, so it tells nothing about this one. `pause` is how
    many seconds to leave the place alone at least.
    """

    def __init__(
        self, code: Cause, message: str, *, permanent: bool = False, of_the_place: bool = False, pause: float = 0.0,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.permanent = permanent
        self.of_the_place = of_the_place
        self.pause = pause


@dataclass(frozen=True)
class Resources:
    """What one replica needs on each of its `nodes`. `devices` pins accelerator indices; empty lets the place choose."""

    cpu_millis: int
    memory_bytes: int
    gpus: int = 0
    gpu_memory_bytes: int = 0
    nodes: int = 1
    devices: tuple[int, ...] = ()


@dataclass(frozen=True)
class Placement:
    """Which nodes of a Kubernetes cluster a replica may run on; tolerations are as in a pod."""

    node_selector: Mapping[str, str] = field(default_factory=dict)
    tolerations: tuple[Mapping[str, Any], ...] = ()
    priority_class: str = ""
    runtime_class: str = ""


@dataclass(frozen=True)
class Weights:
    """A copy of the artifact that lies in the cluster already: a claim in the endpoint's namespace, and the folder in it."""

    claim: str
    folder: str = ""
    read_only: bool = True


@dataclass(frozen=True)
class Trigger:
    """One signal of the autoscaler: its type and metadata as KEDA knows them, all values text."""

    type: str
    metadata: Mapping[str, str]
    metric_type: str = ""
    authentication: str = ""


@dataclass(frozen=True)
class Autoscale:
    """The autoscaler owns replicas between these bounds; times in seconds."""

    min_replicas: int
    max_replicas: int
    triggers: tuple[Trigger, ...]
    polling_seconds: int = 30
    cooldown_seconds: int = 300
    stabilisation_up_seconds: int = 0
    stabilisation_down_seconds: int = 300
    # Of HyperPod's operator only.
    initial_cooldown_seconds: int = 300


@dataclass(frozen=True)
class Origin:
    """The object of the cluster that owns an endpoint: what we make gets it as owner and lies beside it."""

    kind: str
    api_version: str
    namespace: str
    name: str
    uid: str


@dataclass(frozen=True)
class RevisionSpec:
    """One frozen revision, ready to be started anywhere."""

    number: int
    engine: str
    release: str
    device: str
    task: str
    artifact_kind: str
    artifact_location: str
    artifact_revision: str
    arguments: Mapping[str, Any]
    environment: Mapping[str, str]
    resources: Resources
    start_seconds: int
    image: str = ""
    placement: Placement = field(default_factory=Placement)
    weights_bytes: int = 0
    weights: Weights | None = None
    # That somebody of the workspace accepted the licence of exactly this version; of models that ask for it.
    eula_accepted: bool = False
    # What only this kind of place knows, in the place's own names; see endpoints.options.
    options: Mapping[str, Any] = field(default_factory=dict)
    hub_token: str = field(default="", repr=False)
    # Of the image's registry; both empty where nodes pull without a login.
    registry_user: str = ""
    registry_password: str = field(default="", repr=False)


@dataclass(frozen=True)
class FieldChange:
    """One field of one object: what is there, what we send, and whose it is. `object` is Kind/name."""

    object: str
    path: str
    before: Any = None
    after: Any = None
    manager: str = ""


@dataclass(frozen=True)
class Spec:
    """Everything a target needs to make one endpoint true. `serving` still answers while `wanted` comes up."""

    uid: UUID
    name: str
    external_name: str
    workspace: str
    cluster_id: int
    public_name: str
    generation: int
    replicas: int
    wanted: RevisionSpec
    serving: RevisionSpec | None = None
    namespace: str = ""
    autoscale: Autoscale | None = None
    origin: Origin | None = None
    accepted: tuple[FieldChange, ...] = ()
    corrects_drift: bool = True
    # See `engine_key`.
    engine_key: str = field(default="", repr=False)

    @property
    def object_name(self) -> str:
        """The name of its objects outside: as the owner's where an object of the cluster owns it."""
        return self.origin.name if self.origin else self.external_name


@dataclass(frozen=True)
class ReplicaSeen:
    """One replica as the place shows it. `url` is set only where it can be called."""

    key: str
    index: int
    revision: int
    ready: bool
    phase: str
    where: str = ""
    message: str = ""
    url: str = ""
    token: str = field(default="", repr=False)
    ca: str = ""
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    host: str = ""
    broken: bool = False
    cause: Cause = Cause.NONE
    restarts: int = 0
    since: datetime | None = None


class Follow(StrEnum):
    """What the keeper has to do about an observation."""

    STEP_IF_NEWS = "step if news"  # a step, where the evidence says something else than the row
    STEP = "step"                  # a step in any case: the place is between two of ours
    WRITE = "write"                # the place mends itself: what it says is only written down


class Lack(StrEnum):
    """What a place still lacks of the wish where every replica is there."""

    NOTHING = ""
    COMING = "coming"    # the place goes on by itself
    LASTING = "lasting"  # it serves, and a person has to see to the rest


@dataclass(frozen=True)
class Observation:
    """What is there of one endpoint. An endpoint that is not in a complete listing has no replicas."""

    replicas: tuple[ReplicaSeen, ...] = ()
    # One address for all replicas, in place of their own; it may be there with none, where a call starts one.
    entrance: ReplicaSeen | None = None
    follow: Follow = Follow.STEP_IF_NEWS
    # Seconds until the next look at least.
    pause: float = 0.0
    source: str = ""
    problem: Cause = Cause.NONE
    message: str = ""
    # The place is at work and gives up by its own clock, which may be hours: no deadline of ours counts meanwhile.
    keeps_time: bool = False
    # `problem` and `message` say what.
    lack: Lack = Lack.NOTHING
    # The step before this look was refused for now: there is something to do, however well the endpoint looks.
    undone: bool = False
    # What the place's autoscaler wants now; None where the endpoint's own number counts.
    wanted_replicas: int | None = None
    drift: tuple[FieldChange, ...] = ()

    def of(self, revision: int) -> tuple[ReplicaSeen, ...]:
        return tuple(r for r in self.replicas if r.revision == revision)


@dataclass(frozen=True)
class Step:
    """One thing that `apply` would do, for the plan: an object (Kind namespace/name) and its fields that change."""

    verb: str
    what: str
    detail: str = ""
    fields: tuple[FieldChange, ...] = ()


@dataclass(frozen=True)
class Check:
    """One line of the pre-flight: `ok` is None for what should be looked at but does not stop; `lines` show the sum."""

    name: str
    ok: bool | None
    sentence: str
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModelFacts:
    """What the pre-flight must know of the model: its architecture, its own context in tokens, and whether it is gated."""

    shape: Shape | None = None
    context_tokens: int = 0
    gated: bool = False


@dataclass(frozen=True)
class Plan:
    """What would change now, what would stop it, and a digest that is another one when the place has changed."""

    steps: tuple[Step, ...]
    digest: str
    checks: tuple[Check, ...] = ()

    @property
    def may_go(self) -> bool:
        return all(check.ok is not False for check in self.checks)


class Target(Protocol):
    """The small interface that every kind of place fulfils. Raises TargetError and nothing else."""

    def render(self, spec: Spec) -> list[dict[str, Any]]:
        """What would be sent, without looking at the place. Pure."""

    def plan(self, spec: Spec) -> Plan:
        """What `apply` would change now, without the checks."""

    def checks(self, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
        """What would stop it, found before anything is made."""

    def apply(self, spec: Spec) -> None:
        """Go one step towards the wish; safe to repeat, safe to be killed in."""

    def observe(self, uids: Collection[UUID] | None = None) -> dict[UUID, Observation]:
        """All of our endpoints in this place in one listing, or only the named ones."""

    def remove(self, spec: Spec) -> None:
        """Take everything of this endpoint away; what is gone already is fine."""

    def logs(self, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
        """The last lines that a replica wrote, in this run or the one before; "" where there are none."""

    def evidence(self, spec: Spec, *, deep: bool = True) -> Evidence:
        """What is to be seen of it now. Only `deep` reads logs and the objects around the replicas."""


@runtime_checkable
class Scales(Protocol):
    """A place where the number of replicas can be chosen."""

    max_replicas: int


@dataclass(frozen=True)
class Collected:
    """What a pass over leftovers found (Kind/name): told for the first time, or still in use; and deleted."""

    told: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()


@runtime_checkable
class Collects(Protocol):
    """A place where things of ours can be left over that no listing of endpoints shows."""

    def collect(self, known: Callable[[], Collection[UUID]], knew: Callable[[UUID], bool], grace: timedelta) -> Collected:
        """Take away what belongs to none of `known`, but `knew` it, and was seen `grace` ago as well. Raises TargetError."""


@runtime_checkable
class FindsDrift(Protocol):
    """A place whose objects others can change as well."""

    def find_drift(self, specs: Iterable[Spec]) -> dict[UUID, tuple[FieldChange, ...]]:
        """Of each endpoint what others have changed: `before` is there now, `after` is ours. Raises TargetError."""

    def put_back(self, spec: Spec, changes: Iterable[FieldChange]) -> None:
        """Make these fields ours again, by force."""
