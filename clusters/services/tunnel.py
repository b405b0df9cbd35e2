"""Who may keep a tunnel open: hosts that were enrolled so, as long as the portal wants something of them."""

from __future__ import annotations

from collections.abc import Collection

from django.db.models import Exists, OuterRef, Q, QuerySet
from django.utils.translation import gettext as _

from ..models import ClusterAgent, Engine, Host
from .signed import Refusal, SignedCall, authenticate_any


def authenticate_tunnel(call: SignedCall) -> tuple[str, str]:
    """The uid (hex) and the public key of the host or cluster that opens a socket. Raises Refusal."""
    host = authenticate_any(call)
    if isinstance(host, ClusterAgent):
        return host.uid.hex, host.public_key
    if not host.tunnel:
        raise Refusal(_("This host was not enrolled to be reached by a tunnel."), code="no_tunnel")
    if not _wanted().filter(pk=host.pk).exists():
        raise Refusal(_("This host is drained: nothing runs there."), code="drained")
    return host.uid.hex, host.public_key


def tunnel_keys(uids: Collection[str]) -> dict[str, str]:
    """Those of these hosts and clusters (uid in hex) that may keep their sockets, each with its public key."""
    found = (rows.filter(uid__in=uids).values_list("uid", "public_key") for rows in (_wanted(), ClusterAgent.objects.all()))
    return {uid.hex: key for pairs in found for uid, key in pairs}


def _wanted() -> QuerySet[Host]:
    """A draining host still serves the engines that it has; when they are gone nothing is wanted of it."""
    runs_some = Exists(Engine.objects.filter(node=OuterRef("node")))
    return Host.objects.filter(Q(draining=False) | runs_some, tunnel=True)
