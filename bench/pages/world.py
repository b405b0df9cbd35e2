"""What the pages show: places, a catalogue, 10,000 endpoints, people, keys, limits, load tests and an audit."""

from __future__ import annotations

import io
import json
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

from bench.pages.insert import insert, moment, quickly
from bench.pages.usage import fill_usage

ENDPOINTS, WORKSPACES, AUDITED, RUNS, KEYS, MEMBERS, DRAWN_KEYS, LIMITED = 10_000, 10, 100_000, 40, 300, 300, 400, 30
STATES = ("INSERVICE",) * 20 + ("STOPPED", "DEGRADED", "CREATING", "STALLED")
NAMES = UUID(int=7)


@dataclass
class World:
    """Who looks, and at what. `endpoint` and `free` are of the fullest workspace; `free` is a place with room on a host."""

    member: Any
    operator: Any
    workspace: Any
    endpoint: Any
    hosted: Any
    runs: list[Any]
    free: Any
    model: Any
    profile: Any
    limit: Any


def fill(rows: int) -> World:
    with quickly():
        return _fill(rows)


def _fill(rows: int) -> World:
    from django.core.management import call_command

    from bench.endpoint_rows import make_endpoints, make_place, make_profile, make_workspace
    from portal.tenancy.models import User

    call_command("load_catalogue", stdout=io.StringIO())
    user = User.objects.create(username="bench", email="bench@example.org")
    operator = User.objects.create(username="bench-operator", is_staff=True, is_superuser=True)
    profile = make_profile()
    places = [make_place(f"place-{number}", kind) for number, kind in enumerate(("kubernetes", "hosts", "kubernetes", "hosts"))]
    free = _make_room(places)
    workspaces = [make_workspace(f"bench-{number}") for number in range(WORKSPACES)]
    people, keys = _make_people(user, workspaces)
    endpoints: list[Any] = []
    for index, state in enumerate(STATES):
        endpoints += make_endpoints(workspaces[0], places[index % 4], profile, ENDPOINTS // len(STATES), prefix=f"e{index}",
                                    status=state, wish="stopped" if state == "STOPPED" else "running")
    endpoints[0].refresh_from_db()
    limit = _make_limits(workspaces[0], people, keys)
    _fill_audit(workspaces, people, endpoints)
    fill_usage(workspaces, keys, people, endpoints, rows)
    hosted = next(row for row in endpoints if row.cluster == free)
    hosted.refresh_from_db()
    return World(user, operator, workspaces[0], endpoints[0], hosted, _make_runs(workspaces[0], user, endpoints), free,
                 profile.model, profile, limit)


def _make_room(places: Sequence[Any]) -> Any:
    """Nodes for all; of the hosts some are free."""
    from clusters.models import Node
    from models_catalog.models import EngineRelease
    from tests.cast import GIB, make_host

    for place in places:
        if place.kind == "kubernetes":
            Node.objects.bulk_create([Node(cluster=place, name=f"{place.name}-node-{number}", cpu_millis=64_000,
                                           memory_bytes=512 * GIB) for number in range(50)])
            continue
        for number in range(20):
            host = make_host(place, f"{place.name}-host-{number}", gpus=8, memory_bytes=512 * GIB, cpu_millis=64_000)
            host.releases = list(EngineRelease.objects.values_list("slug", flat=True))
            host.save()
    return next(place for place in places if place.kind == "hosts")


def _make_people(user: Any, workspaces: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """All are members of the first workspace, and have keys there; the playground drew some more."""
    from portal.tenancy.models import ApiKey, Membership, User

    User.objects.bulk_create([User(username=f"person-{number}", email=f"person-{number}@example.org")
                              for number in range(MEMBERS - 1)])
    people = [user, *User.objects.filter(username__startswith="person-").order_by("pk")]
    Membership.objects.bulk_create([Membership(workspace=each, user=user, role="owner") for each in workspaces])
    Membership.objects.bulk_create([Membership(workspace=workspaces[0], user=each, role="developer") for each in people[1:]])
    keys = [ApiKey(workspace=workspaces[0], created_by=people[at % 60], name=f"program-{at}") for at in range(KEYS)]
    drawn = [ApiKey(workspace=workspaces[0], created_by=people[at % 60], name="Playground") for at in range(DRAWN_KEYS)]
    for key in keys:
        key.draw_secret()
    for key in drawn:
        key.draw_secret("playpage")
    ApiKey.objects.bulk_create([*keys, *drawn])
    return people, list(ApiKey.objects.filter(name__startswith="program-").order_by("pk"))


def _make_limits(workspace: Any, people: Sequence[Any], keys: Sequence[Any]) -> Any:
    from portal.tenancy.models import LimitKind
    from tests.cast import set_limit

    for each in people[:LIMITED]:
        set_limit(workspace, LimitKind.MEMBER, of={"member": each}, requests_per_minute=60, tokens_per_month=10**9)
    for key in keys[:LIMITED]:
        set_limit(workspace, LimitKind.KEY, of={"key": key}, tokens_per_minute=10**6, money_per_month=500)
    return set_limit(workspace, money_per_month=10**6, tokens_per_month=10**12, endpoints=20_000, replicas=30_000, gpus=10_000)


def _fill_audit(workspaces: Sequence[Any], people: Sequence[Any], endpoints: Sequence[Any]) -> None:
    from portal.tenancy.models import AuditEntry

    columns = ("at", "actor_id", "actor_label", "workspace_id", "verb", "kind", "object_uid", "object_label", "before", "after",
               "request_id")
    insert(AuditEntry, columns, _audit(workspaces, people, endpoints))


def _audit(workspaces: Sequence[Any], people: Sequence[Any], endpoints: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
    from django.utils import timezone

    draw, now = random.Random(2), timezone.now()
    did = (("create", "endpoint"), ("change", "endpoint"), ("scale", "endpoint"), ("stop", "endpoint"),
           ("create key", "apikey"), ("revoke key", "apikey"), ("set limit", "limit"))
    for number in range(AUDITED):
        person, endpoint, (verb, kind) = draw.choice(people), draw.choice(endpoints), draw.choice(did)
        workspace = workspaces[0] if draw.random() < 0.6 else draw.choice(workspaces)
        yield (moment(now - timedelta(minutes=(AUDITED - number) * 5)), person.pk, person.username, workspace.pk, verb, kind,
               str(endpoint.uid), endpoint.name, json.dumps({"replicas": 1, "note": ""}),
               json.dumps({"replicas": 2, "note": "more callers"}), uuid5(NAMES, str(number)).hex)


def _make_runs(workspace: Any, user: Any, endpoints: Sequence[Any]) -> list[Any]:
    """The newest first, each of another load."""
    from tests.endpoints.loadtest_cast import make_run

    return [make_run(workspace, user, endpoints[at % 5].public_name, endpoint=endpoints[at % 5],
                     result={"rate": 5.0 + at % 7, "seed": at, "failing": 0.01 * (at % 3)}) for at in range(RUNS)][::-1]
