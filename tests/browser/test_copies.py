"""Preheating in real Chromium over a simulated cluster: from the model's page to the bytes that come."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from clusters.models import Cluster
from models_catalog import services
from models_catalog.models import Artifact, ModelCopy
from models_catalog.states import CopyState
from tests.browser.conftest import Window
from tests.cast import Cast
from tests.models_catalog.preheating.making import make_artifact, make_place, until
from tests.simulators.kubernetes.server import Simulator, cpu_node

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with Simulator(nodes=[cpu_node("cpu-a")]) as running:
        yield running


@pytest.fixture
def place(sim: Simulator, cast: Cast) -> Cluster:
    return make_place(sim, "kube", "dataset")


@pytest.fixture
def artifact(cast: Cast) -> Artifact:
    return make_artifact("qwen3-0-6b", location="Qwen/Qwen3-0.6B", revision="c" * 40)


def picture(window: Window, name: str) -> None:
    """For whoever wants to see it: PICTURES names a folder."""
    if folder := os.environ.get("PICTURES"):
        window.page.screenshot(path=Path(folder) / f"{name}.png", full_page=True)


def test_a_model_is_put_onto_a_cluster_from_its_page(
    window: Window, sim: Simulator, place: Cluster, artifact: Artifact,
) -> None:
    page = window.page
    rule = sim.pods_fail(name="*qwen3-0-6b*", as_="notready", log="progress 629145600 1503300328")
    window.sign_in("operator")
    window.open(f"/admin/models_catalog/catalogmodel/{artifact.model.pk}/change/")
    page.get_by_role("link", name="Preheat on a cluster").click()
    page.get_by_label("Cluster").select_option(label="kube")
    page.get_by_label("For", exact=True).select_option(label="Alpha")
    picture(window, "preheat-form")
    page.locator("button[type=submit].primary").click()
    expect(page.get_by_text("Preheat on a cluster: 1 started.")).to_be_visible()
    copy = until(ModelCopy.objects.get(), lambda row: row.bytes_done > 0 and row.state == CopyState.LOADING)
    window.open("/admin/models_catalog/modelcopy/")
    expect(page.get_by_text("0.6 GiB of 1.4 GiB")).to_be_visible()
    expect(page.get_by_text("Loading").first).to_be_visible()
    picture(window, "copies")
    window.open(f"/admin/models_catalog/modelcopy/{copy.pk}/change/")
    expect(page.get_by_text("no endpoint")).to_be_visible()
    picture(window, "copy")
    window.open(f"/admin/clusters/cluster/{place.pk}/change/")
    expect(page.get_by_text("0.6 GiB of 1.4 GiB")).to_be_attached()
    picture(window, "place")
    rule.remove()


def test_what_goes_wrong_is_read_on_a_phone(window: Window, cast: Cast, place: Cluster, artifact: Artifact) -> None:
    copy = services.preheat(cast.actor("operator"), artifact, place)
    ModelCopy.objects.filter(pk=copy.pk).update(
        state=CopyState.FAILED, cause="LoaderFailed", message=f"The loader of round 1 failed. GatedRepoError: {'x' * 300}")
    window.page.set_viewport_size({"width": 390, "height": 844})
    window.sign_in("operator")
    window.open(f"/admin/models_catalog/modelcopy/{copy.pk}/change/")
    expect(window.page.get_by_text("GatedRepoError")).to_be_visible()
    picture(window, "copy-phone")
    assert window.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
