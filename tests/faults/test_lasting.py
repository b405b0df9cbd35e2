"""What lasts ends with the right to it (T6), and a log is read of one's own replicas only, whatever is asked for (T7)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.test import AsyncClient, Client

from clusters.models import Cluster, Engine, KubernetesAccess
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services import following
from endpoints.services.specs import namespace_of
from models_catalog.models import Profile
from portal.tenancy import services as tenancy
from portal.tenancy.models import ApiKey, Membership, User
from tests.cast import Cast, make_cast
from tests.endpoints.kubernetes.cluster_play import cluster_profile, in_service, pods
from tests.kube import make_kubernetes_place
from tests.portal.apiclient import Api, by_key, key_text
from tests.portal.conftest import STORAGES
from tests.portal.world import World, make_world
from tests.simulators.kubernetes.server import Simulator, cpu_node

OURS, THEIRS = "a line of alpha's engine", "a line of beta's engine"
Act = Callable[[World], Any]


def _removed(world: World) -> None:
    tenancy.remove_member(world.cast.actor("alice"), Membership.objects.get(workspace=world.cast.alpha, user=world.cast.bob))


def _disabled(world: World) -> None:
    User.objects.filter(pk=world.cast.bob.pk).update(is_active=False)


def _revoked(world: World) -> None:
    tenancy.revoke_key(world.cast.actor("alice"), ApiKey.objects.get(created_by=world.cast.bob))


def _signed_out(_world: World) -> None:
    Session.objects.all().delete()


def _another_password(world: World) -> None:
    world.cast.bob.set_password("another-Secret-2")
    world.cast.bob.save()


@pytest.mark.parametrize(("by", "end"), [
    ("key", _removed), ("key", _disabled), ("key", _revoked), ("session", _removed), ("session", _disabled),
    ("session", _signed_out), ("session", _another_password),
])
@pytest.mark.django_db(transaction=True)
async def test_a_log_that_is_followed_ends_with_the_right_to_it(
    monkeypatch: pytest.MonkeyPatch, transactional_db: None, by: str, end: Act,
) -> None:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(following, "MOST_SECONDS", 8.0)
    world = await asyncio.to_thread(_world_with_logs)
    engines = Engine.objects.filter(endpoint_uid=world.ours.uid)
    client = AsyncClient()
    headers = await asyncio.to_thread(_headers, client, by, world)
    answer = await client.get(f"/api/v1/endpoints/{world.ours.uid}/logs?follow=true", headers=headers)
    parts: AsyncIterator[bytes] = aiter(answer.streaming_content)
    assert OURS.encode() in await anext(parts)
    await engines.aupdate(log=f"{OURS}\nmore\n")
    assert await asyncio.wait_for(anext(parts), 30) == b"\nmore"
    await sync_to_async(end)(world)
    await engines.aupdate(log=f"{OURS}\nmore\nnot for bob\n")
    assert [part async for part in parts] == []


def _world_with_logs() -> World:
    world = make_world(make_cast())
    Engine.objects.filter(endpoint_uid=world.ours.uid).update(log=f"{OURS}\n", previous_log=f"{OURS}\n")
    Engine.objects.filter(endpoint_uid=world.theirs.uid).update(log=f"{THEIRS}\n", previous_log=f"{THEIRS}\n")
    return world


def _headers(client: AsyncClient, by: str, world: World) -> dict[str, str]:
    if by == "key":
        return {"Authorization": f"Bearer {key_text(world.cast.bob, world.cast.alpha)}"}
    client.force_login(world.cast.bob)
    return {}


@pytest.fixture
def world(cast: Cast, settings: Any) -> World:
    settings.STORAGES = STORAGES
    made = make_world(cast)
    Engine.objects.filter(endpoint_uid=made.ours.uid).update(log=OURS, previous_log=OURS)
    Engine.objects.filter(endpoint_uid=made.theirs.uid).update(log=THEIRS, previous_log=THEIRS, revision=9)
    return made


def names_of_theirs(world: World) -> list[str]:
    """By what somebody might ask for beta's engine on the host that both share."""
    engine = Engine.objects.get(endpoint_uid=world.theirs.uid)
    return [str(each) for each in (world.theirs.uid, world.theirs.pk, engine.uid, engine.pk, engine.label,
                                   world.theirs.external_name, f"{world.theirs.external_name}-0", engine.node.name)]


@pytest.mark.parametrize("parameter", ["replica", "pod", "name", "uid", "engine", "endpoint", "host", "container"])
def test_no_name_of_anothers_replica_leads_to_its_log(world: World, parameter: str) -> None:
    alice, key = Client(), by_key(world.cast.alice, world.cast.alpha)
    alice.force_login(world.cast.alice)
    pages = [f"/w/alpha/endpoints/{world.ours.uid}/{rest}" for rest in ("log/", "log/file/", "why/", "part/replicas/")]
    routes = [f"endpoints/{world.ours.uid}/{rest}" for rest in ("logs", "replicas", "explain", "cluster-events", "engines")]
    for name in names_of_theirs(world):
        said = [alice.get(page, {parameter: name, "previous": "1"}).content for page in pages]
        said += [key.get(f"{route}?{parameter}={name}").content for route in routes]
        assert not any(THEIRS.encode() in text for text in said), (parameter, name)


def test_ones_own_log_is_there(world: World) -> None:
    alice = Api(world.cast.alice)
    assert alice.get(f"endpoints/{world.ours.uid}/logs").json()["text"] == OURS
    for replica in range(1, 64):
        assert alice.get(f"endpoints/{world.ours.uid}/logs?replica={replica}").json()["text"] == ""
    assert alice.get(f"endpoints/{world.theirs.uid}/logs").status_code == 404
    assert alice.get(f"endpoints/{world.theirs.uid}/logs?follow=true").status_code == 404


@pytest.fixture
def place(cast: Cast) -> Any:
    with Simulator(nodes=[cpu_node("cpu-a"), cpu_node("cpu-b")], speed=10.0) as sim:
        cluster = make_kubernetes_place(sim)
        KubernetesAccess.objects.filter(cluster=cluster).update(capabilities={})
        yield cluster, sim


def test_pods_of_two_tenants_in_one_cluster_keep_their_logs_apart(cast: Cast, place: tuple[Cluster, Simulator]) -> None:
    cluster, sim = place
    rows = [in_service(_endpoint(cast, name, workspace, cluster)) for name, workspace in (
        ("alice", cast.alpha), ("charlie", cast.beta))]
    for row, line in zip(rows, (OURS, THEIRS), strict=True):
        for pod in pods(sim, row):
            sim.call(sim.controllers.logs.write, namespace_of(row), pod["metadata"]["name"], f"{line}\n")
    ours, theirs = rows
    before = len(sim.requests)
    alice = Api(cast.alice)
    assert OURS in alice.get(f"endpoints/{ours.uid}/logs").json()["text"]
    names = [pod["metadata"]["name"] for pod in pods(sim, theirs)]
    for query in [f"replica={number}" for number in range(4)] + [f"pod={name}" for name in names]:
        assert THEIRS.encode() not in alice.get(f"endpoints/{ours.uid}/logs?{query}").content
    asked = [each.path for each in sim.requests[before:]]
    assert any(path.endswith("/log") for path in asked)
    assert [path for path in asked if namespace_of(theirs) in path and path.endswith("/log")] == []


def _endpoint(cast: Cast, person: str, workspace: Any, cluster: Cluster) -> Endpoint:
    """Both of one name."""
    return services.create(cast.actor(person), workspace, name="chat", cluster=cluster, profile=_profile())


def _profile() -> Profile:
    return Profile.objects.filter(slug="small-cpu").first() or cluster_profile()
