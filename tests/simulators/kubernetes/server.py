"""`Simulator`: a Kubernetes cluster to test against, on a port of this machine."""

from __future__ import annotations

import ssl
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Self

from tests.simulators.kubernetes.api.app import App
from tests.simulators.kubernetes.certificates import Authority
from tests.simulators.kubernetes.cluster import Cluster
from tests.simulators.kubernetes.controllers import OPERATORS, Controllers, cpu_node, gpu_node
from tests.simulators.kubernetes.listener import Listener


class Simulator:
    def __init__(
        self, nodes: list[dict[str, Any]] | None = None, *, crds: str | list[str] | None = "all",
        engine_url: str | None = None, speed: float = 1.0, tls: bool = True, operators: Iterable[str] = OPERATORS,
    ) -> None:  # fmt: skip
        self.cluster = Cluster(speed=speed)
        self.authority = Authority()
        self.controllers = Controllers(
            self.cluster, ca_pem=self.authority.pem, operators=operators, engine_url=engine_url
        )
        self.controllers.furnish(nodes if nodes is not None else [gpu_node("gpu-a"), cpu_node("cpu-a")])
        self.tls = tls
        self._context = self._server_context() if tls else None
        self.app = App(self.cluster)
        self._listener = Listener(self.app, self._context, self.cluster.start)

    @property
    def url(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self._listener.port}"

    @property
    def ca_pem(self) -> str:
        return self.authority.pem

    def start(self) -> Self:
        self._listener.start()
        return self

    def stop(self) -> None:
        self._listener.stop()

    def close(self) -> None:
        self._listener.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()

    def _server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_verify_locations(cadata=self.authority.pem)
        context.verify_mode = ssl.CERT_OPTIONAL
        load(context, self.authority)
        return context


def load(context: ssl.SSLContext, authority: Authority) -> None:
    """Gives a TLS context a new server certificate; the module reads keys from files only."""
    pair = authority.server("127.0.0.1")
    with tempfile.TemporaryDirectory() as folder:
        certificate, key = Path(folder, "tls.crt"), Path(folder, "tls.key")
        certificate.write_text(pair.certificate)
        key.write_text(pair.key)
        context.load_cert_chain(certificate, key)
