"""Limits on what is deployed: every one on the chain applies, and each says what is used and what is free."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from clusters.models import Cluster
from endpoints import services
from endpoints.models import Endpoint
from endpoints.states import Wish
from models_catalog.models import Profile
from portal.tenancy.actor import Actor
from portal.tenancy.errors import QuotaExceeded
from portal.tenancy.models import ApiKey, Workspace
from tests.cast import Cast, make_cluster, make_host, make_profile, set_limit

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]


@pytest.fixture
def place() -> Cluster:
    cluster = make_cluster()
    make_host(cluster, gpus=8)
    return cluster


@pytest.fixture
def gpu(place: Cluster) -> Profile:
    return make_profile("big", gpus=2)


def make_key(cast: Cast, name: str = "ci") -> ApiKey:
    key = ApiKey(workspace=cast.alpha, created_by=cast.bob, name=name, scopes=["deploy"])
    key.draw_secret()
    key.save()
    return key


def deploy(actor: Actor, workspace: Workspace, place: Cluster, profile: Profile, name: str, **more: Any) -> Endpoint:
    return services.create(actor, workspace, name=name, cluster=place, profile=profile, **more)


def test_every_limit_on_the_chain_applies_and_names_itself(cast: Cast, place: Cluster, gpu: Profile) -> None:
    """One endpoint of 2 replicas and 4 GPUs; each limit alone refuses it, and says which one it is."""
    key = make_key(cast)
    program = Actor(user=cast.bob, key=key)
    chain: list[tuple[str, dict[str, Any], str]] = [
        ("workspace", {}, "The workspace's limit"), ("member", {"member": cast.bob}, "the member bob"),
        ("key", {"key": key}, f"the API key {key}"), ("model", {"model_name": "chat"}, "the model chat")]
    for kind, of, words in chain:
        row = set_limit(cast.alpha, kind, of=of, gpus=3)
        with pytest.raises(QuotaExceeded, match="gpus 4 of 3") as refusal:
            deploy(program, cast.alpha, place, gpu, "chat", replicas=2)
        assert words in refusal.value.message
        assert "Others use 0, 3 are free." in refusal.value.message
        assert refusal.value.field == "gpus"
        row.delete()
    made = deploy(program, cast.alpha, place, gpu, "chat", replicas=2)
    assert (made.created_by, made.created_by_key) == (cast.bob, key)


def test_a_limit_counts_only_what_is_its_own(cast: Cast, place: Cluster, gpu: Profile) -> None:
    """What others made, what another key made and what another name has don't count; what the key's maker made does."""
    key = make_key(cast)
    set_limit(cast.alpha, "member", of={"member": cast.bob}, endpoints=2)
    set_limit(cast.alpha, "key", of={"key": key}, endpoints=1)
    set_limit(cast.alpha, "model", of={"model_name": "b"}, gpus=2)
    set_limit(cast.beta, endpoints=0)
    deploy(cast.actor("alice"), cast.alpha, place, gpu, "a", replicas=3)
    deploy(Actor(user=cast.bob, key=key), cast.alpha, place, gpu, "b")
    with pytest.raises(QuotaExceeded, match=r"the API key .* endpoints 2 of 1"):
        deploy(Actor(user=cast.bob, key=key), cast.alpha, place, gpu, "c")
    deploy(cast.actor("bob"), cast.alpha, place, gpu, "c")
    with pytest.raises(QuotaExceeded, match="the member bob is reached: endpoints 3 of 2"):
        deploy(Actor(user=cast.bob, key=make_key(cast, "other")), cast.alpha, place, gpu, "d")
    deploy(cast.actor("alice"), cast.alpha, place, gpu, "d")
    with pytest.raises(QuotaExceeded, match="the model b is reached: gpus 4 of 2"):
        services.scale(cast.actor("alice"), Endpoint.objects.get(name="b"), 2)


def test_all_the_limits_that_are_broken_are_named(cast: Cast, place: Cluster, gpu: Profile) -> None:
    set_limit(cast.alpha, replicas=1, gpus=2)
    set_limit(cast.alpha, "member", of={"member": cast.alice}, gpus=1)
    with pytest.raises(QuotaExceeded) as refusal:
        deploy(cast.actor("alice"), cast.alpha, place, gpu, "chat", replicas=2)
    assert refusal.value.message.count("limit") == 3


def test_a_lowered_limit_stops_growth_and_nothing_that_runs(cast: Cast, place: Cluster, gpu: Profile) -> None:
    alice = cast.actor("alice")
    endpoint = deploy(alice, cast.alpha, place, gpu, "chat", replicas=4)
    set_limit(cast.alpha, gpus=2, replicas=1, endpoints=0)
    services.retry(alice, endpoint)
    services.scale(alice, endpoint, 3)
    with pytest.raises(QuotaExceeded, match="gpus 8 of 2"):
        services.scale(alice, Endpoint.objects.get(), 4)
    services.stop(alice, endpoint)
    with pytest.raises(QuotaExceeded):
        services.start(alice, endpoint)
    assert Endpoint.objects.get().wish == Wish.STOPPED
    services.delete(alice, Endpoint.objects.get())


def test_the_plan_says_what_the_wish_would_be_told(cast: Cast, place: Cluster, gpu: Profile) -> None:
    alice = cast.actor("alice")
    assert not [check for check in services.plan_creation(
        alice, cast.alpha, name="chat", cluster=place, profile=gpu).plan.checks if check.name == "limits"]
    set_limit(cast.alpha, gpus=4)
    deploy(alice, cast.alpha, place, gpu, "chat")

    def check(count: int) -> tuple[bool | None, str, tuple[str, ...]]:
        planned = services.plan_creation(alice, cast.alpha, name="more", cluster=place, profile=gpu, replicas=count)
        (found,) = [check for check in planned.plan.checks if check.name == "limits"]
        assert planned.plan.may_go is False or found.ok
        return found.ok, found.sentence, found.lines

    assert check(1) == (True, "It stays within every limit.", ("Alpha, gpus: 2 + 2 of others, of 4",))
    ok, sentence, _lines = check(2)
    assert ok is False
    assert sentence == "The workspace's limit is reached: gpus 6 of 4. Others use 2, 2 are free."
    grown = services.plan_change(alice, Endpoint.objects.get(), replicas=3).plan.checks
    assert [found.ok for found in grown if found.name == "limits"] == [False]


def test_parallel_creates_of_two_keys_stop_exactly_at_their_makers_limit(cast: Cast, place: Cluster) -> None:
    set_limit(cast.alpha, "member", of={"member": cast.bob}, endpoints=4)
    profile = make_profile()
    keys = [make_key(cast, "one"), make_key(cast, "two")]

    def one(number: int) -> type | None:
        try:
            deploy(Actor(user=cast.bob, key=keys[number % 2]), cast.alpha, place, profile, f"e{number}")
        except QuotaExceeded as error:
            return type(error)
        finally:
            connection.close()
        return None

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(one, range(12)))
    assert (answers.count(None), answers.count(QuotaExceeded), Endpoint.objects.count()) == (4, 8, 4)
