"""What a list and a detail page show of an endpoint; each piece can be fetched again alone while the page is open."""

from __future__ import annotations

from typing import Any

from django.db.models import F, OuterRef, QuerySet, Subquery
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clusters.models import Cluster
from endpoints.models import Endpoint, Revision
from endpoints.states import COLOURS, TRANSITIONAL, Status
from portal.tenancy.adminkit import status_badge
from portal.tenancy.models import Workspace
from portal.tenancy.text import clean

# Where nobody asks why it is not ready.
AS_WISHED = frozenset({Status.INSERVICE, Status.STOPPED, Status.STOPPING, Status.DELETING})


def with_names(rows: QuerySet[Any]) -> Any:
    """Everything that a list shows, in one query without joins: on MariaDB a join under ORDER BY … LIMIT reads all."""

    def one(model: Any, key: str, field: str) -> Subquery:
        # Without order_by() the default order of revisions would join the outer table under its own name.
        return Subquery(model.objects.filter(pk=OuterRef(key)).order_by().values(field)[:1])

    return rows.annotate(
        workspace_name=one(Workspace, "workspace_id", "name"), place_name=one(Cluster, "cluster_id", "name"),
        wanted_number=one(Revision, "wanted_id", "number"), serving_number=one(Revision, "serving_id", "number"),
        model_name=one(Revision, "wanted_id", "profile__model__name"), wanted_failed=one(Revision, "wanted_id", "failed_at"),
    ).annotate(place_id=F("cluster_id"))


def badge(row: Endpoint, *, big: bool = False) -> SafeString:
    return status_badge(row.get_status_display(), COLOURS[row.status], state=row.status, seen=row.seen_at,
                        stale=row.is_stale() and row.status != Status.STOPPED, badge=big)


def state(row: Endpoint) -> SafeString:
    """The badge, and the way to the cause where it is not as wished."""
    if row.status in AS_WISHED:
        return badge(row)
    address = reverse("admin:endpoints_endpoint_why", args=[row.pk])
    return format_html('{} <a class="why-link" href="{}">{}</a>', badge(row), address, _("Why?"))


def replicas(row: Endpoint) -> SafeString:
    """Ready and wanted; a wish that is not met is blue, since it is meant and not yet seen."""
    wanted = row.replicas_now if row.wish == "running" else 0
    words = _("%(ready)d of %(wanted)d") % {"ready": row.ready_replicas, "wanted": wanted}
    bounds = f" ({row.autoscale['min_replicas']}–{row.autoscale['max_replicas']})" if row.autoscale else ""
    role = "" if row.ready_replicas == wanted else " is-mean"
    return format_html('<span class="num{}">{}</span>{}', role, words, bounds)


def revision(row: Any) -> SafeString:
    """What serves, and what is coming."""
    serving = f"r{row.serving_number}" if row.serving_number else "–"
    if row.wanted_number == row.serving_number or row.wish != "running":
        return format_html('<span class="num">{}</span>', serving)
    role = "is-bad" if row.wanted_failed else "is-mean"
    return format_html('<span class="num">{} <span class="{}">→ r{}</span></span>', serving, role, row.wanted_number)


def message(row: Endpoint) -> SafeString:
    text = clean(row.message or row.last_error, 1000).replace("\n", " ")
    return format_html('<span class="line" lang="en" title="{}">{}</span>', text, text) if text else SafeString("")


PARTS = {"status": state, "replicas": replicas, "revision": revision, "message": message}


def live(row: Any, part: str) -> SafeString:
    """One piece, in a frame that the page's script fills again."""
    return format_html('<span data-live-id="{}" data-live-part="{}">{}</span>', str(row.pk), part, PARTS[part](row))


def is_settled(row: Endpoint) -> bool:
    """Whether nothing is expected to change by itself soon."""
    return row.status not in TRANSITIONAL and row.observed_generation == row.generation
