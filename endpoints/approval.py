"""A caller that looked at a plan sends its word as `If-Plan`: the wish is refused where the place has changed since."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from endpoints import services
from portal.tenancy.auth import ApiRequest

HEADER = "If-Plan"


def approve(request: ApiRequest, plan: Callable[[], services.Planned]) -> None:
    """Nothing where no plan was sent. Raises Stale, Invalid. Asks the place, so call it outside a transaction."""
    word = request.headers.get(HEADER, "")
    if word:
        services.require_unchanged(word, plan())


def uid_of_plan(request: ApiRequest) -> UUID | None:
    """The uid that the plan of a new endpoint was made for."""
    word = request.headers.get(HEADER, "")
    return services.approved_uid(word) if word else None
