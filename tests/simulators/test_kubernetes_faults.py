"""What tests can ask of the simulated cluster: faults, lost connections, other certificates, a forgotten history."""

from __future__ import annotations

import http.client
import json
import ssl
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.simulators.kubernetes.client import Refused
from tests.simulators.kubernetes.server import Simulator, cpu_node

PATH = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Simulator]:
    with Simulator([cpu_node("cpu-a")], crds=None, operators=(), speed=10.0) as simulator:
        yield simulator


def connect(cluster: Simulator, timeout: float = 10) -> http.client.HTTPSConnection:
    context = ssl.create_default_context(cadata=cluster.ca_pem)
    return http.client.HTTPSConnection(
        "127.0.0.1", int(cluster.url.rpartition(":")[2]), context=context, timeout=timeout
    )


def ask(cluster: Simulator, path: str = PATH, *, timeout: float = 10, **headers: str) -> tuple[int, Any, bytes]:
    connection = connect(cluster, timeout)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {cluster.admin_token}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.headers, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("status", [401, 403, 409, 410, 422, 429, 500, 503, 504])
def test_refuses_as_often_as_it_is_told(cluster: Simulator, status: int) -> None:
    fault = cluster.fault("GET", "*/configmaps", status=status, times=1, retry_after=2)
    found, headers, body = ask(cluster)
    assert (found, headers["retry-after"], json.loads(body)["code"]) == (status, "2", status)
    assert ask(cluster)[0] == 200
    assert fault.hits == 1


def test_takes_only_requests_that_match(cluster: Simulator) -> None:
    fault = cluster.fault("PATCH", "*/statefulsets/*", status=500)
    assert ask(cluster)[0] == 200
    fault.remove()
    fault = cluster.fault(path="*/configmaps", status=500)
    assert ask(cluster)[0] == 500
    fault.remove()
    assert ask(cluster)[0] == 200


def test_resets_a_connection(cluster: Simulator) -> None:
    cluster.fault(reset=True, times=1)
    with pytest.raises((ConnectionError, ssl.SSLError, http.client.RemoteDisconnected)):
        ask(cluster)
    assert ask(cluster)[0] == 200


def test_falls_silent_on_a_connection(cluster: Simulator) -> None:
    cluster.fault(half_open=True, times=1)
    with pytest.raises(TimeoutError):
        ask(cluster, timeout=0.5)
    assert ask(cluster)[0] == 200


def test_delays_an_answer(cluster: Simulator) -> None:
    cluster.fault(delay=0.4, times=1)
    begun = time.monotonic()
    assert ask(cluster)[0] == 200
    assert time.monotonic() - begun >= 0.4


def test_cuts_an_answer_short(cluster: Simulator) -> None:
    cluster.fault(cut_after=20, times=1)
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        ask(cluster)


def test_records_requests_and_what_went_out(cluster: Simulator) -> None:
    _, _, body = ask(cluster, f"{PATH}?limit=5", **{"User-Agent": "portal/1.0"})
    last = cluster.requests[-1]
    assert (last.method, last.path, last.query, last.user_agent) == ("GET", PATH, "limit=5", "portal/1.0")
    assert (last.status, last.bytes_out) == (200, len(body))
    ask(cluster)
    assert cluster.requests[-1].connection != last.connection


def test_keeps_its_objects_and_its_port_over_a_stop(cluster: Simulator) -> None:
    client, url = cluster.client(), cluster.url
    client.create(
        "configmaps", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}}
    )
    cluster.stop()
    with pytest.raises(ConnectionRefusedError):
        ask(cluster)
    cluster.start()
    assert cluster.url == url
    assert client.get("v1", "configmaps", "default", "kept")["metadata"]["name"] == "kept"


def test_ends_watches_when_connections_drop(cluster: Simulator) -> None:
    connection = connect(cluster)
    connection.request("GET", f"{PATH}?watch=1", headers={"Authorization": f"Bearer {cluster.admin_token}"})
    answer = connection.getresponse()
    threading.Timer(0.2, cluster.drop_connections).start()
    with pytest.raises((http.client.IncompleteRead, ConnectionError, ssl.SSLError)):
        answer.read()
    connection.close()


def test_forgets_its_history_on_demand(cluster: Simulator) -> None:
    client = cluster.client()
    version = client.call("GET", PATH)["metadata"]["resourceVersion"]
    for number in range(2):
        obj = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"later-{number}", "namespace": "default"}}
        client.create("configmaps", obj)
    cluster.compact()
    query = {"resourceVersion": version, "resourceVersionMatch": "Exact"}
    with pytest.raises(Refused) as refused:
        client.call("GET", PATH, **query)
    assert refused.value.status == 410
    told = client.call("GET", PATH, watch="1", resourceVersion=version)
    assert (told["type"], told["object"]["code"]) == ("ERROR", 410)


def test_gives_a_service_account_a_token_with_its_rights(cluster: Simulator) -> None:
    client = cluster.client()
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "portal", "namespace": "default"}}
    client.create("serviceaccounts", account)
    status, _, body = ask(cluster, Authorization=f"Bearer {cluster.token_for('default', 'portal')}")
    assert status == 403
    assert (
        'User "system:serviceaccount:default:portal" cannot list resource "configmaps"' in json.loads(body)["message"]
    )
    assert ask(cluster, Authorization="Bearer nobody")[0] == 401


def test_compresses_long_lists_for_who_asks(cluster: Simulator) -> None:
    client = cluster.client()
    big = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "big", "namespace": "default"},
        "data": {"k": "x" * 200_000},
    }
    client.create("configmaps", big)
    _, headers, body = ask(cluster, **{"Accept-Encoding": "gzip"})
    assert headers["content-encoding"] == "gzip"
    assert len(body) < 50_000
    client.delete("v1", "configmaps", "default", "big")


def test_shows_another_authority_on_demand() -> None:
    with Simulator([], crds=None, operators=()) as cluster:
        assert ask(cluster)[0] == 200
        cluster.new_certificate()
        with pytest.raises(ssl.SSLCertVerificationError):
            ask(cluster)


def test_serves_plain_http_when_told() -> None:
    with Simulator([], crds=None, operators=(), tls=False) as cluster:
        assert cluster.url.startswith("http://")
        assert cluster.client().list("v1", "nodes") == []
