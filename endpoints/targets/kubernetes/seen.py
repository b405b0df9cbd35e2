"""The parts of Kubernetes objects that a look needs; all else of an answer is skipped while it is decoded."""

from __future__ import annotations

from datetime import datetime

import msgspec


class Struct(msgspec.Struct, rename="camel", frozen=True):
    """Fields as in the API, in camel case there; null and missing are alike."""


class Meta(Struct, frozen=True):
    name: str = ""
    namespace: str = ""
    uid: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    deletion_timestamp: datetime | None = None

    def label(self, name: str) -> str:
        return (self.labels or {}).get(name, "")

    def annotation(self, name: str) -> str:
        return (self.annotations or {}).get(name, "")


class Anything(Struct, frozen=True):
    """Any object, by its metadata."""

    metadata: Meta = Meta()


class Condition(Struct, frozen=True):
    type: str = ""
    status: str = ""
    reason: str | None = ""
    message: str | None = ""
    last_transition_time: datetime | None = None


class Waiting(Struct, frozen=True):
    reason: str = ""
    message: str = ""


class Running(Struct, frozen=True):
    started_at: datetime | None = None


class Terminated(Struct, frozen=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""
    finished_at: datetime | None = None


class ContainerState(Struct, frozen=True):
    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(Struct, frozen=True):
    name: str = ""
    ready: bool = False
    started: bool | None = None
    restart_count: int = 0
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(Struct, frozen=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: list[Condition] | None = None
    container_statuses: list[ContainerStatus] | None = None
    init_container_statuses: list[ContainerStatus] | None = None

    @property
    def preparing(self) -> ContainerStatus | None:
        """The container that prepares the pod and has not ended well yet."""
        for container in self.init_container_statuses or ():
            ended = container.state.terminated
            if not container.ready and (ended is None or ended.exit_code):
                return container
        return None


class PodSpec(Struct, frozen=True):
    node_name: str = ""


class Pod(Struct, frozen=True):
    metadata: Meta = Meta()
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    def condition(self, type_: str) -> Condition:
        return next((each for each in self.status.conditions or () if each.type == type_), Condition())


class Template(Struct, frozen=True):
    metadata: Meta = Meta()


class RollingUpdate(Struct, frozen=True):
    partition: int | None = 0


class UpdateStrategy(Struct, frozen=True):
    rolling_update: RollingUpdate | None = None


class GroupTemplate(Struct, frozen=True):
    size: int = 1
    leader_template: Template = Template()


class WorkloadSpec(Struct, frozen=True):
    """Of a StatefulSet or a LeaderWorkerSet."""

    replicas: int | None = 1
    template: Template = Template()
    update_strategy: UpdateStrategy = UpdateStrategy()
    leader_worker_template: GroupTemplate | None = None


class Workload(Struct, frozen=True):
    metadata: Meta = Meta()
    spec: WorkloadSpec = WorkloadSpec()

    @property
    def replicas(self) -> int:
        return 1 if self.spec.replicas is None else self.spec.replicas

    @property
    def partition(self) -> int:
        rolling = self.spec.update_strategy.rolling_update
        return (rolling.partition or 0) if rolling is not None else 0

    @property
    def template(self) -> Template:
        group = self.spec.leader_worker_template
        return group.leader_template if group is not None else self.spec.template

    @property
    def size(self) -> int:
        """Pods of one replica."""
        group = self.spec.leader_worker_template
        return group.size if group is not None else 1


class RouteParent(Struct, frozen=True):
    conditions: list[Condition] | None = None


class RouteStatus(Struct, frozen=True):
    parents: list[RouteParent] | None = None


class Route(Struct, frozen=True):
    metadata: Meta = Meta()
    status: RouteStatus = RouteStatus()

    @property
    def why_not(self) -> str:
        """Why the Gateway does not route to it yet; "" where it does."""
        parents = self.status.parents or []
        for parent in parents:
            by_type = {each.type: each for each in parent.conditions or ()}
            bad = [by_type.get(type_, Condition()) for type_ in ("Accepted", "ResolvedRefs")]
            if all(each.status == "True" for each in bad):
                return ""
        first = next((each for parent in parents for each in parent.conditions or () if each.status == "False"), None)
        return (first.message or first.reason or "") if first is not None else "no Gateway has taken the route yet"


class Endpoints(Struct, frozen=True):
    addresses: list[str] = []


class EndpointSlice(Struct, frozen=True):
    endpoints: list[Endpoints] | None = None
