"""Which models the playground offers: endpoints and routes of the workspace, by the name that callers write."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Exists, OuterRef, Prefetch, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.models import Backend, Endpoint, Revision, Route, RouteTarget, TargetRole, TokenPrice
from endpoints.states import COLOURS, SERVING, Wish
from endpoints.token_prices import PRICE_FIELDS, Amounts, Priced, TokenPrices
from models_catalog.choices import Task
from portal.tenancy.models import Workspace, WorkspaceQuerySet

from .kinds import Kind

MOST = 100  # of endpoints, and of routes: who has more, searches


@dataclass(frozen=True)
class Cost:
    """What a million tokens cost. `is_most`: calls go to endpoints of several prices, these are the highest."""

    prompt: float
    completion: float
    cached: float
    is_most: bool = False


@dataclass(frozen=True)
class Offer:
    """A name that may be called. `state` says why it can't be chosen now, in the reader's language."""

    uid: str
    name: str
    is_route: bool
    place: str
    is_ready: bool
    state: str
    colour: str
    shape: str
    takes_images: bool
    cost: Cost | None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Offers:
    """Those that answer come first. `is_cut`: there are more than are listed."""

    items: Sequence[Offer]
    is_cut: bool

    @property
    def ready(self) -> list[Offer]:
        return [offer for offer in self.items if offer.is_ready]


def offers(workspaces: WorkspaceQuerySet, kind: Kind, *, search: str = "", named: Collection[UUID] = ()) -> Offers:
    """What can be tried in this way. `named` are always among them, if they are in the scope and of the kind."""
    ids, is_cut = _endpoint_ids(workspaces, kind, search, named)
    endpoints = list(Endpoint.objects.filter(pk__in=ids).select_related("cluster", "wanted__profile__model"))
    routes = _routes(workspaces, kind, search, set(named) - {endpoint.uid for endpoint in endpoints})
    targets = {pk: targets_of(route) for pk, route in routes.items()}
    every = [*endpoints, *(endpoint for some in targets.values() for endpoint in some)]
    answering = set(Backend.objects.filter(endpoint__in={one.pk for one in every}).values_list("endpoint", flat=True))
    prices = TokenPrices(TokenPrice.objects.for_workspaces(workspaces).until(timezone.now()).values_list(*PRICE_FIELDS))
    items = [_of_route(route, targets[pk], answering, prices) for pk, route in routes.items()]
    items += [_of_endpoint(endpoint, answering, prices) for endpoint in endpoints]
    items.sort(key=lambda offer: (not offer.is_ready, offer.name.lower()))
    return Offers(items, is_cut or len(routes) >= MOST)


def task_of(workspaces: WorkspaceQuerySet, named: Collection[UUID]) -> str:
    """What the first of these endpoints or routes does; "" where none is in the scope."""
    if not named:
        return ""
    direct = Endpoint.objects.for_workspaces(workspaces).filter(uid__in=named)
    behind = RouteTarget.objects.filter(route__in=Route.objects.for_workspaces(workspaces).filter(uid__in=named))
    task = direct.values_list("wanted__profile__model__task", flat=True).first()
    return task or behind.values_list("endpoint__wanted__profile__model__task", flat=True).first() or ""


def known_names(workspace: Workspace, names: Collection[str]) -> set[str]:
    """Those of these names that callers of the workspace may write."""
    endpoints = Endpoint.objects.filter(workspace=workspace, public_name__in=names).exclude(wish=Wish.DELETED)
    routes = Route.objects.filter(workspace=workspace, public_name__in=names)
    return {*endpoints.values_list("public_name", flat=True), *routes.values_list("public_name", flat=True)} & set(names)


def _does(kind: Kind) -> Exists:
    """Whether an endpoint's wish is a model of the kind."""
    revisions = Revision.objects.filter(pk=OuterRef("wanted"), profile__model__task__in=kind.tasks)
    return Exists(revisions.filter(profile__release__kind__in=kind.engines) if kind.engines else revisions)


def _endpoint_ids(workspaces: WorkspaceQuerySet, kind: Kind, search: str, named: Collection[UUID]) -> tuple[list[int], bool]:
    """Ids alone, so that no join hinders the database from stopping early."""
    hidden = Route.objects.filter(workspace=OuterRef("workspace"), public_name=OuterRef("public_name"))
    rows = (Endpoint.objects.for_workspaces(workspaces).exclude(wish=Wish.DELETED)
            .filter(_does(kind), ~Exists(hidden)).order_by("-id").values_list("pk", flat=True))
    found = rows.filter(public_name__icontains=search) if search else rows
    answers = Exists(Backend.objects.filter(endpoint=OuterRef("pk")))
    ids = list(found.filter(answers)[:MOST + 1])
    ids += found.exclude(answers)[:MOST + 1 - len(ids)]
    return [*ids[:MOST], *(rows.filter(uid__in=named) if named else ())], len(ids) > MOST


def _routes(workspaces: WorkspaceQuerySet, kind: Kind, search: str, named: Collection[UUID]) -> dict[int, Route]:
    """Routes to at least one endpoint that does this, with all that they lead to, in a fixed number of queries."""
    leads = RouteTarget.objects.filter(_of_target(kind), route=OuterRef("pk"))
    with_ends = RouteTarget.objects.select_related("endpoint__cluster", "endpoint__wanted__profile__model")
    rows = (Route.objects.for_workspaces(workspaces).filter(Exists(leads)).order_by("-id")
            .select_related("canary__endpoint__cluster", "canary__endpoint__wanted__profile__model")
            .prefetch_related(Prefetch("targets", with_ends)))
    found = list((rows.filter(public_name__icontains=search) if search else rows)[:MOST])
    missing = set(named) - {route.uid for route in found}
    return {route.pk: route for route in [*found, *(rows.filter(uid__in=missing) if missing else ())]}


def _of_target(kind: Kind) -> Q:
    does = Q(endpoint__wanted__profile__model__task__in=kind.tasks)
    return does & Q(endpoint__wanted__profile__release__kind__in=kind.engines) if kind.engines else does


def targets_of(route: Route) -> list[Endpoint]:
    """The endpoints that calls by this name can reach: with a share, standing in, or on trial."""
    found = [target.endpoint for target in route.targets.all() if target.weight or target.role != TargetRole.MAIN]
    canary = getattr(route, "canary", None)
    return [*found, canary.endpoint] if canary is not None and canary.is_running else found


def _of_endpoint(endpoint: Endpoint, answering: Collection[int], prices: TokenPrices) -> Offer:
    is_ready = endpoint.pk in answering and endpoint.wish == Wish.RUNNING
    state, colour, shape = str(endpoint.get_status_display()), COLOURS[endpoint.status], endpoint.status.lower()
    if not is_ready and endpoint.status in SERVING:
        state, colour, shape = _("No replica answers now"), "late", "stalled"
    return Offer(
        uid=str(endpoint.uid), name=endpoint.public_name, is_route=False, place=endpoint.cluster.name, is_ready=is_ready,
        state=state, colour=colour, shape=shape, takes_images=_task(endpoint) == Task.VISION_CHAT,
        cost=cost_of([_amounts(endpoint, prices)]))


def _of_route(route: Route, targets: Sequence[Endpoint], answering: Collection[int], prices: TokenPrices) -> Offer:
    ready = [one for one in targets if one.pk in answering and one.wish == Wish.RUNNING]
    state = _("In service") if ready else _("No endpoint behind it answers")
    return Offer(
        uid=str(route.uid), name=route.public_name, is_route=True, place=", ".join(_places(ready or targets)),
        is_ready=bool(ready), state=state, colour="good" if ready else "late", shape="inservice" if ready else "stalled",
        takes_images=bool(targets) and all(_task(one) == Task.VISION_CHAT for one in targets),
        cost=cost_of([_amounts(one, prices) for one in targets]))


def _places(endpoints: Iterable[Endpoint]) -> list[str]:
    return sorted({endpoint.cluster.name for endpoint in endpoints})


def _task(endpoint: Endpoint) -> str:
    return endpoint.wanted.profile.model.task if endpoint.wanted else ""


def _amounts(endpoint: Endpoint, prices: TokenPrices) -> Amounts | None:
    model_id = endpoint.wanted.profile.model_id if endpoint.wanted else None
    return prices.of(Priced(endpoint.workspace_id, endpoint.public_name, endpoint.cluster_id, model_id))


def cost_of(amounts: Sequence[Amounts | None]) -> Cost | None:
    """One price for calls that may go to any of these; None where all are free of charge."""
    free = (Decimal(0), Decimal(0), None)
    each = [(prompt, completion, prompt if cached is None else cached)
            for prompt, completion, cached in (one or free for one in amounts)]
    if not any(amounts):
        return None
    prompt, completion, cached = (float(max(column)) for column in zip(*each, strict=True))
    return Cost(prompt, completion, cached, is_most=len(set(each)) > 1)
