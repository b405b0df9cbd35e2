"""The first page: what needs somebody, the endpoints by urgency, the month, and capacity."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from clusters.models import Accelerator, Cluster, Node
from clusters.states import ClusterKind
from endpoints.models import Endpoint, TrafficMinute, UsageHour
from endpoints.services.route_traffic import minute_of
from endpoints.states import Cause, Status
from models_catalog.models import Profile
from portal.tenancy import services as tenancy
from portal.tenancy.models import LimitKind
from portal.web.home.capacity import shares_of
from portal.web.home.drawing import month_line, nice, spark
from portal.web.home.needs import title_of
from portal.web.home.rows import tally_of, urgent_first
from tests.cast import GIB, Cast, make_cluster, make_host, make_profile, set_limit
from tests.portal.world import make_endpoint, make_engine

ClientOf = Callable[[str], Client]


@pytest.mark.parametrize(("count", "endpoints", "title"), [
    (0, 0, "Nothing runs yet"), (0, 3, "All is well"), (1, 3, "One thing needs you"), (2, 3, "Two things need you"),
    (12, 3, "12 things need you")])
def test_the_title_answers(count: int, endpoints: int, title: str) -> None:
    assert title_of(count, endpoints) == title


@pytest.mark.parametrize(("most", "top"), [(0, 1), (0.3, 0.5), (1, 1), (3, 5), (2.1, 2.5), (9160, 10_000), (6.9e9, 1e10)])
def test_the_scale_ends_at_a_round_figure(most: float, top: float) -> None:
    assert nice(most) == pytest.approx(top)


def test_lines_are_drawn_to_scale() -> None:
    assert spark([0, 5, 10], "Requests").path == "M0.0 24.0 50.0 12.0 100.0 0.0"
    assert spark([0, 0], "Requests").path == "M0.0 24.0 100.0 24.0"
    days = [timezone.now().date() + timedelta(days=number) for number in range(4)]
    line = month_line(days, [25, 50], 100, 80)
    assert (line.seen, line.expected) == ("M0.0 100.0 25.0 75.0 50.0 50.0", "M50.0 50.0 100.0 0.0")
    assert (line.limit, line.top) == ("20.0", 100)
    assert month_line(days, [], None, None).expected == ""


@pytest.fixture
def place(cast: Cast) -> Cluster:
    found = make_cluster("gpu-east", seen_at=timezone.now())
    make_host(found, gpus=2)
    return found


@pytest.fixture
def profile(cast: Cast) -> Profile:
    return make_profile()


def made(cast: Cast, place: Cluster, profile: Profile, name: str, status: str, **values: object) -> Endpoint:
    row = make_endpoint(cast, cast.alpha, place, profile, name)
    Endpoint.objects.filter(pk=row.pk).update(status=status, seen_at=timezone.now(), **values)
    return row


def read(client: Client, path: str = "/w/alpha/") -> str:
    answer = client.get(path)
    assert answer.status_code == 200
    return answer.content.decode()


@pytest.mark.django_db
class TestPage:
    def test_without_an_endpoint_the_catalogue_is_next(self, client_of: ClientOf) -> None:
        text = read(client_of("alice"))
        assert "Nothing runs yet" in text
        assert "Choose a model" in text
        assert "No place is shared with you yet" in text

    @pytest.mark.parametrize(("status", "ready", "words"), [
        (Status.STALLED, 0, "ours has been stalled for 14 min."), (Status.FAILED, 0, "ours failed 14 min ago."),
        (Status.DEGRADED, 0, "ours runs with 0 of 1 replicas.")])
    def test_what_needs_somebody_says_why_and_leads_there(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile, status: str, ready: int, words: str,
    ) -> None:
        row = made(cast, place, profile, "ours", status, ready_replicas=ready, message="8.5 GiB <b>is</b> left",
                   status_since=timezone.now() - timedelta(minutes=14, seconds=5))
        text = read(client_of("alice"))
        assert "One thing needs you" in text
        assert words in text
        assert "8.5 GiB &lt;b&gt;is&lt;/b&gt; left" in text
        assert f"/w/alpha/endpoints/{row.uid}/why/" in text

    def test_all_is_well(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        made(cast, place, profile, "ours", Status.INSERVICE, ready_replicas=1)
        made(cast, place, profile, "coming", Status.CREATING)
        assert "All is well" in read(client_of("alice"))

    def test_a_change_outside_needs_somebody(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        made(cast, place, profile, "ours", Status.INSERVICE, drift=[{"object": "StatefulSet/x", "path": "spec.replicas"}])
        assert "ours was changed outside the portal." in read(client_of("alice"))

    def test_urgent_ones_come_first_and_ten_are_shown(self, cast: Cast, place: Cluster, profile: Profile) -> None:
        states = [Status.INSERVICE, Status.STOPPED, Status.CREATING, Status.DEGRADED, Status.STALLED, Status.FAILED]
        rows = [made(cast, place, profile, f"e-{number}", status) for number, status in enumerate(states)]
        mine = Endpoint.objects.filter(workspace=cast.alpha)
        keys, has_more = urgent_first(mine, tally_of(mine))
        assert keys == [rows[number].pk for number in (5, 4, 3, 2, 1, 0)]
        assert not has_more
        for number in range(6, 12):
            made(cast, place, profile, f"e-{number}", Status.INSERVICE)
        assert urgent_first(mine, tally_of(mine))[1]

    def test_calls_are_counted_and_drawn(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        row, now = made(cast, place, profile, "ours", Status.INSERVICE, ready_replicas=1), timezone.now()
        TrafficMinute.objects.create(minute=minute_of(now) - timedelta(minutes=1), route_id=0, endpoint_id=row.pk, calls=3000,
                                     first_byte_4=3000)
        use(cast, row, requests=1234)
        text = read(client_of("alice"))
        assert "10.0" in text
        assert "390 ms" in text
        assert "1,234 in this hour" in text

    def test_a_budget_that_runs_out_or_is_used_up_is_said(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile,
    ) -> None:
        row = made(cast, place, profile, "ours", Status.INSERVICE)
        set_limit(cast.alpha, money_per_month=Decimal(10))
        use(cast, row, cost_nano=11 * 10**9)
        text = read(client_of("alice"))
        assert "budget is used up" in text
        assert "$11.00 of $10.00" in text

    def test_a_limit_near_its_end_is_said(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        row = made(cast, place, profile, "ours", Status.INSERVICE)
        set_limit(cast.alpha, LimitKind.MODEL, of={"model_name": "ours"}, tokens_per_month=1000)
        use(cast, row, prompt_tokens=850)
        text = read(client_of("alice"))
        assert "has used 85 % of its tokens a month." in text
        use(cast, row, prompt_tokens=200, key_id=2)
        assert "has used up its tokens a month." in read(client_of("alice"))

    def test_a_neighbours_things_are_nowhere(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        theirs = make_endpoint(cast, cast.beta, place, profile, "beta-secret")
        Endpoint.objects.update(status=Status.FAILED)
        use(cast, theirs, cost_nano=77 * 10**9)
        for path in ("/w/alpha/", "/w/alpha/live/"):
            text = read(client_of("alice"), path)
            assert "beta-secret" not in text
            assert "$77" not in text
        assert "beta-secret" in read(client_of("operator"), "/w/-/")

    def test_an_open_page_gets_its_cells_and_all_of_it_when_somebody_is_needed(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile,
    ) -> None:
        row, alice = made(cast, place, profile, "ours", Status.INSERVICE, ready_replicas=1), client_of("alice")
        text = read(alice, f"/w/alpha/live/?needs={row.pk}")
        assert f'id="state-{row.pk}"' in text
        assert "<h1" not in text
        Endpoint.objects.update(status=Status.FAILED)
        assert "One thing needs you" in read(alice, f"/w/alpha/live/?needs={row.pk}")

    def test_states_and_needs_are_counted_over_all_endpoints(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile,
    ) -> None:
        for number in range(40):
            made(cast, place, profile, f"e-{number}", Status.STALLED if number < 25 else Status.INSERVICE)
        Endpoint.objects.filter(name="e-25").update(drift=[{"path": "spec"}])  # none of the first ones
        Endpoint.objects.filter(name="e-26").update(cause=Cause.CONTESTED)
        Endpoint.objects.filter(name="e-0").update(drift=[{"path": "spec"}])  # ill already
        other = make_endpoint(cast, cast.beta, place, profile, "theirs")
        Endpoint.objects.filter(pk=other.pk).update(status=Status.FAILED)
        text = read(client_of("alice"))
        assert "27 things need you" in text
        assert "13 other endpoints here are as you asked" in text
        assert "And 21 more" in text
        assert re.findall(r'\?state=(\w+)">([^<]+) <b>(\d+)</b>', text) == [
            ("stalled", "Stalled", "25"), ("inservice", "In service", "15")]
        assert "All 40 endpoints" in text
        mark = re.search(r"needs=([\dn-]+)", text)
        assert mark
        assert 'id="states" hx-swap-oob' in read(client_of("alice"), f"/w/alpha/live/?needs={mark[1]}")

    def test_one_that_was_changed_outside_is_found_among_many(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile,
    ) -> None:
        for number in range(30):
            made(cast, place, profile, f"e-{number}", Status.INSERVICE)
        Endpoint.objects.filter(name="e-3").update(drift=[{"path": "spec"}])
        text = read(client_of("alice"))
        assert "One thing needs you" in text
        assert "e-3 was changed outside the portal." in text

    def test_a_viewer_sees_no_button_to_deploy(self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile) -> None:
        made(cast, place, profile, "ours", Status.INSERVICE)
        assert "Deploy a model" in read(client_of("bob"))
        assert "Deploy a model" not in read(client_of("vera"))

    def test_many_endpoints_places_and_limits_stay_within_the_queries(
        self, client_of: ClientOf, cast: Cast, place: Cluster, profile: Profile,
        django_assert_max_num_queries: DjangoAssertNumQueries,
    ) -> None:
        for number in range(15):
            made(cast, place, profile, f"e-{number}", Status.STALLED if number % 2 else Status.INSERVICE)
        for number, kind in enumerate((ClusterKind.KUBERNETES, ClusterKind.SAGEMAKER, ClusterKind.HOSTS)):
            make_cluster(f"place-{number}", kind=kind)
        key, _text = tenancy.create_key(cast.actor("alice"), cast.alpha, name="k")
        set_limit(cast.alpha, money_per_month=10)
        set_limit(cast.alpha, LimitKind.KEY, of={"key": key}, tokens_per_month=10)
        set_limit(cast.alpha, LimitKind.MODEL, of={"model_name": "e-1"}, tokens_per_month=10)
        set_limit(cast.alpha, LimitKind.MEMBER, of={"member": cast.bob}, tokens_per_month=10)
        alice = client_of("alice")
        read(alice)
        with django_assert_max_num_queries(24):
            read(alice)
        mine = Endpoint.objects.filter(workspace=cast.alpha)
        keys, _more = urgent_first(mine, tally_of(mine))
        stalled = set(Endpoint.objects.filter(status=Status.STALLED).values_list("pk", flat=True))
        mark = "-".join(f"{key}{'n' if key in stalled else ''}" for key in keys)
        with django_assert_max_num_queries(12):
            assert "<h1" not in read(alice, f"/w/alpha/live/?needs={mark}")


@pytest.mark.django_db
def test_capacity_tells_ours_from_others_and_free(cast: Cast, place: Cluster, profile: Profile) -> None:
    ours, theirs = (make_endpoint(cast, workspace, place, profile, "chat") for workspace in (cast.alpha, cast.beta))
    host = place.nodes.get().host
    for endpoint, device in zip((ours, theirs), host.node.accelerators.all(), strict=True):
        make_engine(endpoint, host).claims.create(node=host.node, accelerator=device, memory_bytes=80 * GIB)
    kube = make_cluster("kube", kind=ClusterKind.KUBERNETES)
    node = Node.objects.create(cluster=kube, name="n", gpus=8, gpus_requested=5)
    Accelerator.objects.create(node=node, index=0, model="L40S", memory_bytes=45 * GIB)
    made(cast, kube, make_profile("gpu-chat", gpus=2), "on-kube", Status.INSERVICE)
    rack = make_cluster("rack")
    make_host(rack, "rack-1")
    empty, aws = make_cluster("empty"), make_cluster("aws", kind=ClusterKind.SAGEMAKER)
    found = {share.name: (share.total, share.ours, share.others, share.free)
             for share in shares_of([place, kube, rack, empty, aws], Endpoint.objects.filter(workspace=cast.alpha))}
    assert found == {"gpu-east": (2, 1, 1, 0), "kube": (8, 2, 3, 3), "rack": (32, 0, 0, 32), "empty": (0, 0, 0, 0),
                     "aws": (None, 0, 0, 0)}


def use(cast: Cast, row: Endpoint, **values: int) -> None:
    """What Alpha (or the row's workspace) used of this endpoint in this hour."""
    UsageHour.objects.create(**{
        "hour": timezone.now().replace(minute=0, second=0, microsecond=0), "workspace_id": row.workspace_id, "member_id": 1,
        "key_id": 1, "endpoint_id": row.pk, "route_id": 0, "door": 1, "model_name": row.public_name, "requests": 3, **values})
