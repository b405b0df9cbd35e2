"""The pages that say why an endpoint is not ready, and show its logs: right, escaped, and for one's own only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from clusters.models import Cluster, Engine
from clusters.states import Phase
from endpoints.models import Endpoint
from portal.tenancy.models import User
from tests.cast import Cast
from tests.portal.conftest import signed_in
from tests.portal.world import World, make_endpoint, make_engine, make_world

pytestmark = pytest.mark.both_databases
CRASH = "INFO 01-02 begin <script>alert(1)</script>\nvllm serve: error: unrecognized arguments: --device=cpu\n"


@pytest.fixture
def world(cast: Cast) -> World:
    made = make_world(cast)
    Engine.objects.filter(endpoint_uid=made.ours.uid).update(
        phase=Phase.CRASHLOOP, restarts=5, exit_code=2, cause="bad_argument", message="refused", log="", previous_log=CRASH)
    Endpoint.objects.filter(pk=made.ours.pk).update(status="FAILED")
    return made


def url(world: World, page: str) -> str:
    return reverse(f"admin:endpoints_endpoint_{page}", args=[world.ours.pk])


def test_the_title_is_the_cause_and_the_next_step_stands_beside_it(world: World, operator: Client) -> None:
    page = operator.get(url(world, "why")).content.decode()
    assert "This engine release has no argument --device any more." in page
    assert "Take --device away" in page
    assert "&lt;script&gt;alert(1)" in page
    assert "<script>alert" not in page
    assert "5 restarts" in page


def test_rows_that_are_not_ready_lead_there_from_list_and_page(world: World, operator: Client) -> None:
    assert f'href="{url(world, "why")}"' in operator.get(reverse("admin:endpoints_endpoint_changelist")).content.decode()
    assert f'href="{url(world, "why")}"' in operator.get(url(world, "change")).content.decode()
    Endpoint.objects.filter(pk=world.ours.pk).update(status="INSERVICE")
    assert f'href="{url(world, "why")}"' not in operator.get(reverse("admin:endpoints_endpoint_changelist")).content.decode()


def test_a_log_is_shown_followed_and_downloaded(world: World, operator: Client) -> None:
    page = operator.get(url(world, "log") + "?replica=0&previous=1").content.decode()
    assert "unrecognized arguments: --device=cpu" in page
    assert "<script>alert" not in page
    live = operator.get(url(world, "log_live") + "?replica=0&previous=1").json()
    assert "--device=cpu" in live["parts"][str(world.ours.pk)]["log"]
    file = operator.get(url(world, "log_text") + "?replica=0&previous=1")
    assert file.content.decode().strip() == CRASH.strip()
    assert (file["Content-Type"], file["X-Content-Type-Options"]) == ("text/plain; charset=utf-8", "nosniff")
    assert file["Content-Disposition"] == 'attachment; filename="alpha-chat-0-previous.log"'


@pytest.mark.parametrize("query", ["?replica=-1", "?replica=9999", "?replica=x&lines=all&previous=yes", "?replica=²"])
def test_nonsense_in_the_address_counts_as_not_said(world: World, operator: Client, query: str) -> None:
    assert operator.get(url(world, "log") + query).status_code == 200


@pytest.mark.parametrize("page", ["why", "log", "log_live", "log_text"])
def test_a_neighbour_finds_nothing_and_one_without_the_right_is_refused(
    world: World, staff: Callable[..., User], page: str,
) -> None:
    neighbour = signed_in(staff("dora", world.cast.beta, "view_endpoint"))
    member = signed_in(staff("emil", world.cast.alpha, "view_endpoint", role="viewer"))
    assert neighbour.get(url(world, page)).status_code == 404
    assert member.get(url(world, page)).status_code == 200
    assert signed_in(staff("fred", world.cast.alpha, "view_host")).get(url(world, page)).status_code == 403
    assert Client().get(url(world, page)).status_code == 302


def test_a_place_that_nothing_can_be_said_to_still_answers(world: World, operator: Client) -> None:
    """Nobody has entered its AWS account: the refusal is the explanation, on every page."""
    Cluster.objects.filter(pk=world.shared.pk).update(kind="sagemaker")
    assert "has no AWS account yet" in operator.get(url(world, "why")).content.decode()
    assert "has no AWS account yet" in operator.get(url(world, "log")).content.decode()
    assert operator.get(url(world, "log_text")).status_code == 503
    assert operator.get(url(world, "change")).status_code == 200
    assert operator.get(url(world, "live_detail")).status_code == 200


def test_queries_do_not_grow_with_the_replicas(world: World, operator: Client) -> None:
    def queries() -> int:
        with CaptureQueriesContext(connection) as seen:
            assert operator.get(url(world, "why")).status_code == 200
        return len(seen)

    Endpoint.objects.filter(pk=world.ours.pk).update(replicas=21)
    queries()
    few = queries()
    for index in range(1, 21):
        make_engine(world.ours, world.host, index=index, phase=Phase.CRASHLOOP)
    assert queries() <= few


def test_a_stopped_endpoint_is_not_blamed_for_a_lack_of_room(world: World, operator: Client, cast: Cast) -> None:
    row = make_endpoint(cast, cast.alpha, world.shared, world.profile, "resting", replicas=64, deploy=False)
    Endpoint.objects.filter(pk=row.pk).update(wish="stopped", status="STOPPED")
    page: Any = operator.get(reverse("admin:endpoints_endpoint_why", args=[row.pk]))
    assert "No replica is wanted now." in page.content.decode()
