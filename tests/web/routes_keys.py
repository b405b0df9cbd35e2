"""What the isolation matrix has to know of the pages of keys."""

from __future__ import annotations

from typing import Any

from portal.tenancy.models import Workspace
from tests.portal.world import World
from tests.web.routes import Entry


def key_of(world: World, workspace: Workspace) -> tuple[Any, ...]:
    return ((world.our_key if workspace == world.cast.alpha else world.their_key).uid,)


ROUTES = {
    "keys": Entry(),
    "key-new": Entry(verbs=("GET", "POST"), body=lambda _world: {"name": "ci", "scopes": "inference", "lasts": "30"}),
    "keys-revoke": Entry(verbs=("GET", "POST"), body=lambda world: {"key": str(world.our_key.uid)}, foreign={"key": key_of}),
}
