"""The page of usage: whose hours, which span, what is expected, the limit; tables to take away (threat T5)."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.http import HttpRequest
from django.test import Client
from django.utils import timezone
from openpyxl import load_workbook

from endpoints.models import GpuHour, UsageHour
from endpoints.services.usage_days import BY, Asking, sums_of
from portal.tenancy.errors import Invalid
from portal.tenancy.models import Workspace
from portal.web.lists.spans import Span, span_of
from portal.web.lists.tables import plain
from portal.web.usage.chart import nice
from portal.web.usage.forecast import forecast
from tests.cast import Cast, set_limit

pytestmark = pytest.mark.django_db
ClientOf = Callable[[str], Client]
PAGE, TABLE = "/w/alpha/usage/", "/w/alpha/usage/table/"
NOW = datetime(2026, 11, 21, 14, 30, tzinfo=UTC)


def use(workspace: Workspace, *, model: str = "qwen", hours_ago: int = 0, **values: Any) -> UsageHour:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours_ago)
    return UsageHour.objects.create(**{
        "hour": hour, "workspace_id": workspace.pk, "member_id": 1, "key_id": 1, "endpoint_id": 1, "route_id": 0, "door": 1,
        "workspace_name": workspace.slug, "member_name": "alice", "key_name": "ci", "endpoint_name": "chat",
        "model_name": model, "requests": 10, "errors": 1, "refused": 2, "prompt_tokens": 3000, "completion_tokens": 500,
        "cost_nano": 4_000_000_000, **values})


def hold(workspace: Workspace, *, hours: int = 6, **values: Any) -> GpuHour:
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    return GpuHour.objects.create(**{
        "hour": hour, "workspace_id": workspace.pk, "endpoint_id": 1, "workspace_name": workspace.slug,
        "endpoint_name": "chat", "model_name": "qwen", "place_name": "hosts", "gpu_seconds": hours * 3600, **values})


def asked(**query: str) -> HttpRequest:
    request = HttpRequest()
    request.GET = request.GET.copy()
    request.GET.update(query)
    return request


@pytest.mark.parametrize(("query", "first", "last"), [
    ({}, "2026-11-01", "2026-11-30"), ({"span": "nonsense"}, "2026-11-01", "2026-11-30"),
    ({"span": "last"}, "2026-10-01", "2026-10-31"), ({"span": "7d"}, "2026-11-15", "2026-11-21"),
    ({"span": "90d"}, "2026-08-24", "2026-11-21"), ({"span": "12m"}, "2025-12-01", "2026-11-21"),
    ({"span": "custom"}, "2026-11-01", "2026-11-21"),
    ({"span": "custom", "from": "2026-02-27", "to": "2026-03-01"}, "2026-02-27", "2026-03-01"),
])
def test_spans_are_whole_days(query: dict[str, str], first: str, last: str) -> None:
    span = span_of(asked(**query), NOW)
    assert (span.first.isoformat(), span.last.isoformat()) == (first, last)
    assert span.end - span.begin == timedelta(days=len(span.days))


@pytest.mark.parametrize(("today", "first"), [
    ("2026-12-31", "2026-01-01"), ("2028-02-29", "2027-03-01"), ("2027-01-01", "2026-02-01")])
def test_twelve_months_begin_with_a_whole_one(today: str, first: str) -> None:
    assert span_of(asked(span="12m"), datetime.fromisoformat(f"{today}T12:00+00:00")).first.isoformat() == first


@pytest.mark.parametrize(("first", "last", "field"), [
    ("yesterday", "", "from"), ("", "2026-13-01", "to"), ("2026-03-01", "2026-02-01", "from"),
    ("2020-01-01", "2026-01-01", "from"), ("9999-12-31", "9999-12-31", "from"),
])
def test_days_that_are_none_are_refused_at_their_field(first: str, last: str, field: str) -> None:
    with pytest.raises(Invalid) as refused:
        span_of(asked(span="custom", **{"from": first, "to": last}), NOW)
    assert refused.value.field == field


def test_what_is_expected_is_the_mean_of_the_days_before() -> None:
    span = span_of(asked(), NOW)
    by_day = {date(2026, 11, day): Decimal(7) for day in range(1, 21)} | {date(2026, 11, 21): Decimal(1)}
    left = forecast(span, by_day)
    assert left is not None
    assert (left.each_day, len(left.days_left), left.total) == (Decimal(7), 9, Decimal(141 + 63))
    assert left.reaches(Decimal(150)) == date(2026, 11, 23)
    assert left.reaches(Decimal(1000)) is None
    assert forecast(Span("30d", span.first, span.last, span.today), by_day) is None
    assert forecast(span_of(asked(), NOW.replace(day=1)), {}) is None


@pytest.mark.parametrize(("most", "axis"), [(0, 1), (0.003, 0.005), (1, 1), (7.2, 10), (180, 200), (240, 250), (10**9, 10**9)])
def test_an_axis_ends_at_a_round_figure(most: float, axis: float) -> None:
    assert nice(most) == pytest.approx(axis)


@pytest.mark.parametrize("by", [*BY, "day"])
def test_sums_are_the_workspaces_own_whatever_they_are_grouped_by(cast: Cast, client_of: ClientOf, by: str) -> None:
    use(cast.alpha)
    use(cast.alpha, key_id=2)
    use(cast.beta, model="beta-secret", key_name="beta-secret", requests=77_777, cost_nano=99_000_000_000)
    page = client_of("vera").get(f"{PAGE}?span=7d&by={by}")
    assert page.status_code == 200
    assert page.context["total"].counts[:6] == [20, 2, 4, 0, 6000, 1000]
    assert b"beta-secret" not in page.content
    assert "$8.00" in page.content.decode()


def test_two_keys_of_one_name_stay_two(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha, key_id=1)
    use(cast.alpha, key_id=2)
    assert len(client_of("alice").get(f"{PAGE}?span=7d&by=key").context["rows"]) == 2


def test_operators_see_all_workspaces(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha)
    use(cast.beta)
    page = client_of("operator").get("/w/-/usage/?by=workspace")
    assert [row.name for row in page.context["rows"]] == ["alpha", "beta"] or {"alpha", "beta"} == {
        row.name for row in page.context["rows"]}


@pytest.mark.parametrize(("query", "requests"), [
    ("model=qwen", 10), ("model=bge", 20), ("key=ci", 30), ("member=nobody", 0), ("model=qwen&endpoint=chat", 10)])
def test_filters_narrow_and_can_be_taken_away(cast: Cast, client_of: ClientOf, query: str, requests: int) -> None:
    use(cast.alpha)
    use(cast.alpha, model="bge", endpoint_id=2, requests=20)
    page = client_of("alice").get(f"{PAGE}?span=7d&{query}")
    assert page.context["total"].counts[0] == requests
    assert len(page.context["filters"]) == query.count("=")


def test_the_limit_of_the_month_stands_in_the_chart(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha)
    set_limit(cast.alpha, money_per_month=Decimal(300))
    page = client_of("alice").get(PAGE)
    assert page.context["chart"].limit_at is not None
    assert "of $300<" in page.content.decode()
    assert client_of("alice").get(f"{PAGE}?model=qwen").context["chart"].limit_at is None


def test_without_prices_tokens_are_shown(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha, cost_nano=0)
    page = client_of("alice").get(f"{PAGE}?span=7d")
    assert (page.context["shown"].figure, page.context["title"]) == ("tokens", "3500 tokens in the last 7 days")


def test_nothing_used_says_what_to_do(client_of: ClientOf) -> None:
    page = client_of("alice").get(PAGE).content.decode()
    assert "<h1>Nobody called a model in this time</h1>" in page
    assert "/w/alpha/playground/" in page


def test_a_span_that_is_none_is_told_on_the_page(client_of: ClientOf) -> None:
    page = client_of("alice").get(f"{PAGE}?span=custom&from=2026-03-01&to=2026-02-01")
    assert page.status_code == 422
    assert "lies before the last one" in page.content.decode()


def test_too_many_lines_are_refused_before_they_are_drawn(
        cast: Cast, client_of: ClientOf, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("endpoints.services.usage_days.MOST_LINES", 3)
    for number in range(5):
        use(cast.alpha, model=f"model-{number}", endpoint_id=number)
    alice = client_of("alice")
    assert alice.get(f"{PAGE}?span=7d").status_code == alice.get(f"{TABLE}?span=7d").status_code == 422


@pytest.mark.parametrize(("days", "rows", "said"), [(92, 2, "Cost by day"), (93, 2, "Cost by month")])
def test_more_than_a_quarter_is_told_by_the_month(
        cast: Cast, client_of: ClientOf, days: int, rows: int, said: str) -> None:
    today = timezone.now().date()
    for back in (40, 75):  # of two months
        use(cast.alpha, hours_ago=back * 24)
    page = client_of("alice").get(f"{PAGE}?span=custom&from={today - timedelta(days=days - 1)}&to={today}&by=day")
    assert page.context["total"].counts[0] == 20
    assert [row.period.day == 1 for row in page.context["rows"]] == [said == "Cost by month"] * rows
    assert f"<h2>{said}</h2>" in page.content.decode()
    assert page.context["title"].startswith("$8.00 from ")
    table = client_of("alice").get(f"{TABLE}?span=custom&from={today - timedelta(days=days - 1)}&to={today}&format=csv")
    lines = list(csv.DictReader(io.StringIO(table.content.decode().removeprefix("\ufeff"))))
    assert [line["day"] for line in lines] == [str(today - timedelta(days=back)) for back in (75, 40)]


def test_a_csv_has_a_line_for_each_day_and_subject(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha, model="=HYPERLINK(1)")
    use(cast.beta, model="beta-secret")
    answer = client_of("vera").get(f"{TABLE}?span=7d&format=csv")
    assert "no-store" in answer["Cache-Control"]
    assert answer["Content-Disposition"].startswith('attachment; filename="usage-alpha-')
    text = answer.content.decode().removeprefix("\ufeff")
    (line,) = csv.DictReader(io.StringIO(text))
    assert (line["model"], line["requests"], line["cost"]) == ("'=HYPERLINK(1)", "10", "4.000000000")


def test_an_xlsx_has_text_as_text_and_figures_as_figures(cast: Cast, client_of: ClientOf) -> None:
    use(cast.alpha, key_name="@SUM(A1)\x08")
    answer = client_of("vera").get(f"{TABLE}?span=7d&by=key&format=xlsx")
    head, line = load_workbook(io.BytesIO(answer.content)).active.iter_rows(values_only=True)  # type: ignore[union-attr]
    assert head[:3] == ("day", "key", "requests")
    assert (line[1], line[2], line[-2], line[-1]) == ("'@SUM(A1)", 10, 4, None)


@pytest.mark.parametrize(("cell", "kept"), [
    ("=1+1", "'=1+1"), ("+1", "'+1"), ("-1", "'-1"), ("@x", "'@x"), ("\t=1", "'\t=1"), (" =1", "' =1"), ("qwen", "qwen"),
    (-3, -3), ("", "")])
def test_no_name_is_a_formula(cell: Any, kept: Any) -> None:
    assert plain(cell) == kept


@pytest.mark.parametrize(("query", "total", "shown"), [
    ("by=model", "8.5", {"qwen": "6", "idle": "2.5"}),
    ("by=endpoint", "8.5", {"chat": "6", "idle": "2.5"}),
    ("by=place", "8.5", {"": "0", "hosts": "8.5"}),  # calls of an endpoint that is gone have no place any more
    ("by=key", "8.5", {"ci": "–"}),
    ("by=member", "8.5", {"alice": "–"}),
    ("by=day", "8.5", {timezone.now().date().isoformat(): "8.5"}),
    ("by=day&model=idle", "2.5", {timezone.now().date().isoformat(): "2.5"}),
    ("by=model&endpoint=chat", "6", {"qwen": "6"}),
    ("by=model&key=ci", "–", {"qwen": "–"}),
])
def test_gpu_hours_are_those_of_the_workspaces_endpoints(
        cast: Cast, client_of: ClientOf, query: str, total: str, shown: dict[str, str]) -> None:
    use(cast.alpha)
    hold(cast.alpha)
    hold(cast.alpha, gpu_seconds=9000, endpoint_id=2, endpoint_name="idle", model_name="idle")
    hold(cast.beta, hours=777, endpoint_id=3)
    page = client_of("vera").get(f"{PAGE}?span=7d&{query}")
    assert (page.context["gpu_hours"], {row.name: row.gpu_hours for row in page.context["rows"]}) == (total, shown)
    assert ("not to keys or members" in page.content.decode()) == (total == "–")


def test_an_operator_sees_gpu_hours_of_all_workspaces(cast: Cast, client_of: ClientOf) -> None:
    hold(cast.alpha)
    hold(cast.beta, hours=1000, endpoint_id=3)
    page = client_of("operator").get("/w/-/usage/?by=workspace")
    assert [(row.name, row.gpu_hours) for row in page.context["rows"]] == [("beta", "1,000"), ("alpha", "6")]


@pytest.mark.parametrize(("by", "cells"), [("endpoint", {"chat": "0.5000", "idle": "0.0003"}), ("key", {"ci": ""})])
def test_tables_have_gpu_hours_where_they_belong(
        cast: Cast, client_of: ClientOf, by: str, cells: dict[str, str]) -> None:
    use(cast.alpha)
    hold(cast.alpha, gpu_seconds=1800)
    hold(cast.alpha, gpu_seconds=1, endpoint_id=2, endpoint_name="idle")
    answer = client_of("vera").get(f"{TABLE}?span=7d&by={by}&format=csv")
    lines = csv.DictReader(io.StringIO(answer.content.decode().removeprefix("\ufeff")))
    assert {line[by]: line["gpu_hours"] for line in lines} == cells


def test_the_page_costs_the_same_for_many_hours(
        cast: Cast, client_of: ClientOf, django_assert_max_num_queries: Any) -> None:
    for hour in range(50):
        use(cast.alpha, model=f"model-{hour % 7}", hours_ago=hour)
        hold(cast.alpha, model_name=f"model-{hour % 9}", endpoint_id=hour)
    alice = client_of("alice")
    alice.get("/w/alpha/")  # the first page of a session notes the session
    with django_assert_max_num_queries(13):
        alice.get(PAGE)


def test_an_unknown_group_of_the_service_is_no_sum(cast: Cast) -> None:
    use(cast.alpha)
    today = timezone.now().date()
    sums = sums_of(Asking(None, today - timedelta(days=7), today, "place"))
    assert [line.names for line in sums.by_subject.values()] == [[""]]
