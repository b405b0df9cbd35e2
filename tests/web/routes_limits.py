"""What the isolation matrix has to know of the pages of limits."""

from __future__ import annotations

from typing import Any

from portal.tenancy.models import Limit, Workspace
from tests.portal.world import World
from tests.web.routes import Entry
from tests.web.routes_keys import key_of


def limit_of(_world: World, workspace: Workspace) -> tuple[Any, ...]:
    return (Limit.objects.filter(workspace=workspace).first().uid,)  # type: ignore[union-attr]


ROUTES = {
    "limits": Entry(),
    "limit-new": Entry(verbs=("GET", "POST"), body=lambda _world: {"member": "bob", "requests_per_minute": "5"},
                       foreign={"member": key_of}),
    "limit": Entry(ids=limit_of, verbs=("GET", "POST"), body=lambda _world: {"requests_per_minute": "5"}),
    "limit-delete": Entry(ids=limit_of, verbs=("POST",)),
}
