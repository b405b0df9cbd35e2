"""The pages of endpoints, for the isolation matrix."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from endpoints.models import Endpoint
from portal.tenancy.models import Workspace
from tests.portal.world import World

from .routes import Entry


def uid(world: World, workspace: Workspace) -> tuple[Any, ...]:
    return (of(world, workspace).uid,)


def part(world: World, workspace: Workspace) -> tuple[Any, ...]:
    return of(world, workspace).uid, "replicas"


def of(world: World, workspace: Workspace) -> Endpoint:
    return world.ours if workspace == world.cast.alpha else world.theirs


def generation(world: World) -> Mapping[str, Any]:
    return {"generation": world.ours.generation}


def form(**more: Any) -> Entry:
    return Entry(uid, ("POST",), lambda world: {**generation(world), **more})


def both(**more: Any) -> Entry:
    return Entry(uid, ("GET", "POST"), lambda world: {**generation(world), **more})


ROUTES = {
    "endpoints": Entry(),
    "endpoint": Entry(uid), "endpoint-part": Entry(part), "endpoint-figures": Entry(uid),
    "endpoint-stream": Entry(uid, is_stream=True, good=(204,)),
    "endpoint-log": Entry(uid), "endpoint-log-file": Entry(uid), "endpoint-events": Entry(uid),
    "endpoint-revisions": Entry(uid), "endpoint-compare": Entry(uid), "endpoint-why": Entry(uid),
    "endpoint-key": Entry(uid, ("POST",), lambda _world: {"once": "one"}),
    "endpoint-scale": both(replicas=2), "endpoint-autoscale": both(off="1"), "endpoint-delete": both(name="alpha-chat"),
    "endpoint-stop": form(), "endpoint-start": form(), "endpoint-retry": form(), "endpoint-rollback": form(revision=1),
    "endpoint-drift": form(choice="accept"),
}
