"""The first page of the admin: one sentence that answers, then what is failing, running and free."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db.models import Count, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.admin.figures import Share, cpus, gib, places_with_capacity
from clusters.models import Cluster, Host
from clusters.states import ClusterKind, HostState
from endpoints.admin import cells
from endpoints.models import Endpoint, Event
from endpoints.states import COLOURS, Status
from models_catalog.models import CatalogModel
from portal.tenancy.adminkit import status_badge
from portal.tenancy.models import User
from portal.tenancy.text import clean

FAILING, PLACES, EVENTS, NEWEST = 8, 12, 12, 8
ORDER = (Status.INSERVICE, Status.UPDATING, Status.CREATING, Status.PENDING, Status.DEGRADED, Status.STALLED,
         Status.FAILED, Status.STOPPED, Status.STOPPING, Status.DELETING)


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the page's data to unfold's context; the number of queries does not depend on the number of rows."""
    user = request.user
    rows = Endpoint.objects.all().visible_to(user) if user.has_perm("endpoints.view_endpoint") else Endpoint.objects.none()
    places = Cluster.objects.all().visible_to(user) if user.has_perm("clusters.view_cluster") else Cluster.objects.none()
    counts = dict(rows.order_by().values_list("status").annotate(n=Count("pk")))
    hosts = dict(Host.objects.filter(node__cluster__in=places).order_by().values_list("state").annotate(n=Count("pk")))
    failing = list(cells.with_names(rows.needing_attention()).order_by("-id")[:FAILING])
    needing = sum(counts.get(status, 0) for status in (Status.FAILED, Status.STALLED, Status.DEGRADED))
    return {
        **context, "title": _("Overview"), "sentence": sentence(needing, hosts.get(HostState.LOST, 0), sum(counts.values())),
        "counts": [(status_badge(status.label, COLOURS[status], state=status), counts[status],
                    f"{reverse('admin:endpoints_endpoint_changelist')}?status__exact={status}")
                   for status in ORDER if counts.get(status)],
        "failing": [(row, cells.badge(row), clean(row.message or row.last_error, 300)) for row in failing],
        "newest": [(row, cells.badge(row), cells.replicas(row))
                   for row in cells.with_names(rows).order_by("-id")[:NEWEST]],
        "places": [_place(row) for row in places_with_capacity(places).order_by("name")[:PLACES]],
        "hosts": (hosts.get(HostState.READY, 0), sum(hosts.values())), "events": _events(user, rows),
        "next_act": next_act(user, any_host=bool(hosts), any_endpoint=bool(counts)),
        "may_deploy": user.has_perm("endpoints.add_endpoint"),
    }


def sentence(needing: int, lost: int, known: int) -> str:
    """What the person must know first."""
    if needing:
        return ngettext("One endpoint needs you", "%(n)d endpoints need you", needing) % {"n": needing}
    if lost:
        return ngettext("One host is lost", "%(n)d hosts are lost", lost) % {"n": lost}
    return _("All is well") if known else _("Nothing is deployed yet")


def next_act(user: User | AnonymousUser, *, any_host: bool, any_endpoint: bool) -> tuple[str, str, str] | None:
    """The one best next step on an empty portal: sentence, button, address."""
    if any_endpoint:
        return None
    if not any_host and user.has_perm("clusters.enrol_host"):
        place = Cluster.objects.all().visible_to(user).filter(kind=ClusterKind.HOSTS).first()
        why = _("Models run on hosts. There is none yet.")
        if place:
            return why, _("Add a host"), reverse("admin:clusters_cluster_add_host", args=[place.pk])
        return why, _("Make a place for hosts"), reverse("admin:clusters_cluster_add")
    if user.has_perm("models_catalog.add_catalogmodel") and not CatalogModel.objects.all().visible_to(user).exists():
        return _("The shelf is empty."), _("Shelve a model"), reverse("admin:models_catalog_catalogmodel_add")
    if user.has_perm("endpoints.add_endpoint"):
        return _("Hosts and models are there."), _("Deploy a model"), reverse("admin:endpoints_endpoint_add")
    return None


def _place(row: Any) -> dict[str, Any]:
    """One place with its bars; a bar without a whole is left out."""
    bars = [(_("CPU"), Share(row.cpu, row.cpu_claimed), cpus),
            (_("Memory"), Share(row.mem, row.mem_claimed, row.mem_others), gib),
            (_("GPU memory"), Share(row.gpu_mem, row.gpu_claimed, row.gpu_others), gib)]
    return {"row": row, "bars": [
        (name, share, _("%(free)s of %(total)s free") % {"free": show(share.free), "total": show(share.total)})
        for name, share, show in bars if share.total]}


def _events(user: Any, rows: QuerySet[Endpoint]) -> list[tuple[Event, str, str]]:
    found = Event.objects.select_related("endpoint").order_by("-id")
    if not user.has_perm("endpoints.view_endpoint"):
        return []
    if not user.sees_everything:
        found = found.filter(endpoint__in=rows)
    return [(event, clean(event.message, 300), COLOURS.get(event.now, "idle")) for event in found[:EVENTS]]
