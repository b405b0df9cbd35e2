"""How a place is connected to a Kubernetes API: operators hand over an address and a credential, write-only."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.credential import Credential, checked
from clusters.kubeconfig import read_kubeconfig
from clusters.models import Cluster, KubernetesAccess
from clusters.states import KUBERNETES_KINDS, Reach, Through
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid
from portal.tenancy.net import check_url
from portal.tenancy.queue import after_commit

CHECK = "clusters.tasks.check_place"
PARTS = ("server", "ca", "token", "client_certificate", "client_key")
CHOICES = ("gateway", "imports_to", "cors_origins", "prometheus")
MOST_ORIGINS = 20


def set_up(actor: Actor, place: Cluster, given: Mapping[str, Any]) -> list[str]:
    """Connect and configure by what a form or a body has of PARTS and CHOICES; warnings in words.

    Call it in one transaction with the change of the place itself. Raises NotAllowed, Invalid with the field, TooLarge.
    """
    parts = {name: given[name] for name in PARTS if name in given}
    choices = {name: given[name] for name in CHOICES if name in given}
    text, through_agent = given.get("kubeconfig"), given.get("through_agent")
    if sum(map(bool, (text, through_agent, any(parts.values())))) > 1:
        raise Invalid(_("Give a kubeconfig, the parts of a connection, or an agent: one of them."), field="kubeconfig")
    warnings: list[str] = []
    if text:
        warnings = connect_kubeconfig(actor, place, text)
    elif through_agent:
        connect_through_agent(actor, place)
    elif parts:
        warnings = connect(actor, place, **parts)
    if choices:
        configure(actor, place, **choices)
    return warnings


def connect_kubeconfig(actor: Actor, place: Cluster, text: str | bytes) -> list[str]:
    """Connect by a kubeconfig; what it holds beside address and credential is thrown away. Warnings in words.

    Raises NotAllowed, Invalid with the key that is refused, TooLarge.
    """
    actor.require_operator()
    credential, warnings = read_kubeconfig(text)
    _store(actor, place, credential, keeps=False)
    return warnings


def connect(
    actor: Actor, place: Cluster, *, server: str | None = None, ca: str | None = None, token: str = "",
    client_certificate: str = "", client_key: str = "",
) -> list[str]:
    """Connect by address, CA and a token or a client certificate; None keeps what is stored. Warnings in words.

    A credential belongs to the server that it was entered for: with another server it must be entered again.
    Raises NotAllowed, Invalid with the field.
    """
    actor.require_operator()
    there = access_of(place)
    given = Credential(there.server if server is None else server, there.ca if ca is None else ca, token,
                       client_certificate, client_key)
    keeps = given.is_empty and bool(there.token or there.client_key)
    if keeps and str(check_url(given.server.strip(), field="server")) != there.server:
        raise Invalid(_("server changed: enter the credential again"), field="token")
    credential, warnings = checked(given, may_be_empty=keeps)
    _store(actor, place, credential, keeps=keeps)
    return warnings


def connect_through_agent(actor: Actor, place: Cluster) -> KubernetesAccess:
    """Reach the cluster through an agent inside it that calls out; a credential kept until now is forgotten."""
    actor.require_operator()
    return _store(actor, place, Credential(""), keeps=False, through=Through.AGENT)


@retry_tx
def configure(actor: Actor, place: Cluster, **values: Any) -> KubernetesAccess:
    """Set what operators choose for a cluster: gateway, imports_to, cors_origins, prometheus. Raises Invalid."""
    actor.require_operator()
    access = access_of(place)
    before = audited(access)
    for name in CHOICES:
        if name in values:
            setattr(access, name, values[name])
    access.cors_origins = [_origin(text) for text in access.cors_origins][:MOST_ORIGINS]
    if access.prometheus:
        access.prometheus = str(check_url(access.prometheus.strip(), schemes=("http", "https"), field="prometheus"))
    if access.gateway and len(access.gateway.split("/")) != 2:
        raise Invalid(_("Name the Gateway as namespace/name."), field="gateway")
    _save(access, place)
    audit.record(actor, "configure cluster", place, workspace=place.workspace, before=before, after=audited(access))
    return access


def access_of(place: Cluster) -> KubernetesAccess:
    """The place's access, or a new one that is not saved. Raises Invalid for a place without a Kubernetes API."""
    if place.kind not in KUBERNETES_KINDS:
        raise Invalid(_("This place has no Kubernetes API."), field="kind")
    return KubernetesAccess.objects.filter(cluster=place).first() or KubernetesAccess(cluster_id=place.pk)


@retry_tx
def _store(
    actor: Actor, place: Cluster, credential: Credential, *, keeps: bool, through: Through = Through.DIRECT,
) -> KubernetesAccess:
    """`keeps` leaves the stored credential: the server is the same."""
    access = access_of(place)
    before = audited(access)
    access.through, access.server, access.ca = through, credential.server, credential.ca
    if not keeps:
        access.client_certificate = credential.client_certificate
        access.put_secret("token", credential.token)
        access.put_secret("client_key", credential.client_key)
    access.reach, access.reach_since, access.message = Reach.UNKNOWN, timezone.now(), ""
    _save(access, place)
    audit.record(actor, "connect cluster", place, workspace=place.workspace, before=before, after=audited(access))
    after_commit(CHECK, str(place.uid))
    return access


def _save(access: KubernetesAccess, place: Cluster) -> None:
    access.cluster = place  # and the other way round: whoever holds the place sees what is new
    try:
        access.clean_fields()
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
    with transaction.atomic():
        access.save()


def audited(access: KubernetesAccess) -> dict[str, Any]:
    """What the audit keeps: long texts by their digest, of secrets only which kind there is."""
    kept = audit.snapshot(access, ("through", "server", *CHOICES)) if access.pk else {}
    return {**kept, "ca": _digest(access.ca), "client_certificate": _digest(access.client_certificate),
            "credential": credential_kind(access)}


def credential_kind(access: KubernetesAccess) -> str:
    """Which credential is kept: token, client certificate or none; for EKS there is that of the AWS account."""
    if access.through == Through.EKS:
        return "AWS account"
    if access.token:
        return "token"
    return "client certificate" if access.client_key else ""


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()[:16]}" if text else ""


def _origin(text: object) -> str:
    """A web origin as browsers send it: scheme, host and port, or * for all."""
    if text == "*":
        return "*"
    url = str(text).strip().rstrip("/")
    found = check_url(url, schemes=("http", "https"), field="cors_origins")
    if found.path:
        raise Invalid(_("An origin has no path: such as https://chat.example.org."), field="cors_origins")
    return str(found)

