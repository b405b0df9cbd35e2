"""Verbs on routes: what they refuse, what they write, and that each of them can be taken back."""

from __future__ import annotations

import random
from collections import Counter
from typing import Any

import pytest

from endpoints import services
from endpoints.gateway.choice import Choice
from endpoints.gateway.loader import Loader
from endpoints.gateway.snapshot import Address, Route, Target, Way
from endpoints.models import Backend, Canary, Endpoint, RouteChange, RouteTarget
from endpoints.models import Route as RouteRow
from endpoints.services.route_wish import RouteWish, Share, Trial, as_json, wish_of
from endpoints.services.routes import (
    change_route,
    create_route,
    delete_route,
    end_canary,
    promote,
    restore_route,
    resume_canary,
    return_canary,
    start_canary,
    step_canary,
)
from endpoints.states import Wish
from portal.tenancy.errors import Conflict, Invalid, NotAllowed, NotFound, PortalError, QuotaExceeded, Stale
from portal.tenancy.models import AuditEntry
from tests.cast import Cast, make_cluster, make_host, make_profile
from tests.endpoints.routes_cast import make_end, make_route

pytestmark = pytest.mark.both_databases


@pytest.fixture
def blue(cast: Cast) -> Endpoint:
    return make_end(cast.alpha, "blue")


@pytest.fixture
def green(cast: Cast) -> Endpoint:
    return make_end(cast.alpha, "green")


@pytest.fixture
def grey(cast: Cast) -> Endpoint:
    return make_end(cast.alpha, "grey")


def test_a_route_is_made_with_history_and_audit(cast: Cast, blue: Endpoint, green: Endpoint, grey: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 80), (green, 20), fallbacks=(grey,), is_sticky=True)
    wish = wish_of(route)
    assert [(share.endpoint.name, share.weight) for share in wish.mains] == [("blue", 80), ("green", 20)]
    assert [one.name for one in wish.fallbacks] == ["grey"]
    change = RouteChange.objects.get(route=route)
    assert (change.verb, change.message) == ("create", "Made: blue 80 %; green 20 %; stands in: grey")
    assert AuditEntry.objects.get(verb="create").after == as_json(wish)


@pytest.mark.parametrize(("change", "error", "field"), [
    (lambda ends: {"mains": ()}, Invalid, "targets"),
    (lambda ends: {"mains": (Share(ends["blue"], 0),)}, Invalid, "targets"),
    (lambda ends: {"mains": (Share(ends["blue"], 101),)}, Invalid, "targets"),
    (lambda ends: {"mains": (Share(ends["blue"], -1),)}, Invalid, "targets"),
    (lambda ends: {"fallbacks": (ends["blue"],)}, Invalid, "targets"),
    (lambda ends: {"canary": Trial(ends["blue"])}, Invalid, "targets"),
    (lambda ends: {"fallbacks": (ends["embeddings"],)}, Invalid, "targets"),
    (lambda ends: {"fallbacks": (ends["foreign"],)}, Invalid, "targets"),
    (lambda ends: {"fallbacks": (ends["leaving"],)}, Conflict, "targets"),
    (lambda ends: {"public_name": ""}, Invalid, "public_name"),
    (lambda ends: {"public_name": "a b"}, Invalid, "public_name"),
    (lambda ends: {"public_name": "x" * 129}, Invalid, "public_name"),
    (lambda ends: {"public_name": "Green"}, Conflict, "public_name"),
    (lambda ends: {"description": "x" * 201}, Invalid, "description"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 0})}, Invalid, "percent"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 100})}, Invalid, "percent"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 5, "steps": [5]})}, Invalid, "steps"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 5, "steps": [20, 10]})}, Invalid, "steps"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 5, "steps": [101]})}, Invalid, "steps"),
    (lambda ends: {"canary": Trial(ends["green"], {"percent": 5, "steps": ["x"]})}, Invalid, "steps"),
    (lambda ends: {"canary": Trial(ends["green"], {"max_first_byte_ratio": 0.5})}, Invalid, "max_first_byte_ratio"),
])
def test_what_makes_no_sense_is_refused(cast: Cast, blue: Endpoint, green: Endpoint, change: Any, error: type[PortalError],
                                        field: str) -> None:
    ends = {"blue": blue, "green": green, "embeddings": make_end(cast.alpha, "e", task="embedding"),
            "foreign": make_end(cast.beta, "f"), "leaving": make_end(cast.alpha, "l", wish=Wish.DELETED)}
    values: dict[str, Any] = {"public_name": "chat", "mains": (Share(blue),), **change(ends)}
    with pytest.raises(error) as refused:
        create_route(cast.actor("alice"), cast.alpha, RouteWish(**values))
    assert refused.value.field == field
    assert not RouteRow.objects.exists()


def test_chat_with_and_without_pictures_go_together(cast: Cast, blue: Endpoint) -> None:
    make_route(cast, "chat", (blue, 50), (make_end(cast.alpha, "eyes", task="vision-chat"), 50))


def test_a_name_is_given_once_in_a_workspace(cast: Cast, blue: Endpoint) -> None:
    make_route(cast, "chat", (blue, 1))
    with pytest.raises(Conflict) as refused:
        make_route(cast, "Chat", (blue, 1))
    assert refused.value.field == "public_name"
    create_route(cast.actor("operator"), cast.beta, RouteWish("chat", (Share(make_end(cast.beta, "theirs")),)))


def test_a_route_may_take_the_name_of_its_own_endpoint_and_goes_first(cast: Cast, blue: Endpoint, green: Endpoint) -> None:
    route = make_route(cast, "blue", (blue, 50), (green, 50))
    found = Loader().load().routes[cast.alpha.pk]
    assert found["blue"].id == route.pk
    assert [way.target.public_name for way in found["blue"].ways] == ["blue", "green"]
    assert found["green"].id == 0


def test_an_endpoint_cannot_take_the_name_of_a_route(cast: Cast, blue: Endpoint) -> None:
    make_route(cast, "chat", (blue, 1))
    make_host(place := make_cluster("place"))
    with pytest.raises(Conflict) as refused:
        services.create(cast.actor("alice"), cast.alpha, name="new", public_name="Chat", cluster=place,
                        profile=make_profile("another-cpu"))
    assert refused.value.field == "public_name"


def test_only_those_who_deploy_change_routes(cast: Cast, blue: Endpoint, green: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 1))
    for name, error in (("vera", NotAllowed), ("charlie", NotFound)):
        actor = cast.actor(name)
        for verb in (lambda: create_route(actor, cast.alpha, RouteWish("x", (Share(blue),))),  # noqa: B023
                     lambda: change_route(actor, route, is_sticky=True),  # noqa: B023
                     lambda: start_canary(actor, route, green), lambda: delete_route(actor, route)):  # noqa: B023
            with pytest.raises(error):
                verb()
    change_route(cast.actor("bob"), route, is_sticky=True)


def test_nothing_is_written_over_somebody_elses_change(cast: Cast, blue: Endpoint, green: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 1))
    mine, theirs = RouteRow.objects.get(), RouteRow.objects.get()
    change_route(cast.actor("bob"), theirs, mains=(Share(green),))
    with pytest.raises(Stale, match="bob"):
        change_route(cast.actor("alice"), mine, is_sticky=True)
    with pytest.raises(Stale):
        delete_route(cast.actor("alice"), theirs, expected_generation=1)
    with pytest.raises(Conflict, match="Nothing differs"):
        change_route(cast.actor("alice"), theirs, mains=(Share(green),))
    route.refresh_from_db()
    assert [share.endpoint.name for share in wish_of(route).mains] == ["green"]


def test_a_canary_from_its_start_to_its_promotion(cast: Cast, blue: Endpoint, green: Endpoint, grey: Endpoint) -> None:
    actor, route = cast.actor("alice"), make_route(cast, "chat", (blue, 100), fallbacks=(grey,))
    start_canary(actor, route, green, percent=10, steps=[50, 100])
    assert RouteChange.objects.latest("id").message.endswith("blue 90 %; on trial: green 10 %; stands in: grey")
    step_canary(actor, route)
    assert (route.canary.percent, route.canary.steps) == (50, [100])
    step_canary(actor, route)
    wish = wish_of(route)
    assert [share.endpoint.name for share in wish.mains] == ["green"]
    assert [one.name for one in wish.fallbacks] == ["blue", "grey"]
    assert wish.canary is None
    with pytest.raises(Conflict):
        promote(actor, route)
    assert list(route.changes.values_list("verb", flat=True)) == ["promote", "step", "start", "create"]


def test_a_canary_returns_resumes_and_ends(cast: Cast, blue: Endpoint, green: Endpoint) -> None:
    actor, route = cast.actor("alice"), make_route(cast, "chat", (blue, 100))
    with pytest.raises(Conflict):
        return_canary(actor, route)
    start_canary(actor, route, green)
    return_canary(actor, route, "too slow")
    assert (route.canary.state, route.canary.reason) == ("returned", "too slow")
    assert [way.target.public_name for way in Loader().load().routes[cast.alpha.pk]["chat"].ways] == ["blue"]
    with pytest.raises(Conflict):
        return_canary(actor, route)
    resume_canary(actor, route)
    assert (Canary.objects.get().state, Canary.objects.get().reason) == ("running", "")
    end_canary(actor, route)
    assert not Canary.objects.exists()


def test_what_stood_in_can_be_on_trial(cast: Cast, blue: Endpoint, green: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 100), fallbacks=(green,))
    start_canary(cast.actor("alice"), route, green)
    assert wish_of(route).fallbacks == ()


def test_any_version_can_be_restored(cast: Cast, blue: Endpoint, green: Endpoint, grey: Endpoint) -> None:
    actor, route = cast.actor("alice"), make_route(cast, "chat", (blue, 80), (grey, 20), description="old")
    first = wish_of(route)
    start_canary(actor, route, green, percent=7)
    promote(actor, route)
    change_route(actor, route, public_name="other", is_sticky=True)
    restore_route(actor, route, 1)
    assert wish_of(route) == first
    with pytest.raises(NotFound):
        restore_route(actor, route, 99)
    grey.wanted = None
    grey.save()
    grey.revisions.all().delete()
    grey.delete()
    with pytest.raises(Conflict, match="grey is gone"):
        restore_route(actor, route, 1)


def test_a_deleted_route_leaves_its_audit(cast: Cast, blue: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 1))
    delete_route(cast.actor("alice"), route)
    assert not RouteRow.objects.exists()
    assert AuditEntry.objects.get(verb="delete").before["public_name"] == "chat"


def test_the_gateway_leaves_out_what_does_not_run(cast: Cast, blue: Endpoint, green: Endpoint, grey: Endpoint) -> None:
    route = make_route(cast, "chat", (blue, 50), (green, 50), fallbacks=(grey,))
    for endpoint in (blue, green, grey):
        row = Backend(endpoint=endpoint, key="0", url=f"http://127.0.0.1:{endpoint.pk}", revision=1)
        row.put_secret("token", "t")
        row.save()
    start_canary(cast.actor("alice"), route, make_end(cast.alpha, "trial"), percent=10)
    loader = Loader()
    found = loader.load().routes[cast.alpha.pk]["chat"]
    assert [(way.target.public_name, way.weight, way.is_trial) for way in found.ways] == [
        ("blue", 50, False), ("green", 50, False), ("trial", 10, True)]
    assert {target.public_name for target in found.pick()[:1]} <= {"blue", "green"}  # the one on trial has no replica
    assert loader.load() is loader.load()
    Endpoint.objects.filter(pk=blue.pk).update(wish=Wish.STOPPED)
    assert [one.public_name for one in loader.load().routes[cast.alpha.pk]["chat"].pick()] == ["green", "grey"]
    Endpoint.objects.filter(pk=green.pk).update(wish=Wish.DELETED)
    assert [one.public_name for one in loader.load().routes[cast.alpha.pk]["chat"].pick()] == ["grey"]
    Endpoint.objects.update(wish=Wish.STOPPED)
    assert loader.load().routes[cast.alpha.pk]["chat"].pick() == ()


def test_a_neighbours_endpoint_is_never_called_whatever_the_rows_say(cast: Cast, blue: Endpoint) -> None:
    theirs = make_end(cast.beta, "theirs")
    route = make_route(cast, "chat", (blue, 1))
    RouteTarget.objects.create(route=route, endpoint=theirs, position=1)
    Canary.objects.create(route=route, endpoint=theirs)
    found = Loader().load().routes[cast.alpha.pk]["chat"]
    assert [target.public_name for target in found.targets] == ["blue"]


def test_routes_of_a_workspace_are_not_without_end(cast: Cast, blue: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("endpoints.services.routes.MOST_ROUTES", 2)
    for name in ("one", "two"):
        make_route(cast, name, (blue, 1))
    with pytest.raises(QuotaExceeded):
        make_route(cast, "three", (blue, 1))


def test_the_loaders_queries_do_not_grow_with_routes(cast: Cast, blue: Endpoint, django_assert_num_queries: Any) -> None:
    for number in range(10):
        make_route(cast, f"chat-{number}", (blue, 1))
    with django_assert_num_queries(7):
        assert len(Loader().load().routes[cast.alpha.pk]) == 11


def end(number: int, *, ready: bool = True) -> Target:
    return Target(number, f"m{number}", "INSERVICE", "", (Address(f"http://127.0.0.1:{number}", "t"),) if ready else ())


def firsts(route: Route, *, by_session: bool = False, calls: int = 20_000) -> dict[int, float]:
    """The share in % that each target gets."""
    random.seed(7)
    counts = Counter(route.pick(b"session %d" % n if by_session else b"")[0].endpoint_id for n in range(calls))
    return {number: 100 * count / calls for number, count in counts.items()}


@pytest.mark.parametrize("by_session", [False, True])
@pytest.mark.parametrize(("ways", "expected"), [
    ([Way(end(1), 80), Way(end(2), 20)], {1: 80, 2: 20}),
    ([Way(end(1), 1), Way(end(2), 1), Way(end(3), 2)], {1: 25, 2: 25, 3: 50}),
    ([Way(end(1), 50), Way(end(2), 50), Way(end(3), 10, is_trial=True)], {1: 45, 2: 45, 3: 10}),
    ([Way(end(1), 50), Way(end(2, ready=False), 50), Way(end(3), 10, is_trial=True)], {1: 90, 3: 10}),
    ([Way(end(1), 50), Way(end(2), 0)], {1: 100}),
    ([Way(end(1, ready=False), 50), Way(end(3), 10, is_trial=True)], {3: 100}),
])
def test_calls_are_shared_by_weight(ways: list[Way], expected: dict[int, float], *, by_session: bool) -> None:
    route = Route(1, 1, "m", 0, tuple(ways), is_sticky=True)
    assert firsts(route, by_session=by_session) == pytest.approx(expected, abs=1.5)


def test_a_session_stays_and_only_those_move_that_must() -> None:
    three = Route(1, 1, "m", 0, (Way(end(1)), Way(end(2)), Way(end(3))), is_sticky=True)
    two = Route(1, 1, "m", 0, (Way(end(1)), Way(end(2)), Way(end(3, ready=False))), is_sticky=True)
    for number in range(500):
        session = b"%d" % number
        before = [one.endpoint_id for one in three.pick(session)]
        assert [one.endpoint_id for one in three.pick(session)] == before
        assert [one.endpoint_id for one in two.pick(session)] == [pk for pk in before if pk != 3]


def test_one_on_trial_is_tried_last_behind_others() -> None:
    route = Route(1, 1, "m", 0, (Way(end(1), 100), Way(end(2), 5, is_trial=True)), (end(3),))
    orders = {tuple(one.endpoint_id for one in route.pick()) for _number in range(500)}
    assert orders == {(1, 3, 2), (2, 1, 3)}
    alone: Choice[Target] = Choice([Way(end(2), 5, is_trial=True)], [end(3)])
    assert alone.only is not None
    assert [one.endpoint_id for one in alone.only] == [3, 2]
