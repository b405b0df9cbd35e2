"""What stands around each page: the menu, the workspaces, the places with the age of their last look."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from clusters.models import Cluster
from endpoints.states import STALE_AFTER
from portal.tenancy.errors import PortalError
from portal.tenancy.models import Workspace

if TYPE_CHECKING:
    from .visit import Visit

MOST_PLACES = 8
MOST_WORKSPACES = 100


@dataclass(frozen=True)
class Item:
    """A line of the menu. `name` is the page's; `area` is what the pages behind it call themselves."""

    name: str
    title: str | Promise
    icon: str
    one_workspace: bool = False

    @property
    def area(self) -> str:
        return self.name


MENU = (
    Item("home", _("Home"), "home"), Item("models", _("Catalogue"), "catalogue"),
    Item("endpoints", _("Endpoints"), "endpoint"), Item("playground", _("Playground"), "talk", one_workspace=True),
    Item("loadtests", _("Load tests"), "gauge"),
)
ACCOUNT = (
    Item("usage", _("Usage"), "usage"), Item("keys", _("Keys"), "key"),
    Item("members", _("Members"), "people", one_workspace=True), Item("limits", _("Limits"), "limit"),
    Item("audit", _("Audit"), "audit"),
)
THUMBS = MENU[:4]


@dataclass(frozen=True)
class Link:
    item: Item
    url: str
    is_here: bool


def answer_page(visit: Visit, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """The template in its frame; a piece of a page, asked for by the page's script, needs none."""
    around = {} if visit.is_partial else shell(visit, str(context.get("area", "")))
    return render(visit.request, template, {**around, **context, "visit": visit}, status=status)


def error_page(visit: Visit, error: PortalError, *, with_shell: bool = True) -> HttpResponse:
    """A refusal as a page, or as a notice where a piece of a page was asked for. One for all that isn't found."""
    template = "web/error_notice.html" if visit.is_partial else "web/error.html"
    around = shell(visit, "") if with_shell and not visit.is_partial else {}
    return render(visit.request, template, {**around, "error": error, "visit": visit}, status=error.status)


def shell(visit: Visit, area: str) -> dict[str, Any]:
    """Two queries: the workspaces to switch to, and the places."""
    return {
        "menu": _links(visit, MENU, area), "account_menu": _links(visit, ACCOUNT, area),
        "thumbs": _links(visit, THUMBS, area), "languages": settings.LANGUAGES,
        "my_workspaces": list(Workspace.objects.visible_to(visit.user)[:MOST_WORKSPACES]),
        "looks": looks(Cluster.objects.for_workspaces(visit.workspaces)),
    }


@dataclass(frozen=True)
class Look:
    """A place, and whether the last look at it is too long ago."""

    name: str
    seen_at: Any
    is_stale: bool


def looks(places: QuerySet[Cluster]) -> list[Look]:
    oldest = timezone.now() - STALE_AFTER
    return [Look(name, seen_at, seen_at is None or seen_at < oldest)
            for name, seen_at in places.order_by("name").values_list("name", "seen_at")[:MOST_PLACES]]


def _links(visit: Visit, items: tuple[Item, ...], area: str) -> list[Link]:
    return [Link(item, visit.url(item.name), item.area == area)
            for item in items if visit.workspace is not None or not item.one_workspace]


def plain_page(request: HttpRequest, template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    """A page without a workspace: the same frame with an empty menu."""
    return render(request, template, {"languages": settings.LANGUAGES, **context}, status=status)
