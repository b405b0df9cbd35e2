"""A cluster that nobody can reach: its agent calls out, carries API calls in, and opens the way to Services."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import yaml

from clusters.agent.client import Client
from clusters.agent.cluster_api import ClusterApi
from clusters.agent.in_cluster import SECRET, to_services
from clusters.agent.messages import DialService, encode
from clusters.agent.signing import HostKey
from clusters.agent.tunnel import NotOurs, Tunnel
from clusters.drivers.kinds import CONFIG_MAP, NAMESPACE, POD
from clusters.drivers.kube import forget, kube_for
from clusters.drivers.kube_errors import KubeError, Problem
from clusters.drivers.kube_relay import RelayTransport
from clusters.drivers.kube_transport import Budget, Request
from clusters.models import ApiCall, Cluster, ClusterAgent, KubernetesAccess
from clusters.rbac import HOME
from clusters.services import make_enrolment_token
from clusters.states import ClusterKind, Through
from endpoints.models import Backend
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import PortalError
from tests.clusters.agent_rig import until
from tests.gateway.server import Server, Tenant
from tests.simulators.kubernetes.server import Simulator
from tests.simulators.openai_backend import OpenAIBackend

ROOT = Path(__file__).resolve().parents[2]


class Meta(msgspec.Struct):
    name: str = ""


class Named(msgspec.Struct):
    metadata: Meta


@pytest.fixture
def place(make: Callable[[], Tenant]) -> Cluster:
    make()
    found = Cluster.objects.create(name=f"far-{os.urandom(4).hex()}", kind=ClusterKind.KUBERNETES)
    KubernetesAccess.objects.create(cluster=found, through=Through.AGENT)
    forget(found)
    return found


@pytest.fixture
def token(place: Cluster) -> str:
    return make_enrolment_token(PORTAL, place)[1]


@pytest.fixture
def account(tmp_path: Path, kube_sim: Simulator) -> Path:
    """What the kubelet puts into the agent's pod, with the rights of the manifest's roles."""
    found = {"token": kube_sim.token_for(HOME, "inference-portal"), "ca.crt": kube_sim.ca_pem, "namespace": HOME}
    for name, text in found.items():
        (tmp_path / name).write_text(text)
    return tmp_path


def kubectl_apply(sim: Simulator, folder: Path, text: str) -> None:
    path = folder / "kubeconfig"
    path.write_text(sim.kubeconfig())
    path.chmod(0o600)
    subprocess.run(["kubectl", "--kubeconfig", str(path), "apply", "-f", "-"], input=text.encode(), check=True,
                   capture_output=True, timeout=60)


@pytest.fixture
def installed(server: Server, token: str, kube_sim: Simulator, tmp_path: Path) -> str:
    """The one line of the operator: curl with the token, kubectl apply."""
    request = urllib.request.Request(f"{server.url}/agent/v1/cluster/manifest", headers={"Authorization": f"Bearer {token}"})
    with urllib.request.urlopen(request, timeout=10) as answer:
        text = answer.read().decode()
    kubectl_apply(kube_sim, tmp_path, text)
    return text


@pytest.fixture
def agent(installed: str, server: Server, account: Path, token: str, place: Cluster, kube_sim: Simulator,
          tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    with run_agent(server, account, token, kube_sim, tmp_path) as process:
        yield process
    kube_sim.client().delete("v1", "secrets", HOME, SECRET)


@contextmanager
def run_agent(server: Server, account: Path, token: str, sim: Simulator, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    command = [sys.executable, "-m", "clusters.agent.in_cluster", "--server", server.url, "--api-server", sim.url,
               "--account", str(account)]
    with (folder / "agent.log").open("ab") as log:
        process = subprocess.Popen(command, cwd=ROOT, env=os.environ | {"PORTAL_AGENT_TOKEN": token}, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def reaches(place: Cluster) -> bool:
    try:
        return bool(kube_for(place).version())
    except KubeError:
        return False


def test_calls_go_in_and_answers_come_back(agent: Any, place: Cluster, kube_sim: Simulator) -> None:
    until(lambda: reaches(place))
    kube = kube_for(place)
    name = f"made-{os.urandom(4).hex()}"
    made = kube.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": HOME},
                       "data": {"text": "ünïcode\n" * 1000}})
    assert made["data"]["text"].startswith("ünïcode")
    assert kube_sim.client().get("v1", "configmaps", HOME, name)["data"] == made["data"]
    assert HOME in {each.metadata.name for each in kube.list(NAMESPACE, Named).items}
    assert kube.get(CONFIG_MAP, HOME, "missing") is None
    assert kube.delete(CONFIG_MAP, HOME, name)
    assert not ApiCall.objects.exists(), "nothing of a call is kept"


def test_the_cluster_refuses_what_the_roles_do_not_give(agent: Any, place: Cluster) -> None:
    until(lambda: reaches(place))
    with pytest.raises(KubeError) as refusal:
        kube_for(place).apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x", "namespace": "kube-system"}})
    assert refusal.value.problem is Problem.FORBIDDEN


def test_nobody_gets_into_a_container_through_the_agent(agent: Any, place: Cluster) -> None:
    until(lambda: reaches(place))
    road = RelayTransport(place.pk)
    with pytest.raises(KubeError, match="refused by the agent"):
        road.send(Request("POST", POD.path(HOME, "x", "exec")), Budget())


def test_a_silent_agent_is_unreachable_at_once(place: Cluster) -> None:
    with pytest.raises(KubeError) as error:
        kube_for(place).version()
    assert error.value.problem is Problem.UNREACHABLE


def test_an_agent_that_was_killed_comes_back_under_its_name(
    installed: str, server: Server, account: Path, token: str, place: Cluster, kube_sim: Simulator, tmp_path: Path,
) -> None:
    with run_agent(server, account, token, kube_sim, tmp_path):
        until(lambda: reaches(place))
        name = ClusterAgent.objects.get(cluster=place).uid
    with run_agent(server, account, "", kube_sim, tmp_path):  # the token was used up
        ClusterAgent.objects.filter(cluster=place).update(seen_at=None)
        until(lambda: reaches(place))
    assert ClusterAgent.objects.get(cluster=place).uid == name
    kube_sim.client().delete("v1", "secrets", HOME, SECRET)


def test_the_manifest_needs_a_good_token(server: Server, place: Cluster) -> None:
    for bad in ("", "agent-wrong"):
        request = urllib.request.Request(f"{server.url}/agent/v1/cluster/manifest", headers={"Authorization": f"Bearer {bad}"})
        with pytest.raises(urllib.error.HTTPError) as refusal:
            urllib.request.urlopen(request, timeout=10)
        assert refusal.value.code == 401
        refusal.value.close()


def test_a_token_of_hosts_makes_no_agent_of_a_cluster(place: Cluster) -> None:
    hosts = Cluster.objects.create(name=f"hosts-{os.urandom(4).hex()}", kind=ClusterKind.HOSTS)
    KubernetesAccess.objects.filter(cluster=place).update(through=Through.DIRECT)
    with pytest.raises(PortalError):
        make_enrolment_token(PORTAL, place)
    assert make_enrolment_token(PORTAL, hosts)[1]


def metrics(server: Server) -> str:
    with urllib.request.urlopen(f"{server.url}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_calls_reach_a_service_through_the_tunnel(
    server: Server, place: Cluster, tenant: Tenant, account: Path, installed: str, kube_sim: Simulator,
    engine: OpenAIBackend, tmp_path: Path,
) -> None:
    """A stream from the engine behind a Service of ours; a Service that isn't ours stays closed."""
    key = HostKey.draw()
    row = ClusterAgent.objects.create(cluster=place, public_key=key.public)
    kubectl_apply(kube_sim, tmp_path, yaml.safe_dump_all(
        {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": HOME, "labels": labels},
         "spec": {"ports": [{"port": 8000}], "selector": {"app": name}}}
        for name, labels in (("chat", {"app.kubernetes.io/managed-by": "inference-portal"}), ("other", {}))))
    seen: list[str] = []

    def connect(address: tuple[str, int], timeout: float) -> socket.socket:
        """A test's machine has no cluster's DNS: every Service is the engine here."""
        seen.append(address[0])
        return socket.create_connection(("127.0.0.1", urlsplit(engine.url).port or 0), timeout=timeout)

    dial = to_services(ClusterApi(kube_sim.url, account), connect)
    Tunnel(Client(server.url, key, str(row.uid)), dial).start()
    endpoint = tenant.endpoint("far")
    backend = Backend(endpoint=endpoint, key="service", url=f"tunnel://{row.uid.hex}:8000", host=f"chat.{HOME}.svc", revision=1)
    backend.put_secret("token", "engine-token")
    backend.save()
    hello: Any = [{"role": "user", "content": "Hi"}]
    said = tenant.wait_for("far").chat.completions.create(model="far", messages=hello, stream=True)
    assert sum(1 for _chunk in said) > 2
    assert seen[0] == f"chat.{HOME}.svc"
    with pytest.raises(NotOurs):
        dial(encode(DialService(8000, f"other.{HOME}.svc")))
    row.delete()  # from now on the gateway refuses this tunnel, which has no end of its own in this process
    until(lambda: 'portal_gateway_tunnels{state="idle"} 0' in metrics(server) and
          'portal_gateway_tunnels{state="used"} 0' in metrics(server))
