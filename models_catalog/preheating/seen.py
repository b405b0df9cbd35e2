"""What is read of objects in a cluster, and no more of it than is needed."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field

import msgspec

from clusters.namespaces import COPY_UID

# The second is the one of clusters before Kubernetes 1.27.
JOB_NAMES = ("batch.kubernetes.io/job-name", "job-name")


class Meta(msgspec.Struct, rename="camel"):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    deletion_timestamp: str | None = None

    @property
    def copy(self) -> str:
        """The uid of the copy that it belongs to, "" where it is not ours."""
        return (self.labels or {}).get(COPY_UID, "")


class Condition(msgspec.Struct):
    type: str = ""
    status: str = ""
    reason: str = ""
    message: str = ""


class Round(msgspec.Struct):
    round: int = 0
    succeed: bool = False


class DatasetSpec(msgspec.Struct, rename="camel"):
    data_sync_round: int = 1


class DatasetStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    in_processing: bool = False
    last_succeed_round: int | None = None
    sync_round_statuses: list[Round] | None = None
    conditions: list[Condition] | None = None
    pvc_name: str = ""


class Dataset(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    spec: DatasetSpec = msgspec.field(default_factory=DatasetSpec)
    status: DatasetStatus = msgspec.field(default_factory=DatasetStatus)


class JobStatus(msgspec.Struct):
    active: int = 0
    conditions: list[Condition] | None = None


class Job(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    status: JobStatus = msgspec.field(default_factory=JobStatus)

    def is_(self, type_: str) -> bool:
        return any(each.type == type_ and each.status == "True" for each in self.status.conditions or ())


class ClaimStatus(msgspec.Struct):
    phase: str = ""


class Claim(msgspec.Struct):
    metadata: Meta = msgspec.field(default_factory=Meta)
    status: ClaimStatus = msgspec.field(default_factory=ClaimStatus)


class Waiting(msgspec.Struct):
    reason: str = ""
    message: str = ""


class ContainerState(msgspec.Struct):
    waiting: Waiting | None = None


class ContainerStatus(msgspec.Struct):
    name: str = ""
    state: ContainerState = msgspec.field(default_factory=ContainerState)


class PodStatus(msgspec.Struct, rename="camel"):
    phase: str = ""
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    start_time: str | None = None


class PodMeta(Meta):
    creation_timestamp: str = ""


class Pod(msgspec.Struct):
    metadata: PodMeta = msgspec.field(default_factory=PodMeta)
    status: PodStatus = msgspec.field(default_factory=PodStatus)

    @property
    def job(self) -> str:
        labels = self.metadata.labels or {}
        return next((labels[name] for name in JOB_NAMES if name in labels), "")

    @property
    def container(self) -> str:
        """The one that loads."""
        return next((each.name for each in self.status.container_statuses or ()), "")

    @property
    def wrote(self) -> bool:
        """Whether its log can be read."""
        return self.status.phase in ("Running", "Succeeded", "Failed")

    @property
    def hindrance(self) -> str:
        """Why it does not run, in the cluster's words."""
        for each in self.status.conditions or ():
            if each.type == "PodScheduled" and each.status == "False":
                return each.message
        for status in self.status.container_statuses or ():
            waiting = status.state.waiting
            if waiting is not None and waiting.reason not in ("", "ContainerCreating", "PodInitializing"):
                return f"{waiting.reason}: {waiting.message}"
        return ""


@dataclass(frozen=True)
class Seen:
    """What one look found of one copy."""

    dataset: Dataset | None = None
    jobs: tuple[Job, ...] = ()
    claim: Claim | None = None

    @property
    def is_empty(self) -> bool:
        return self.dataset is None and not self.jobs and self.claim is None

    def job(self, name: str) -> Job | None:
        return next((each for each in self.jobs if each.metadata.name == name), None)


@dataclass
class Found:
    """What the lists of one look hold, by the copy's uid; pods by namespace and Job."""

    datasets: dict[str, Dataset] = field(default_factory=dict)
    jobs: dict[str, list[Job]] = field(default_factory=lambda: defaultdict(list))
    claims: dict[str, Claim] = field(default_factory=dict)
    pods: dict[tuple[str, str], Pod] = field(default_factory=dict)

    def of(self, uid: str) -> Seen:
        return Seen(self.datasets.get(uid), tuple(self.jobs.get(uid, ())), self.claims.get(uid))
