"""What a person asks of a cluster now, whatever failed before. Not inside a transaction."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.drivers.kube import forget
from clusters.models import Cluster
from clusters.states import Reach
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Conflict, Unavailable

from .check import Check, check_access
from .connect import access_of
from .inventory_kube import refresh_inventory


def check_place(actor: Actor, place: Cluster) -> Check:
    """Test the connection; what is wrong is in the answer. Raises NotAllowed, Invalid (no Kubernetes API)."""
    _begin(actor, place)
    return check_access(place)


def refresh_place(actor: Actor, place: Cluster) -> None:
    """Look at the nodes again. Raises NotAllowed, Invalid, Conflict (somebody is just doing so), Unavailable."""
    _begin(actor, place)
    if not refresh_inventory(place):
        raise Conflict(_("Somebody is looking at this cluster just now. Try again in a moment."), code="busy")
    access = access_of(place)
    if access.reach not in (Reach.OK, Reach.FORBIDDEN):
        raise Unavailable(f"{access.get_reach_display()}: {access.message}", code="cluster_unavailable")


def _begin(actor: Actor, place: Cluster) -> None:
    """Breaker and connections begin anew: what failed before is no reason not to try now."""
    actor.require_operator()
    if not access_of(place).pk:
        raise Conflict(_("This place is not connected yet."), code="not_connected")
    forget(place)
