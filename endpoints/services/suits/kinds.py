"""The judgement by kind of place. Pure over what was read."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from django.utils.translation import gettext as _

from clusters.instances import InstanceType, fitting, hourly_cost, instance_type
from clusters.models import AwsPlace, Cluster
from clusters.placement import Choice, Need, NodeRoom, rank, refusal, replicas_on
from clusters.states import ClusterKind
from endpoints.planning.facts import NodeView
from endpoints.planning.memory import MemorySum, cpu_sum, gpu_sum
from endpoints.planning.preflight import hindrance, memory_check, pods_on
from endpoints.planning.storage import gib
from endpoints.targets.base import ModelFacts, RevisionSpec
from models_catalog.choices import ON_HOSTS, ArtifactKind
from models_catalog.models import Profile
from models_catalog.sizing import Shape

from .values import Barrier, Suit

REASONS, INSTANCES = 3, 12
TYPE_LABEL = "node.kubernetes.io/instance-type"


def _on_a_host_only() -> str:
    return _("The weights lie in a folder of a host, which only an agent there can load.")


def _facts(profile: Profile) -> ModelFacts:
    model = profile.model
    return ModelFacts(Shape.of(model.shape), model.context_tokens or 0, model.gated)


def on_hosts(nodes: Sequence[NodeRoom], revision: RevisionSpec, suit: Suit) -> Suit:
    if revision.artifact_kind not in ON_HOSTS:
        return replace(suit, replicas=0, barrier=Barrier.WEIGHTS, why_not=_("An agent can't load weights of this kind."))
    needed = revision.resources
    need = Need(needed.cpu_millis, needed.memory_bytes, needed.gpus, needed.gpu_memory_bytes, (), revision.release)
    devices = [device for node in nodes for device in node.devices]
    choices = rank(nodes, need)
    memory = _on_a_device(choices[0] if choices else None, nodes, revision, _facts(suit.profile))
    count = sum(replicas_on(choice.node, need) for choice in choices)
    has = _gpus_free(sum(node.devices_free for node in nodes if node.ready), len(devices)) if needed.gpus else _(
        "%(memory)s of memory free") % {"memory": gib(sum(max(node.memory_free, 0) for node in nodes if node.ready))}
    found = replace(suit, replicas=count, has=has, memory=memory)
    too_small = needed.gpus > 0 and memory is not None and not memory.fits
    if count and not too_small:
        return found
    if not nodes:
        return replace(found, why_not=refusal(nodes, need))
    if not any(need.release in node.releases for node in nodes):
        return replace(found, replicas=0, barrier=Barrier.ENGINE, why_not=_(
            "No host there has the engine %(release)s installed.") % {"release": need.release})
    return _refused(found, refusal(nodes, need), bool(devices), any(_could_take(node, need) for node in nodes))


def _refused(suit: Suit, no_room: str, has_gpus: bool, could: bool) -> Suit:
    """Why it has no room: for want of any GPU, of memory, or only now, since others are there (`could`)."""
    memory, needs_gpus = suit.memory, suit.profile.gpus > 0
    if needs_gpus and not has_gpus:
        return replace(suit, barrier=Barrier.GPU, has="", why_not=_("The profile wants a GPU, and there is none."))
    if needs_gpus and memory is not None and not memory.fits:
        return replace(suit, replicas=0, why_not=_too_small(memory))
    return replace(suit, why_not=no_room, is_full=could)


def _could_take(node: NodeRoom, need: Need) -> bool:
    """Whether the node could take a replica if nobody else were there."""
    large = [device for device in node.devices if device.memory_bytes >= need.gpu_memory_bytes]
    return need.release in node.releases and len(large) >= need.gpus


def _on_a_device(
    choice: Choice | None, nodes: Sequence[NodeRoom], revision: RevisionSpec, model: ModelFacts,
) -> MemorySum | None:
    """The sum where the replica would go now, else on the largest device (or in the largest machine) there is."""
    needed = revision.resources
    if not needed.gpus:
        node = choice.node if choice else max(nodes, key=lambda node: node.memory_free, default=None)
        return cpu_sum(revision, model, node.name, max(node.memory_free, needed.memory_bytes)) if node else None
    device = choice.devices[0] if choice else max(
        (device for node in nodes for device in node.devices), key=lambda device: device.memory_bytes, default=None)
    if device is None:
        return None
    return gpu_sum(revision, model, device.model, device.memory_bytes, device.memory_bytes - device.free_bytes,
                   in_part=True)


def _too_small(memory: MemorySum) -> str:
    return _("It does not fit: %(device)s lacks %(short)s of the %(needed)s that are needed.") % {
        "device": memory.device or _("the largest GPU here"), "short": gib(memory.short), "needed": gib(memory.needed)}


def _gpus_free(free: int, there: int) -> str:
    return _("%(free)d of %(all)d GPUs free") % {"free": free, "all": there}


def in_cluster(place: Cluster, nodes: Sequence[NodeView], revision: RevisionSpec, suit: Suit) -> Suit:
    """A cluster with a Kubernetes API. Of a JumpStart model only AWS knows what it needs."""
    types, per_hour = _machines(place, nodes, revision) if place.kind == ClusterKind.HYPERPOD else ((), None)
    suit = replace(suit, instances=types, per_hour=per_hour)
    if revision.artifact_kind == ArtifactKind.JUMPSTART:
        return suit
    if revision.artifact_kind == ArtifactKind.LOCAL_PATH:
        return replace(suit, replicas=0, barrier=Barrier.WEIGHTS, why_not=_on_a_host_only())
    if not revision.image or "{" in revision.image:
        return replace(suit, replicas=0, barrier=Barrier.IMAGE, why_not=_(
            "Engine release %(release)s has no container image.") % {"release": revision.release})
    if not nodes:
        return suit
    reasons = {node.name: hindrance(revision, node) for node in nodes}
    pods = sum(pods_on(revision, node) for node in nodes if not reasons[node.name])
    has = _gpus_free(sum(max(node.gpus_free, 0) for node in nodes), sum(node.gpus for node in nodes)) if (
        revision.resources.gpus) else _("%(memory)s of memory free") % {
            "memory": gib(sum(max(node.memory_free, 0) for node in nodes if node.ready))}
    memory = _on_a_node([node for node in nodes if not reasons[node.name]] or nodes, revision, _facts(suit.profile))
    count, too_small = pods // revision.resources.nodes, revision.resources.gpus > 0 and memory is not None and not memory.fits
    found = replace(suit, replicas=count, has=has, memory=memory)
    if count and not too_small:
        return found
    could = any(node.gpus >= revision.resources.gpus and not node.simulated for node in nodes)
    return _refused(found, _no_room(reasons), any(node.gpus for node in nodes), could)


def _on_a_node(nodes: Sequence[NodeView], revision: RevisionSpec, model: ModelFacts) -> MemorySum | None:
    """The sum on the largest GPU, or in the machine with the most memory."""
    if not revision.resources.gpus:
        node = max(nodes, key=lambda node: node.memory_free)
        return cpu_sum(revision, model, node.name, max(node.memory_free, revision.resources.memory_bytes))
    node = max(nodes, key=lambda node: node.gpu_memory)
    return gpu_sum(revision, model, node.gpu_model, node.gpu_memory)


def _no_room(reasons: Mapping[str, Callable[[], str] | None]) -> str:
    """Of nodes none of which has room."""
    named = "; ".join(f"{name}: {words() if words else ''}" for name, words in list(reasons.items())[:REASONS])
    return _("No node can take a pod now. %(reasons)s.") % {"reasons": named}


def _machines(
    place: Cluster, nodes: Sequence[NodeView], revision: RevisionSpec,
) -> tuple[tuple[str, ...], Decimal | None]:
    """The cluster's types of machines that hold a replica, the cheapest first, and what it takes of one for an hour."""
    side: AwsPlace | None = getattr(place, "aws", None)
    groups = side.instance_groups if side is not None else []
    names = {name.strip() for group in groups for name in str(group.get("InstanceType", "")).split(",")}
    names |= {node.labels.get(TYPE_LABEL, "") for node in nodes}
    need = revision.resources
    known = [found for name in sorted(names - {""}) if (found := instance_type(name)) and found.gpus >= need.gpus
             and found.memory_bytes >= need.memory_bytes]
    costs = {found.name: part_of(found, side.region if side else "", need.gpus * need.nodes) for found in known}
    known.sort(key=lambda found: (costs[found.name] is None, costs[found.name] or 0, found.name))
    ordered = tuple(found.name for found in known)
    return ordered, costs[ordered[0]] if ordered else None


def part_of(found: InstanceType, region: str, gpus: int) -> Decimal | None:
    whole = hourly_cost(found.name, region, 1)
    return whole.per_hour * gpus / found.gpus if whole is not None and gpus and found.gpus else None


def on_sagemaker(place: Cluster, revision: RevisionSpec, suit: Suit) -> Suit:
    """On types with what the profile asks for; SageMaker takes each whole, and only its quota bounds how many."""
    side: AwsPlace | None = getattr(place, "aws", None)
    region, need = side.region if side else "", revision.resources
    if revision.artifact_kind == ArtifactKind.LOCAL_PATH:
        return replace(suit, replicas=0, barrier=Barrier.WEIGHTS, why_not=_on_a_host_only())
    if ".dkr.ecr." not in revision.image:
        return replace(suit, replicas=0, barrier=Barrier.IMAGE, why_not=_(
            "SageMaker takes images of Amazon ECR only, and release %(release)s has none.") % {"release": revision.release})
    facts = _facts(suit.profile)
    found = [kind for kind in fitting(need.gpus, need.gpu_memory_bytes, region=region, memory_bytes=need.memory_bytes)
             if _holds(revision, facts, kind)][:INSTANCES]
    if not found:
        return replace(suit, replicas=0, why_not=_("No instance type holds it."))
    cost, first = hourly_cost(found[0].name, region, 1), found[0]
    memory = gpu_sum(revision, facts, first.accelerator, first.gpu_memory_bytes) if need.gpus else cpu_sum(
        revision, facts, first.name, first.memory_bytes)
    return replace(suit, instances=tuple(kind.name for kind in found), per_hour=cost.per_hour if cost else None, memory=memory,
                   has=_("%(type)s and larger") % {"type": first.name})


def _holds(revision: RevisionSpec, facts: ModelFacts, kind: InstanceType) -> bool:
    memory = memory_check(revision, facts, {(kind.gpu_memory_bytes, kind.name)}) if kind.gpus else None
    return memory is None or memory.ok is not False
