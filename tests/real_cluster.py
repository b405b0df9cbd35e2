"""A real cluster in the place of the simulated one, as far as a real one can stand in: `make test-kube`."""

from __future__ import annotations

import base64
import json
import re
import secrets
import time
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import pytest
import yaml

from clusters.drivers import kube
from clusters.drivers.kube_transport import Answer, Budget, Request
from clusters.kubeconfig import read_kubeconfig
from clusters.models import KubernetesAccess
from clusters.states import Through
from tests.rig import environment
from tests.simulators.kubernetes.client import Client, Refused

VARIABLE = "KUBE_CONFORMANCE_KUBECONFIG"
RBAC = "rbac.authorization.k8s.io"
NAMESPACES = re.compile(r"/api/v1/namespaces(?:/([^/]+))?")
GONE_SECONDS = 120.0
Object = dict[str, Any]


class RealCluster:
    """The cluster of a kubeconfig with an administrator, for the part of `Simulator` that a real one has too.

    It makes an account of its own, notes each namespace that the tests make, and takes all of it away at the end. A test
    that asks for more than is here, such as a fault, is skipped.
    """

    def __init__(self, path: Path) -> None:
        credential, _warnings = read_kubeconfig(path.read_text())
        self.url, self.ca_pem, self.admin_token = credential.server, credential.ca, ""
        address = urlsplit(self.url)
        environment.let_through(address.hostname or "")
        self._address = address.hostname or "", address.port or 443
        self._road = kube.DirectTransport(credential.server, ca=credential.ca, token=credential.token,
                                          certificate=credential.client_certificate, key=credential.client_key)
        self._own = f"portal-conformance-{secrets.token_hex(4)}"
        self._direct = kube.transports[Through.DIRECT]
        self.made: set[str] = set()

    def __enter__(self) -> Self:
        self._before = {each["metadata"]["name"] for each in self._send("GET", "/api/v1/namespaces")["items"]}
        self._make_account()
        kube.transports[Through.DIRECT] = self._noting
        return self

    def __exit__(self, *_: object) -> None:
        kube.transports[Through.DIRECT] = self._direct
        for name in sorted(self.made - self._before):
            self._delete(f"/api/v1/namespaces/{name}")
        self._delete(f"/apis/{RBAC}/v1/clusterrolebindings/{self._own}")
        self._wait_until_gone()

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        pytest.skip(f"needs the simulated cluster: a real one has no `{name}`")

    # What tests ask of it.

    def client(self) -> Client:
        return NotingClient(self)

    def token_for(self, namespace: str, name: str) -> str:
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        token: str = self._send("POST", path, asked)["status"]["token"]
        return token

    def kubeconfig(self, *, client_certificate: bool = False) -> str:
        if client_certificate:
            pytest.skip("needs the simulated cluster: a real one signs no certificate for us")
        cluster = {"server": self.url, "certificate-authority-data": base64.b64encode(self.ca_pem.encode()).decode()}
        return yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "real",
            "clusters": [{"name": "real", "cluster": cluster}],
            "users": [{"name": "real", "user": {"token": self.admin_token}}],
            "contexts": [{"name": "real", "context": {"cluster": "real", "user": "real"}}]})

    def note(self, method: str, path: str, body: bytes) -> None:
        """Remember a namespace that this call makes."""
        found = NAMESPACES.fullmatch(path)
        if found is None or method not in ("POST", "PATCH", "PUT"):
            return
        name = found[1] or json.loads(body)["metadata"].get("name")
        if name:
            self.made.add(name)

    # How.

    @property
    def address(self) -> tuple[str, int]:
        return self._address

    def _noting(self, access: KubernetesAccess) -> Any:
        return NotingTransport(self._direct(access), self)

    def _make_account(self) -> None:
        self._send("POST", "/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self._own}})
        self.made.add(self._own)
        self._send("POST", f"/api/v1/namespaces/{self._own}/serviceaccounts", {
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "tester"}})
        self._send("POST", f"/apis/{RBAC}/v1/clusterrolebindings", {
            "apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": self._own},
            "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "tester", "namespace": self._own}]})
        self.admin_token = self.token_for(self._own, "tester")

    def _send(self, method: str, path: str, body: Object | None = None) -> Any:
        headers = {"accept": "application/json", "content-type": "application/json"}
        answer = self._road.send(Request(method, path, {}, headers, json.dumps(body).encode() if body else b""), Budget())
        found = json.loads(answer.body)
        if answer.status >= 300:
            raise Refused(answer.status, found)
        return found

    def _delete(self, path: str) -> None:
        try:
            self._send("DELETE", path)
        except Refused as error:
            if error.status not in (404, 409):  # gone, or on its way
                raise

    def _wait_until_gone(self) -> None:
        end = time.monotonic() + GONE_SECONDS
        while left := (self.made - self._before) & {
                each["metadata"]["name"] for each in self._send("GET", "/api/v1/namespaces")["items"]}:
            assert time.monotonic() < end, f"still there: {sorted(left)}"
            time.sleep(0.5)


class NotingTransport:
    """The portal's own road, on which the namespaces that it makes are noted."""

    def __init__(self, road: Any, cluster: RealCluster) -> None:
        self._road, self._cluster = road, cluster

    def send(self, request: Request, *rest: Any) -> Answer:
        self._cluster.note(request.method, request.path, request.body)
        answer: Answer = self._road.send(request, *rest)
        return answer

    def __getattr__(self, name: str) -> Any:
        return getattr(self._road, name)


class NotingClient(Client):
    def __init__(self, cluster: RealCluster) -> None:
        host, port = cluster.address
        super().__init__(port, cluster.ca_pem, cluster.admin_token, host=host)
        self._cluster = cluster

    def call(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        self._cluster.note(method, path, json.dumps(body).encode())
        return super().call(method, path, body, **more)
