"""`Simulator`: a Kubernetes cluster to test against, on a port of this machine."""

from __future__ import annotations

import base64
import secrets
import ssl
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import yaml

from tests.simulators.kubernetes import auth, crds
from tests.simulators.kubernetes.api.app import App, Recorded
from tests.simulators.kubernetes.api.faults import Fault
from tests.simulators.kubernetes.certificates import Authority
from tests.simulators.kubernetes.client import Client
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.controllers import OPERATORS, Controllers, cpu_node, gpu_node
from tests.simulators.kubernetes.controllers.kubelet import Rule
from tests.simulators.kubernetes.establish import Establisher
from tests.simulators.kubernetes.listener import Listener

__all__ = ["Simulator", "cpu_node", "gpu_node"]
Object = dict[str, Any]


class Handle:
    """Something that a test asked for; `remove` ends it."""

    def __init__(self, remove: Callable[[], None]) -> None:
        self.remove = remove


class Simulator:
    """A cluster with these nodes and CRDs, from `start` (or `with`) to `close`.

    crds: "all", names of `crds.names()`, or None. operators: those whose controllers are played (all of them by
    default). engine_url: the server that answers for every ready pod. speed: how much faster than real time things
    happen in the cluster; a watch's timeoutSeconds are played seconds too.
    """

    def __init__(
        self, nodes: Iterable[Object] | None = None, *, crds: str | Iterable[str] | None = "all",
        engine_url: str | None = None, speed: float = 1.0, tls: bool = True, operators: Iterable[str] = tuple(OPERATORS),
    ) -> None:  # fmt: skip
        self.cluster, self.authority, self.tls = Cluster(speed=speed), Authority(), tls
        self.server_authority = self.authority
        self.admin_token = secrets.token_urlsafe(24)
        self.app = App(self.cluster, {self.admin_token: auth.ADMIN})
        Establisher(self.cluster)
        auth.TokenSecrets(self.cluster, self.app.tokens, self.ca_pem)
        self.controllers = Controllers(self.cluster, ca_pem=self.ca_pem, operators=operators, engine_url=engine_url)
        self._nodes = [gpu_node("gpu-a"), cpu_node("cpu-a")] if nodes is None else list(nodes)
        self._crds = crds
        self._context = self._server_context() if tls else None
        self._listener = Listener(self.app, self._context, self._begin)

    # --- life

    def _begin(self, loop: Any) -> None:
        self.cluster.start(loop)
        for obj in auth.bootstrap_objects():
            self.cluster.create(obj["kind"], obj)
        for crd in chosen_crds(self._crds):
            self.cluster.create("CustomResourceDefinition", crd)
        self.controllers.furnish(self._nodes)

    def start(self) -> Self:
        """Serves from here on: the first time on a free port, later on the same one."""
        self._listener.start()
        return self

    def stop(self) -> None:
        """Closes the port and every connection; what is in the cluster stays, and goes on."""
        self._listener.stop()

    def close(self) -> None:
        if self._listener.started:
            self._listener.call(self.controllers.close)
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- how to reach it

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.port}"

    @property
    def ca_pem(self) -> str:
        return self.authority.pem

    def client(self) -> Client:
        return Client(self._listener.port, self.ca_pem if self.tls else None, self.admin_token)

    def token_for(self, namespace: str, name: str) -> str:
        """A token of an existing ServiceAccount, good for an hour."""

        def issue() -> str:
            account = self.cluster.get("ServiceAccount", namespace, name)
            if account is None:
                raise LookupError(f"no ServiceAccount {namespace}/{name}")
            return self.app.tokens.issue(account)

        return str(self._listener.call(issue))

    def kubeconfig(
        self, *, client_certificate: bool = False, token: str | None = None, user: str = "kubernetes-admin",
        namespace: str = "default", server: str | None = None,
    ) -> str:  # fmt: skip
        """The YAML of a kubeconfig: the administrator's by token or certificate, or anybody's by `token`."""
        credentials: Object = {"token": token or self.admin_token}
        if client_certificate:
            pair = self.authority.client(user, ["system:masters"] if user == "kubernetes-admin" else [])
            credentials = {"client-certificate-data": _base64(pair.certificate), "client-key-data": _base64(pair.key)}
        cluster = {"server": server or self.url} | (
            {"certificate-authority-data": _base64(self.ca_pem)} if self.tls else {}
        )
        context = {"cluster": "simulated", "user": user, "namespace": namespace}
        return yaml.safe_dump({
            "apiVersion": "v1", "kind": "Config", "current-context": "simulated", "preferences": {},
            "clusters": [{"name": "simulated", "cluster": cluster}],
            "contexts": [{"name": "simulated", "context": context}],
            "users": [{"name": user, "user": credentials}],
        }, sort_keys=False)  # fmt: skip

    # --- what tests ask of it

    @property
    def requests(self) -> list[Recorded]:
        """Every request so far, oldest first."""
        return list(self.app.requests)

    def fault(self, method: str = "*", path: str = "*", **what: Any) -> Fault:
        """Makes matching requests fail (see `Fault`), until its `times` are up or `remove` is called."""
        fault = Fault(method, path, **what)
        fault.remove = lambda: self.app.faults.remove(fault) if fault in self.app.faults else None
        self.app.faults.append(fault)
        return fault

    def pods_fail(
        self, namespace: str = "*", name: str = "*", as_: str = "crash:1", *, image: str = "*", log: str = "",
        previous_log: str = "",
    ) -> Handle:  # fmt: skip
        """Makes matching pods fail, those that run too (`Rule` says how), until the handle is removed."""
        rule = Rule(namespace=namespace, name=name, image=image, as_=as_, log=log, previous_log=previous_log)
        self._listener.call(self.controllers.rules.add, rule)
        return Handle(lambda: self._listener.call(self.controllers.rules.remove, rule))

    def call(self, function: Callable[..., Any], *args: Any) -> Any:
        """Runs a function on the cluster's loop: the way to touch `cluster` and `controllers` from a test."""
        return self._listener.call(function, *args)

    def compact(self) -> None:
        """Forgets the history, as a cluster does every five minutes: older versions answer 410."""
        self._listener.call(self.cluster.store.compact)

    def drop_connections(self) -> None:
        """Ends every open connection without an answer; the server stays."""
        self._listener.call(self._listener.drop_connections)

    def new_certificate(self) -> None:
        """Serves with a certificate of another authority from now on, also to who is connected."""
        if self._context is not None:
            self.server_authority = Authority("another-ca")
            load(self._context, self.server_authority)
            self.drop_connections()

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(cadata=self.authority.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        load(context, self.authority)
        return context


def chosen_crds(wanted: str | Iterable[str] | None) -> list[Object]:
    if wanted is None or wanted == "none":
        return []
    return crds.load(None if wanted == "all" else [wanted] if isinstance(wanted, str) else wanted)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def load(context: ssl.SSLContext, authority: Authority) -> None:
    """Gives a TLS context a new server certificate; the module reads keys from files only."""
    pair = authority.server("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_text(pair.certificate)
        key.write_text(pair.key)
        context.load_cert_chain(certificate, key)
