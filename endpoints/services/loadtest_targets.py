"""What a load test may call: an endpoint or a route of the workspace, by the name that callers write."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.models import Endpoint, Route, TokenPrice
from endpoints.states import SERVING, Wish
from endpoints.token_prices import PRICE_FIELDS, Amounts, Priced, TokenPrices
from models_catalog.choices import Task
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace

TALKS = frozenset({Task.CHAT, Task.VISION_CHAT})
MOST_NAMES = 200
NANO_OF_A_TOKEN = 1000  # a price is for a million tokens, money is counted in 10⁻⁹: 10⁹ / 10⁶


@dataclass(frozen=True)
class Called:
    """What answers to a name: a route with its endpoints, or one endpoint."""

    name: str
    route: Route | None
    endpoints: Sequence[Endpoint]

    @property
    def endpoint(self) -> Endpoint | None:
        return None if self.route else self.endpoints[0]

    @property
    def is_serving(self) -> bool:
        return any(one.is_serving for one in self.endpoints)

    @property
    def facts(self) -> dict[str, Any]:
        """What is kept of it with a run."""
        first = self.endpoints[0] if self.endpoints else None
        revision = first.serving or first.wanted if first else None
        return {
            "names": [one.name for one in self.endpoints], "places": sorted({one.cluster.name for one in self.endpoints}),
            "replicas": sum(one.ready_replicas for one in self.endpoints), "revision": revision.number if revision else None,
            "engine": str(revision.profile.release) if revision else "", "profile": revision.profile.slug if revision else "",
        }


def names_of(workspace: Workspace) -> list[str]:
    """Names to offer: of routes, and of what serves now."""
    routes = Route.objects.filter(workspace=workspace).values_list("public_name", flat=True)
    serving = Endpoint.objects.filter(workspace=workspace, status__in=SERVING, wanted__profile__model__task__in=TALKS)
    return sorted({*routes[:MOST_NAMES], *serving.values_list("public_name", flat=True)[:MOST_NAMES]})


def called(workspace: Workspace, name: str) -> Called:
    """What callers reach by this name, as the gateway has it: a route goes before an endpoint. Raises Invalid."""
    rows = Endpoint.objects.filter(workspace=workspace).exclude(wish=Wish.DELETED).select_related(
        "cluster", "wanted__profile__release", "wanted__profile__model", "serving__profile__release")
    route = Route.objects.filter(workspace=workspace, public_name=name).first()
    if route is None:
        found = list(rows.filter(public_name=name)[:1])
    else:
        found = list(rows.filter(Q(route_targets__route=route) | Q(canaries__route=route)).distinct().order_by("pk"))
    if not found:
        raise Invalid(_("There is no endpoint or route with this name for callers here."), field="model")
    return Called(name, route, found)


def require_talk(called: Called) -> None:
    """Raise Invalid for a model that isn't one to talk with."""
    for one in called.endpoints:
        if one.wanted is not None and one.wanted.profile.model.task not in TALKS:
            raise Invalid(_("Load tests call models that chat; this one is for something else."), field="model")


def price_of(called: Called) -> Amounts | None:
    """What a million tokens cost: of several endpoints the dearest; None where none has a price."""
    workspace = called.endpoints[0].workspace_id
    rows = TokenPrice.objects.until(timezone.now()).filter(Q(workspace=None) | Q(workspace=workspace))
    prices = TokenPrices(rows.values_list(*PRICE_FIELDS))
    found = [prices.of(Priced(workspace, one.public_name, one.cluster_id, one.wanted.profile.model_id if one.wanted else None))
             for one in called.endpoints]
    return max((one for one in found if one is not None), key=lambda one: one[0] + one[1], default=None)
