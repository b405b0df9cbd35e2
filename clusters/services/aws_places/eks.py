"""The Kubernetes API of a HyperPod cluster: where it is and which CA signs for it, as EKS says over TLS."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass

from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.credential import Credential, checked
from clusters.drivers.aws import AwsError, AwsProblem, aws_for
from clusters.hyperpod import Described
from clusters.models import AwsAccount, Cluster, KubernetesAccess
from clusters.states import Reach, Through
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid
from portal.tenancy.queue import after_commit

from ..connect import CHECK, audited


@dataclass(frozen=True)
class Eks:
    """`server` is empty while EKS is still making the cluster."""

    server: str = ""
    ca: str = ""


def describe_eks(account: AwsAccount, found: Described) -> Eks:
    """Ask EKS, in the region of the cluster's own ARN. Raises AwsError."""
    answer = aws_for(account, found.eks_region).call("eks", "describe_cluster", name=found.eks_name)
    cluster = answer.get("cluster") or {}
    server, data = cluster.get("endpoint") or "", (cluster.get("certificateAuthority") or {}).get("data") or ""
    if not (server and data):
        return Eks()
    try:
        given, _warnings = checked(Credential(server, base64.b64decode(data).decode("ascii")), may_be_empty=True)
    except (Invalid, binascii.Error, UnicodeDecodeError) as error:
        words = error.message if isinstance(error, Invalid) else _("its CA can't be read")
        raise AwsError(AwsProblem.OTHER, _("EKS names an API server that the portal can't use: %(why)s.") % {
            "why": words}, service="eks", operation="describe_cluster") from error
    return Eks(given.server, given.ca)


@retry_tx
def follow_eks(actor: Actor, place: Cluster, eks: Eks) -> bool:
    """Reach the cluster at what EKS says now; whether anything is new.

    A rotated CA heals by itself: it comes from AWS over TLS, so it is as trustworthy as the first one was. Credentials
    are never kept here, each call's token is made for it.
    """
    access = KubernetesAccess.objects.filter(cluster=place).first() or KubernetesAccess(cluster=place, through=Through.EKS)
    if access.through != Through.EKS or not eks.server or (access.pk and (access.server, access.ca) == (eks.server, eks.ca)):
        return False
    before = audited(access)
    access.server, access.ca = eks.server, eks.ca
    access.reach, access.reach_since, access.message = Reach.UNKNOWN, timezone.now(), ""
    access.save()
    audit.record(actor, "follow EKS", place, workspace=place.workspace, before=before, after=audited(access))
    after_commit(CHECK, str(place.uid))
    return True
