"""Bearers for the API servers of HyperPod's EKS clusters, by the AWS side of a place."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from django.utils.translation import gettext as _

from clusters.models import AwsPlace, Cluster

from .aws import aws_for
from .aws_eks import Token
from .aws_errors import AwsError, AwsProblem


@dataclass(frozen=True)
class Bearer:
    """What `Authorization: Bearer` takes; the server refuses it about five minutes after `renew_at`."""

    token: str = field(repr=False)
    renew_at: datetime


def bearer_for(cluster_uid: UUID, *, fresh: bool = False) -> Bearer:
    """The bearer of a place, made once in ten minutes by each process; one query, and AWS is asked only for a new session.

    `fresh` makes another one, after the API server refused the last. Raises AwsError.
    """
    place = AwsPlace.objects.select_related("account").filter(cluster__uid=cluster_uid).first()
    token = token_for(place, fresh=fresh)
    return Bearer(token.text, token.renew_at)


def place_in(cluster: Cluster) -> AwsPlace | None:
    """The AWS side that the cluster's row came with."""
    return getattr(cluster, "aws", None)


def token_for(place: AwsPlace | None, *, fresh: bool = False) -> Token:
    """As `bearer_for`, without a query. Raises AwsError."""
    if place is None or not place.eks_name:
        raise AwsError(AwsProblem.NOT_FOUND, _("This place has no EKS cluster yet. Look at its HyperPod cluster again."))
    aws = aws_for(place.account, place.region)
    return aws.tokens.of(place.eks_name, aws.region, aws.credentials, fresh=fresh)


def eks_identity(cluster: Cluster) -> tuple[str, ...]:
    """All that its bearer is made of, the secret as it is stored."""
    place = place_in(cluster)
    if place is None:
        return ()
    account = place.account
    return (place.region, place.eks_name, str(account.pk), account.sign_in, account.role_arn, account.external_id,
            account.access_key_id, account.secret_access_key)
