"""Wishes on the real rows and the real hosts target, step by step."""

from __future__ import annotations

import pytest

from clusters.models import Claim, Engine
from clusters.states import Phase
from endpoints import services
from endpoints.models import Backend, Endpoint, Event
from endpoints.services.specs import spec_of
from endpoints.states import Cause, Status, Wish
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, QuotaExceeded, Stale
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster, make_host, make_profile, set_limit
from tests.endpoints.agent_play import clear_stopped, drain, lose_host, report, serve, step

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]


@pytest.fixture
def endpoint(cast: Cast) -> Endpoint:
    """A new endpoint of Alice's on a place with one host."""
    cluster = make_cluster()
    make_host(cluster)
    return services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=cluster, profile=make_profile())


def crash_loop(**which: int) -> None:
    report(Phase.CRASHLOOP, message="The engine refused an argument.", **which)


def test_a_deployment_goes_from_pending_over_creating_to_in_service(endpoint: Endpoint) -> None:
    assert (endpoint.status, endpoint.observed_generation) == (Status.PENDING, 0)
    assert step(endpoint).status == Status.CREATING
    report(Phase.LOADING, message="Loading weights")
    assert "Loading weights" in step(endpoint).message
    report(Phase.READY)
    assert step(endpoint).status == Status.INSERVICE
    assert (endpoint.ready_replicas, endpoint.serving, endpoint.observed_generation) == (1, endpoint.wanted, 1)
    assert Backend.objects.get(endpoint=endpoint).url == "http://127.0.0.1:18000"
    moves = Event.objects.filter(kind="status").order_by("id").values_list("was", "now")
    assert list(dict.fromkeys(move for move in moves if move[0] != move[1])) == [
        ("PENDING", "CREATING"), ("CREATING", "INSERVICE")]


def test_the_order_is_an_argument_list_with_the_public_name(endpoint: Endpoint) -> None:
    step(endpoint)
    launch = Engine.objects.get().launch
    assert launch["argv"][:4] == ["--model", "/models/tiny-chat", "--served-model-name", "chat"]
    assert launch["release"] == "vllm-cpu-test"


def test_a_gated_models_token_reaches_the_host_encrypted_and_nothing_else(cast: Cast, endpoint: Endpoint) -> None:
    artifact = endpoint.wanted.profile.artifact
    artifact.put_secret("token", "hf_very_secret")
    artifact.save()
    step(endpoint)
    engine = Engine.objects.get()
    assert engine.secret("hub_token") == "hf_very_secret"
    rows = [*Engine.objects.values(), *Event.objects.values(), *AuditEntry.objects.values(),
            *type(endpoint.wanted).objects.values()]
    assert "hf_very_secret" not in str(rows)
    assert "hf_very_secret" not in repr(spec_of(endpoint))


def test_a_token_that_can_not_be_read_is_said_so(cast: Cast, endpoint: Endpoint) -> None:
    artifact = endpoint.wanted.profile.artifact
    artifact.token = "v1:00000000:AAAA"
    artifact.save()
    step(endpoint)
    assert (endpoint.status, endpoint.cause) == (Status.FAILED, Cause.REFUSED)
    assert "enter it again" in endpoint.message


def test_no_room_is_said_with_numbers_and_heals_when_a_host_comes(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, memory_bytes=1 * GIB)
    endpoint = services.create(cast.actor("alice"), cast.alpha, name="big", cluster=cluster, profile=make_profile())
    step(endpoint)
    assert (endpoint.status, endpoint.cause) == (Status.PENDING, Cause.NO_ROOM)
    assert "needs 2.0 GiB memory, 1.0 free" in endpoint.message
    make_host(cluster, "host-2")
    assert serve(endpoint).status == Status.INSERVICE


def test_replicas_spread_over_hosts_and_never_claim_more_than_there_is(cast: Cast) -> None:
    cluster = make_cluster()
    for name in ("host-1", "host-2"):
        make_host(cluster, name, memory_bytes=4 * GIB, cpu_millis=2000)
    endpoint = services.create(cast.actor("alice"), cast.alpha, name="chat", cluster=cluster,
                               profile=make_profile(), replicas=5)
    step(endpoint)
    per_node = [Engine.objects.filter(node__name=name).count() for name in ("host-1", "host-2")]
    assert per_node == [2, 2]
    assert "No room" in endpoint.message


def test_gpus_are_claimed_once_and_pinned_ones_exactly(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, gpus=2)
    profile = make_profile(gpus=1, gpu_memory_bytes=0)
    alice = cast.actor("alice")
    first = services.create(alice, cast.alpha, name="one", cluster=cluster, profile=profile, devices=[1])
    second = services.create(alice, cast.alpha, name="two", cluster=cluster, profile=profile)
    third = services.create(alice, cast.alpha, name="three", cluster=cluster, profile=profile)
    for endpoint in (first, second, third):
        step(endpoint)
    assert [Engine.objects.get(endpoint_uid=e.uid).launch["devices"] for e in (first, second)] == [[1], [0]]
    assert third.cause == Cause.NO_ROOM
    assert "0 of 2 fit" in third.message
    assert Claim.objects.exclude(accelerator=None).values("accelerator").distinct().count() == 2


def test_a_share_of_a_gpu_holds_the_engine_to_its_claim(cast: Cast) -> None:
    cluster = make_cluster()
    make_host(cluster, gpus=1)
    endpoint = services.create(cast.actor("alice"), cast.alpha, name="half", cluster=cluster, replicas=3,
                               profile=make_profile(gpus=1, gpu_memory_bytes=32 * GIB))
    step(endpoint)
    assert Engine.objects.count() == 2
    assert Engine.objects.first().launch["argv"][-2:] == ["--gpu-memory-utilization", "0.38"]


def test_stop_start_and_delete(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    serve(endpoint)
    services.stop(alice, endpoint)
    assert step(endpoint).status == Status.STOPPING
    assert not Backend.objects.exists()
    clear_stopped()
    assert step(endpoint).status == Status.STOPPED
    assert Claim.objects.count() == 0
    services.start(alice, endpoint)
    assert serve(endpoint).status == Status.INSERVICE
    services.delete(alice, endpoint)
    assert step(endpoint).status == Status.DELETING
    clear_stopped()
    services.reconcile(endpoint.pk)
    assert not Endpoint.objects.exists()
    assert AuditEntry.objects.filter(verb="deleted", object_uid=str(endpoint.uid)).exists()


def test_scaling_up_and_down(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    services.scale(cast.actor("bob"), endpoint, 3)
    assert step(endpoint).status == Status.UPDATING
    assert serve(endpoint).ready_replicas == 3
    services.scale(cast.actor("bob"), endpoint, 1)
    serve(endpoint)
    assert (endpoint.status, Engine.objects.count()) == (Status.INSERVICE, 1)


def test_an_update_replaces_one_by_one_and_the_old_ones_serve_until_then(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    services.scale(alice, endpoint, 2)
    serve(endpoint)
    services.update(alice, endpoint, arguments={"max-model-len": 128}, note="shorter")
    step(endpoint)
    assert [(e.index, e.revision) for e in Engine.objects.order_by("index", "revision")] == [(0, 1), (0, 2), (1, 1)]
    assert Backend.objects.filter(revision=1).count() == 2
    report(Phase.READY, revision=2)
    step(endpoint)
    old = Engine.objects.get(index=0, revision=1)
    assert (old.stop, old.retired_at is None) == (False, False), "it runs on for the calls that it has"
    assert sorted(Backend.objects.values_list("revision", flat=True)) == [1, 2], "and takes no new ones"
    drain()
    step(endpoint)
    assert Engine.objects.get(index=0, revision=1).stop
    clear_stopped()
    step(endpoint)
    assert Engine.objects.filter(index=1, revision=2).exists()
    serve(endpoint)
    assert (endpoint.status, endpoint.serving.number) == (Status.INSERVICE, 2)
    assert set(Engine.objects.values_list("revision", flat=True)) == {2}


def test_rolling_back_while_an_engine_is_retired_puts_it_back(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    serve(endpoint)
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    step(endpoint)
    report(Phase.READY, revision=2)
    step(endpoint)
    services.roll_back(alice, endpoint, 1)
    step(endpoint)
    assert Engine.objects.get(revision=1).retired_at is None
    assert serve(endpoint).serving.number == 1
    assert list(Engine.objects.values_list("revision", flat=True)) == [1]


def test_a_failed_update_keeps_the_old_revision_and_rolls_back(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    serve(endpoint)
    services.update(alice, endpoint, arguments={"max-model-len": 128})
    step(endpoint)
    crash_loop(revision=2)
    step(endpoint)
    assert (endpoint.status, endpoint.cause) == (Status.DEGRADED, Cause.UPDATE_FAILED)
    assert "Revision 1 goes on serving" in endpoint.message
    assert "refused an argument" in endpoint.wanted.failure
    clear_stopped()
    step(endpoint)
    assert list(Engine.objects.values_list("revision", "stop")) == [(1, False)]
    assert Backend.objects.count() == 1
    services.roll_back(alice, endpoint, 1)
    step(endpoint)
    assert (endpoint.status, endpoint.serving.number, Engine.objects.count()) == (Status.INSERVICE, 1, 1)


def test_retry_starts_a_crashed_engine_anew(cast: Cast, endpoint: Endpoint) -> None:
    step(endpoint)
    crash_loop()
    assert step(endpoint).status == Status.FAILED
    assert step(endpoint).status == Status.FAILED
    services.retry(cast.actor("alice"), endpoint)
    step(endpoint)
    assert clear_stopped()
    step(endpoint)
    assert Engine.objects.get().phase == Phase.ASSIGNED
    assert serve(endpoint).status == Status.INSERVICE


def test_engines_of_a_lost_host_are_placed_elsewhere(cast: Cast, endpoint: Endpoint) -> None:
    serve(endpoint)
    lost = Engine.objects.get().node.host
    lose_host(lost)
    make_host(endpoint.cluster, "host-2")
    step(endpoint)
    assert Engine.objects.get().node.name == "host-2"
    assert serve(endpoint).status == Status.INSERVICE


def test_deleting_while_it_is_created_leaves_nothing(cast: Cast, endpoint: Endpoint) -> None:
    step(endpoint)
    services.delete(cast.actor("alice"), endpoint)
    for _ in range(4):
        services.reconcile(endpoint.pk)
        clear_stopped()
    assert not Endpoint.objects.exists()
    assert not Engine.objects.exists()


def test_every_row_carries_a_next_look(endpoint: Endpoint) -> None:
    serve(endpoint)
    assert endpoint.next_look_at > endpoint.seen_at


@pytest.mark.parametrize(("who", "error"), [("vera", NotAllowed), ("charlie", NotFound)])
def test_who_may_not_deploy_changes_nothing(cast: Cast, endpoint: Endpoint, who: str, error: type[Exception]) -> None:
    for verb in (services.stop, services.delete, services.retry, services.deploy):
        with pytest.raises(error):
            verb(cast.actor(who), endpoint)
    with pytest.raises(error):
        services.scale(cast.actor(who), endpoint, 2)
    with pytest.raises(error):
        services.update(cast.actor(who), endpoint, arguments={"max-model-len": 64})
    endpoint.refresh_from_db()
    assert (endpoint.generation, endpoint.wish) == (1, Wish.RUNNING)


def test_a_second_editor_is_told_who_was_first(cast: Cast, endpoint: Endpoint) -> None:
    stale = Endpoint.objects.get(pk=endpoint.pk)
    services.scale(cast.actor("alice"), endpoint, 2)
    with pytest.raises(Stale, match=r"changed by alice at \d\d:\d\d:\d\d UTC: 2 replicas asked for"):
        services.scale(cast.actor("bob"), stale, 3)
    with pytest.raises(Stale):
        services.stop(cast.actor("bob"), endpoint, expected_generation=1)


def test_limits_hold_for_endpoints_replicas_and_gpus(cast: Cast, endpoint: Endpoint) -> None:
    alice = cast.actor("alice")
    set_limit(cast.alpha, endpoints=2, replicas=3, gpus=1)
    with pytest.raises(QuotaExceeded, match="replicas 4 of 3"):
        services.scale(alice, endpoint, 4)
    gpu = make_profile("gpu-model-cpu", gpus=2)
    with pytest.raises(QuotaExceeded, match="gpus 2 of 1"):
        services.create(alice, cast.alpha, name="gpu", cluster=endpoint.cluster, profile=gpu)
    services.create(alice, cast.alpha, name="two", cluster=endpoint.cluster, profile=endpoint.wanted.profile)
    with pytest.raises(QuotaExceeded, match="endpoints 3 of 2"):
        services.create(alice, cast.alpha, name="three", cluster=endpoint.cluster, profile=endpoint.wanted.profile)
    assert Endpoint.objects.count() == 2


@pytest.mark.parametrize("values", [{"name": "chat"}, {"name": "other", "public_name": "chat"},
                                    {"name": "other", "public_name": "CHAT"}])
def test_a_taken_name_is_a_conflict_whatever_its_case(cast: Cast, endpoint: Endpoint, values: dict[str, str]) -> None:
    with pytest.raises(Conflict):
        services.create(cast.actor("alice"), cast.alpha, cluster=endpoint.cluster, profile=endpoint.wanted.profile,
                        **values)


BAD_NAMES = ["", "Chat", "a_b", "-a", "a-", "a--b", "1a", "a.b", "a b", "ä", "a" * 64, "a\x00b", "a\u202eb", "xn--a😀", "a\n"]


@pytest.mark.parametrize("name", BAD_NAMES)
def test_a_bad_name_is_refused_with_the_rule_in_words(cast: Cast, endpoint: Endpoint, name: str) -> None:
    with pytest.raises(Invalid) as refusal:
        services.create(cast.actor("alice"), cast.alpha, name=name, public_name="fine", cluster=endpoint.cluster,
                        profile=endpoint.wanted.profile)
    assert refusal.value.field == "name"


@pytest.mark.parametrize("replicas", [0, -1, 65, True])
def test_a_senseless_number_of_replicas_is_refused(cast: Cast, endpoint: Endpoint, replicas: int) -> None:
    with pytest.raises(Invalid):
        services.scale(cast.actor("alice"), endpoint, replicas)


def test_a_foreign_place_or_profile_is_unknown(cast: Cast, endpoint: Endpoint) -> None:
    foreign = make_cluster("beta-hosts", workspace=cast.beta)
    with pytest.raises(Invalid, match="no such place"):
        services.create(cast.actor("alice"), cast.alpha, name="x", cluster=foreign, profile=endpoint.wanted.profile)


def test_what_it_wrote_before_it_failed_is_kept_and_explains_it_when_the_engine_is_gone(endpoint: Endpoint) -> None:
    services.reconcile(endpoint.pk)
    Engine.objects.update(previous_log="INFO begin\nvllm serve: error: unrecognized arguments: --device=cpu\n")
    crash_loop()
    step(endpoint)
    assert endpoint.status == Status.FAILED
    (kept,) = Event.objects.filter(kind="log")
    assert kept.message.endswith("unrecognized arguments: --device=cpu")
    Engine.objects.all().delete()
    found = services.explain(endpoint)
    assert (found.first.rule, found.cause) == ("log_device_flag", Cause.BAD_ARGUMENT)
    assert found.last_lines[-1].endswith("--device=cpu")
