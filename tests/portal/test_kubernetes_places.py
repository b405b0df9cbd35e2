"""Kubernetes places by the admin's pages and by the JSON API: secrets go in, words come out."""

from __future__ import annotations

import itertools
import json
import re
from typing import Any

import pytest
import yaml
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection
from django.test import Client

from clusters import rbac, services
from clusters.models import Accelerator, Cluster, KubernetesAccess, Node
from clusters.services.check import note_reach
from clusters.states import ClusterKind, Reach
from endpoints import services as endpoints
from endpoints.models import Endpoint
from portal.tenancy.actor import PORTAL, Actor
from portal.tenancy.models import AuditEntry
from tests.cast import GIB, Cast, make_cluster, make_profile
from tests.clusters.pems import NOW, b64, jwt, pair
from tests.kube import make_kubernetes_place
from tests.portal.apiclient import Api, error_of
from tests.portal.test_admin_actions import said, token_on
from tests.simulators.kubernetes.server import Simulator

ADD = "/admin/clusters/cluster/add/"
SERVER, TOKEN = "https://10.0.0.1:6443", "a-token-that-nobody-may-see"
numbers = itertools.count()


def kubeconfig(**user: Any) -> str:
    return yaml.safe_dump({
        "clusters": [{"name": "k", "cluster": {"server": SERVER, "certificate-authority-data": b64(pair()[0])}}],
        "users": [{"name": "u", "user": user or {"token": TOKEN}}],
        "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}]})


def form(name: str = "kube", **values: Any) -> dict[str, Any]:
    return {"name": name, "kind": "kubernetes", "workspace": "", "description": "", **values}


def page(place: Cluster, action: str = "change") -> str:
    return f"/admin/clusters/cluster/{place.pk}/{action}/"


def action(client: Client, place: Cluster, name: str, **values: Any) -> Any:
    address = f"/admin/clusters/cluster/{place.pk}/{name}/"
    return client.post(address, {"confirm_token": token_on(client.get(address)), **values})


def connected(**values: Any) -> Cluster:
    place = make_cluster(f"kube-{next(numbers)}", kind=ClusterKind.KUBERNETES)
    services.connect(PORTAL, place, **{"server": SERVER, "ca": pair()[0], "token": TOKEN, **values})
    return place


# The admin.


def test_a_place_is_added_by_a_pasted_kubeconfig(operator: Client) -> None:
    answer = operator.post(ADD, form(kubeconfig=kubeconfig()))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    access = KubernetesAccess.objects.select_related("cluster").get()
    assert (access.cluster.name, access.server, access.secret("token")) == ("kube", SERVER, TOKEN)
    shown = operator.get(page(access.cluster)).content.decode()
    assert SERVER in shown
    assert "not asked yet" in shown
    assert TOKEN not in shown
    assert TOKEN not in str(list(AuditEntry.objects.values()))


def test_a_place_is_added_by_a_kubeconfig_file(operator: Client) -> None:
    operator.post(ADD, form(kubeconfig_file=SimpleUploadedFile("config", kubeconfig().encode())))
    assert KubernetesAccess.objects.get().server == SERVER


def test_a_place_is_added_by_its_parts(operator: Client) -> None:
    certificate, key = pair()
    operator.post(ADD, form(server=SERVER, ca=pair()[0].replace("\n", "\r\n"), client_certificate=certificate, client_key=key))
    access = KubernetesAccess.objects.get()
    assert (access.ca, access.secret("client_key"), access.token) == (pair()[0], key, "")
    assert "PRIVATE KEY" not in operator.get(page(access.cluster)).content.decode()


REFUSED = [
    ({"kubeconfig": kubeconfig(exec={"command": "aws"})}, "users[0].user.exec is not allowed; paste a token or a client"),
    ({"kubeconfig": "a: [", "description": "keep me"}, "not YAML"),
    ({"server": "http://10.0.0.1", "token": "t"}, "address not"),
    ({"server": SERVER}, "Give a token, or a client certificate with its key."),
    ({"server": SERVER, "token": "t", "ca": "no pem"}, "no certificate in PEM form"),
    ({"kubeconfig": kubeconfig(), "token": "t"}, "one of them"),
    ({"server": SERVER, "client_certificate": pair()[0], "client_key": pair(ends=9)[1]}, "does not belong to"),
    ({"kubeconfig_file": SimpleUploadedFile("config", b"x" * 300_000)}, "at most 256 KB"),
    ({"kind": "hosts", "token": "t"}, "has no Kubernetes API"),
]


@pytest.mark.parametrize(("values", "words"), REFUSED, ids=[words for _values, words in REFUSED])
def test_a_refused_connection_leaves_no_place_and_shows_no_secret(
    operator: Client, values: dict[str, Any], words: str,
) -> None:
    answer = operator.post(ADD, form(**values))
    shown = answer.content.decode()
    assert answer.status_code == 200
    assert words in shown.replace("&#x27;", "'")
    assert not Cluster.objects.exists()
    assert not [word for word in (TOKEN, "PRIVATE KEY", "current-context", "contexts:") if word in shown]
    assert "keep me" in shown or "description" not in values


def change_form(place: Cluster, **values: Any) -> dict[str, Any]:
    """What the page itself posts when nothing was typed."""
    ca = KubernetesAccess.objects.get(cluster=place).ca.strip().replace("\n", "\r\n")
    empty = dict.fromkeys(("kubeconfig", "token", "client_certificate", "client_key", "gateway", "cors_origins", "prometheus",
                           "imports_to", "workspace"), "")
    inline = {f"{name}-{part}_FORMS": "0" for name in ("nodes", "copies") for part in ("TOTAL", "INITIAL")}
    return {**empty, **inline, "description": "", "server": SERVER, "ca": ca, **values}


def test_saving_without_a_change_leaves_the_connection_alone(operator: Client) -> None:
    place = connected()
    before = KubernetesAccess.objects.values().get()
    answer = operator.post(page(place), change_form(place, description="new words"))
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert KubernetesAccess.objects.values().get() == before
    assert Cluster.objects.get().description == "new words"


def test_another_server_asks_for_the_credential_again(operator: Client) -> None:
    place = connected()
    answer = operator.post(page(place), change_form(place, server="https://10.0.0.2:6443"))
    assert "server changed: enter the credential again" in answer.content.decode()
    assert KubernetesAccess.objects.get().server == SERVER


def test_choices_are_offered_and_kept(operator: Client, cast: Cast) -> None:
    place = connected()
    KubernetesAccess.objects.update(capabilities={"gateway": {"found": True, "names": ["infra/main", "infra/other"]}})
    assert '<option value="infra/other"' in operator.get(page(place)).content.decode()
    operator.post(page(place), change_form(place, gateway="infra/main", cors_origins="https://a.example\r\nhttps://b.example",
                                           prometheus="http://prometheus:9090", imports_to=cast.alpha.pk))
    access = KubernetesAccess.objects.get()
    assert (access.gateway, access.imports_to) == ("infra/main", cast.alpha)
    assert (access.cors_origins, access.prometheus) == (["https://a.example", "https://b.example"], "http://prometheus:9090")
    assert "valid choice" in operator.post(page(place), change_form(place, gateway="foreign/one")).content.decode()


def test_a_credential_that_ends_soon_is_told_at_once(operator: Client) -> None:
    answer = operator.post(ADD, form(server=SERVER, token=jwt(exp=NOW.timestamp() + 3600)))
    assert [text[:29] for text in said(answer) if "expires" in text] == ["kube: This token expires on 2"]


def test_the_page_names_what_was_found_and_what_is_missing(operator: Client) -> None:
    place = connected()
    KubernetesAccess.objects.update(
        version="v1.36.2", reach=Reach.FORBIDDEN, message="2 rights are missing <b>",
        capabilities={"keda": {"found": True, "version": "v1alpha1", "release": "2.18.0"}, "lws": {"found": False}},
        missing_rights=[{"verb": "patch", "resource": "statefulsets.apps", "namespace": "inference-portal"}])
    shown = operator.get(page(place)).content.decode()
    for words in ("v1.36.2", "a right is missing", "2.18.0", "not there", "patch statefulsets.apps",
                  "kubectl apply -f inference-portal-rights.yaml", "2 rights are missing &lt;b&gt;"):
        assert words in shown
    assert "Add a host" not in shown


def test_the_manifest_of_rights_is_for_kubectl(operator: Client) -> None:
    answer = operator.get("/admin/clusters/cluster/rights.yaml")
    assert answer["Content-Type"] == "application/yaml"
    assert [one["kind"] for one in yaml.safe_load_all(answer.content)] == [one["kind"] for one in rbac.objects()]
    assert Client().get("/admin/clusters/cluster/rights.yaml").status_code == 302


def test_a_test_of_the_connection_runs_outside_a_transaction(
    operator: Client, kube_sim: Simulator, monkeypatch: pytest.MonkeyPatch,
) -> None:
    place = make_kubernetes_place(kube_sim, f"kube-{next(numbers)}")
    depth = len(connection.savepoint_ids)
    seen: list[int] = []
    asked = services.check_place
    monkeypatch.setattr(services, "check_place", lambda *given: (seen.append(len(connection.savepoint_ids)), asked(*given))[1])
    answer = action(operator, place, "test-connection")
    assert said(answer) == ["Test connection: 1 done."]
    assert seen == [depth]
    assert KubernetesAccess.objects.get(cluster=place).reach == Reach.OK


def test_a_failed_test_says_why(operator: Client) -> None:
    place = connected()
    KubernetesAccess.objects.update(server="https://127.0.0.1:9")
    answer = action(operator, place, "test-connection")
    assert ["credential" in text or "reached" in text for text in said(answer)[1:]] == [True]


def test_refresh_brings_the_nodes(operator: Client, kube_sim: Simulator) -> None:
    place = make_kubernetes_place(kube_sim, f"kube-{next(numbers)}")
    assert said(action(operator, place, "refresh")) == ["Refresh: 1 done."]
    assert {node.name: node.gpus for node in Node.objects.filter(cluster=place)} == {"gpu-a": 8, "gpu-b": 8, "cpu-a": 0}
    shown = operator.get("/admin/clusters/node/").content.decode()
    assert "NVIDIA-H200" in shown
    assert re.search(r"\d of 8 free", shown)


def test_a_node_shows_gpus_taints_and_that_they_are_played(operator: Client) -> None:
    node = Node.objects.create(cluster=connected(), name="n", cpu_millis=8000, cpu_requested_millis=2000, memory_bytes=8 * GIB,
                               memory_requested_bytes=3 * GIB, memory_requested_by_us=GIB, gpus=8, gpus_requested=3,
                               gpus_requested_by_us=1, simulated=True, schedulable=False,
                               taints=[{"key": "gpu", "value": "x", "effect": "NoSchedule"}])
    Accelerator.objects.create(node=node, index=0, model="Tesla-K80", memory_bytes=GIB, simulated=True)
    shown = operator.get(f"/admin/clusters/node/{node.pk}/change/").content.decode()
    for words in ("5 of 8 free", "6 of 8 free", "5.0 GiB of 8.0 GiB free", "1 by endpoints, 2 by others", "simulated",
                  "Tesla-K80", "gpu=x:NoSchedule", "takes no new pods"):
        assert words in shown


def test_a_gone_cluster_is_forgotten_by_name_after_its_orphans_were_read(operator: Client, cast: Cast) -> None:
    place = connected()
    row = endpoints.create(Actor(user=cast.operator), cast.alpha, name="chat", cluster=place, profile=make_profile(gpus=1))
    asked = operator.get(page(place, "forget")).content.decode()
    assert services.orphans(place)[0] in asked
    action(operator, place, "forget", typed_name="wrong", known="on")
    action(operator, place, "forget", typed_name=place.name)
    assert Cluster.objects.filter(pk=place.pk).exists()
    answer = action(operator, place, "forget", typed_name=place.name, known="on")
    assert answer.status_code == 302, answer.content.decode()[:3000]
    assert not Cluster.objects.filter(pk=place.pk).exists()
    assert not Endpoint.objects.filter(pk=row.pk).exists()


def test_a_cluster_through_an_agent_gets_a_line_that_installs_it(operator: Client) -> None:
    operator.post(ADD, form(through_agent="on"))
    place = Cluster.objects.get()
    shown = action(operator, place, "add-agent").content.decode()
    assert "/agent/v1/cluster/manifest" in shown
    assert "kubectl apply -f -" in shown


def test_a_place_of_hosts_has_no_kubernetes_fields(operator: Client) -> None:
    shown = operator.get(page(make_cluster("hosts"))).content.decode()
    assert "Kubernetes connection" not in shown
    assert "Test connection" not in shown
    assert "Add a host" in shown


# The JSON API.


def test_the_api_connects_shows_and_hides(cast: Cast) -> None:
    api = Api(cast.operator)
    made = api.post("places", {"name": "kube", "kind": "kubernetes", "kubernetes": {"kubeconfig": kubeconfig()}})
    assert made.status_code == 201, made.content
    shown = json.loads(made.content)
    assert (shown["kubernetes"]["server"], shown["kubernetes"]["credential"]) == (SERVER, "token")
    assert shown["kubernetes"]["reach"] == "Unknown"
    assert TOKEN not in made.content.decode()
    seen = json.loads(Api(cast.vera).get(f"places/{shown['uid']}").content)
    assert (seen["kubernetes"]["server"], seen["kubernetes"]["reach"]) == ("", "Unknown")
    listed = json.loads(Api(cast.vera).get("places").content)["items"]
    assert [one["kubernetes"]["server"] for one in listed] == [""]


def test_the_api_changes_only_what_is_sent(cast: Cast) -> None:
    api, place = Api(cast.operator), connected()
    answer = api.patch(f"places/{place.uid}", {"kubernetes": {"cors_origins": ["https://a.example"], "imports_to": "alpha"}})
    assert answer.status_code == 200, answer.content
    found = json.loads(answer.content)["kubernetes"]
    assert (found["cors_origins"], found["imports_to"], found["server"]) == (["https://a.example"], "alpha", SERVER)
    refused = api.patch(f"places/{place.uid}", {"kubernetes": {"server": "https://10.0.0.2"}})
    assert (refused.status_code, error_of(refused)["message"]) == (422, "server changed: enter the credential again")
    both = api.patch(f"places/{place.uid}", {"description": "x", "kubernetes": {"token": "a b"}})
    assert (both.status_code, error_of(both)["field"]) == (422, "token")
    assert Cluster.objects.get(pk=place.pk).description == ""


@pytest.mark.parametrize(("body", "status"), [
    ({"kubeconfig": "x" * 300_000}, 413), ({"kubeconfig": kubeconfig(exec={})}, 422), ({"server": SERVER, "token": "a b"}, 422),
    ({"server": SERVER, "secret": "x"}, 422), ({"token": 5}, 422), ({"cors_origins": "x"}, 422),
    ({"imports_to": "nobody"}, 422),
    ({"server": SERVER, "token": f"{TOKEN} {TOKEN}"}, 422), ({"gateway": "x" * 200, "token": TOKEN}, 422),
])
def test_a_bad_body_makes_no_place_and_is_not_echoed(cast: Cast, body: dict[str, Any], status: int) -> None:
    answer = Api(cast.operator).post("places", {"name": "kube", "kind": "kubernetes", "kubernetes": body})
    assert answer.status_code == status, answer.content
    assert TOKEN not in answer.content.decode()
    assert not Cluster.objects.exists()


def test_the_api_tests_and_refreshes(cast: Cast, kube_sim: Simulator) -> None:
    place = make_kubernetes_place(kube_sim, f"kube-{next(numbers)}")
    api = Api(cast.operator)
    found = json.loads(api.post(f"places/{place.uid}/check").content)["kubernetes"]
    assert (found["reach"], found["missing_rights"]) == ("OK", [])
    assert found["capabilities"]["keda"]["found"] is True
    seen = json.loads(api.post(f"places/{place.uid}/refresh").content)
    assert seen["kubernetes"]["inventory_at"] is not None
    nodes = json.loads(api.get(f"places/{place.uid}/nodes").content)["items"]
    assert {node["name"]: (node["gpus"], len(node["accelerators"])) for node in nodes} == {
        "gpu-a": (8, 8), "gpu-b": (8, 8), "cpu-a": (0, 0)}
    refused = api.post(f"places/{place.uid}/forget")
    assert (refused.status_code, error_of(refused)["code"]) == (409, "in_use")


def test_a_cluster_that_is_away_is_told_as_such(cast: Cast) -> None:
    place = connected()
    note_reach(KubernetesAccess.objects.get(), None)
    KubernetesAccess.objects.update(server="https://127.0.0.1:9")
    answer = Api(cast.operator).post(f"places/{place.uid}/refresh")
    assert (answer.status_code, error_of(answer)["code"]) == (503, "cluster_unavailable")
