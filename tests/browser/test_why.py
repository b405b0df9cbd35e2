"""The pages that explain an endpoint, in real Chromium: over a simulated cluster, on a desk and on a phone."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import expect

from clusters.models import Engine
from clusters.namespaces import workspace_namespace
from clusters.services.inventory_kube import refresh_inventory
from clusters.states import Phase
from endpoints import services
from endpoints.models import Endpoint
from tests.browser.conftest import Window
from tests.cast import Cast
from tests.endpoints.test_explain_failures import clear_namespace, explained, kube_profile
from tests.endpoints.test_explaining import LOGS
from tests.kube import make_kubernetes_place
from tests.portal.world import World, make_world
from tests.simulators.kubernetes.controllers import cpu_node, gpu_node
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]
SIZES = {"desk": {"width": 1440, "height": 900}, "phone": {"width": 390, "height": 844}}


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(nodes=[gpu_node("gpu-a"), cpu_node("cpu-a")], speed=20.0) as running:
        yield running


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


@pytest.fixture
def crashed(sim: Simulator, cast: Cast) -> Iterator[Endpoint]:
    """Two pods on a cluster that crash: their context does not fit."""
    place = make_kubernetes_place(sim)
    refresh_inventory(place)
    text = "INFO 01-02 03:04:05 [model.py:1] Starting to load model org/model...\n" * 30 + LOGS["context_needs"] + "\n"
    rule = sim.pods_fail("ip-alpha-*", as_="crash:1", log=text, previous_log=text)
    row = services.create(cast.actor("alice"), cast.alpha, name="llama-70b-long", cluster=place, profile=kube_profile(gpus=2),
                          replicas=2)
    explained(row, "log_context_needs")
    yield row
    rule.remove()
    clear_namespace(sim, workspace_namespace(cast.alpha))


@pytest.mark.parametrize("size", SIZES)
def test_the_cause_and_the_next_step_are_seen_first(crashed: Endpoint, window: Window, size: str) -> None:
    window.page.set_viewport_size(SIZES[size])  # type: ignore[arg-type]
    window.sign_in("operator")
    window.open(f"/admin/endpoints/endpoint/{crashed.pk}/why/")
    page = window.page
    expect(page.locator(".page-title")).to_contain_text("131072 tokens need 40.00 GiB")
    step = page.get_by_text("Set max-model-len to 27840 or less")
    expect(step).to_be_in_viewport()
    expect(page.get_by_text(f"{crashed.external_name}-1").first).to_be_attached()
    expect(page.locator("mark")).to_contain_text("larger than the available KV cache memory")
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_the_pods_of_an_endpoint_are_listed_while_its_page_is_open(crashed: Endpoint, window: Window) -> None:
    window.sign_in("operator")
    window.open(f"/admin/endpoints/endpoint/{crashed.pk}/change/")
    expect(window.page.get_by_text(f"{crashed.external_name}-0").first).to_be_visible(timeout=20_000)
    window.page.get_by_role("link", name="Why is it not ready?").click()
    expect(window.page.locator(".page-title")).to_contain_text("The context does not fit")


def test_a_log_goes_on_while_its_page_is_open(world: World, window: Window) -> None:
    lines = "".join(f"line {number}\n" for number in range(200))
    engines = Engine.objects.filter(endpoint_uid=world.ours.uid)
    engines.update(phase=Phase.LOADING, log=lines)
    window.sign_in("operator")
    window.open(f"/admin/endpoints/endpoint/{world.ours.pk}/log/?replica=0")
    page = window.page
    page.evaluate("window.notReloaded = true")
    expect(page.get_by_text("line 199")).to_be_in_viewport()
    engines.update(log=f"{lines}and one more\n")
    expect(page.get_by_text("and one more")).to_be_in_viewport(timeout=20_000)
    assert page.evaluate("window.notReloaded")
