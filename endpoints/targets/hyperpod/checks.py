"""What would stop a deployment to HyperPod, found before any object is made."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from django.utils.translation import gettext as _

from clusters.drivers.kube import Kube
from clusters.hyperpod import why_not_deployable
from clusters.instances import instance_type
from clusters.models import Cluster
from endpoints.planning.facts import Facts
from endpoints.planning.preflight import SHARED, ranked
from endpoints.targets.base import Check, ModelFacts, Spec
from endpoints.targets.kubernetes.facts import facts_of
from models_catalog.choices import ArtifactKind

from .cost import cost_checks
from .names import BY_CLUSTER, BY_LOAD_BALANCER, entrance_of, is_routed, selector_of
from .place import HyperPodPlace

TYPE_LABEL = "node.kubernetes.io/instance-type"
# Of a JumpStart model only AWS knows the image and what it needs.
NOT_OF_JUMPSTART = frozenset({"image", "login", "token", "memory", "room", "simulated"})


def checks_of(cluster: Cluster, kube: Kube, place: HyperPodPlace, spec: Spec, model: ModelFacts) -> tuple[Check, ...]:
    """The red ones first; what is known of the cluster is asked for here."""
    return checks_with(spec, place, facts_of(cluster, kube, spec, model, selector_of(spec.object_name)))


def checks_with(spec: Spec, place: HyperPodPlace, facts: Facts) -> tuple[Check, ...]:
    """The same by what is known. Pure."""
    types = types_of(spec)
    # The disk of a machine does not count: the operator mounts the weights, or has a volume for them.
    nodes = tuple(replace(node, disk=0) for node in facts.nodes if not types or node.labels.get(TYPE_LABEL) in types)
    shared = [check for rule in SHARED if (check := rule(spec, replace(facts, nodes=nodes))) is not None]
    if spec.wanted.artifact_kind == ArtifactKind.JUMPSTART:
        shared = [check for check in shared if check.name not in NOT_OF_JUMPSTART]
    return ranked([*(check for rule in RULES for check in rule(spec, place, facts)), *shared])


def types_of(spec: Spec) -> list[str]:
    """The types of machines that it may run on; none where an affinity of the options chooses."""
    options = spec.wanted.options
    server = (options.get("server") or {}).get("instanceType")
    return [*filter(None, [options.get("instanceType"), server]), *(options.get("instanceTypes") or ())]


def _state(_spec: Spec, place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    if not place.account:
        yield Check("aws", None, _("The place has no AWS account, so the portal can't see whether AWS changes the cluster."))
        return
    why = why_not_deployable(place.state, place.state_message)
    yield Check("aws", not why, why or _("AWS says that the cluster is in service."))


def _types(spec: Spec, place: HyperPodPlace, facts: Facts) -> Iterator[Check]:
    wanted = types_of(spec)
    groups = {name.strip(): group for group in place.groups for name in str(group.get("InstanceType", "")).split(",")}
    there = {name for name, group in groups.items() if group.get("CurrentCount") or group.get("TargetCount")}
    there |= {node.labels.get(TYPE_LABEL, "") for node in facts.nodes}
    if not wanted or not (groups or facts.nodes):
        return
    words = {"types": ", ".join(wanted), "there": ", ".join(sorted(there - {""})) or "–"}
    if not there.intersection(wanted):
        yield Check("instances", False, _("The cluster has no machine of type %(types)s; it has %(there)s.") % words)
    elif missing := [name for name in wanted if name not in there]:
        yield Check("instances", None, _("The cluster has no machine of type %(types)s.") % {"types": ", ".join(missing)})
    else:
        yield Check("instances", True, _("The cluster has machines of type %(types)s.") % words)


def _pods(spec: Spec, _place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    """A warning only: the cluster may have fewer add-ons than HyperPod brings."""
    for name in types_of(spec):
        known = instance_type(name)
        if known is not None and known.too_small_for_hyperpod:
            yield Check("pods", None, _("%(type)s holds about %(pods)d pods, and HyperPod's own add-ons need most of them: a "
                                        "larger type is safer.") % {"type": name, "pods": known.pods})


def _cost(spec: Spec, place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    return cost_checks(spec, place, types_of(spec))


def _scaler(spec: Spec, _place: HyperPodPlace, facts: Facts) -> Iterator[Check]:
    if spec.autoscale is None:
        return
    if "keda" in facts.capabilities:
        yield Check("controllers", True, _("%(what)s is there.") % {"what": "KEDA"})
    else:
        yield Check("controllers", False, _("The cluster lacks %(what)s. Install it, or do without.") % {"what": "KEDA"})


def _tiers(spec: Spec, place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    cache = spec.wanted.options.get("kvCacheSpec") or {}
    backend = str((cache.get("l2CacheSpec") or {}).get("l2CacheBackend", "")).lower()
    if not cache.get("enableL2Cache") or backend != "tieredstorage":
        return
    if place.tiered_storage:
        yield Check("cache", True, _("The cluster has tiered storage for the second level of the KV cache."))
    else:
        yield Check("cache", False, _("The second level of the KV cache wants tiered storage, and the cluster was made without "
                                      "it: update the cluster, or use Redis."))


def _entrance(spec: Spec, _place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    way = entrance_of(spec.wanted.options)
    if way == BY_LOAD_BALANCER:
        yield Check("entrance", None, _("The load balancer is inside the cluster's network. Whether the portal reaches it "
                                        "shows when it is there: until then the endpoint takes no calls."))
    if way == BY_CLUSTER and is_routed(spec.wanted.options):
        yield Check("entrance", None, _("Calls of the portal go to the pods past the router, so that its strategy has no "
                                        "effect on them: choose the load balancer as the entrance."))


def _account(spec: Spec, _place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    chosen = (spec.wanted.options.get("kubernetes") or {}).get("serviceAccountName")
    if chosen and spec.wanted.registry_password:
        yield Check("account", None, _("The pods run under the service account %(name)s of the options, so that the login of "
                                       "the image's registry is not used: give it to that account.") % {"name": chosen})


def _tolerations(spec: Spec, _place: HyperPodPlace, _facts: Facts) -> Iterator[Check]:
    where = spec.wanted.placement
    if where.tolerations or where.priority_class or where.runtime_class:
        yield Check("placement", None, _("The inference operator takes no tolerations, priority class or runtime class from "
                                         "the profile: they have no effect here."))


RULES: tuple[Callable[[Spec, HyperPodPlace, Facts], Iterator[Check]], ...] = (
    _state, _types, _pods, _cost, _scaler, _tiers, _entrance, _account, _tolerations,
)
