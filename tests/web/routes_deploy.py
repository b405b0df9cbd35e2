"""The pages that deploy and change."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from portal.tenancy.models import Workspace
from tests.portal.world import World

from .routes import Entry


def of_endpoint(world: World, workspace: Workspace) -> tuple[Any, ...]:
    return ((world.ours if workspace.slug == "alpha" else world.theirs).uid,)


def place_of(world: World, workspace: Workspace) -> tuple[Any, ...]:
    return (world.shared.name if workspace.slug == "alpha" else world.their_place.name,)


def deploy_form(world: World) -> Mapping[str, Any]:
    return {"model": world.profile.model.slug, "place": world.shared.name, "size": "1", "name": "made-here", "act": "deploy"}


def edit_form(world: World) -> Mapping[str, Any]:
    return {"size": "2", "act": "deploy"}


ROUTES: dict[str, Entry] = {
    "deploy": Entry(verbs=("GET", "POST"), body=deploy_form, foreign={"place": place_of}),
    "endpoint-edit": Entry(ids=of_endpoint, verbs=("GET", "POST"), body=edit_form),
    "plan": Entry(ids=of_endpoint, verbs=("GET", "POST"), body=lambda _world: {"plan": ""}),
}
