"""Limits on endpoints, replicas and GPUs, checked inside the transaction that would break them.

As with calls, every limit on the chain applies: the workspace's, that of who made the endpoint, that of the key it was
made with, and that of the model's name (docs/limits.md).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db.models import Count, F, Q
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from endpoints.models import Endpoint, EndpointQuerySet
from endpoints.options.footprint import footprint
from endpoints.states import Wish
from endpoints.targets.base import Check
from portal.tenancy.errors import QuotaExceeded
from portal.tenancy.models import Limit, LimitKind, LimitQuerySet, Workspace

# Which column of an endpoint names what a limit of this kind is about.
COLUMNS = {LimitKind.WORKSPACE: "workspace_id", LimitKind.MEMBER: "created_by_id", LimitKind.KEY: "created_by_key_id",
           LimitKind.MODEL: "public_name"}
REACHED = {
    LimitKind.WORKSPACE: gettext_lazy("The workspace's limit is reached: %(what)s %(sum)d of %(most)d."),
    LimitKind.MEMBER: gettext_lazy("The limit of the member %(name)s is reached: %(what)s %(sum)d of %(most)d."),
    LimitKind.KEY: gettext_lazy("The limit of the API key %(name)s is reached: %(what)s %(sum)d of %(most)d."),
    LimitKind.MODEL: gettext_lazy("The limit of the model %(name)s is reached: %(what)s %(sum)d of %(most)d."),
}


@dataclass(frozen=True)
class Use:
    """How much of each limited quantity endpoints take."""

    endpoints: int = 0
    replicas: int = 0
    gpus: int = 0

    def __add__(self, other: Use) -> Use:
        return Use(self.endpoints + other.endpoints, self.replicas + other.replicas, self.gpus + other.gpus)


@dataclass(frozen=True)
class Standing:
    """Where one quantity of one limit stands: what other endpoints take, and what this one took and would take."""

    limit: Limit
    quantity: str
    others: int
    had: int
    own: int
    most: int

    @property
    def is_broken(self) -> bool:
        """A limit that was set below what runs stops growth, and nothing that runs."""
        return self.others + self.own > self.most and self.own > self.had

    def with_replicas(self, count: int) -> Standing:
        """The same where this endpoint, now counted with one replica, had so many."""
        return self if self.quantity == "endpoints" else replace(self, own=self.own * count)

    @property
    def free(self) -> int:
        """What this endpoint may take in all."""
        return max(self.most - self.others, 0)

    def __str__(self) -> str:
        """What the limit says to who would break it."""
        named = {LimitKind.MEMBER: self.limit.member, LimitKind.KEY: self.limit.key, LimitKind.MODEL: self.limit.model_name}
        kind = LimitKind(self.limit.kind)
        reached = REACHED[kind] % {"name": named.get(kind), "what": self.quantity, "sum": self.others + self.own,
                                   "most": self.most}
        return _("%(reached)s Others use %(used)d, %(free)d are free.") % {
            "reached": reached, "used": self.others, "free": self.free}


def check_quota(endpoint: Endpoint, before: Endpoint | None = None) -> None:
    """Raise QuotaExceeded, with a sentence for each limit that the endpoint breaks as it is now.

    `before` is the endpoint as it was. Call it after the change. The update of the workspace's version comes first
    in the transaction (`begin_claim`), so changes of one workspace follow each other on every database.
    """
    broken = [standing for standing in standings(endpoint, before) if standing.is_broken]
    if broken:
        raise QuotaExceeded(" ".join(map(str, broken)), field=broken[0].quantity)


def quota_checks(found: Sequence[Standing]) -> tuple[Check, ...]:
    """What `check_quota` would say of these; nothing where nothing is limited."""
    broken = [str(standing) for standing in found if standing.is_broken]
    lines = tuple(_line(standing) for standing in found)
    if broken:
        return (Check("limits", False, " ".join(broken), lines),)
    return (Check("limits", True, _("It stays within every limit."), lines),) if found else ()


def _line(standing: Standing) -> str:
    return _("%(limit)s, %(what)s: %(own)d + %(used)d of others, of %(most)d") % {
        "limit": standing.limit, "what": standing.quantity, "own": standing.own, "used": standing.others,
        "most": standing.most}


def standings(endpoint: Endpoint, before: Endpoint | None = None) -> Iterator[Standing]:
    """Each limited quantity on the endpoint's chain, counted with the endpoint as it is in memory.

    Only what is limited is counted: most workspaces have no limit and may have thousands of rows. One query, and one
    for each row of limits, of which a chain has four at most.
    """
    had, own = use_of([before] if before else []), use_of([endpoint])
    for limit in _chain(endpoint):
        others = _use_of_others(limit, endpoint)
        for quantity in Limit.PLACES:
            most = getattr(limit, quantity)
            if most is not None:
                yield Standing(limit, quantity, getattr(others, quantity), getattr(had, quantity),
                               getattr(own, quantity), most)


def with_deploy_limits(limits: LimitQuerySet) -> LimitQuerySet:
    """Those that limit what is deployed."""
    return limits.filter(Q(gpus__isnull=False) | Q(endpoints__isnull=False) | Q(replicas__isnull=False))


def _chain(endpoint: Endpoint) -> LimitQuerySet:
    applies = (
        Q(kind=LimitKind.WORKSPACE) | Q(kind=LimitKind.MEMBER, member=endpoint.created_by_id)
        | Q(kind=LimitKind.KEY, key=endpoint.created_by_key_id) | Q(kind=LimitKind.MODEL, model_name=endpoint.public_name))
    rows = with_deploy_limits(Limit.objects.filter(applies, workspace=endpoint.workspace_id))
    return rows.select_related("workspace", "member", "key").order_by("pk")


def _use_of_others(limit: Limit, endpoint: Endpoint) -> Use:
    if limit.kind == LimitKind.MODEL:
        return Use()  # a name is one endpoint's only
    column = COLUMNS[LimitKind(limit.kind)]
    rows = Endpoint.objects.filter(**{column: getattr(endpoint, column)}, workspace=endpoint.workspace_id)
    rows = rows.exclude(pk=endpoint.pk).exclude(wish=Wish.DELETED)
    return Use(rows.count()) if limit.replicas is None and limit.gpus is None else held_by(rows)[()]


def held_by(rows: EndpointQuerySet, *columns: str) -> dict[tuple[Any, ...], Use]:
    """What these hold, by the values of `columns`. Those that were made alike are read as one: there may be thousands."""
    used: dict[tuple[Any, ...], Use] = defaultdict(Use)
    alike = rows.exclude(wish=Wish.DELETED).order_by().values_list(
        "wish", "replicas", "autoscale", "wanted__spec", *columns).annotate(count=Count("pk"))
    for wish, replicas, autoscale, spec, *values, count in alike:
        most = Endpoint(replicas=replicas, autoscale=autoscale).most_replicas
        one = footprint(spec or {}, most) if wish == Wish.RUNNING else (0, 0)
        used[tuple(values)] += Use(count, one[0] * count, one[1] * count)
    return used


def use_of(endpoints: Iterable[Endpoint]) -> Use:
    """What these take together. An autoscaler's upper bound counts, not what it wants now; stopped ones have no replicas."""
    used = Use()
    for row in endpoints:
        if row.wish == Wish.RUNNING:
            used += Use(1, *footprint(row.wanted.spec if row.wanted else {}, row.most_replicas))
        elif row.wish != Wish.DELETED:
            used += Use(1)
    return used


def begin_claim(workspace_id: int) -> None:
    """Make changes that count against a limit of this workspace wait for each other."""
    Workspace.objects.filter(pk=workspace_id).update(claims_version=F("claims_version") + 1)
