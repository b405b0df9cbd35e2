"""Verbs on enrolled hosts: drain, forget, and marking those that were not heard of in time."""

from __future__ import annotations

import logging
from datetime import timedelta

from django.db.models import F, OuterRef, Q, Subquery
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from portal.tenancy import audit
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict
from portal.tenancy.queue import after_commit

from .. import states
from ..models import AgentNonce, Cluster, Engine, Host, Node
from ..states import ClusterKind, HostState, Phase
from .enrolment import require_operator
from .report import LOOK_AT, bump_version, forget_engines

log = logging.getLogger(__name__)
NONCES_KEPT = timedelta(minutes=5)


def drain(actor: Actor, host: Host) -> Host:
    """Give the host nothing new; what runs there goes on. Repeating it changes nothing."""
    return _set_draining(actor, host, True)


def undrain(actor: Actor, host: Host) -> Host:
    """Let the host take engines again."""
    return _set_draining(actor, host, False)


@retry_tx
def _set_draining(actor: Actor, host: Host, draining: bool) -> Host:
    require_operator(actor)
    changed = Host.objects.filter(pk=host.pk, draining=not draining).update(draining=draining)
    old, new = (HostState.READY, HostState.DRAINING) if draining else (HostState.DRAINING, HostState.READY)
    Host.objects.filter(pk=host.pk, state=old).update(state=new)
    before = {"state": host.state, "draining": not draining}
    host.refresh_from_db()
    if changed:
        audit.record(actor, "drain host" if draining else "undrain host", host, workspace=host.node.cluster.workspace,
                     before=before, after={"state": host.state, "draining": draining})
        _ring(host)
    return host


@retry_tx
def forget_host(actor: Actor, host: Host) -> None:
    """Take a host out of the portal; its agent's key opens nothing any more.

    Raises Conflict while engines run there; those of a lost host have stopped themselves and go with it.
    """
    require_operator(actor)
    engines = list(Engine.objects.filter(node_id=host.node_id))
    if engines and host.state != HostState.LOST:
        raise Conflict(_("Engines still run on this host. Drain it and move them first."), code="in_use")
    audit.record(actor, "forget host", host, workspace=host.node.cluster.workspace, before=audit.snapshot(host))
    forget_engines(engines)
    Node.objects.filter(pk=host.node_id).delete()


def mark_lost_hosts() -> int:
    """Mark hosts whose lease ended more than a margin ago, by the database's clock; how many.

    By then an agent that is cut off has stopped its engines, so their places may be filled again.
    """
    late = Host.objects.filter(lease_until__lt=Now() - states.LEASE_MARGIN).exclude(state=HostState.LOST)
    lost = sum(_mark_lost(host) for host in late.select_related("node__cluster"))
    _forget_stopped_on_lost()
    _prune_nonces()
    _note_looks()
    return lost


def _note_looks() -> None:
    """A place of hosts was looked at when the last of its agents called."""
    calls = Host.objects.filter(node__cluster=OuterRef("pk")).order_by("-seen_at").values("seen_at")[:1]
    Cluster.objects.filter(kind=ClusterKind.HOSTS).update(seen_at=Subquery(calls))


@retry_tx
def _mark_lost(host: Host) -> int:
    """The epoch grows with it, so that whatever the agent still says of the old lease is refused."""
    still_late = Host.objects.filter(pk=host.pk, lease_epoch=host.lease_epoch,
                                     lease_until__lt=Now() - states.LEASE_MARGIN)
    if not still_late.update(state=HostState.LOST, lease_epoch=F("lease_epoch") + 1):
        return 0
    Node.objects.filter(pk=host.node_id).update(ready=False)
    Engine.objects.filter(~Q(phase=Phase.LOST), node_id=host.node_id).update(
        phase=Phase.LOST, phase_since=Now(), pid=None, port=None)
    audit.record(PORTAL, "mark host lost", host, workspace=host.node.cluster.workspace,
                 before={"state": host.state}, after={"state": HostState.LOST})
    log.warning("host lost", extra={"host": str(host)})
    _ring(host)
    return 1


@retry_tx
def _forget_stopped_on_lost() -> None:
    """Nobody will report the end of an engine on a lost host; it has ended with the lease."""
    forget_engines(list(Engine.objects.filter(stop=True, node__host__state=HostState.LOST)))


@retry_tx
def _prune_nonces() -> None:
    AgentNonce.objects.filter(at__lt=Now() - NONCES_KEPT).delete()


def _ring(host: Host) -> None:
    """Tell the agent and every endpoint with an engine on this host."""
    bump_version(host)
    for uid in set(Engine.objects.filter(node_id=host.node_id).values_list("endpoint_uid", flat=True)):
        after_commit(LOOK_AT, str(uid))
