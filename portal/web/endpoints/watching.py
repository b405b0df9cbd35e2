"""What the streams of this process look at together: one thread reads the watched rows, and who may still see them."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.db.models import Max
from django.http import HttpRequest
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from clusters.models import Engine
from endpoints import services
from endpoints.models import Endpoint, Event
from endpoints.services.samples import Point, sample
from endpoints.states import SERVING
from portal.tenancy.models import Membership, User

SHOWN = ("version", "generation", "status", "cause", "message", "last_error", "ready_replicas", "observed_generation",
         "autoscaled_replicas", "deadline_at", "drift", "serving_id", "wanted_id")


@dataclass(frozen=True)
class Who:
    """Who watches, by which session."""

    user_id: int
    workspace_id: int
    session_key: str
    session_hash: str


@dataclass(frozen=True)
class Seen:
    """A watched row: `mark` changes with everything that the page shows but the age of the evidence."""

    mark: str
    seen_at: datetime | None
    is_serving: bool


def who_of(request: HttpRequest, user: User, endpoint: Endpoint) -> Who:
    return Who(user.pk, endpoint.workspace_id, request.session.session_key or "",
               request.session.get(HASH_SESSION_KEY, ""))


def look(pks: Collection[int]) -> dict[int, Seen]:
    """The rows as they are, in three queries; one that is gone is not in the answer."""
    rows = list(Endpoint.objects.filter(pk__in=pks).only("uid", "seen_at", *SHOWN))
    last = dict(Event.objects.filter(endpoint__in=pks).order_by().values_list("endpoint").annotate(last=Max("pk")))
    phases: dict[Any, list[object]] = {}
    for uid, *phase in Engine.objects.filter(endpoint_uid__in=[row.uid for row in rows]).order_by("pk").values_list(
            "endpoint_uid", "uid", "phase", "restarts", "stop"):
        phases.setdefault(uid, []).append(phase)
    now = timezone.now()
    return {row.pk: Seen(mark_of(row, last.get(row.pk, 0), phases.get(row.uid), now), row.seen_at, row.status in SERVING)
            for row in rows}


def mark_of(row: Endpoint, last_event: int, phases: object, now: datetime) -> str:
    """A short word for the state of a row. Pure."""
    told = [*[getattr(row, name) for name in SHOWN], row.is_stale(now), last_event, phases]
    return blake2b(repr(told).encode(), digest_size=8).hexdigest()


def mark_now(endpoint: Endpoint) -> str:
    """The mark of a row as a page shows it now."""
    found = look([endpoint.pk]).get(endpoint.pk)
    return found.mark if found else ""


def lost(people: Iterable[Who]) -> set[Who]:
    """Those who may no longer see what they watch: no member any more, signed out, or the account is disabled."""
    people = set(people)
    users = User.objects.in_bulk({who.user_id for who in people})
    members = set(Membership.objects.filter(user__in=users, workspace__in={who.workspace_id for who in people})
                  .values_list("user_id", "workspace_id"))
    alive = _alive({who.session_key for who in people})
    return {who for who in people if not _may(who, users.get(who.user_id), members, alive)}


def _may(who: Who, user: User | None, members: set[tuple[int, int]], alive: set[str]) -> bool:
    if user is None or not user.is_active or who.session_key not in alive:
        return False
    if not constant_time_compare(who.session_hash, user.get_session_auth_hash()):
        return False  # the password was changed
    return (who.user_id, who.workspace_id) in members or user.sees_everything


def _alive(keys: set[str]) -> set[str]:
    """Which of these sessions there are still."""
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if not hasattr(store, "get_model_class"):
        return {key for key in keys if store().exists(key)}
    rows = store.get_model_class().objects.filter(session_key__in=keys, expire_date__gt=timezone.now())
    return set(rows.values_list("session_key", flat=True))


def sample_of(pk: int) -> Point | None:
    """A sample of this endpoint's figures; None where there is none."""
    row = Endpoint.objects.filter(pk=pk).select_related(*services.drift.RELATED).first()
    return sample(row) if row is not None and row.wanted is not None else None
