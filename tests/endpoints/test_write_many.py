"""Many verdicts in one statement: they mean what one verdict in a row means, and lose to whoever came first."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from clusters.models import Cluster
from endpoints.judge import Verdict
from endpoints.models import Backend, Endpoint, Event, Revision
from endpoints.services import lease
from endpoints.services.known import known
from endpoints.services.write import write_verdict
from endpoints.services.write_many import News, write_many
from endpoints.states import Cause, Status
from endpoints.targets.base import Observation, ReplicaSeen
from models_catalog.models import Profile
from tests.cast import Cast, make_cluster, make_profile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]

READY = ReplicaSeen("chat-0", 0, 1, True, "Ready", url="https://10.0.0.1/a", token="one")
MOVED_ON = ReplicaSeen("chat-0", 0, 1, True, "Ready", url="https://10.0.0.2/b", token="two", ca="PEM", host="chat.svc")
ODD = "“ready”: 1\n\\o/ 🙂 it's 100 % \"quoted\" $[0] {} 例"
CASES = [
    ("one of two is missing", Verdict(Status.DEGRADED, Cause.LOADING, "1 of 2 replicas ready.", 1, 1), Observation((READY,))),
    ("it is as it was", Verdict(Status.INSERVICE, Cause.NONE, "", 1, 1), Observation((READY,))),
    ("another number of replicas", Verdict(Status.INSERVICE, Cause.NONE, "", 3, 1), Observation((READY,), wanted_replicas=3)),
    ("none is left and they are being made anew", Verdict(Status.CREATING, Cause.LOADING, ODD, 0, None), Observation()),
    ("nobody serves any more", Verdict(Status.FAILED, Cause.CRASH_LOOP, "exit code 1", 0, None), Observation(pause=60)),
    ("the wanted revision has come into service", Verdict(Status.INSERVICE, Cause.NONE, "", 1, 2), Observation((MOVED_ON,))),
    ("a text that is too long", Verdict(Status.DEGRADED, Cause.PROBE, "x" * 2000, 1, 1), Observation((READY,))),
]


@pytest.fixture
def place(cast: Cast) -> Cluster:
    return make_cluster()


@pytest.fixture
def profile(cast: Cast) -> Profile:
    return make_profile()


@pytest.fixture
def make(cast: Cast, place: Cluster, profile: Profile) -> Callable[..., Endpoint]:
    """An endpoint in service with one address; revision 2 is wanted, revision 1 serves."""

    def one(name: str, **values: Any) -> Endpoint:
        row = Endpoint.objects.create(workspace=cast.alpha, cluster=place, name=name, public_name=name, public_key=name,
                                      status=Status.INSERVICE, generation=3, observed_generation=3, ready_replicas=1, **values)
        row.serving, row.wanted = (Revision.objects.create(
            endpoint=row, number=number, profile=profile, spec={"start_seconds": 90},
            served_at=timezone.now() if number == 1 else None) for number in (1, 2))
        row.save()
        kept = Backend(endpoint=row, key=READY.key, url=READY.url, revision=1)
        kept.put_secret("token", READY.token)
        kept.save()
        return row

    return one


def news(rows: list[Endpoint], verdict: Verdict, seen: Observation) -> list[News]:
    there = {row.pk: list(Backend.objects.filter(endpoint=row)) for row in rows}
    return [News(row, seen, verdict, there[row.pk]) for row in known([row.pk for row in rows])]


MEANT = ("status", "cause", "message", "ready_replicas", "autoscaled_replicas", "observed_generation", "generation",
         "seen_by", "attempts", "last_error", "lease_until", "version")


def as_written(row: Endpoint) -> dict[str, Any]:
    """All that a verdict says of a row; times as seconds from now, to the nearest five."""
    row = Endpoint.objects.get(pk=row.pk)
    now = timezone.now()

    def seconds(name: str) -> int | None:
        at = getattr(row, name)
        return None if at is None else 5 * round((at - now).total_seconds() / 5)

    return {
        **{name: getattr(row, name) for name in MEANT}, "serving": row.serving.number if row.serving else None,
        **{name: seconds(name) for name in ("seen_at", "status_since", "deadline_at", "next_look_at")},
        "events": list(row.events.order_by("pk").values_list(
            "kind", "was", "now", "cause", "message", "actor_label", "generation")),
        "backends": [(each.key, each.url, each.ca, each.host, each.revision, each.secret("token"))
                     for each in row.backends.order_by("key")],
        "served": list(row.revisions.exclude(served_at=None).order_by("number").values_list("number", flat=True)),
    }


@pytest.mark.parametrize(("verdict", "seen"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_many_verdicts_mean_what_one_does(make: Callable[..., Endpoint], verdict: Verdict, seen: Observation) -> None:
    long_ago = timezone.now() - timedelta(hours=1)
    given: dict[str, Any] = {"status_since": long_ago, "last_error": "away", "deadline_at": long_ago, "replicas": 2}
    alone, *many = (make(name, **given) for name in ("alone", "one", "two", "three"))
    assert write_verdict(Endpoint.objects.select_related("wanted", "serving").get(pk=alone.pk), verdict, seen)
    write_many(news(many, verdict, seen), "portal")
    wanted = as_written(alone)
    for row in many:
        assert as_written(row) == wanted


def takes_the_lease(row: Endpoint) -> None:
    assert lease.take(row.pk) is not None


def worked_and_left(row: Endpoint) -> None:
    held = lease.take(row.pk)
    assert held is not None
    lease.release(held[0])


def wishes_something_else(row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(generation=F("generation") + 1)


def says_something_else(row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(status=Status.DEGRADED)


def goes(row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(wanted=None, serving=None)
    Endpoint.objects.filter(pk=row.pk).delete()


BAD = Verdict(Status.FAILED, Cause.CRASH_LOOP, "exit code 1")


@pytest.mark.parametrize("meanwhile", [
    takes_the_lease, worked_and_left, wishes_something_else, says_something_else, goes], ids=lambda each: each.__name__)
@pytest.mark.parametrize("which", [0, 3, 6])
def test_a_row_that_moved_keeps_what_it_says_and_holds_up_no_other(
    make: Callable[..., Endpoint], meanwhile: Callable[[Endpoint], None], which: int,
) -> None:
    rows = [make(f"row-{number}", next_look_at=timezone.now() + timedelta(hours=1)) for number in range(7)]
    told = news(rows, BAD, Observation())
    meanwhile(rows[which])
    before = Endpoint.objects.filter(pk=rows[which].pk).values("status", "message", "version", "lease_epoch").first()
    write_many(told, "portal")
    others = [row.pk for row in rows if row is not rows[which]]
    assert set(Endpoint.objects.filter(pk__in=others).values_list("status", flat=True)) == {"FAILED"}
    assert Event.objects.filter(endpoint__in=others).count() == 6
    assert not Backend.objects.filter(endpoint__in=others).exists()
    lost = Endpoint.objects.filter(pk=rows[which].pk)
    assert lost.values("status", "message", "version", "lease_epoch").first() == before
    assert not Event.objects.filter(endpoint=rows[which].pk).exists()
    assert lost.filter(next_look_at__lte=Now()).count() == lost.count()
    assert Backend.objects.filter(endpoint=rows[which].pk).count() == lost.count()


def test_of_two_workers_with_the_same_evidence_one_writes(make: Callable[..., Endpoint]) -> None:
    rows = [make(f"row-{number}") for number in range(4)]
    same_status = Verdict(Status.INSERVICE, Cause.PROBE, "slow", 1, 1)
    first, second = news(rows, same_status, Observation((MOVED_ON,))), news(rows, same_status, Observation((MOVED_ON,)))
    write_many(first, "portal")
    write_many(second, "portal")
    assert (Event.objects.count(), Backend.objects.count()) == (4, 4)
    assert set(Backend.objects.values_list("url", flat=True)) == {MOVED_ON.url}


def test_a_worker_that_took_its_lease_before_can_not_write_after(make: Callable[..., Endpoint]) -> None:
    row = make("row")
    late = Endpoint.objects.select_related("wanted", "serving").get(pk=row.pk)
    write_many(news([row], Verdict(Status.INSERVICE, Cause.NONE, "", 1, 1), Observation((READY,))), "portal")
    assert not write_verdict(late, BAD, Observation())


def test_the_time_that_is_left_is_that_of_the_wanted_revision(make: Callable[..., Endpoint]) -> None:
    row = make("row")
    write_many(news([row], Verdict(Status.CREATING, Cause.LOADING, ODD), Observation()), "kubernetes")
    row.refresh_from_db()
    assert row.deadline_at is not None
    assert abs((row.deadline_at - row.status_since).total_seconds() - 150) < 1
    assert (row.message, row.seen_by) == (ODD, "kubernetes")


def test_nothing_to_write_asks_nothing(django_assert_num_queries: Any) -> None:
    with django_assert_num_queries(0):
        write_many([], "portal")
