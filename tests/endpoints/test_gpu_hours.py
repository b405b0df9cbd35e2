"""GPU hours: what is booked of which endpoints, for which time, and never twice."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from django.db.models import Sum
from django.utils import timezone

from endpoints.models import Endpoint, GpuHour, Revision, SpoolPosition
from endpoints.services import gpu_hours, usage
from endpoints.tasks import book_gpu_hours
from tests.cast import Cast, make_cluster, make_profile

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.both_databases]
NOON = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
PD: dict[str, Any] = {"pdSpec": {
    "prefillSpec": {"replicas": 1, "resources": {"limits": {"nvidia.com/gpu": 4}}},
    "decodingSpec": {"replicas": 3, "resources": {"limits": {"nvidia.com/gpu": 2}}}}}


def serve(
    cast: Cast, name: str = "chat", *, spec: dict[str, Any] | None = None, serves: bool = True, **values: Any,
) -> Endpoint:
    """An endpoint of two ready replicas with two GPUs each, seen at noon, unless something else is said."""
    profile = make_profile(f"profile-{name}")
    row = Endpoint.objects.create(**{
        "workspace": cast.alpha, "cluster": make_cluster(f"place-{name}"), "name": name, "public_name": f"acme/{name}",
        "public_key": f"acme/{name}", "ready_replicas": 2, "seen_at": NOON, **values})
    revision = Revision.objects.create(
        endpoint=row, number=1, profile=profile, spec={"resources": {"gpus": 2, "nodes": 1}} if spec is None else spec)
    row.wanted, row.serving = revision, revision if serves else None
    row.save()
    return row


def book_until(*moments: datetime) -> None:
    for moment in moments:
        gpu_hours.book(moment)


def seconds() -> int:
    return int(GpuHour.objects.aggregate(sum=Sum("gpu_seconds"))["sum"] or 0)


@pytest.mark.parametrize(("values", "booked"), [
    ({}, 240),
    ({"serves": False}, 240),
    ({"ready_replicas": 0}, 0),
    ({"seen_at": None}, 0),
    ({"seen_at": NOON - timedelta(seconds=30)}, 240),
    ({"seen_at": NOON - timedelta(seconds=31)}, 0),
    ({"spec": {}}, 0),
    ({"spec": {"resources": {"gpus": 0, "nodes": 1}}}, 0),
    ({"spec": {"resources": {"gpus": 4, "nodes": 2}}}, 960),
    ({"spec": {"resources": {"gpus": 0}, "options": PD}, "ready_replicas": 4}, 600),
    ({"spec": {"resources": {"gpus": 0}, "options": PD}, "ready_replicas": 2}, 300),
    ({"spec": {"resources": {"gpus": 1}, "options": {"InstanceType": "ml.g5.12xlarge"}}}, 480),
])
def test_what_a_minute_adds(cast: Cast, values: dict[str, Any], booked: int) -> None:
    serve(cast, **values)
    book_until(NOON - MINUTE, NOON)
    assert seconds() == booked


@pytest.mark.parametrize(("moments", "booked"), [
    ([0], 0),  # the first one only notes the time
    ([0, 0], 0),
    ([0, 60], 60),
    ([0, 60, 60, 60], 60),  # a repeated task
    ([0, 60, 55], 60),  # of a machine whose clock is late
    ([0, 60, 55, 70], 70),
    ([0, 7, 20, 25], 25),
    ([0, 130], 120),
    ([0, 36_000], 120),  # the portal was down
    ([0, 36_000, 36_060], 180),
    ([90_000, 0, 60], 60),  # a clock that was a day ahead was set right
])
def test_time_counts_once_and_no_pause_is_made_up(cast: Cast, moments: list[int], booked: int) -> None:
    row = serve(cast, spec={"resources": {"gpus": 1}}, ready_replicas=1)
    for at in moments:
        Endpoint.objects.filter(pk=row.pk).update(seen_at=NOON + timedelta(seconds=at))
        gpu_hours.book(NOON + timedelta(seconds=at))
    assert seconds() == booked


def test_after_a_pause_what_nobody_looked_at_is_not_booked(cast: Cast) -> None:
    serve(cast)
    book_until(NOON, NOON + 10 * MINUTE)
    assert (seconds(), SpoolPosition.objects.get().position) == (0, int((NOON + 10 * MINUTE).timestamp()))


def test_hours_keep_their_own_part_and_names(cast: Cast) -> None:
    turn = NOON + timedelta(minutes=30, seconds=15)
    row = serve(cast, "größe", seen_at=turn)
    book_until(turn - MINUTE, turn)
    found = list(GpuHour.objects.order_by("hour").values_list(
        "hour", "gpu_seconds", "workspace_id", "endpoint_id", "workspace_name", "endpoint_name", "model_name", "place_name"))
    names = (cast.alpha.pk, row.pk, "alpha", "größe", "acme/größe", "place-größe")
    assert found == [(NOON - 30 * MINUTE, 180, *names), (NOON + 30 * MINUTE, 60, *names)]


def test_of_two_at_once_one_books(cast: Cast) -> None:
    serve(cast)
    gpu_hours.book(NOON - MINUTE)

    def book(_number: int) -> bool:
        try:
            return gpu_hours.book(NOON)
        finally:
            connection.close()

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(book, range(4))) == 1
    assert seconds() == 240


def test_one_that_read_before_another_booked_adds_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    serve(cast)
    gpu_hours.book(NOON - MINUTE)
    real = gpu_hours._holding

    def overtaken(now: datetime) -> list[Any]:
        found = list(real(now))
        monkeypatch.setattr(gpu_hours, "_holding", real)
        assert gpu_hours.book(NOON)
        return found

    monkeypatch.setattr(gpu_hours, "_holding", overtaken)
    assert not gpu_hours.book(NOON)
    assert seconds() == 240


def test_queries_are_the_same_for_many(cast: Cast, django_assert_max_num_queries: Any) -> None:
    rows = [serve(cast, f"chat-{number}") for number in range(30)]
    gpu_hours.book(NOON - MINUTE)
    with django_assert_max_num_queries(7):
        gpu_hours.book(NOON)
    assert (GpuHour.objects.count(), seconds()) == (len(rows), 240 * len(rows))


def test_the_beat_books_and_old_hours_go(cast: Cast) -> None:
    now = timezone.now()
    serve(cast, seen_at=now)
    gpu_hours.book(now - timedelta(seconds=20))
    assert settings.CELERY_BEAT_SCHEDULE["gpu-hours"]["task"] == book_gpu_hours.name
    book_gpu_hours()
    assert seconds() >= 80
    GpuHour.objects.create(hour=now - timedelta(days=398), workspace_id=1, endpoint_id=1)
    assert usage.forget_old() == 1
    assert seconds() >= 80
