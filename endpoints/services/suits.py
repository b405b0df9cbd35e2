"""How a model suits each place, by what the portal knows already: no place is asked, so a page may show all of them.

What a place itself says comes with the plan (`plan`), for the one that was chosen.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from statistics import median

from django.utils.translation import gettext as _

from clusters import hyperpod
from clusters.drivers import hosts
from clusters.instances import InstanceType, fitting, hourly_cost, instance_type, price_book
from clusters.models import AwsPlace, Cluster, KubernetesAccess, Node
from clusters.placement import Need, NodeRoom, refusal, replicas_on
from clusters.states import AWS_KINDS, KUBERNETES_KINDS, ClusterKind, Reach
from endpoints.models import Endpoint, Revision
from endpoints.planning.facts import NodeView
from endpoints.planning.nodes import node_view
from endpoints.planning.preflight import memory_check, pods_on, why_not
from endpoints.planning.storage import gib
from endpoints.targets.base import ModelFacts, RevisionSpec, TargetError
from models_catalog.choices import ON_HOSTS, ArtifactKind
from models_catalog.models import CatalogModel, Profile
from models_catalog.services import revision_spec
from models_catalog.sizing import Shape
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

from .quota import Standing, standings
from .specs import revision_view

STARTS_READ, STARTS_COUNTED, REASONS, INSTANCES = 300, 5, 3, 12
TYPE_LABEL = "node.kubernetes.io/instance-type"
LOST = (Reach.AUTH_FAILED, Reach.TLS_FAILED, Reach.UNREACHABLE)


@dataclass(frozen=True)
class Start:
    """How long a start takes, in seconds: the median of the last ones there, or at most what the profile allows."""

    seconds: int
    is_measured: bool


@dataclass(frozen=True)
class Suit:
    """How one profile suits a place. `replicas` have room now, None where nobody knows; `why_not` is empty where it fits.

    `instances` are the types to choose from in AWS, the cheapest first; `per_hour` is what a replica costs on the first.
    """

    profile: Profile
    replicas: int | None
    why_not: str
    start: Start
    has: str = ""
    instances: tuple[str, ...] = ()
    per_hour: Decimal | None = None

    @property
    def fits(self) -> bool:
        return not self.why_not


@dataclass(frozen=True)
class PlaceSuits:
    """A place with the profiles of a model that are made for it, the best first; `why_not` where nothing can go there."""

    cluster: Cluster
    suits: tuple[Suit, ...]
    why_not: str = ""

    @property
    def best(self) -> Suit | None:
        return next(iter(self.suits), None)

    @property
    def fits(self) -> bool:
        return not self.why_not and self.best is not None and self.best.fits

    @property
    def reason(self) -> str:
        """Why not, in a sentence."""
        return self.why_not or (self.best.why_not if self.best else _("No profile of this model is made for such places."))

    def of(self, slug: str) -> Suit | None:
        return next((suit for suit in self.suits if suit.profile.slug == slug), None)


def suits(workspace: Workspace, model: CatalogModel, places: Collection[Cluster] | None = None) -> list[PlaceSuits]:
    """Every place that the workspace may use (or of `places`), the best one first: ten queries, however many there are."""
    own = Workspace.objects.filter(pk=workspace.pk)
    if places is None:
        places = list(Cluster.objects.for_workspaces(own).select_related("aws", "access").order_by("name"))
    profiles = list(Profile.objects.for_workspaces(own).filter(model=model).select_related("release", "artifact", "model"))
    known = _Known(places, starts_of(model))
    found = [_of_place(known, place, profiles) for place in places]
    return sorted(found, key=_rank)


def _rank(place: PlaceSuits) -> tuple[bool, Decimal, int, str]:
    best = place.best
    if best is None:
        return True, Decimal(0), 0, place.cluster.name
    return not place.fits, best.per_hour or Decimal(0), best.start.seconds, place.cluster.name


def starts_of(model: CatalogModel) -> Mapping[tuple[int, int], int]:
    """By place and profile, how many seconds the last starts of this model took in the middle."""
    rows = Revision.objects.filter(profile__model=model, served_at__isnull=False, number=1).order_by("-pk").values_list(
        "endpoint__cluster_id", "profile_id", "created_at", "served_at")[:STARTS_READ]
    took: dict[tuple[int, int], list[float]] = defaultdict(list)
    for cluster, profile, made, served in rows:
        if len(took[cluster, profile]) < STARTS_COUNTED:
            took[cluster, profile].append((served - made).total_seconds())
    return {subject: max(1, round(median(times))) for subject, times in took.items()}


def limits_for(actor: Actor, workspace: Workspace, profile: Profile, public_name: str) -> list[Standing]:
    """Where each limit on the chain would stand with one replica of the profile. Nothing where nothing is limited."""
    endpoint = Endpoint(workspace=workspace, public_name=public_name, created_by=actor.user, created_by_key=actor.key)
    endpoint.wanted = Revision(profile=profile, spec={"resources": {"gpus": profile.gpus, "nodes": profile.nodes}})
    return list(standings(endpoint))


class _Known:
    """What the portal knows of some places, read once for all of them."""

    def __init__(self, places: Iterable[Cluster], starts: Mapping[tuple[int, int], int]) -> None:
        kinds: dict[bool, list[Cluster]] = {True: [], False: []}
        for place in places:
            if place.kind in KUBERNETES_KINDS or place.kind == ClusterKind.HOSTS:
                kinds[place.kind == ClusterKind.HOSTS].append(place)
        self.starts = starts
        self.rooms = hosts.rooms(kinds[True])
        self.nodes: dict[int, list[NodeView]] = defaultdict(list)
        if kinds[False]:
            for node in Node.objects.filter(cluster__in=kinds[False]).prefetch_related("accelerators").order_by("name"):
                self.nodes[node.cluster_id].append(node_view(node))

    def start(self, place: Cluster, profile: Profile) -> Start:
        seconds = self.starts.get((place.pk, profile.pk))
        return Start(profile.start_seconds, False) if seconds is None else Start(seconds, True)


def _of_place(known: _Known, place: Cluster, profiles: Sequence[Profile]) -> PlaceSuits:
    made_for = [profile for profile in profiles if not profile.places or place.kind in profile.places]
    found = [_suit(known, place, profile) for profile in made_for]
    found.sort(key=lambda suit: (not suit.fits, suit.profile.gpus == 0, suit.profile.gpus * suit.profile.nodes,
                                 suit.per_hour or Decimal(0), suit.profile.slug))
    return PlaceSuits(place, tuple(found), _closed(place))


def _closed(place: Cluster) -> str:
    """Why nothing new may go there at all, or ""."""
    if place.paused:
        return _("It takes nothing new at the moment.")
    access: KubernetesAccess | None = getattr(place, "access", None)
    if access is not None and access.reach in LOST:
        return _("It can't be reached: %(why)s") % {"why": access.message or access.get_reach_display()}
    side: AwsPlace | None = getattr(place, "aws", None)
    return hyperpod.why_not_deployable(side.status, side.status_message) if (
        side is not None and place.kind == ClusterKind.HYPERPOD) else ""


def _suit(known: _Known, place: Cluster, profile: Profile) -> Suit:
    start = known.start(place, profile)
    try:
        revision = revision_view(Revision(number=1, profile=profile, spec=revision_spec(profile)))
    except (Invalid, TargetError) as error:
        return Suit(profile, 0, error.message, start)
    found = Suit(profile, None, "", start)
    if place.kind == ClusterKind.HOSTS:
        return _on_hosts(known.rooms[place.pk], revision, found)
    if place.kind == ClusterKind.SAGEMAKER:
        return _on_sagemaker(place, revision, found)
    return _in_cluster(place, known.nodes[place.pk], revision, found)


def _facts(profile: Profile) -> ModelFacts:
    model = profile.model
    return ModelFacts(Shape.of(model.shape), model.context_tokens or 0, model.gated)


def _on_hosts(nodes: Sequence[NodeRoom], revision: RevisionSpec, suit: Suit) -> Suit:
    if revision.artifact_kind not in ON_HOSTS:
        return replace(suit, replicas=0, why_not=_("An agent can't load weights of this kind."))
    needed = revision.resources
    need = Need(needed.cpu_millis, needed.memory_bytes, needed.gpus, needed.gpu_memory_bytes, (), revision.release)
    devices = [device for node in nodes for device in node.devices]
    memory = memory_check(revision, _facts(suit.profile), {(device.memory_bytes, "") for device in devices})
    count = sum(replicas_on(node, need) for node in nodes)
    has = _gpus_free(sum(node.devices_free for node in nodes if node.ready), len(devices)) if needed.gpus else _(
        "%(memory)s of memory free") % {"memory": gib(sum(max(node.memory_free, 0) for node in nodes if node.ready))}
    reason = memory.sentence if memory is not None and memory.ok is False else "" if count else refusal(nodes, need)
    return replace(suit, replicas=count, why_not=reason, has=has)


def _gpus_free(free: int, there: int) -> str:
    return _("%(free)d of %(all)d GPUs free") % {"free": free, "all": there}


def _in_cluster(place: Cluster, nodes: Sequence[NodeView], revision: RevisionSpec, suit: Suit) -> Suit:
    """A cluster with a Kubernetes API. Of a JumpStart model only AWS knows what it needs."""
    types, per_hour = _machines(place, nodes, revision) if place.kind == ClusterKind.HYPERPOD else ((), None)
    suit = replace(suit, instances=types, per_hour=per_hour)
    if revision.artifact_kind == ArtifactKind.JUMPSTART:
        return suit
    if not revision.image or "{" in revision.image:
        return replace(suit, replicas=0, why_not=_("Engine release %(release)s has no container image.") % {
            "release": revision.release})
    if not nodes:
        return suit
    gpus = {(node.gpu_memory, node.gpu_model) for node in nodes if node.gpus and node.gpu_memory}
    memory = memory_check(revision, _facts(suit.profile), gpus)
    reasons = {node.name: why_not(revision, node) for node in nodes}
    pods = sum(pods_on(revision, node) for node in nodes if not reasons[node.name])
    has = _gpus_free(sum(max(node.gpus_free, 0) for node in nodes), sum(node.gpus for node in nodes)) if (
        revision.resources.gpus) else _("%(memory)s of memory free") % {
            "memory": gib(sum(max(node.memory_free, 0) for node in nodes if node.ready))}
    reason = memory.sentence if memory is not None and memory.ok is False else "" if pods else _no_room(reasons)
    return replace(suit, replicas=pods // revision.resources.nodes, why_not=reason, has=has)


def _no_room(reasons: Mapping[str, str]) -> str:
    named = "; ".join(f"{name}: {reason}" for name, reason in list(reasons.items())[:REASONS])
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
    costs = {found.name: _part(found, side.region if side else "", need.gpus * need.nodes) for found in known}
    known.sort(key=lambda found: (costs[found.name] is None, costs[found.name] or 0, found.name))
    ordered = tuple(found.name for found in known)
    return ordered, costs[ordered[0]] if ordered else None


def _part(found: InstanceType, region: str, gpus: int) -> Decimal | None:
    whole = hourly_cost(found.name, region, 1)
    return whole.per_hour * gpus / found.gpus if whole is not None and gpus and found.gpus else None


def _on_sagemaker(place: Cluster, revision: RevisionSpec, suit: Suit) -> Suit:
    """On types with what the profile asks for; SageMaker takes each whole, and only its quota bounds how many."""
    side: AwsPlace | None = getattr(place, "aws", None)
    region, need = side.region if side else "", revision.resources
    if ".dkr.ecr." not in revision.image:
        return replace(suit, replicas=0, why_not=_("SageMaker takes images of Amazon ECR only, and release %(release)s has "
                                                   "none.") % {"release": revision.release})
    facts = _facts(suit.profile)
    found = [kind for kind in fitting(need.gpus, need.gpu_memory_bytes, region=region, memory_bytes=need.memory_bytes)
             if _holds(revision, facts, kind)][:INSTANCES]
    if not found:
        return replace(suit, replicas=0, why_not=_("No instance type holds it."))
    cost = hourly_cost(found[0].name, region, 1)
    return replace(suit, instances=tuple(kind.name for kind in found), per_hour=cost.per_hour if cost else None,
                   has=_("%(type)s and larger") % {"type": found[0].name})


def _holds(revision: RevisionSpec, facts: ModelFacts, kind: InstanceType) -> bool:
    memory = memory_check(revision, facts, {(kind.gpu_memory_bytes, kind.name)}) if kind.gpus else None
    return memory is None or memory.ok is not False


def cost_of(place: Cluster, suit: Suit, instance: str, replicas: int) -> Decimal | None:
    """What so many replicas cost in an hour, on this type of machine where one was chosen; None without a price."""
    side: AwsPlace | None = getattr(place, "aws", None)
    if place.kind not in AWS_KINDS or side is None:
        return None
    each = suit.per_hour
    found = instance_type(instance) if instance else None
    if found is not None and place.kind == ClusterKind.SAGEMAKER:
        whole = hourly_cost(found.name, side.region, 1)
        each = whole.per_hour if whole else None
    elif found is not None:
        each = _part(found, side.region, suit.profile.gpus * suit.profile.nodes)
    return None if each is None else each * replicas


def currency() -> str:
    """In which costs are."""
    return price_book().currency
