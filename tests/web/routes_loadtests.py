"""What the isolation matrix has to know of the pages of load tests."""

from __future__ import annotations

from typing import Any

from endpoints.models import LoadTest
from portal.tenancy.models import Workspace
from tests.endpoints.loadtest_cast import make_run
from tests.portal.world import World
from tests.web.routes import Entry


def run_of(world: World, workspace: Workspace) -> tuple[Any, ...]:
    found = LoadTest.objects.filter(workspace=workspace).first()
    if found is None:
        endpoint, owner = ((world.ours, world.cast.alice) if workspace == world.cast.alpha
                           else (world.theirs, world.cast.charlie))
        found = make_run(workspace, owner, endpoint.public_name, endpoint=endpoint, notes=f"{endpoint.public_name} notes")
    return (found.uid,)


FORM = {"mode": "rate", "rate": "1", "seconds": "10", "prompt_tokens": "10", "output_tokens": "10"}

ROUTES = {
    "loadtests": Entry(),
    "loadtest-new": Entry(verbs=("GET", "POST"), body=lambda world: {**FORM, "model": world.ours.public_name},
                          foreign={"model": lambda world, workspace: (
                              (world.ours if workspace == world.cast.alpha else world.theirs).public_name,)}),
    "loadtest": Entry(ids=run_of),
    "loadtest-live": Entry(ids=run_of),
    "loadtest-csv": Entry(ids=run_of),
    "loadtest-cancel": Entry(ids=run_of, verbs=("POST",), body=lambda _world: {}),
    "loadtest-notes": Entry(ids=run_of, verbs=("POST",), body=lambda _world: {"notes": "mine"}),
    "loadtest-delete": Entry(ids=run_of, verbs=("GET", "POST"), body=lambda _world: {}),
}
