"""The admin's pages for routes: what the form writes and refuses, what stays in its scope, and how many queries it takes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from endpoints.admin.route_drawing import bars, level, ribbons, scale, steps
from endpoints.models import Endpoint, Route
from endpoints.services.route_wish import wish_of
from endpoints.services.routes import change_route, return_canary, start_canary
from portal.tenancy.models import User
from tests.cast import Cast
from tests.endpoints.routes_cast import count, make_end, make_route
from tests.portal.conftest import all_view_rights, signed_in

pytestmark = pytest.mark.both_databases
RIGHTS = ("add_route", "change_route", "delete_route")


@pytest.fixture
def ends(cast: Cast) -> list[Endpoint]:
    return [make_end(cast.alpha, name) for name in ("blue", "green", "grey")]


@pytest.fixture
def route(cast: Cast, ends: list[Endpoint]) -> Route:
    return make_route(cast, "chat", (ends[0], 70), (ends[1], 30))


def page(name: str, *args: Any) -> str:
    return reverse(f"admin:endpoints_route_{name}", args=args)


def filled(route: Route, *rows: tuple[Endpoint, str, int], **values: Any) -> dict[str, Any]:
    """The change form as a browser sends it, with these rows instead of the route's."""
    there = list(route.targets.order_by("position"))
    data: dict[str, Any] = {"public_name": route.public_name, "description": "", "read_generation": route.generation,
                            "targets-TOTAL_FORMS": len(rows), "targets-INITIAL_FORMS": len(there), **values}
    for number, (endpoint, role, weight) in enumerate(rows):
        data |= {f"targets-{number}-{name}": value for name, value in {
            "endpoint": endpoint.pk, "role": role, "weight": weight, "position": number, "route": route.pk,
            "id": there[number].pk if number < len(there) else ""}.items()}
    return data


def test_the_form_writes_all_rows_as_one_change(operator: Client, route: Route, ends: list[Endpoint]) -> None:
    blue, green, grey = ends
    answer = operator.post(page("change", route.pk), filled(
        route, (blue, "main", 10), (green, "fallback", 0), (grey, "main", 90), is_sticky="on"))
    assert answer.status_code == 302
    route.refresh_from_db()
    wish = wish_of(route)
    assert [(share.endpoint.name, share.weight) for share in wish.mains] == [("blue", 10), ("grey", 90)]
    assert [one.name for one in wish.fallbacks] == ["green"]
    assert (wish.is_sticky, route.generation, route.changes.count()) == (True, 2, 2)


def test_a_save_without_a_change_writes_nothing(operator: Client, route: Route, ends: list[Endpoint]) -> None:
    data = filled(route, (ends[0], "main", 70), (ends[1], "main", 30))
    assert operator.post(page("change", route.pk), data).status_code == 302
    assert route.changes.count() == 1


@pytest.mark.parametrize(("weights", "values", "words"), [
    ((0, 0), {}, "at least one endpoint a weight above 0"), ((101, 1), {}, "less than or equal to 100"),
    ((1, 1), {"public_name": "a b"}, "Use up to 128 letters"), ((1, 1), {"public_name": "grey"}, "is the model name of"),
])
def test_the_form_says_why_it_refuses(operator: Client, route: Route, ends: list[Endpoint], weights: tuple[int, int],
                                      values: dict[str, str], words: str) -> None:
    data = filled(route, (ends[0], "main", weights[0]), (ends[1], "main", weights[1]), **values)
    answer = operator.post(page("change", route.pk), data)
    assert answer.status_code == 200
    assert words in answer.content.decode()
    assert route.changes.count() == 1


def test_a_save_over_somebody_elses_change_is_refused(cast: Cast, operator: Client, route: Route, ends: list[Endpoint]) -> None:
    data = filled(route, (ends[0], "main", 1), (ends[1], "main", 99))
    change_route(cast.actor("bob"), route, is_sticky=True)
    answer = operator.post(page("change", route.pk), data)
    assert "was changed by bob" in answer.content.decode()


def test_staff_keep_to_their_workspace(cast: Cast, staff: Callable[..., User], route: Route) -> None:
    theirs = make_end(cast.beta, "beta-secret")
    client = signed_in(staff("mallory", cast.alpha, *RIGHTS, *all_view_rights()))
    assert "beta-secret" not in client.get(page("change", route.pk)).content.decode()
    assert "beta-secret" not in client.get(page("start_canary", route.pk)).content.decode()
    data = filled(route, (theirs, "main", 1), (route.targets.all()[1].endpoint, "main", 1))
    answer = client.post(page("change", route.pk), data)
    assert "Select a valid choice" in answer.content.decode()
    stranger = signed_in(staff("eve", cast.beta, *RIGHTS, *all_view_rights()))
    assert stranger.get(page("change", route.pk)).status_code == 302
    assert stranger.get(page("live_detail", route.pk)).status_code == 404
    assert stranger.get(page("live"), {"ids": str(route.pk)}).json()["parts"] == {}
    assert signed_in(staff("nobody", cast.alpha)).get(page("live_detail", route.pk)).status_code == 403


def test_only_verbs_that_make_sense_now_have_a_button(
    cast: Cast, operator: Client, route: Route, ends: list[Endpoint],
) -> None:
    verbs = ("start-canary", "promote", "return-canary", "resume-canary", "end-canary", "restore")

    def offered() -> list[str]:
        text = operator.get(page("change", route.pk)).content.decode()
        return [verb for verb in verbs if f"/{verb}" in text]

    assert offered() == ["start-canary", "restore"]
    start_canary(cast.actor("alice"), route, ends[2])
    assert offered() == ["start-canary", "promote", "return-canary", "end-canary", "restore"]
    return_canary(cast.actor("alice"), route)
    assert offered() == ["start-canary", "promote", "resume-canary", "end-canary", "restore"]
    assert operator.get(page("change", "x")).status_code == 302


def test_an_endpoints_page_names_the_routes_that_lead_to_it(
    cast: Cast, operator: Client, route: Route, ends: list[Endpoint],
) -> None:
    start_canary(cast.actor("alice"), make_route(cast, "other", (ends[2], 1)), ends[0])
    for end, names in ((ends[0], ["other", "chat"]), (ends[1], ["chat"]), (ends[2], ["other"])):
        text = operator.get(reverse("admin:endpoints_endpoint_change", args=[end.pk])).content.decode()
        assert [one for one in ("other", "chat") if f"/change/\">{one}</a>" in text] == names


def test_names_come_out_escaped(operator: Client, route: Route, ends: list[Endpoint]) -> None:
    Route.objects.update(description="<script>1", public_name="<script>2")
    Endpoint.objects.filter(pk=ends[0].pk).update(name="<script>3")
    route.changes.update(message="<script>4", actor_label="<script>5")
    for address in (page("changelist"), page("change", route.pk)):
        assert "<script>" not in operator.get(address).content.decode().replace("<script>window", "")
    parts = operator.get(page("live_detail", route.pk)).json()["parts"][str(route.pk)]
    assert "<script>" not in "".join(parts.values())


def test_queries_do_not_grow_with_routes_endpoints_and_minutes(
    cast: Cast, operator: Client, route: Route, ends: list[Endpoint],
) -> None:
    start_canary(cast.actor("alice"), route, ends[2])
    places = [page("changelist"), page("change", route.pk), page("live_detail", route.pk), page("live") + f"?ids={route.pk}"]
    operator.get(places[0])
    few = [queries(operator, place) for place in places]
    for number in range(10):
        end = make_end(cast.alpha, f"more-{number}")
        other = make_route(cast, f"chat-{number}", (end, 1))
        start_canary(cast.actor("alice"), other, ends[2])
        count(route, ends[0], 5, at=timezone.now() - timedelta(minutes=number))
    ids = ",".join(map(str, Route.objects.values_list("pk", flat=True)))
    places[-1] = page("live") + f"?ids={ids}"
    assert [queries(operator, place) for place in places] == few
    assert few == [8, 19, 6, 6]


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def test_ribbons_are_as_thick_as_their_share_and_meet_their_lane() -> None:
    parts = ribbons([0.75, 0.25, 0.0], [0.0, 1.0, 0.0])
    assert parts[0].wished == "M0.0 114.0C50 114.0 50 23.0 100.0 23.0V77.0C50 77.0 50 168.0 0.0 168.0Z"
    assert (parts[0].seen, parts[2].wished) == ("", "")
    assert parts[1].seen.startswith("M0.0 114.0C50 114.0 50 114.0 100.0 114.0V186.0")
    assert parts[2].middle == "M0.0 150.0C50 150.0 50 250.0 100.0 250.0"


def test_charts_leave_gaps() -> None:
    assert bars([None, 5.0], 10) == "M4.4 28.0v-14.0h3.2v14.0z"
    assert steps([1.0, None, 2.0, 0.0], 2) == "M0.0 14.0V14.0H4.0M8.0 0.0V0.0H12.0V28.0H16.0"


@pytest.mark.parametrize(("values", "least", "most"), [([], 5, 5), ([None, 7.0], 5, 10), ([0.3], 0.05, 0.5), ([100.0], 5, 100)])
def test_scale(values: list[float | None], least: float, most: float) -> None:
    assert scale(values, least) == pytest.approx(most)


def test_a_limit_is_drawn_inside_only() -> None:
    assert (level(None, 10), level(11, 10), level(5, 10)) == (None, None, 14.0)
