"""Which keys a person sees, and what of each one asks for a look."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db.models import Q
from django.utils import timezone
from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.tenancy.answers import is_uid
from portal.tenancy.models import ApiKey, ApiKeyQuerySet, Limit, LimitKind
from portal.tenancy.roles import Scope, Verb

from ..visit import Visit

SOON = timedelta(days=7)
SLEEPS_AFTER = timedelta(days=30)
MOST_COUNTED = 100


def _works(now: datetime) -> Q:
    return Q(revoked_at=None) & (Q(expires_at=None) | Q(expires_at__gt=now))


def _ends_soon(now: datetime) -> Q:
    return Q(revoked_at=None, expires_at__gt=now, expires_at__lte=now + SOON)


def _sleeps(now: datetime) -> Q:
    old = now - SLEEPS_AFTER
    return _works(now) & (Q(last_used_at__lt=old) | Q(last_used_at=None, created_at__lt=old))


@dataclass(frozen=True)
class State:
    """A choice of the filter."""

    title: str | Promise
    rows: Callable[[datetime], Q]


STATES = {
    "works": State(_("They work"), _works),
    "soon": State(_("End within 7 days"), _ends_soon),
    "sleeps": State(_("Not used for 30 days"), _sleeps),
    "expired": State(_("Expired"), lambda now: Q(revoked_at=None, expires_at__lte=now)),
    "revoked": State(_("Revoked"), lambda _now: ~Q(revoked_at=None)),
    "all": State(_("All"), lambda _now: Q()),
}


def keys_of(visit: Visit) -> ApiKeyQuerySet:
    """The person's own keys in these workspaces, or all of them for who manages the workspace."""
    rows = ApiKey.objects.of_people().filter(workspace__in=visit.workspaces)
    return rows if visit.may(Verb.MANAGE) else rows.filter(created_by=visit.user)


def filtered(rows: ApiKeyQuerySet, state: str, text: str) -> ApiKeyQuerySet:
    """Those in this state whose name, owner or last characters begin like `text`."""
    rows = rows.filter(STATES[state].rows(timezone.now()))
    if text:
        rows = rows.filter(Q(name__istartswith=text) | Q(created_by__username__istartswith=text) | Q(last4=text))
    return rows


@dataclass(frozen=True)
class Counts:
    """How many keys there are of each sort; more than MOST_COUNTED are not told apart."""

    works: int
    soon: int
    sleeps: int


def counted(rows: ApiKeyQuerySet) -> Counts:
    now = timezone.now()
    return Counts(*(len(rows.filter(of(now)).values_list("pk", flat=True)[:MOST_COUNTED])
                    for of in (_works, _ends_soon, _sleeps)))


@dataclass(frozen=True)
class Line:
    """A key as the table shows it."""

    key: ApiKey
    limit: Limit | None

    @property
    def ends_soon(self) -> bool:
        ends = self.key.expires_at
        return self.key.state == "active" and ends is not None and ends - timezone.now() <= SOON

    @property
    def sleeps(self) -> bool:
        used = self.key.last_used_at or self.key.created_at
        return self.key.state == "active" and timezone.now() - used > SLEEPS_AFTER

    @property
    def scopes(self) -> list[str]:
        words = dict(Scope.choices)
        return [str(words.get(scope, scope)) for scope in self.key.scopes]

    @property
    def limits(self) -> list[str]:
        """Each limited quantity in words."""
        if self.limit is None:
            return []
        given = [(name, getattr(self.limit, name)) for name in Limit.QUANTITIES]
        return [f"{number_format(value)} {Limit._meta.get_field(name).verbose_name}"  # type: ignore[union-attr]
                for name, value in given if value is not None]


def lines_of(keys: list[ApiKey]) -> list[Line]:
    """With the limits of these keys, in one query."""
    limits = {row.key_id: row for row in Limit.objects.filter(kind=LimitKind.KEY, key__in=keys)} if keys else {}
    return [Line(key, limits.get(key.pk)) for key in keys]


def chosen_of(rows: ApiKeyQuerySet, uids: list[str]) -> tuple[list[ApiKey], bool]:
    """Those of `rows` with these uids, and whether each of them was found."""
    wanted = {UUID(uid) for uid in uids if is_uid(uid)}
    found = list(rows.filter(uid__in=wanted).select_related("workspace", "created_by").order_by("name", "pk"))
    return found, len(found) == len(set(uids))
