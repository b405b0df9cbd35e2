"""People who change their minds: wishes follow each other faster than a place can carry them out, and the last one counts."""

from __future__ import annotations

import random

import pytest

from endpoints import services
from endpoints.models import Endpoint, Revision
from endpoints.states import Status, Wish
from portal.tenancy.errors import PortalError
from tests.cast import Cast

from .test_targets_contract import World, fast_sim, fresh, new, pod_sim, settle, settle_gone, world

__all__ = ["fast_sim", "pod_sim", "world"]  # fixtures

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.slow]
LENGTHS = range(64, 64 + 1000)
PLAIN = {"stop": services.stop, "start": services.start, "retry": services.retry, "deploy": services.deploy}


def act(choose: random.Random, cast: Cast, row: Endpoint) -> str:
    """One wish by chance; one that makes no sense just now is refused, which is right as well."""
    alice = cast.actor("alice")
    verb = choose.choice(["update", "update", "scale", "stop", "start", "retry", "roll back", "deploy"])
    try:
        if verb == "update":
            services.update(alice, row, arguments={"max-model-len": choose.choice(LENGTHS)})
        elif verb == "scale":
            services.scale(alice, row, choose.randint(1, 3))
        elif verb == "roll back":
            numbers = Revision.objects.filter(endpoint=row).values_list("number", flat=True)
            services.roll_back(alice, row, choose.choice(numbers))
        else:
            PLAIN[verb](alice, row)
    except PortalError:
        return f"({verb})"
    return verb


@pytest.mark.parametrize("seed", range(3))
def test_whatever_was_wished_in_between_the_last_wish_comes_true(world: World, cast: Cast, seed: int) -> None:
    choose, done = random.Random(seed), list[str]()
    endpoint = new(world, cast, replicas=1)
    for _ in range(12):
        for _ in range(choose.randint(0, 4)):
            world.work()
            services.reconcile(endpoint.pk)
            assert fresh(endpoint).status not in (Status.FAILED, Status.STALLED), (done, fresh(endpoint).message)
        done.append(act(choose, cast, fresh(endpoint)))
    row = fresh(endpoint)
    if row.wish == Wish.STOPPED:
        settle(world, row, Status.STOPPED)
        assert world.left(row) == [], done
        services.start(cast.actor("alice"), fresh(endpoint))
        row = fresh(endpoint)
    assert row.wanted is not None
    row = settle(world, row, Status.INSERVICE, ready=row.replicas, serving=row.wanted.number)
    assert (row.cause, row.message) == ("", ""), done
    services.delete(cast.actor("alice"), row)
    settle_gone(world, endpoint)
    assert world.left(endpoint) == [], done
