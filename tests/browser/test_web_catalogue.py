"""Home, the catalogue and a model in real Chromium: live cells, filters that are in the address, sums drawn to scale."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal

import pytest
from django.conf import settings
from django.test import Client
from django.utils import timezone
from playwright.sync_api import expect

from clusters.models import Accelerator, AwsAccount, AwsPlace, Cluster, Engine, Host, Node
from clusters.states import ClusterKind, Phase
from endpoints.models import Endpoint, TokenPrice, TrafficMinute, UsageHour
from endpoints.services.route_traffic import minute_of
from endpoints.states import Status
from models_catalog.models import CatalogModel, Profile
from models_catalog.seed.load import load_catalogue
from portal.tenancy.models import User
from tests.browser.conftest import Window
from tests.browser.test_web_pages import check_with_axe
from tests.cast import GIB, Cast, make_cluster, make_host, set_limit
from tests.portal.world import make_endpoint, make_engine

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
LOOKS = {"light": {}, "dark": {"color_scheme": "dark"}, "phone": {"viewport": {"width": 390, "height": 844}}}
SHELF = ("qwen3-8b", "qwen3-32b", "qwen3-0-6b", "llama-3-3-70b-instruct", "all-minilm-l6-v2", "bge-m3", "gemma-3-12b-it")
RELEASES = ["vllm-0.32.0", "vllm-cpu-0.32.0"]


@dataclass(frozen=True)
class Shop:
    east: Cluster
    chat: Endpoint
    broken: Endpoint


def enter(window: Window, user: User) -> None:
    """Signed in without the sign-in page, which has tests of its own."""
    client = Client()
    client.force_login(user)
    window.page.context.add_cookies([{
        "name": settings.SESSION_COOKIE_NAME, "value": client.session.session_key or "", "url": window.address}])


def places() -> tuple[Host, Cluster]:
    """GPUs of hosts, one machine without, a cluster, and SageMaker."""
    now = timezone.now()
    east = make_cluster("gpu-east", seen_at=now)
    hosts = [make_host(east, f"east-{number}", gpus=4, cpu_millis=64_000, memory_bytes=512 * GIB) for number in range(2)]
    cpu = make_host(make_cluster("rack-7", seen_at=now - timedelta(minutes=3)), "rack-7-1", cpu_millis=16_000,
                    memory_bytes=64 * GIB)
    Host.objects.update(releases=RELEASES)
    kube = make_cluster("kube-prod", kind=ClusterKind.KUBERNETES, seen_at=now)
    node = Node.objects.create(cluster=kube, name="node-a", cpu_millis=64_000, memory_bytes=512 * GIB, gpus=8, gpus_requested=7)
    Accelerator.objects.create(node=node, index=0, model="NVIDIA L40S", memory_bytes=45 * GIB)
    aws = make_cluster("sagemaker-us-west-2", kind=ClusterKind.SAGEMAKER, seen_at=now)
    account = AwsAccount.objects.create(name="main", region="us-west-2")
    AwsPlace.objects.create(cluster=aws, account=account, region="us-west-2", status="InService")
    assert cpu.node.name == "rack-7-1"
    return hosts[0], aws


@pytest.fixture
def shop(cast: Cast) -> Shop:
    """Models of the seed, four kinds of place, and endpoints in several states with a month of usage."""
    load_catalogue(only=SHELF)
    host, _aws = places()
    east, now = host.node.cluster, timezone.now()
    best = Profile.objects.filter(model__slug="qwen3-8b", gpus=1).first()
    small = Profile.objects.get(slug="qwen3-0-6b-cpu")
    assert best is not None
    chat = make_endpoint(cast, cast.alpha, east, best, "qwen3-8b-chat")
    broken = make_endpoint(cast, cast.alpha, east, best, "llama-long")
    coming = make_endpoint(cast, cast.alpha, Cluster.objects.get(name="rack-7"), small, "tiny-eval")
    engine = make_engine(chat, host)
    engine.claims.create(node=host.node, accelerator=host.node.accelerators.first(), memory_bytes=80 * GIB)
    Engine.objects.update(phase=Phase.READY)
    set_status(chat, Status.INSERVICE, ready_replicas=1, message="")
    set_status(broken, Status.STALLED, message="Its context of 131,072 tokens needs 40.0 GiB for the KV cache, and 8.5 GiB is "
               "left.", status_since=now - timedelta(minutes=14))
    set_status(coming, Status.CREATING)
    for hour in range(24 * 6):
        at = now.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hour)
        UsageHour.objects.create(
            hour=at, workspace_id=cast.alpha.pk, member_id=1, key_id=1, endpoint_id=chat.pk, route_id=0, door=1,
            model_name="qwen3-8b-chat", requests=1000 + 400 * (hour % 7), prompt_tokens=10**6, completion_tokens=10**5,
            cost_nano=12 * 10**9)
    for back in range(1, 6):
        TrafficMinute.objects.create(minute=minute_of(now) - timedelta(minutes=back), route_id=0, endpoint_id=chat.pk,
                                     calls=600, first_byte_3=300, first_byte_4=290, first_byte_6=10)
    set_limit(cast.alpha, money_per_month=Decimal(3000))
    TokenPrice.objects.create(model=CatalogModel.objects.get(slug="qwen3-8b"), prompt=Decimal("0.2"), completion=Decimal("0.6"),
                              valid_from=now - timedelta(days=1))
    return Shop(east, chat, broken)


def set_status(endpoint: Endpoint, status: str, **values: object) -> None:
    Endpoint.objects.filter(pk=endpoint.pk).update(
        status=status, seen_at=timezone.now(), observed_generation=endpoint.generation, **values)


def hold(window: Window, name: str) -> None:
    """The page is for everybody, and no wider than the window."""
    assert check_with_axe(window.page) == []
    assert window.page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth") == 0
    window.shot(name)


@pytest.mark.parametrize("window", LOOKS.values(), ids=LOOKS, indirect=True)
def test_the_three_pages_say_what_fits_and_what_needs_somebody(
    cast: Cast, shop: Shop, window: Window, request: pytest.FixtureRequest,
) -> None:
    page, look = window.page, request.node.callspec.id
    enter(window, cast.alice)
    window.open("/w/alpha/")
    expect(page.locator("h1")).to_have_text("Two things need you")
    expect(page.locator(".notice").first).to_contain_text("llama-long has been stalled for 14 min")
    expect(page.get_by_role("img", name="gpu-east: 1 ours")).to_be_visible()
    hold(window, f"home-{look}")
    window.open("/w/alpha/models/")
    expect(page.locator("h1")).to_have_text("7 models to choose from")
    hold(window, f"catalogue-{look}")
    page.get_by_role("link", name="Qwen3 8B", exact=True).click()
    expect(page.locator("h1")).to_have_text("Qwen3 8B")
    expect(page.locator("svg.bar").first).to_be_visible()
    hold(window, f"model-{look}")


def test_a_filter_changes_the_list_and_the_address(cast: Cast, shop: Shop, window: Window) -> None:
    page = window.page
    for number in range(2):  # more places than have columns of their own
        make_host(make_cluster(f"lab-{number}", seen_at=timezone.now()), f"lab-{number}", gpus=1)
    enter(window, cast.alice)
    window.open("/w/alpha/models/")
    hold(window, "catalogue-many-places")
    page.fill("#q", "qwen")
    expect(page.locator("h1")).to_have_text("3 models match")
    page.select_option("select[name=size]", "15b")
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page).to_have_url(f"{window.address}/w/alpha/models/?q=qwen&task=&size=15b&licence=&vendor=&language=")
    page.locator("a.chip", has_text="qwen").click()
    expect(page.locator("#q")).to_have_value("")
    expect(page.locator("select[name=size]")).to_have_value("15b")


def test_the_first_page_follows_what_happens(cast: Cast, shop: Shop, window: Window) -> None:
    page = window.page
    enter(window, cast.alice)
    window.open("/w/alpha/")
    state = page.locator(f"#state-{shop.chat.pk}")
    expect(state).to_contain_text("In service")
    set_status(shop.chat, Status.UPDATING, ready_replicas=1)
    expect(state).to_contain_text("Updating", timeout=15_000)
    set_status(shop.broken, Status.INSERVICE, ready_replicas=1, message="")
    expect(page.locator("h1")).to_have_text("One thing needs you", timeout=15_000)
