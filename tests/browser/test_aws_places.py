"""Places in AWS in real Chromium: the form shows the fields of its kind, and a cluster comes in with one click."""

from __future__ import annotations

import os

import pytest
from playwright.sync_api import Page, expect

from clusters import services
from clusters.models import AwsPlace, Cluster, Node
from portal.tenancy.actor import PORTAL
from tests.aws import make_aws_account, make_hyperpod_place, make_sagemaker_place
from tests.browser.conftest import Window
from tests.cast import Cast
from tests.simulators.aws.server import AwsSimulator
from tests.simulators.kubernetes.server import Simulator

pytestmark = [pytest.mark.browser, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def signed(cast: Cast, window: Window) -> Window:
    window.sign_in("operator")
    return window


def shot(page: Page, name: str) -> None:
    if folder := os.environ.get("SCREENSHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_the_form_shows_the_fields_of_the_kind(signed: Window, aws_sim: AwsSimulator) -> None:
    make_aws_account(aws_sim)
    page = signed.page
    signed.open("/admin/clusters/cluster/add/")
    role, name, kubeconfig = (page.locator(f"#id_{field}") for field in ("execution_role", "hyperpod_name", "kubeconfig"))
    page.select_option("#id_kind", "hosts")
    for field in (role, name, kubeconfig):
        expect(field).to_be_hidden()
    page.select_option("#id_kind", "hyperpod")
    expect(name).to_be_visible()
    expect(kubeconfig).to_be_visible()
    expect(role).to_be_hidden()
    shot(page, "aws-add-hyperpod")
    page.select_option("#id_kind", "sagemaker")
    expect(role).to_be_visible()
    expect(name).to_be_hidden()
    expect(kubeconfig).to_be_hidden()
    page.click("text=which one?")
    expect(page.locator("text=by inference components")).to_be_visible()
    shot(page, "aws-add-sagemaker")


def test_a_cluster_comes_in_with_one_click(signed: Window, aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    make_aws_account(aws_sim)
    aws_sim.add_hyperpod("research", kube=hyperpod_kube, TieredStorageConfig={"Mode": "Enable"})
    aws_sim.add_hyperpod("young", status="Creating", groups={"gpu": ("ml.p5.48xlarge", 4), "cpu": ("ml.m5.2xlarge", 2)})
    aws_sim.add_hyperpod("slurmy", groups={"gpu": ("ml.p4d.24xlarge", 8)}).options.pop("Orchestrator")
    page = signed.page
    signed.open("/admin/clusters/cluster/")
    shot(page, "aws-places-empty")
    page.click("text=Import HyperPod clusters")
    page.select_option("#id_account", label="aws")
    page.click("text=Look for clusters")
    expect(page.locator("text=Slurm runs this cluster")).to_be_visible()
    shot(page, "aws-import")
    page.locator("tr", has_text="research").locator("button").click()
    expect(page.locator("text=is the place research")).to_be_visible()
    shot(page, "aws-imported")
    place = Cluster.objects.get(name="research")
    services.look_at_place(AwsPlace.objects.select_related("account", "cluster").get(cluster=place))
    page.click("text=look at the place")
    expect(page.locator("text=Open in the AWS console")).to_be_visible()
    expect(page.locator("text=has not joined the cluster").first).to_be_visible()


def test_the_pages_of_a_place_and_of_a_machine(signed: Window, aws_sim: AwsSimulator, hyperpod_kube: Simulator) -> None:
    place = make_hyperpod_place(aws_sim, hyperpod_kube, "research")
    services.check_place(PORTAL, place)
    services.refresh_place(PORTAL, place)
    make_sagemaker_place(aws_sim, "endpoints", AwsPlace.objects.get().account)
    page = signed.page
    signed.open("/admin/clusters/cluster/")
    shot(page, "aws-places")
    signed.open(f"/admin/clusters/cluster/{place.pk}/change/")
    shot(page, "aws-place")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth") == 390, "wide tables scroll, the page doesn't"
    page.set_viewport_size({"width": 1440, "height": 900})
    signed.open(f"/admin/clusters/cluster/{place.pk}/resize/")
    shot(page, "aws-resize")
    row = Node.objects.filter(cluster=place).first()
    assert row is not None
    signed.open(f"/admin/clusters/node/{row.pk}/change/")
    shot(page, "aws-node")
    signed.open(f"/admin/clusters/node/{row.pk}/replace/")
    expect(page.locator("text=no endpoint runs there")).to_be_visible()
    shot(page, "aws-replace")
    page.check("#id_known")
    page.fill("#id_typed_name", row.name)
    page.click("button[type=submit].danger")
    page.wait_for_url(f"**/admin/clusters/node/{row.pk}/change/")
    row.refresh_from_db()
    assert row.instance_status == "ReplaceRequested"
    signed.open(f"/admin/clusters/cluster/{Cluster.objects.get(name='endpoints').pk}/change/")
    shot(page, "aws-sagemaker")
