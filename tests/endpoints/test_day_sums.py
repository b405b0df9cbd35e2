"""Days summed up once: they say what their hours say, hold until somebody books into them, and take drawn keys for one."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from endpoints.models import GpuHour, SummedDay, UsageDay, UsageHour
from endpoints.services import day_sums, usage
from endpoints.services.usage_days import BY, Asking, cells_of, sums_of
from portal.tenancy import services as tenancy
from portal.tenancy.page_keys import PLAYGROUND
from tests.cast import Cast, make_cluster, make_profile
from tests.portal.world import make_endpoint

pytestmark = [pytest.mark.django_db, pytest.mark.both_databases]
NOW = datetime(2026, 3, 31, 12, 30, tzinfo=UTC)
FIRST, LAST = date(2026, 3, 1), date(2026, 3, 31)
IDS = {"member_id": 1, "key_id": 10**9, "endpoint_id": 0, "route_id": 0, "door": 1}
NAMES = {"member_name": "bob", "key_name": "ci", "endpoint_name": "chat", "model_name": "acme/chat"}


def use(cast: Cast, hours_ago: int, **values: Any) -> UsageHour:
    return UsageHour.objects.create(**{
        "hour": NOW.replace(minute=0) - timedelta(hours=hours_ago), "workspace_id": cast.alpha.pk, "workspace_name": "alpha",
        **IDS, **NAMES, "requests": 10, "errors": 1, "refused": 2, "prompt_tokens": 1000, "completion_tokens": 100,
        "cost_nano": 5, **values})


def hold(cast: Cast, hours_ago: int, **values: Any) -> GpuHour:
    return GpuHour.objects.create(**{
        "hour": NOW.replace(minute=0) - timedelta(hours=hours_ago), "workspace_id": cast.alpha.pk, "endpoint_id": 1,
        "workspace_name": "alpha", "endpoint_name": "chat", "model_name": "acme/chat", "place_name": "hosts",
        "gpu_seconds": 3600, **values})


def sum_up(now: datetime = NOW) -> int:
    """As the task does it, some minutes after the days were noted."""
    day_sums.sum_up(now - day_sums.NOTED_BEFORE)
    return day_sums.sum_up(now)


@pytest.fixture
def history(cast: Cast) -> None:
    """Twelve days of two keys and models, today among them, and a neighbour's."""
    endpoint = make_endpoint(cast, cast.alpha, make_cluster("there"), make_profile(), "chat")
    for hours in range(0, 12 * 24, 7):
        use(cast, hours, endpoint_id=endpoint.pk, requests=hours + 1)
        use(cast, hours, key_id=7, key_name="other", model_name="acme/other", endpoint_id=2, endpoint_name="other")
        hold(cast, hours)
        hold(cast, hours, endpoint_id=9, endpoint_name="idle", model_name="idle", place_name="elsewhere")
        use(cast, hours, workspace_id=cast.beta.pk, workspace_name="beta", requests=777)


def asked(cast: Cast, by: str, **filters: str) -> list[Any]:
    ask = Asking(cast.alpha.pk, FIRST, LAST, by, filters)
    sums = sums_of(ask)
    largest = sorted(sums.by_subject, key=str)[:1]
    return [sums.total, sums.by_period, sums.by_subject, sums.has_gpus, cells_of(ask), sums.cells_of(largest)]


@pytest.mark.parametrize("filters", [
    {}, {"model_name": "acme/chat"}, {"endpoint_name": "other"}, {"key_name": "ci"}, {"member_name": "bob"},
    {"member_name": "nobody"}, {"model_name": "acme/chat", "key_name": "ci"}])
@pytest.mark.parametrize("by", BY)
def test_days_say_what_their_hours_say(cast: Cast, history: None, by: str, filters: dict[str, str]) -> None:
    before = asked(cast, by, **filters)
    assert sum_up() > 10
    UsageHour.objects.filter(hour__lt=NOW - timedelta(days=2)).delete()  # they are read no more
    assert asked(cast, by, **filters) == before


@pytest.mark.parametrize("by", BY)
def test_months_say_what_their_days_say_until_one_is_opened(cast: Cast, by: str) -> None:
    for days in range(70):
        use(cast, days * 24, endpoint_id=days % 3, model_name=f"acme/{days % 4}", key_id=days % 5, member_id=days % 6)
        hold(cast, days * 24, endpoint_id=days % 3, model_name=f"acme/{days % 4}")
    first, february = date(2026, 1, 25), date(2026, 2, 1)
    ask = Asking(cast.alpha.pk, first, LAST, by)
    before = sums_of(ask)
    sum_up()
    assert day_sums.held(first, LAST).months == (february,)
    assert UsageDay.objects.filter(day=february, kind=f"{by}-month").exists()
    assert (after := sums_of(ask)).by_subject == before.by_subject
    assert (after.total, after.by_period) == (before.total, before.by_period)
    late = use(cast, 45 * 24, door=3, requests=1000)
    SummedDay.reopen([late.hour])
    assert day_sums.held(first, LAST).months == ()
    assert sums_of(ask).total.of("requests") == before.total.of("requests") + 1000
    assert sum_up() == 1
    assert day_sums.held(first, LAST).months == (february,)
    assert sum(line.of("requests") for line in sums_of(ask).by_subject.values()) == before.total.of("requests") + 1000


@pytest.mark.parametrize("filters", [{}, {"model_name": "acme/2"}, {"key_name": "ci"}, {"member_name": "nobody"}])
@pytest.mark.parametrize("by", BY)
def test_asked_by_month_they_say_what_their_days_say(cast: Cast, by: str, filters: dict[str, str]) -> None:
    for days in range(70):
        use(cast, days * 24, endpoint_id=days % 3, model_name=f"acme/{days % 4}", key_id=days % 5, member_id=days % 6)
        use(cast, days * 24, workspace_id=cast.beta.pk, requests=777)
        hold(cast, days * 24, endpoint_id=days % 3, model_name=f"acme/{days % 4}")
    ask = Asking(cast.alpha.pk, date(2026, 1, 25), LAST, by, filters)
    days, by_day = sums_of(ask), cells_of(ask)
    by_month = replace(ask, by_month=True)
    before = sums_of(by_month), cells_of(by_month)
    sum_up()
    UsageHour.objects.filter(hour__lt=NOW - timedelta(days=2)).delete()  # they are read no more
    UsageDay.objects.filter(day__month=2).exclude(kind__endswith="-month").delete()
    months, cells = sums_of(by_month), cells_of(by_month)
    assert (months.total, months.by_subject) == (days.total, days.by_subject)
    assert (months.by_period, cells) == (before[0].by_period, before[1])
    assert sorted(months.by_period) == ([date(2026, month, 1) for month in (1, 2, 3)] if months.total.of("requests") else [])
    for month, line in months.by_period.items():
        of_days = [each for day, each in days.by_period.items() if day.replace(day=1) == month]
        assert line.counts == [sum(each) for each in zip(*(each.counts for each in of_days), strict=True)]
        assert line.gpu_seconds == sum(each.gpu_seconds for each in of_days)
    assert {(day.replace(day=1), subject) for day, subject in by_day} == set(cells)


def test_an_operator_reads_all_workspaces(cast: Cast, history: None) -> None:
    ask = Asking(None, FIRST, LAST, "workspace")
    before = sums_of(ask)
    sum_up()
    after = sums_of(ask)
    assert (after.total, after.by_period, after.by_subject) == (before.total, before.by_period, before.by_subject)


@pytest.mark.parametrize(("now", "days"), [
    (NOW, 2), (NOW + timedelta(hours=11), 2), (NOW + timedelta(hours=13, minutes=31), 3), (NOW - timedelta(hours=12), 1)])
def test_a_day_is_summed_up_when_it_has_been_over_for_a_while(cast: Cast, now: datetime, days: int) -> None:
    use(cast, 48)
    assert (sum_up(now), sum_up(now)) == (days, 0)


def test_a_day_that_was_only_just_noted_waits(cast: Cast) -> None:
    use(cast, 48)
    assert day_sums.sum_up(NOW) == 0
    assert day_sums.sum_up(NOW + day_sums.NOTED_BEFORE) == 2


def test_a_late_booking_opens_its_day_again(cast: Cast) -> None:
    use(cast, 48)
    sum_up()
    late = use(cast, 47, requests=5)
    assert sums_of(Asking(cast.alpha.pk, FIRST, LAST, "model")).total.of("requests") == 10
    SummedDay.reopen([late.hour])
    assert sums_of(Asking(cast.alpha.pk, FIRST, LAST, "model")).total.of("requests") == 15
    assert (sum_up(), day_sums.held(FIRST, LAST).days) == (1, {date(2026, 3, 29), date(2026, 3, 30)})
    assert sums_of(Asking(cast.alpha.pk, FIRST, LAST, "model")).total.of("requests") == 15
    assert UsageDay.objects.filter(kind="workspace").count() == 1


def test_sums_of_a_day_that_was_booked_into_meanwhile_are_thrown_away(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    hour = use(cast, 48).hour
    insert = day_sums._insert

    def book_meanwhile(*values: Any) -> None:
        insert(*values)
        SummedDay.reopen([hour])

    monkeypatch.setattr(day_sums, "_insert", book_meanwhile)
    assert sum_up() == 1  # the day without any hours of its own
    assert day_sums.held(FIRST, LAST).days == {date(2026, 3, 30)}
    assert not UsageDay.objects.filter(day=hour.date()).exists()


def test_days_without_sums_in_many_pieces_are_all_read_by_the_hour(cast: Cast, history: None) -> None:
    before = asked(cast, "model")
    sum_up()
    SummedDay.objects.filter(day__in=[FIRST.replace(day=day) for day in range(20, 32, 2)]).update(version=3)
    assert asked(cast, "model") == before


@pytest.mark.parametrize("is_summed", [False, True])
def test_keys_of_the_playground_are_one(cast: Cast, is_summed: bool) -> None:
    own, _text = tenancy.create_key(cast.actor("alice"), cast.alpha, name=PLAYGROUND)
    for key in (own.pk + 1, own.pk + 2, own.pk + 3, own.pk):
        use(cast, 48, key_id=key, key_name=PLAYGROUND)
    use(cast, 48, key_id=own.pk + 4)
    if is_summed:
        sum_up()
    sums = sums_of(Asking(cast.alpha.pk, FIRST, LAST, "key"))
    assert {key: (line.names, line.of("requests")) for key, line in sums.by_subject.items()} == {
        day_sums.DRAWN_KEY: ([PLAYGROUND], 30), own.pk: ([PLAYGROUND], 10), own.pk + 4: (["ci"], 10)}


def test_what_is_older_than_it_is_kept_goes_from_days_too(cast: Cast) -> None:
    use(cast, 48)
    sum_up()
    usage.forget_old(NOW + timedelta(days=500))
    assert not UsageDay.objects.exists()
    assert not SummedDay.objects.filter(day__lt=LAST).exists()
