from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from statistics import median

from django.utils.translation import gettext as _

from clusters import hyperpod
from clusters.drivers import hosts
from clusters.instances import hourly_cost, instance_type, price_book
from clusters.models import AwsPlace, Cluster, KubernetesAccess, Node
from clusters.placement import NodeRoom
from clusters.states import AWS_KINDS, KUBERNETES_KINDS, ClusterKind, Reach
from endpoints.models import Endpoint, Revision
from endpoints.planning.facts import NodeView
from endpoints.planning.nodes import node_view
from endpoints.planning.starting import estimated_start
from endpoints.targets.base import RevisionSpec, TargetError
from models_catalog.choices import ArtifactKind
from models_catalog.models import CatalogModel, ModelCopy, Profile
from models_catalog.services import revision_spec
from models_catalog.states import CopyState
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

from ..quota import Standing, standings
from ..specs import revision_view
from .kinds import in_cluster, on_hosts, on_sagemaker, part_of
from .values import Barrier, PlaceSuits, Start, Starts, Suit

STARTS_READ, STARTS_COUNTED = 300, 5
LOST = (Reach.AUTH_FAILED, Reach.TLS_FAILED, Reach.UNREACHABLE)


def suits(workspace: Workspace, model: CatalogModel, places: Collection[Cluster] | None = None) -> list[PlaceSuits]:
    """Every place that the workspace may use (or of `places`), the best one first: eight queries, however many there are."""
    own = Workspace.objects.filter(pk=workspace.pk)
    if places is None:
        places = list(Cluster.objects.for_workspaces(own).select_related("aws", "access").order_by("name"))
    profiles = list(Profile.objects.for_workspaces(own).filter(model=model).select_related("release", "artifact", "model"))
    return sorted(dict(suits_of(places, {model.pk: profiles}, starts_of([model.pk])))[model.pk], key=_rank)


def suits_of(
    places: Collection[Cluster], profiles: Mapping[int, Sequence[Profile]], starts: Starts,
) -> Iterator[tuple[int, list[PlaceSuits]]]:
    """Model after model with its profiles (by the model's key), and every place in the order given.

    Five queries for all of them; who has seen enough stops. The places have come with `aws` and `access`, the profiles with
    `release`, `artifact` and `model`.
    """
    known = _Known(places, starts, (profile.artifact_id for each in profiles.values() for profile in each))
    for key, each in profiles.items():
        yield key, [_of_place(known, place, each) for place in places]


def _rank(place: PlaceSuits) -> tuple[bool, Decimal, int, str]:
    best = place.best
    if best is None:
        return True, Decimal(0), 0, place.cluster.name
    return not place.fits, best.per_hour or Decimal(0), best.start.seconds, place.cluster.name


def starts_of(models: Iterable[int]) -> Starts:
    """By place and profile, how many seconds the last starts of these models (by their keys) took in the middle."""
    first = Revision.objects.filter(profile__model__in=list(models), served_at__isnull=False, number=1).order_by("-pk")
    rows = first.values_list("endpoint__cluster_id", "profile_id", "created_at", "served_at")[:STARTS_READ]
    took: dict[tuple[int, int], list[float]] = defaultdict(list)
    for cluster, profile, made, served in rows:
        if served is not None and len(took[cluster, profile]) < STARTS_COUNTED:
            took[cluster, profile].append((served - made).total_seconds())
    return {subject: max(1, round(median(times))) for subject, times in took.items()}


def limits_for(actor: Actor, workspace: Workspace, profile: Profile, public_name: str) -> list[Standing]:
    """Where each limit on the chain would stand with one replica of the profile. Nothing where nothing is limited."""
    endpoint = Endpoint(workspace=workspace, public_name=public_name, created_by=actor.user, created_by_key=actor.key)
    endpoint.wanted = Revision(profile=profile, spec={"resources": {"gpus": profile.gpus, "nodes": profile.nodes}})
    return list(standings(endpoint))


class _Known:
    """What the portal knows of some places, read once for all of them."""

    def __init__(self, places: Iterable[Cluster], starts: Starts, artifacts: Iterable[int]) -> None:
        places = list(places)
        kinds: dict[bool, list[Cluster]] = {True: [], False: []}
        for place in places:
            if place.kind in KUBERNETES_KINDS or place.kind == ClusterKind.HOSTS:
                kinds[place.kind == ClusterKind.HOSTS].append(place)
        self.starts = starts
        self.copied = set(ModelCopy.objects.filter(
            cluster__in=kinds[False], artifact__in=set(artifacts), state=CopyState.READY).values_list(
                "cluster_id", "artifact_id")) if kinds[False] else set()
        self._revisions: dict[int, RevisionSpec] = {}
        self.rooms: dict[int, list[NodeRoom]] = defaultdict(list)
        self.nodes: dict[int, list[NodeView]] = defaultdict(list)
        if any(kinds.values()):
            self._read_nodes([*kinds[True], *kinds[False]], {place.pk for place in kinds[True]})

    def _read_nodes(self, places: Collection[Cluster], of_hosts: Collection[int]) -> None:
        """Three queries."""
        for node, left in hosts.rooms_of(Node.objects.filter(cluster__in=places).order_by("name")):
            if node.cluster_id in of_hosts:
                self.rooms[node.cluster_id].append(left)
            else:
                self.nodes[node.cluster_id].append(node_view(node))

    def revision(self, profile: Profile) -> RevisionSpec:
        """What a first revision would be. Raises Invalid, TargetError."""
        if profile.pk not in self._revisions:
            made = Revision(number=1, profile=profile, spec=revision_spec(profile))
            self._revisions[profile.pk] = revision_view(made)
        return self._revisions[profile.pk]

    def is_near(self, place: Cluster, profile: Profile) -> bool:
        """Whether a copy of the weights lies there already."""
        return (place.pk, profile.artifact_id) in self.copied

    def start(self, place: Cluster, profile: Profile, revision: RevisionSpec) -> Start:
        seconds = self.starts.get((place.pk, profile.pk))
        if seconds is not None:
            return Start(seconds, True)
        return Start(estimated_start(revision, place.kind, is_near=self.is_near(place, profile)), False)


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
    try:
        revision = known.revision(profile)
    except (Invalid, TargetError) as error:
        return Suit(profile, 0, error.message, Start(profile.start_seconds, False))
    found = Suit(profile, None, "", known.start(place, profile, revision))
    if _lacks_token(profile) and not known.is_near(place, profile):
        return replace(found, replicas=0, barrier=Barrier.ACCESS, why_not=_(
            "The model is gated: its hub asks for a token. Enter one at the artifact."))
    if place.kind == ClusterKind.HOSTS:
        return on_hosts(known.rooms[place.pk], revision, found)
    if place.kind == ClusterKind.SAGEMAKER:
        return on_sagemaker(place, revision, found)
    return in_cluster(place, known.nodes[place.pk], revision, found)


def _lacks_token(profile: Profile) -> bool:
    return profile.model.gated and profile.artifact.kind == ArtifactKind.HUGGING_FACE and not profile.artifact.token


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
        each = part_of(found, side.region, suit.profile.gpus * suit.profile.nodes)
    return None if each is None else each * replicas


def currency() -> str:
    """In which costs are."""
    return price_book().currency
