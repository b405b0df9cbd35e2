"""An endpoint's pages in Chromium, over the portal's own server: they live without a reload, and without a stream."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, Page, expect
from pytest_django.plugin import DjangoDbBlocker

from clusters.models import Engine
from clusters.states import Phase
from endpoints import services
from endpoints.models import Endpoint, Event, TrafficMinute, UsageHour
from endpoints.services.route_traffic import minute_of
from endpoints.states import Cause, Status
from portal.tenancy.models import ApiKey, Membership
from tests.browser.portal import Portal, running_portal
from tests.browser.test_web_pages import check_with_axe
from tests.simulators.openai_backend import OpenAIBackend

pytestmark = [pytest.mark.browser, pytest.mark.slow]
METRICS = (b"vllm:num_requests_running 29\nvllm:num_requests_waiting 3\nvllm:kv_cache_usage_perc 0.71\n"
           b"vllm:generation_tokens_total 100000\nvllm:prompt_tokens_total 5000\n")
LINES = "\n".join(f"INFO 11-22 00:00:{n:02} loading shard {n} of 60" for n in range(60))


@pytest.fixture(scope="module")
def portal(browser: Browser, tmp_path_factory: pytest.TempPathFactory,
           django_db_blocker: DjangoDbBlocker) -> Iterator[Portal]:
    """After the browser: in its event loop Django keeps other connections than outside."""
    with django_db_blocker.unblock(), running_portal(tmp_path_factory.mktemp("endpoint")) as portal:
        yield portal


@pytest.fixture
def row(portal: Portal) -> Iterator[Endpoint]:
    """In service with an hour of calls, an engine that tells its figures, and two revisions."""
    row = portal.world.ours
    with OpenAIBackend() as engine:
        engine.script.content_type, engine.script.body = "text/plain", METRICS
        Engine.objects.filter(endpoint_uid=row.uid).update(
            phase=Phase.READY, port=int(engine.url.rpartition(":")[2]), phase_since=timezone.now(), log=LINES)
        row.refresh_from_db()
        make_traffic(row)
        serve(row)
        yield row


def make_traffic(row: Endpoint) -> None:
    TrafficMinute.objects.all().delete()
    last = minute_of(timezone.now())
    TrafficMinute.objects.bulk_create(TrafficMinute(
        minute=last - timedelta(minutes=back), route_id=0, endpoint_id=row.pk, calls=400 + 7 * (back % 17), errors=back % 4,
        first_byte_3=150 + 9 * (back % 13), first_byte_4=200, first_byte_6=20 + back % 11) for back in range(1, 60))
    UsageHour.objects.filter(endpoint_id=row.pk).update(requests=25_000, completion_tokens=1_900_000, cost_nano=15_600_000_000)


def serve(row: Endpoint, **values: Any) -> None:
    """Write what `reconcile` would, and nobody looks at it again."""
    now = timezone.now()
    Endpoint.objects.filter(pk=row.pk).update(**{
        "status": Status.INSERVICE, "ready_replicas": 1, "serving": row.wanted, "seen_at": now, "seen_by": "agent",
        "observed_generation": row.generation, "cause": "", "message": "", "wish": "running", "deadline_at": None,
        "next_look_at": "2099-01-01T00:00Z", **values})
    Event.objects.create(endpoint=row, kind="status", was=row.status, now=values.get("status", Status.INSERVICE),
                         cause=values.get("cause", ""), message=values.get("message", ""), actor_label="portal",
                         generation=row.generation)


@pytest.fixture
def open_page(browser: Browser, portal: Portal) -> Iterator[Any]:
    contexts: list[Any] = []

    def make(path: str, name: str = "alice", **options: Any) -> Page:
        context = browser.new_context(**{"viewport": {"width": 1440, "height": 900}, **options})
        contexts.append(context)
        context.add_cookies([portal.cookie(getattr(portal.world.cast, name))])
        page = context.new_page()
        page.goto(f"{portal.server.url}/w/alpha/endpoints/{path}")
        return page

    yield make
    for context in contexts:
        context.close()


def shot(page: Page, name: str) -> None:
    """A picture for people, where somebody asked for one."""
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_page_lives_without_a_reload(row: Endpoint, open_page: Any) -> None:
    page = open_page(f"{row.uid}/")
    expect(page.locator("h1")).to_have_text("alpha-chat answers on 1 replica")
    expect(page.locator('[data-plot="first"] canvas')).to_be_visible()
    expect(page.locator('[data-plot="first"]')).to_have_attribute("aria-label", re.compile("95 of 100 calls within 0.[0-9]+ s"))
    expect(page.locator('[data-figure="cache"] [data-value]')).to_have_text("71", timeout=15_000)
    expect(page.locator('[data-plot="queue"] canvas')).to_be_visible(timeout=15_000)
    shot(page, "endpoint-light")
    page.evaluate("window.stays = true")
    serve(row, status=Status.STALLED, cause=Cause.DEADLINE, ready_replicas=0, message="0 of 1 replicas ready.")
    expect(page.locator("h1")).to_have_text("alpha-chat needs you: it does not answer", timeout=10_000)
    expect(page.locator("#said")).to_have_text("alpha-chat needs you: it does not answer")
    expect(page.locator("#events")).to_contain_text("0 of 1 replicas ready.")
    assert page.evaluate("window.stays") is True
    shot(page, "endpoint-stalled")


def test_a_page_asks_by_itself_where_streams_fail(row: Endpoint, open_page: Any, portal: Portal) -> None:
    page = open_page("")
    page.route("**/stream/", lambda route: route.fulfill(status=503, body=""))
    page.goto(f"{portal.server.url}/w/alpha/endpoints/{row.uid}/")
    expect(page.locator("h1")).to_have_text("alpha-chat answers on 1 replica")
    serve(row, status=Status.DEGRADED, message="Half of it.", replicas=2)
    expect(page.locator("h1")).to_have_text("alpha-chat answers with 1 of 2 replicas", timeout=15_000)
    Endpoint.objects.filter(pk=row.pk).update(replicas=1)


def test_a_page_is_gone_when_the_right_to_it_is(row: Endpoint, open_page: Any, portal: Portal) -> None:
    """Threat T6, as people see it."""
    cast = portal.world.cast
    page = open_page(f"{row.uid}/", "vera")
    expect(page.locator("h1")).to_contain_text("alpha-chat")
    membership = Membership.objects.get(user=cast.vera)
    membership.delete()
    expect(page.locator("h1")).to_have_text("There is no such object.", timeout=30_000)
    Membership.objects.create(workspace=cast.alpha, user=cast.vera, role="viewer")


def test_a_new_key_is_filled_into_the_code(row: Endpoint, open_page: Any) -> None:
    page = open_page(f"{row.uid}/?call=curl")
    expect(page.locator("#call-code")).to_contain_text("$PORTAL_API_KEY")
    before = ApiKey.objects.count()
    page.get_by_role("button", name="Fill in a new key").dblclick()
    expect(page.locator("#call-code")).to_contain_text("Bearer sk-")
    shot(page, "endpoint-key")
    assert ApiKey.objects.count() == before + 1
    page.get_by_role("link", name="LangChain").click()
    expect(page.locator("#call-code")).to_contain_text("ChatOpenAI")
    expect(page.locator("#call-code")).to_contain_text("PORTAL_API_KEY")


def test_a_log_follows_until_it_is_paused(row: Endpoint, open_page: Any) -> None:
    page = open_page(f"{row.uid}/log/")
    expect(page.locator("pre.log")).to_contain_text("shard 59")
    Engine.objects.filter(endpoint_uid=row.uid).update(log=f"{LINES}\n<script>alert(1)</script> ready")
    expect(page.locator("pre.log")).to_contain_text("<script>alert(1)</script> ready", timeout=10_000)
    page.get_by_role("button", name="Pause").click()
    expect(page.locator("#follows")).to_have_text("Paused: new lines wait.")
    shot(page, "endpoint-log")
    Engine.objects.filter(endpoint_uid=row.uid).update(log="the newest")
    page.get_by_role("button", name="Go on").click()
    expect(page.locator("pre.log")).to_have_text("the newest", timeout=10_000)


def test_stop_is_undone_with_one_press(row: Endpoint, open_page: Any) -> None:
    page = open_page(f"{row.uid}/")
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.locator("h1")).to_have_text("alpha-chat is stopping")
    shot(page, "endpoint-undo")
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("button", name="Stop", exact=True)).to_be_visible()
    row.refresh_from_db()
    assert row.wish == "running"


LOOKS = {"dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 390, "height": 844}},
         "zh": {"locale": "zh-CN"}, "light": {}}


@pytest.mark.parametrize("look", LOOKS)
def test_every_page_fits_its_window(row: Endpoint, open_page: Any, portal: Portal, look: str) -> None:
    if row.revisions.count() < 2:
        services.update(portal.world.cast.actor("alice"), row, arguments={"max-model-len": 2048}, note="Longer context")
        row.refresh_from_db()
    serve(row, status=Status.UPDATING, serving=row.revisions.get(number=1), observed_generation=0,
          deadline_at=timezone.now() + timedelta(minutes=4))
    page = open_page("", **LOOKS[look])
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if message.type == "error" else None)
    for name, path in (("list", ""), ("page", f"{row.uid}/"), ("why", f"{row.uid}/why/"), ("scale", f"{row.uid}/scale/"),
                       ("delete", f"{row.uid}/delete/"), ("compare", f"{row.uid}/compare/"), ("log", f"{row.uid}/log/"),
                       ("revisions", f"{row.uid}/revisions/"), ("events", f"{row.uid}/events/")):
        page.goto(f"{portal.server.url}/w/alpha/endpoints/{path}")
        expect(page.locator("h1")).to_have_count(1)
        if name == "page":
            expect(page.locator('[data-plot="cache"] canvas')).to_be_visible(timeout=15_000)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), name
        shot(page, f"{name}-{look}")
        if look != "zh":
            faults += [f"{name}: {fault}" for fault in check_with_axe(page)]
    assert faults == []
