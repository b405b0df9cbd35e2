"""Reads that ask the place itself: why is it not ready, what would change, what did it write."""

from __future__ import annotations

from django.utils.translation import gettext as _

from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import Explanation, Step, TargetError
from portal.tenancy.errors import Unavailable
from portal.tenancy.text import clean

from .specs import spec_of


def explain(endpoint: Endpoint) -> Explanation:
    """The evidence for its state. Raises Unavailable where the place can't be asked."""
    try:
        return target_for(endpoint.cluster).explain(spec_of(endpoint))
    except TargetError as error:
        raise Unavailable(_("The place can't be asked: %(why)s") % {"why": clean(error.message, 300)}) from error


def logs(endpoint: Endpoint, *, replica: int = 0, previous: bool = False) -> str:
    """The last lines of one replica, cleaned. Raises Unavailable where the place can't be asked."""
    try:
        return clean(target_for(endpoint.cluster).logs(spec_of(endpoint), replica=replica, previous=previous), 65536)
    except TargetError as error:
        raise Unavailable(_("The place can't be asked: %(why)s") % {"why": clean(error.message, 300)}) from error


def plan(endpoint: Endpoint) -> list[Step]:
    """What the next step would change. Raises Unavailable where the place can't be asked."""
    try:
        return target_for(endpoint.cluster).plan(spec_of(endpoint))
    except TargetError as error:
        raise Unavailable(_("The place can't be asked: %(why)s") % {"why": clean(error.message, 300)}) from error
