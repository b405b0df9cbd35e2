"""How a host comes in: a one-use token bound to a place, then the host's own key."""

from __future__ import annotations

import base64
import ipaddress
import logging
from datetime import timedelta

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from clusters.agent.messages import Enrol, Enrolled
from portal.tenancy import audit
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Invalid, NotAllowed
from portal.tenancy.text import clean

from .. import states
from ..models import Cluster, EnrolmentToken, Host, KubernetesAccess, Node
from ..states import ClusterKind, Through
from .inventory import write_inventory
from .signed import Refusal, SignedCall, require_timely

log = logging.getLogger(__name__)
TOKEN_LIFE = timedelta(minutes=15)
THIS_MACHINE = "this-machine"


@retry_tx
def make_enrolment_token(actor: Actor, cluster: Cluster, *, address: str = "") -> tuple[EnrolmentToken, str]:
    """A token for one agent, and its text, which is shown this once. Raises NotAllowed, Invalid.

    `address` is where the gateway reaches the host, if that isn't the address from which the agent calls.
    """
    require_operator(actor)
    through_agent = KubernetesAccess.objects.filter(cluster=cluster, through=Through.AGENT)
    if cluster.kind != ClusterKind.HOSTS and not through_agent.exists():
        raise Invalid(_("Only a place of hosts, or a cluster reached through an agent, takes agents."), field="cluster")
    if address and not _is_fit(address, local=False):
        raise Invalid(_("“%(address)s” is not an address of a host.") % {"address": address[:64]}, field="address")
    row = EnrolmentToken(cluster=cluster, created_by=actor.user, address=address)
    text = row.draw()
    row.expires_at = Now() + TOKEN_LIFE
    row.save()
    row.refresh_from_db()
    audit.record(actor, "make enrolment token", row, workspace=cluster.workspace, after=audit.snapshot(row))
    return row, text


@retry_tx
def enrol_this_machine(actor: Actor, *, name: str = THIS_MACHINE) -> tuple[EnrolmentToken, str]:
    """A token for the portal's own machine, in the place `name`, which is made where it is missing."""
    require_operator(actor)
    cluster, made = Cluster.objects.get_or_create(name=name, defaults={"kind": ClusterKind.HOSTS})
    if made:
        audit.record(actor, "create", cluster, after=audit.snapshot(cluster))
    return make_enrolment_token(actor, cluster)


def enrol(call: SignedCall, message: Enrol, peer: str) -> Enrolled:
    """Make the node and the host of a new agent that calls from address `peer`.

    Repeating it with the same token and key gives the same answer, since the first may have been lost.
    Raises Refusal (token), Conflict (the name is enrolled), Invalid (address, name).
    """
    require_own_key(call, message.public_key)
    require_timely(call)
    try:
        return _enrol(message, peer)
    except Conflict as conflict:
        _alert(message, conflict)
        raise


@retry_tx
def _enrol(message: Enrol, peer: str) -> Enrolled:
    token = EnrolmentToken.objects.select_related("cluster", "host").filter(
        digest=EnrolmentToken.digest_of(message.token)).first()
    if token is None or token.cluster.kind != ClusterKind.HOSTS:
        raise bad_token()
    if token.host is not None and token.host.public_key == message.public_key:
        return _answer(token.host)
    used = EnrolmentToken.objects.filter(pk=token.pk, used_at=None, expires_at__gt=Now()).update(used_at=Now())
    if not used:
        raise bad_token()
    host = _make_host(token, message, _address(token, message, peer))
    EnrolmentToken.objects.filter(pk=token.pk).update(host=host)
    write_inventory(host.node, message.inventory)
    audit.record(PORTAL, "enrol host", host, workspace=token.cluster.workspace, after=audit.snapshot(host))
    return _answer(host)


def _answer(host: Host) -> Enrolled:
    return Enrolled(host=str(host.uid), address=host.address, epoch=host.lease_epoch)


def require_own_key(call: SignedCall, public_key: str) -> None:
    """A newcomer shows that it has the key that it brings. Raises Refusal."""
    if not call.is_signed_by(public_key) or len(base64.b64decode(public_key)) != 32:
        raise Refusal(_("The call is not signed with the key that it brings."), code="bad_signature")


def bad_token() -> Refusal:
    return Refusal(_("This token is unknown, used or too old. Make a new one."), code="bad_token")


def _make_host(token: EnrolmentToken, message: Enrol, address: str) -> Host:
    name = clean(message.name, 253).strip()
    if not name or not name.isprintable():
        raise Invalid(_("The host needs a name."), field="name")
    try:
        with transaction.atomic():
            node, _made = Node.objects.get_or_create(cluster=token.cluster, name=name)
            host: Host = Host.objects.create(
                node=node, public_key=message.public_key, address=address, is_local=message.local,
                tunnel=message.tunnel, agent_version=clean(message.agent_version, 32),
                releases=list(message.inventory.releases))
    except IntegrityError as error:
        raise Conflict(_("A host of this name is there: agent already enrolled."), code="already_enrolled") from error
    Host.objects.filter(pk=host.pk).update(seen_at=Now(), lease_until=Now() + states.LEASE)
    return host


def _address(token: EnrolmentToken, message: Enrol, peer: str) -> str:
    """The address is fixed here for good, so that no report can send the gateway elsewhere later."""
    if message.local:
        if message.tunnel:
            raise Invalid(_("An agent on the portal's own machine needs no tunnel."), field="tunnel")
        if not _is_loopback(peer) or message.address not in ("", "127.0.0.1"):
            raise Invalid(_("Only an agent on the portal's own machine can be local."), field="local")
        return "127.0.0.1"
    if message.tunnel:
        if message.address not in ("", "127.0.0.1"):
            raise Invalid(_("A host whose agent opens the connections has no address of its own."), field="address")
        return "127.0.0.1"
    allowed = token.address or peer
    if message.address not in ("", allowed) or not _is_fit(allowed, local=False):
        raise Invalid(_("The host's address must be the one from which it calls, or the one of its token."),
                      field="address")
    return allowed


def _is_fit(address: str, *, local: bool) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    return not (parsed.is_link_local or parsed.is_multicast or parsed.is_unspecified or parsed.is_reserved
                or (parsed.is_loopback and not local))


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


@retry_tx
def _alert(message: Enrol, conflict: Conflict) -> None:
    """Somebody tried to enrol a host that is there already: an operator should see it."""
    log.warning("enrolment refused", extra={"code": conflict.code, "host": clean(message.name, 253)})
    token = EnrolmentToken.objects.select_related("cluster").get(digest=EnrolmentToken.digest_of(message.token))
    audit.record(PORTAL, "refuse enrolment", token, workspace=token.cluster.workspace,
                 after={"name": clean(message.name, 253), "code": conflict.code})


def require_operator(actor: Actor) -> None:
    if actor.user is not None and not (actor.user.sees_everything and actor.key is None):
        raise NotAllowed(_("Only an operator can do this."))


