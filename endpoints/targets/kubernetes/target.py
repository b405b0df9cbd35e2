"""A Kubernetes cluster as a place. The files beside this one do the work; here the errors of the API become ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any
from uuid import UUID

from django.utils.functional import cached_property

from clusters.drivers.kube import Kube, kube_for
from clusters.drivers.kube_errors import KubeError
from clusters.models import Cluster
from clusters.namespace_objects import namespace_objects
from clusters.services.namespaces import NameTaken, ensure_namespace, forget_namespace
from endpoints.explaining import Evidence
from endpoints.planning.paths import with_accepted
from endpoints.planning.preflight import preflight
from endpoints.states import Cause
from endpoints.targets.base import LOG_LINES, Check, FieldChange, ModelFacts, Observation, Plan, Spec, TargetError
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.models import Workspace

from . import steps
from .bundle import Bundle, kinds_of
from .drifting import find_drift, put_back
from .engine import PORT
from .errors import misses_namespace, target_error
from .evidence import Gatherer, pods_of, read_log, replica_of
from .facts import facts_of
from .look import observe
from .pages import pages_of_pods
from .place import PlaceView
from .planned import plan
from .render import render
from .secrets import shown
from .view import place_of


class KubernetesTarget:
    """The target of a cluster. Implements Target, Scales and FindsDrift of endpoints.targets.base."""

    max_replicas = 64

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster

    @cached_property
    def _kube(self) -> Kube:
        return kube_for(self.cluster)

    @cached_property
    def _place(self) -> PlaceView:
        return place_of(self.cluster, self._kube)

    def render(self, spec: Spec) -> list[dict[str, Any]]:
        """For people: no secret's value is in it."""
        with told():
            return shown(self._made(spec))

    def plan(self, spec: Spec) -> Plan:
        with told():
            made = self._made(spec)
            around = [] if spec.origin else namespace_objects(_workspace_of(spec), restricted=True)
            bundle = self._bundle(spec)
            return plan(self._kube, bundle, spec, made, around, stage=partial(steps.as_sent, self._kube, bundle, spec))

    def _bundle(self, spec: Spec) -> Bundle:
        return Bundle(self._kube, kinds_of(self._place), spec)

    def checks(self, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
        with told():
            return preflight(spec, facts_of(self.cluster, self._kube, spec, model))

    def apply(self, spec: Spec) -> None:
        with told():
            self._in_namespace(spec, self._made(spec))

    def _made(self, spec: Spec) -> list[dict[str, Any]]:
        """What the portal keeps there: as rendered, with what people accepted as the new truth."""
        return with_accepted(render(spec, self._place), spec.accepted)

    def _in_namespace(self, spec: Spec, made: list[dict[str, Any]]) -> None:
        """Where an object of the cluster owns the endpoint, its namespace is not ours to make."""
        if spec.origin is not None:
            steps.apply(self._kube, self._place, spec, made)
            return
        workspace = _workspace_of(spec)
        try:
            # Every engine of ours runs without root, so the namespace may insist on it.
            ensure_namespace(self._kube, self.cluster, workspace, restricted=True)
            steps.apply(self._kube, self._place, spec, made)
        except NameTaken as error:
            raise TargetError(Cause.NAME_TAKEN, str(error), permanent=True) from error
        except KubeError as error:
            if misses_namespace(error):
                forget_namespace(self.cluster, workspace)
            raise

    def find_drift(self, specs: Iterable[Spec]) -> dict[UUID, tuple[FieldChange, ...]]:
        with told():
            return find_drift(self._kube, kinds_of(self._place), specs, self._made)

    def put_back(self, spec: Spec, changes: Iterable[FieldChange]) -> None:
        with told():
            stage = partial(steps.as_sent, self._kube, self._bundle(spec), spec)
            put_back(self._kube, spec, self._made(spec), changes, stage)

    def observe(self, uids: Collection[UUID] | None = None) -> dict[UUID, Observation]:
        with told():
            return observe(self._kube, self._place, uids)

    def remove(self, spec: Spec) -> None:
        with told():
            steps.remove(self._kube, self._place, spec)

    def logs(self, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
        with told():
            pods = map(replica_of, pods_of(self._kube, spec))
            return read_log(self._kube, spec, pods, replica=replica, previous=previous, lines=lines)

    def evidence(self, spec: Spec, *, deep: bool = True) -> Evidence:
        with told():
            return Gatherer(self._kube, self.cluster, spec).gather(deep=deep, routed=bool(self._place.gateway))

    def engine_pages(self, spec: Spec) -> list[str]:
        with told():
            return pages_of_pods(self._kube, spec, (pod.metadata.name for pod in pods_of(self._kube, spec)), PORT)


def _workspace_of(spec: Spec) -> Workspace:
    return Workspace.objects.get(slug=spec.workspace)


@contextmanager
def told() -> Iterator[None]:
    """Turn what the cluster answers into the error of targets."""
    try:
        yield
    except KubeError as error:
        raise target_error(error) from error
    except SecretUnreadable as error:
        raise TargetError(Cause.AUTH, str(error), of_the_place=True) from error
