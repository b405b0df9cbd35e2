"""What can be found. Each kind is one query of a person's own scope; the catalogue and the pages are few and judged here."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Model, Q
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import gettext as _now
from django.utils.translation import gettext_lazy as _

from endpoints.models import Endpoint, LoadTest, Route
from models_catalog.models import CatalogModel
from portal.tenancy.models import Membership
from portal.tenancy.roles import Verb

from ..keys.rows import keys_of
from ..shell import ACCOUNT, MENU
from ..visit import Visit
from .question import Question

MOST = 5  # of a kind


@dataclass(frozen=True)
class Found:
    """`workspace` is said where an operator looks at all of them; `admin` is the row in the administration, for staff."""

    title: str | Promise
    url: str
    rank: int
    note: str = ""
    icon: str = ""
    workspace: str = ""
    admin: str = ""
    endpoint: Endpoint | None = None


@dataclass(frozen=True)
class Group:
    """What was found of one kind, best first. `more` leads to the rest, "" where this is all or there is no list."""

    name: str
    title: str | Promise
    icon: str
    items: list[Found]
    more: str = ""
    is_cut: bool = False

    @property
    def rank(self) -> int:
        return self.items[0].rank


@dataclass(frozen=True)
class Kind:
    """`everywhere`: found only where an operator looks at all workspaces."""

    name: str
    title: str | Promise
    icon: str
    finds: Callable[[Visit, Question], list[Found]]
    page: str = ""  # whose list takes the question as `q`
    everywhere: bool = False


def groups_of(visit: Visit, question: Question) -> list[Group]:
    """Those that have something: the one with the best answer first, else in the order of KINDS."""
    found = [_group(visit, question, kind) for kind in KINDS if visit.workspace is None or not kind.everywhere]
    return sorted((group for group in found if group.items), key=lambda group: group.rank)


def _group(visit: Visit, question: Question, kind: Kind) -> Group:
    items = kind.finds(visit, question)
    more = f"{visit.url(kind.page)}?{urlencode({'q': question.text})}" if kind.page and len(items) > MOST else ""
    return Group(kind.name, kind.title, kind.icon, items[:MOST], more, len(items) > MOST)


def _endpoints(visit: Visit, question: Question) -> list[Found]:
    rows = Endpoint.objects.for_workspaces(visit.workspaces).select_related("workspace", "cluster").only(
        "uid", "name", "public_name", "status", "seen_at", "cluster__name", "workspace__name", "workspace__slug")
    also = Q(uid=question.uid) if question.uid else None
    return [_found(visit, row, "endpoint", row.uid, title=row.name, endpoint=row,
                   note=row.cluster.name if row.public_name == row.name else f"{row.public_name} · {row.cluster.name}")
            for row in question.best(rows, ("name", "public_name"), MOST + 1, also)]


def _models(visit: Visit, question: Question) -> list[Found]:
    """A vendor's name in every language counts."""
    rows = CatalogModel.objects.for_workspaces(visit.workspaces).select_related("vendor").only(
        "slug", "name", "task", "vendor__slug", "vendor__names")
    ranked = [(question.rank((row.name, row.slug), (row.vendor.slug, *map(str, row.vendor.names.values()))), row)
              for row in rows]
    best = sorted(((rank, row.name.casefold(), row) for rank, row in ranked if rank is not None), key=lambda one: one[:2])
    return [Found(row.name, visit.url("model", row.slug), rank, f"{row.vendor.name} · {row.get_task_display()}",
                  admin=admin_of(visit, row)) for rank, _name, row in best[:MOST + 1]]


def _routes(visit: Visit, question: Question) -> list[Found]:
    """A route has no page of its own: it leads to where one talks to it."""
    rows = Route.objects.for_workspaces(visit.workspaces).select_related("workspace")
    also = Q(uid=question.uid) if question.uid else None
    return [_found(visit, row, "playground", title=row.public_name, note=row.description, query={"route": row.uid})
            for row in question.best(rows, ("public_name",), MOST + 1, also)]


def _loadtests(visit: Visit, question: Question) -> list[Found]:
    rows = LoadTest.objects.for_workspaces(visit.workspaces).for_lists()
    also = Q(uid=question.uid) if question.uid else None
    if question.text.isdecimal() and len(question.text) < 10:
        also = Q(number=int(question.text))
    return [_found(visit, row, "loadtest", row.uid, note=row.notes or str(row.get_state_display()), title=_now(
        "Run %(number)s, %(model)s") % {"number": row.number, "model": row.model_name})
        for row in question.best(rows, ("model_name", "notes"), MOST + 1, also)]


def _keys(visit: Visit, question: Question) -> list[Found]:
    """By name, or by how the public part begins."""
    rows = keys_of(visit).select_related("workspace", "created_by")
    also = Q(public_id__startswith=question.public_id) if question.public_id else None
    return [_found(visit, row, "keys", title=row.name, note=f"sk-…{row.last4} · {row.created_by}",
                   query={"state": "all", "q": row.name})
            for row in question.best(rows, ("name",), MOST + 1, also)]


def _members(visit: Visit, question: Question) -> list[Found]:
    if not visit.may(Verb.VIEW):
        return []
    rows = Membership.objects.filter(workspace__in=visit.workspaces).select_related("workspace", "user")
    return [_found(visit, row, "members", title=str(row.user), note=f"{row.user.email} · {row.get_role_display()}",
                   query={"q": row.user.get_username()}, about=row.user)
            for row in question.best(rows, ("user__username", "user__email"), MOST + 1)]


def _workspaces(visit: Visit, question: Question) -> list[Found]:
    return [Found(row.name, reverse("web:home", args=[row.slug]), row.rank, row.slug, admin=admin_of(visit, row))
            for row in question.best(visit.workspaces, ("name", "slug"), MOST + 1)]


def _pages(visit: Visit, question: Question) -> list[Found]:
    """By their words in the person's language, or by their names in addresses."""
    ranked = [(question.rank((str(title), name)), title, url, icon) for name, title, url, icon in pages_of(visit)]
    return sorted((Found(title, url, rank, icon=icon) for rank, title, url, icon in ranked if rank is not None),
                  key=lambda found: found.rank)[:MOST + 1]


def pages_of(visit: Visit) -> Iterator[tuple[str, str | Promise, str, str]]:
    """Name, title, address and icon of each page that the person can go to from here."""
    for item in (*MENU, *ACCOUNT):
        if visit.workspace is not None or not item.one_workspace:
            yield item.name, item.title, visit.url(item.name), item.icon
    if visit.workspace is not None:
        for verb, name, title, icon in ACTS:
            if visit.may(verb):
                yield name, title, visit.url(name), icon
    yield "account", _("Your account"), reverse("web:account"), "person"
    if visit.user.is_staff:
        yield "admin", _("Administration"), reverse("admin:index"), "admin"


def _found(visit: Visit, row: Any, name: str, *args: object, title: str, note: str = "", query: dict[str, object] | None = None,
           endpoint: Endpoint | None = None, about: Model | None = None) -> Found:
    """A row with its page, which lies in the row's own workspace."""
    url = reverse(f"web:{name}", args=[row.workspace.slug, *args]) + (f"?{urlencode(query)}" if query else "")
    return Found(title, url, row.rank, note, workspace="" if visit.workspace else row.workspace.name, endpoint=endpoint,
                 admin=admin_of(visit, about or row))


def admin_of(visit: Visit, row: Model) -> str:
    """Where the administration has this row, if the person may see it there."""
    options = row._meta
    may = visit.user.is_staff and admin.site.is_registered(type(row)) and visit.user.has_perm(
        f"{options.app_label}.view_{options.model_name}")
    return reverse(f"admin:{options.app_label}_{options.model_name}_change", args=[row.pk]) if may else ""


ACTS = (
    (Verb.DEPLOY, "deploy", _("Deploy a model"), "rocket"), (Verb.USE, "loadtest-new", _("New load test"), "gauge"),
    (Verb.USE, "key-new", _("New key"), "key"),
)
KINDS = (
    Kind("pages", _("Pages"), "next", _pages),
    Kind("workspaces", _("Workspaces"), "people", _workspaces, everywhere=True),
    Kind("endpoints", _("Endpoints"), "endpoint", _endpoints, "endpoints"),
    Kind("models", _("Models"), "catalogue", _models, "models"),
    Kind("routes", _("Routes"), "next", _routes),
    Kind("loadtests", _("Load tests"), "gauge", _loadtests, "loadtests"),
    Kind("keys", _("Keys"), "key", _keys, "keys"),
    Kind("members", _("Members"), "people", _members),
)
