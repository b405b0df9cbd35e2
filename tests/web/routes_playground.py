from __future__ import annotations

from portal.tenancy.models import Workspace
from tests.portal.world import World
from tests.web.routes import Entry


def a_name(world: World, workspace: Workspace) -> tuple[str]:
    return ((world.ours if workspace == world.cast.alpha else world.theirs).public_name,)


ROUTES = {
    "playground": Entry(),
    "playground-models": Entry(),
    "playground-key": Entry(verbs=("POST",), body=lambda world: {"model": world.ours.public_name}, foreign={"model": a_name}),
}
