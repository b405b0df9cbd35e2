"""What every kind of place promises: one life of an endpoint, and the same life with a worker killed at any outside call."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

import pytest
from django.db import connections

from clusters.models import Claim, Cluster, Engine
from clusters.states import Phase
from endpoints import services
from endpoints.models import Endpoint
from endpoints.services.specs import spec_of
from endpoints.states import Status
from endpoints.targets import target_for
from endpoints.targets.base import Observation, Target
from models_catalog.models import Profile
from tests.aws import make_sagemaker_place
from tests.cast import GIB, Cast, make_cast, make_cluster, make_host, make_profile
from tests.endpoints.agent_play import clear_stopped, drain, report
from tests.endpoints.hyperpod.hyperpod_play import OPTIONS, TYPE, make_hyperpod_profile, make_place
from tests.endpoints.hyperpod.hyperpod_play import left_over as hyperpod_left_over
from tests.endpoints.kubernetes.cluster_play import cluster_profile, left_over
from tests.endpoints.sagemaker.play import INSTANCE, TURN, left, profile_for_sagemaker
from tests.endpoints.test_faults import end_leases, worker_dies
from tests.kube import make_kubernetes_place
from tests.simulators.aws.mirror import hyperpod_node
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator, cpu_node

pytestmark = pytest.mark.django_db(transaction=True)
PATIENCE = 30.0
MOST_POINTS = 60


class World(ABC):
    """A place of one kind, and whoever works there while the keeper looks away."""

    place: Cluster
    profile: Profile
    options: Mapping[str, Any] = MappingProxyType({})

    @abstractmethod
    def work(self) -> None:
        """Let the place do for a moment what it does by itself."""

    @abstractmethod
    def left(self, endpoint: Endpoint) -> list[str]:
        """Whatever of the endpoint is in the place."""

    @abstractmethod
    def replicas(self, endpoint: Endpoint) -> list[str]:
        """The processes or pods of the endpoint, by name."""


class Hosts(World):
    def __init__(self) -> None:
        self.place = make_cluster("contract")
        make_host(self.place, cpu_millis=64_000, memory_bytes=256 * GIB)
        self.profile = make_profile("contract-cpu")

    def work(self) -> None:
        report(Phase.READY)
        drain()
        clear_stopped()

    def left(self, endpoint: Endpoint) -> list[str]:
        engines = Engine.objects.filter(endpoint_uid=endpoint.uid)
        claims = Claim.objects.filter(engine__in=engines)
        return [*map(str, engines), *map(str, claims)]

    def replicas(self, endpoint: Endpoint) -> list[str]:
        return [f"{engine.index}" for engine in Engine.objects.filter(endpoint_uid=endpoint.uid)]


class Kubernetes(World):
    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.place = make_kubernetes_place(sim, "contract")
        self.profile = cluster_profile("contract")

    def work(self) -> None:
        time.sleep(0.02)

    def left(self, endpoint: Endpoint) -> list[str]:
        return left_over(self._sim, endpoint)

    def replicas(self, endpoint: Endpoint) -> list[str]:
        return [each for each in self.left(endpoint) if each.startswith("pods ")]


class HyperPod(World):
    options = MappingProxyType(OPTIONS)

    def __init__(self, sim: Simulator) -> None:
        self._sim = sim
        self.place = make_place(sim, "contract")
        self.profile = make_hyperpod_profile("contract")

    def work(self) -> None:
        time.sleep(0.02)

    def left(self, endpoint: Endpoint) -> list[str]:
        return hyperpod_left_over(self._sim, endpoint)

    def replicas(self, endpoint: Endpoint) -> list[str]:
        return [each for each in self.left(endpoint) if each.startswith("pods ")]


class SageMaker(World):
    options = MappingProxyType({"InstanceType": INSTANCE})

    def __init__(self, sim: AwsSimulator) -> None:
        self._sim = sim
        sim.clock.freeze()
        self.place = make_sagemaker_place(sim, "contract")
        self.profile = profile_for_sagemaker("contract")

    def work(self) -> None:
        self._sim.clock.advance(TURN)

    def left(self, endpoint: Endpoint) -> list[str]:
        assert self._sim.world.misuses == []
        return [each for each in left(self._sim) if endpoint.external_name in each]

    def replicas(self, endpoint: Endpoint) -> list[str]:
        there = self._sim.here().endpoints.get(endpoint.external_name)
        return [f"{name}/{number}" for name, variant in (there.variants if there else {}).items()
                for number in range(variant["count"])]


@pytest.fixture(scope="module")
def fast_sim() -> Iterator[Simulator]:
    with Simulator(nodes=[cpu_node("cpu-a")], speed=20.0) as sim:
        yield sim


@pytest.fixture(scope="module")
def pod_sim() -> Iterator[Simulator]:
    with Simulator(nodes=[hyperpod_node("i-0a1b2c3d4e5f67890", instance_type=TYPE)], speed=20.0) as sim:
        yield sim


@pytest.fixture(params=["hosts", "kubernetes", "hyperpod", "sagemaker"])
def world(request: pytest.FixtureRequest, db: None) -> World:
    if request.param == "hosts":
        return Hosts()
    if request.param == "hyperpod":
        return HyperPod(request.getfixturevalue("pod_sim"))
    if request.param == "sagemaker":
        return SageMaker(request.getfixturevalue("aws_sim"))
    return Kubernetes(request.getfixturevalue("fast_sim"))


def new(world: World, cast: Cast, replicas: int = 2) -> Endpoint:
    name = f"e{Endpoint.objects.count()}"
    return services.create(cast.actor("alice"), cast.alpha, name=name, cluster=world.place, profile=world.profile,
                           replicas=replicas, options=dict(world.options))


def fresh(endpoint: Endpoint) -> Endpoint:
    return Endpoint.objects.select_related(
        "workspace", "cluster", "wanted__profile__artifact", "serving__profile__artifact").get(pk=endpoint.pk)


def settle(world: World, endpoint: Endpoint, status: str, *, ready: int = 0, serving: int = 0) -> Endpoint:
    """Go on until the row says so and the place has just so many replicas."""
    begun = time.monotonic()
    while True:
        world.work()
        services.reconcile(endpoint.pk)
        row = fresh(endpoint)
        number = row.serving.number if row.serving else 0
        so = (row.status, row.ready_replicas, len(world.replicas(row))) == (status, ready, ready)
        if so and serving in (0, number):
            return row
        assert time.monotonic() - begun < PATIENCE, (
            f"still {row.status} {row.ready_replicas} r{number}: {row.message} {row.last_error} {world.left(row)}")


def settle_gone(world: World, endpoint: Endpoint) -> None:
    begun = time.monotonic()
    while Endpoint.objects.filter(pk=endpoint.pk).exists():
        world.work()
        services.reconcile(endpoint.pk)
        assert time.monotonic() - begun < PATIENCE, world.left(endpoint)


def test_an_endpoint_lives_through_every_wish(world: World, cast: Cast) -> None:
    alice = cast.actor("alice")
    endpoint = settle(world, new(world, cast), Status.INSERVICE, ready=2, serving=1)
    services.scale(alice, endpoint, 3)
    endpoint = settle(world, endpoint, Status.INSERVICE, ready=3)
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    endpoint = settle(world, endpoint, Status.INSERVICE, ready=3, serving=2)
    services.roll_back(alice, endpoint, 1)
    endpoint = settle(world, endpoint, Status.INSERVICE, ready=3, serving=1)
    services.scale(alice, endpoint, 1)
    endpoint = settle(world, endpoint, Status.INSERVICE, ready=1)
    services.stop(alice, endpoint)
    endpoint = settle(world, endpoint, Status.STOPPED)
    assert world.left(endpoint) == []
    services.start(alice, endpoint)
    endpoint = settle(world, endpoint, Status.INSERVICE, ready=1)
    services.delete(alice, endpoint)
    settle_gone(world, endpoint)
    assert world.left(endpoint) == []


def test_every_call_of_a_target_may_be_repeated(world: World, cast: Cast) -> None:
    endpoint = settle(world, new(world, cast), Status.INSERVICE, ready=2)
    target: Target = target_for(endpoint.cluster)
    spec = spec_of(endpoint)
    before = sorted(world.left(endpoint))
    for _ in range(3):
        target.apply(spec)
    assert sorted(world.left(endpoint)) == before
    assert target.observe([endpoint.uid])[endpoint.uid] == target.observe()[endpoint.uid]
    seen = target.observe([endpoint.uid])[endpoint.uid]
    assert sorted(each.index for each in seen.of(1)) == [0, 1]
    assert all(each.ready for each in seen.replicas)


def test_what_is_not_there_has_no_replicas_and_goes_without_a_word(world: World, cast: Cast) -> None:
    endpoint = fresh(new(world, cast))
    target: Target = target_for(endpoint.cluster)
    assert target.observe([endpoint.uid]).get(endpoint.uid, Observation()).replicas == ()
    target.remove(spec_of(endpoint))
    assert target.logs(spec_of(endpoint)) == ""


Wish = Callable[[Cast, Endpoint], object]
WISHES: list[tuple[str, Wish, dict[str, int]]] = [
    ("deploy", lambda cast, row: None, {"ready": 2, "serving": 1}),
    ("scale", lambda cast, row: services.scale(cast.actor("alice"), row, 1), {"ready": 1}),
    ("update", lambda cast, row: services.update(cast.actor("alice"), row, arguments={"max-model-len": 128}),
     {"ready": 2, "serving": 2}),
]


@pytest.mark.slow
@pytest.mark.parametrize(("wish", "ends"), [row[1:] for row in WISHES], ids=[row[0] for row in WISHES])
def test_a_worker_killed_at_any_outside_call_loses_and_doubles_nothing(
    world: World, wish: Wish, ends: dict[str, int],
) -> None:
    """Each round kills the worker one point later, until a whole step is survived; four steps into an update as well."""
    cast, kills = make_cast(), 0
    for earlier in range(4 if ends.get("serving") == 2 else 1):
        for at in range(1, MOST_POINTS):
            endpoint = new(world, cast)
            if ends != WISHES[0][2]:
                endpoint = settle(world, endpoint, Status.INSERVICE, ready=2)
                wish(cast, endpoint)
            for _ in range(earlier):
                services.reconcile(endpoint.pk)
                world.work()
            killed = worker_dies(endpoint, at)
            kills += killed
            end_leases()
            settle(world, endpoint, Status.INSERVICE, **ends)
            services.delete(cast.actor("alice"), fresh(endpoint))
            settle_gone(world, endpoint)
            assert world.left(endpoint) == []
            if not killed:
                break
    assert kills
    connections.close_all()


@pytest.mark.slow
def test_a_worker_killed_while_it_deletes_leaves_no_orphan(world: World, cast: Cast) -> None:
    for at in range(1, MOST_POINTS):
        endpoint = settle(world, new(world, cast), Status.INSERVICE, ready=2)
        services.delete(cast.actor("alice"), endpoint)
        killed = worker_dies(endpoint, at)
        end_leases()
        settle_gone(world, endpoint)
        assert world.left(endpoint) == []
        if not killed:
            assert at > 1
            break
