"""A HyperPod cluster as a place. The files beside this one do the work; here the errors of the API become ours."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
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
from endpoints.states import Cause
from endpoints.targets.base import LOG_LINES, Check, FieldChange, ModelFacts, Observation, Plan, Spec, TargetError
from endpoints.targets.kubernetes.bundle import Bundle, key_of
from endpoints.targets.kubernetes.drifting import find_drift, put_back
from endpoints.targets.kubernetes.errors import misses_namespace
from endpoints.targets.kubernetes.evidence import read_log
from endpoints.targets.kubernetes.pages import pages_of_pods
from endpoints.targets.kubernetes.planned import plan
from endpoints.targets.kubernetes.secrets import shown
from endpoints.targets.kubernetes.target import told
from endpoints.targets.measuring import Measured
from models_catalog.images import image_for
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

from . import steps
from .balancer import Balancers
from .checks import checks_of
from .engine import PORTS
from .entrance import Doors
from .evidence import HyperPodGatherer, pods_in
from .look import observe
from .measures import measure
from .names import named_here
from .place import HyperPodPlace, hyperpod_place
from .render import kinds_in, render


class HyperPodTarget:
    """The target of a HyperPod cluster. Implements Target, Scales and FindsDrift of endpoints.targets.base."""

    max_replicas = 64

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        # What a step of this very object has found gone, so that the look after it has nothing to ask.
        self._gone: set[UUID] = set()

    @cached_property
    def _kube(self) -> Kube:
        return kube_for(self.cluster)

    @cached_property
    def _place(self) -> HyperPodPlace:
        return hyperpod_place(self.cluster, self._kube)

    def _here(self, spec: Spec) -> Spec:
        """Under its name on HyperPod, and with the image of the place's region."""
        try:
            image = image_for(spec.wanted.image, self._place.region)
        except Invalid as error:
            raise TargetError(Cause.REFUSED, error.message, permanent=True) from error
        return named_here(replace(spec, wanted=replace(spec.wanted, image=image)))

    def _made(self, spec: Spec) -> list[dict[str, Any]]:
        """What the portal keeps there: as rendered, with what people accepted as the new truth."""
        return with_accepted(render(self._here(spec), self._place), spec.accepted)

    def _bundle(self, spec: Spec) -> Bundle:
        return Bundle(self._kube, kinds_in(self._place), spec)

    def render(self, spec: Spec) -> list[dict[str, Any]]:
        """For people: no secret's value is in it."""
        with told():
            return shown(self._made(spec))

    def plan(self, spec: Spec) -> Plan:
        with told():
            made, here = self._made(spec), self._here(spec)
            bundle = self._bundle(here)
            steps.require_same_shape(here, bundle.live(), {key_of(each) for each in made})
            around = namespace_objects(_workspace_of(spec))
            return plan(self._kube, bundle, here, made, around, stage=partial(steps.staged, here))

    def checks(self, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
        with told():
            return checks_of(self.cluster, self._kube, self._place, self._here(spec), model)

    def apply(self, spec: Spec) -> None:
        self._gone.discard(spec.uid)
        with told():
            made, here, workspace = self._made(spec), self._here(spec), _workspace_of(spec)
            try:
                # The operator's pods are not ours, so the namespace can't insist on engines without root.
                ensure_namespace(self._kube, self.cluster, workspace)
                steps.apply(self._kube, self._place, here, made)
            except NameTaken as error:
                raise TargetError(Cause.NAME_TAKEN, str(error), permanent=True) from error
            except KubeError as error:
                if misses_namespace(error):
                    forget_namespace(self.cluster, workspace)
                raise

    def observe(self, uids: Collection[UUID] | None = None) -> dict[UUID, Observation]:
        if uids is not None and self._gone.issuperset(uids):
            return {}
        with told():
            return observe(self._kube, self._place, self._doors(), uids)

    def remove(self, spec: Spec) -> None:
        with told():
            steps.remove(self._kube, self._place, spec)
        self._gone.add(spec.uid)

    def find_drift(self, specs: Iterable[Spec]) -> dict[UUID, tuple[FieldChange, ...]]:
        with told():
            return find_drift(self._kube, kinds_in(self._place), specs, self._made)

    def put_back(self, spec: Spec, changes: Iterable[FieldChange]) -> None:
        with told():
            here = self._here(spec)
            put_back(self._kube, here, self._made(spec), changes, partial(steps.staged, here))

    def logs(self, spec: Spec, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
        with told():
            here = self._here(spec)
            return read_log(self._kube, here, pods_in(self._kube, here), replica=replica, previous=previous, lines=lines)

    def evidence(self, spec: Spec, *, deep: bool = True) -> Evidence:
        with told():
            return HyperPodGatherer(self._kube, self.cluster, self._here(spec), self._doors()).gather(deep=deep)

    def _doors(self) -> Doors:
        return Doors(self._place, Balancers(self.cluster, self._kube))

    def measure(self, spec: Spec) -> Measured:
        with told():
            return measure(self._kube, self._here(spec))

    def engine_pages(self, spec: Spec) -> list[str]:
        here = self._here(spec)
        with told():
            pods = (pod.name for pod in pods_in(self._kube, here) if pod.ready)
            return pages_of_pods(self._kube, here, pods, PORTS.get(here.wanted.engine, 0))


def _workspace_of(spec: Spec) -> Workspace:
    return Workspace.objects.get(slug=spec.workspace)
