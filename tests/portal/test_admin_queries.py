"""The number of queries of a page does not grow with its rows, and stays small."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from clusters.models import AwsAccount, KubernetesAccess, Node
from clusters.states import ClusterKind
from endpoints.models import Endpoint, Event
from endpoints.services.limits import create_limit
from endpoints.services.token_prices import set_price
from models_catalog.models import ModelCopy
from portal.tenancy import services as tenancy
from portal.tenancy.models import AuditEntry, Workspace
from tests.cast import GIB, Cast, make_cluster, make_host, make_user
from tests.portal.world import World, make_channel, make_endpoint, make_engine, make_usage, make_world

# Session and person are 2 of them, as are the count and the rows of a list.
pytestmark = pytest.mark.both_databases
PAGES = {
    "/admin/": 8, "/admin/endpoints/endpoint/": 6, "/admin/endpoints/route/": 8, "/admin/clusters/cluster/": 5,
    "/admin/clusters/host/": 5,
    "/admin/clusters/node/": 5, "/admin/clusters/engine/": 5, "/admin/tenancy/workspace/": 5, "/admin/tenancy/user/": 4,
    "/admin/clusters/accelerator/": 6, "/admin/clusters/enrolmenttoken/": 5, "/admin/endpoints/event/": 5,
    "/admin/endpoints/revision/": 4, "/admin/models_catalog/artifact/": 4, "/admin/tenancy/apikey/": 5,
    "/admin/tenancy/auditentry/": 5, "/admin/endpoints/usagehour/": 8,
    "/admin/endpoints/tokenprice/": 4, "/admin/models_catalog/modelcopy/": 6, "/admin/clusters/awsaccount/": 5,
    "/admin/endpoints/alertchannel/": 5, "/admin/endpoints/delivery/": 4,
    # Where there is a Redis, it is asked how far limits are used.
    "/admin/tenancy/limit/": 7 if settings.CELERY_BROKER_URL.startswith("redis") else 8,
}


@pytest.fixture
def world(cast: Cast) -> World:
    return make_world(cast)


def queries(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as seen:
        assert client.get(address).status_code == 200
    return len(seen)


def grow(world: World) -> None:
    """20 more of everything."""
    operator = world.cast.actor("operator")
    for index in range(20):
        workspace = Workspace.objects.create(name=f"W{index}", slug=f"w{index}")
        place = make_cluster(f"place-{index}")
        AwsAccount.objects.create(name=f"aws-{index}", workspace=workspace)
        cluster = make_cluster(f"cluster-{index}", kind=ClusterKind.KUBERNETES)
        KubernetesAccess.objects.create(cluster=cluster, server="https://10.0.0.1", version="v1.36.2")
        Node.objects.create(cluster=cluster, name=f"node-{index}", gpus=8, gpus_requested=3, simulated=bool(index % 2))
        ModelCopy.objects.create(artifact=world.profile.artifact, cluster=cluster, workspace=workspace, method="job",
                                 name=f"copy-{index}", namespace=f"ip-{index}", size_bytes=GIB)
        host = make_host(place, f"host-{index}", gpus=1, memory_used_by_others=GIB)
        row = make_endpoint(world.cast, workspace, place, world.profile, f"chat-{index}")
        make_engine(row, host)
        Endpoint.objects.filter(pk=row.pk).update(status="FAILED" if index % 2 else "INSERVICE", message="because")
        make_user(f"person-{index}")
        key, _text = tenancy.create_key(operator, workspace, name=f"key {index}")
        make_usage(row, key)
        set_price(operator, workspace=workspace, public_name=row.public_name, cluster=place, prompt=Decimal(1),
                  completion=Decimal(2))
        create_limit(operator, workspace, kind="key", key=key, concurrent_requests=9, tokens_per_month=1000)
        create_limit(operator, workspace, kind="workspace", tokens_per_month=1000)
        create_limit(operator, workspace, kind="model", model_name=row.public_name, money_per_month=10)
        make_channel(world.cast, workspace, f"hook-{index}")


@pytest.mark.parametrize("address", PAGES)
def test_queries_of_a_page_do_not_grow(world: World, operator: Client, address: str) -> None:
    operator.get(address)
    few = queries(operator, address)
    grow(world)
    assert queries(operator, address) == few
    assert few == PAGES[address]


def test_queries_of_a_detail_page_do_not_grow(world: World, operator: Client) -> None:
    address = f"/admin/endpoints/endpoint/{world.ours.pk}/change/"
    operator.get(address)
    few = queries(operator, address)
    for index in range(1, 21):
        make_engine(world.ours, world.host, index=index)
        Event.objects.create(endpoint=world.ours, kind="status", now="FAILED", message=str(index))
    assert queries(operator, address) == few


def test_queries_of_a_clusters_page_do_not_grow(world: World, operator: Client) -> None:
    cluster = make_cluster("kube", kind=ClusterKind.KUBERNETES)
    KubernetesAccess.objects.create(cluster=cluster, server="https://10.0.0.1", version="v1.36.2")
    address = f"/admin/clusters/cluster/{cluster.pk}/change/"
    operator.get(address)
    few = queries(operator, address)
    for index in range(20):
        Node.objects.create(cluster=cluster, name=f"node-{index}", gpus=8)
        ModelCopy.objects.create(artifact=world.profile.artifact, cluster=cluster, method="dataset", name=f"copy-{index}",
                                 namespace="public", size_bytes=GIB)
    assert queries(operator, address) <= few + 2  # the pages of nodes and of copies


def test_queries_of_the_live_cells_are_few(world: World, operator: Client) -> None:
    grow(world)
    ids = ",".join(map(str, Endpoint.objects.values_list("pk", flat=True)))
    assert queries(operator, f"/admin/endpoints/endpoint/live/?ids={ids}") <= 3


def test_each_row_names_its_own_model_and_revision(world: World, operator: Client) -> None:
    cells = operator.get(f"/admin/endpoints/endpoint/live/?ids={world.ours.pk}").json()["parts"][str(world.ours.pk)]
    assert "→ r1" in cells["revision"]
    other = make_cluster("elsewhere")
    make_host(other, "host-else")
    page = operator.get("/admin/endpoints/endpoint/").content.decode()
    assert page.count("Tiny-Chat") == 2


def test_a_long_table_is_counted_only_so_far(world: World, operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("portal.tenancy.adminkit.paging.CappedPaginator.cap", 60)
    AuditEntry.objects.bulk_create(AuditEntry(actor_label="x", verb="v", kind="k", object_label=str(n)) for n in range(80))
    with CaptureQueriesContext(connection) as seen:
        assert operator.get("/admin/tenancy/auditentry/?p=2").status_code == 200
    counts = [query["sql"] for query in seen if "COUNT" in query["sql"]]
    assert counts
    assert all("LIMIT 60" in sql for sql in counts)
