"""Where the portal's gateway calls an endpoint: by the cluster's API server, by the load balancer, or by SageMaker."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from urllib.parse import quote
from uuid import UUID

from django.utils.translation import gettext as _

from clusters.namespaces import ENDPOINT_UID, REVISION
from endpoints.targets.base import ReplicaSeen, engine_key
from endpoints.targets.kubernetes.entrance import KEY, by_service
from endpoints.targets.kubernetes.replicas import number

from .balancer import Balancers
from .names import BY_LOAD_BALANCER, BY_SAGEMAKER, ENTRANCE, calls_name
from .place import HyperPodPlace
from .seen import Config, Service

REGISTERED = frozenset({"CreationCompleted", "UpdateCompleted", "UpdateInProgress", "UpdateFailed"})


class Closed(Exception):
    """It can't be called by the way that was chosen; the text says why."""


class Doors:
    """The ways in of one place. `balancers` knows which load balancers answer; `services` are those of the operator, by
    namespace and object: calls by them pass its sidecar, which limits and counts them, and ours go to the engine itself."""

    def __init__(self, place: HyperPodPlace, balancers: Balancers) -> None:
        self._place = place
        self._balancers = balancers
        self.services: Mapping[tuple[str, str], Service] = {}

    def entrance(self, config: Config) -> ReplicaSeen:
        """Raises Closed."""
        revision = number(config.metadata.annotation(REVISION))
        seen = ReplicaSeen(key=KEY, index=0, revision=revision, ready=True, phase="Ready")
        way = config.metadata.annotation(ENTRANCE)
        if way == BY_LOAD_BALANCER:
            return self._by_balancer(config, seen)
        if way == BY_SAGEMAKER:
            return self._by_sagemaker(config, seen)
        meta = config.metadata
        theirs = self.services.get((meta.namespace, meta.name))
        name, port = (theirs.metadata.name, theirs.port) if theirs else (calls_name(meta.name), config.port)
        return by_service(self._place.view, seen, meta.namespace, name, str(port))

    def _by_sagemaker(self, config: Config, seen: ReplicaSeen) -> ReplicaSeen:
        if config.registration not in REGISTERED:
            raise Closed(_("SageMaker has no endpoint %(name)s yet (%(state)s).") % {
                "name": config.sagemaker_name, "state": config.registration or "–"})
        place = self._place
        return replace(seen, url=f"sagemaker://{place.account}/{place.region}/{quote(config.sagemaker_name)}")

    def _by_balancer(self, config: Config, seen: ReplicaSeen) -> ReplicaSeen:
        """The engine wants its key there, because others can reach the address too."""
        found = self._balancers.of(config)
        if found.problem:
            raise Closed(found.problem)
        key = engine_key(UUID(config.metadata.label(ENDPOINT_UID)))
        return replace(seen, url=f"https://{found.host}", ca=found.ca, token=key)
