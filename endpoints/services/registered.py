"""Names under which HyperPod's operator registers endpoints at SageMaker: an account and region has each of them once."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from django.db.models import Q
from django.utils.translation import gettext as _

from clusters.models import AwsPlace, Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from endpoints.options import Problem
from endpoints.options.case import value_at
from portal.tenancy.errors import Invalid

FIELDS = ("endpointName", "sageMakerEndpoint.name")
OF_THE_PORTAL = re.compile(r".+-[0-9a-f]{10}")  # as an endpoint's external name


def require_free_name(cluster: Cluster, options: Mapping[str, Any], own: Endpoint | None) -> None:
    """Raises Invalid (field ``options``) for a name that another endpoint of the same account and region has.

    What others than the portal have there only AWS knows: the operator says so in the object's status.
    """
    field, name = next(((path, value) for path in FIELDS if (value := value_at(options, path))), ("", ""))
    place = AwsPlace.objects.filter(cluster=cluster).select_related("account").first() if name else None
    if place is None or cluster.kind != ClusterKind.HYPERPOD:
        return
    others = Endpoint.objects.filter(cluster__in=_beside(place))
    if own is not None:
        others = others.exclude(pk=own.pk)
    if _registers(others, name) or _is_called(others, name):
        raise Invalid(str(Problem(field, _("Another endpoint of this AWS account and region has this name: choose another."))),
                      field="options")


def _beside(place: AwsPlace) -> Any:
    same = Q(account=place.account_id)
    if place.account.account_id:
        same |= Q(account__account_id=place.account.account_id)
    return AwsPlace.objects.filter(same, region=place.region).values("cluster")


def _registers(others: Any, name: str) -> bool:
    found = Q()
    for path in FIELDS:
        where = f"spec__options__{path.replace('.', '__')}"
        found |= Q(**{f"wanted__{where}": name}) | Q(**{f"serving__{where}": name})
    return bool(others.filter(found).exists())


def _is_called(others: Any, name: str) -> bool:
    """Whether it is the name of an endpoint that the portal makes at SageMaker itself."""
    if not OF_THE_PORTAL.fullmatch(name):
        return False
    rows = others.filter(cluster__kind=ClusterKind.SAGEMAKER).only("name", "uid")
    return any(row.external_name == name for row in rows)
