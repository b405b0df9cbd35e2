"""python -m clusters.agent.in_cluster: lets a portal work with a Kubernetes cluster that it can't reach."""

from __future__ import annotations

import argparse
import base64
import http.client
import logging
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import VERSION
from .client import Away, Client, Refused
from .cluster_api import ACCOUNT, ClusterApi
from .logs import log_lines
from .messages import TUNNEL_FRAME, ApiRequest, DialService, EnrolCluster, decode
from .signing import HostKey
from .tunnel import DIAL_SECONDS, Dialler, NotOurs, Tunnel

log = logging.getLogger("agent")
WORKERS = 8
LONGEST_WAIT = 10.0
MANAGED_BY, MANAGER = "app.kubernetes.io/managed-by", "inference-portal"
SECRET = "inference-portal-agent-key"  # noqa: S105 - the name of an object


class KeySecret:
    """The agent's key and its name at the portal, kept in a Secret of the agent's own namespace."""

    def __init__(self, api: ClusterApi) -> None:
        self._api = api
        self._path = f"/api/v1/namespaces/{api.namespace}/secrets"

    def read(self) -> tuple[HostKey, str]:
        """The key, and "" before enrolment; a new key where there is none. Raises OSError."""
        status, found = self._api.json("GET", f"{self._path}/{SECRET}")
        if status == 404:
            return HostKey.draw(), ""
        if status != 200:
            raise OSError(f"the cluster's API answered {status} for the agent's own secret")
        data = {name: base64.b64decode(text).decode() for name, text in (found.get("data") or {}).items()}
        return (HostKey.from_text(data["key"]) if "key" in data else HostKey.draw()), data.get("agent", "")

    def write(self, key: HostKey, agent: str) -> None:
        """Raises OSError."""
        data = {"key": key.text, "agent": agent}
        body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": SECRET, "labels": {MANAGED_BY: MANAGER}},
                "data": {name: base64.b64encode(text.encode()).decode() for name, text in data.items()}}
        status, _answer = self._api.json("PATCH", f"{self._path}/{SECRET}?fieldManager={MANAGER}-agent&force=true", body)
        if status not in (200, 201):
            raise OSError(f"the cluster's API answered {status} when the agent's key was kept")


def to_services(api: ClusterApi, connect: Callable[..., socket.socket] = socket.create_connection) -> Dialler:
    """Of a cluster: the Services of our endpoints, known by their label. `connect` takes an address and a time-out."""
    known: dict[str, float] = {}

    def dial(order: bytes) -> socket.socket:
        wanted = decode(DialService, order, most=TUNNEL_FRAME)
        if known.get(wanted.service, 0.0) < time.monotonic():
            name, namespace, _svc = wanted.service.split(".")
            status, found = api.json("GET", f"/api/v1/namespaces/{namespace}/services/{name}")
            if status != 200 or (found["metadata"].get("labels") or {}).get(MANAGED_BY) != MANAGER:
                raise NotOurs("no endpoint of this portal has that Service")
            known[wanted.service] = time.monotonic() + 60
        return connect((wanted.service, wanted.port), timeout=DIAL_SECONDS)

    return dial


class Calls:
    """Takes the API calls that wait at the portal and brings the answers, several at once."""

    def __init__(self, client: Client, api: ClusterApi) -> None:
        self._client, self._api = client, api
        self.stopping = threading.Event()

    def run(self) -> bool:
        """Work until told to end; False where the portal does not know this agent any more."""
        version, failures = 0, 0
        with ThreadPoolExecutor(WORKERS, "api") as workers:
            while not self.stopping.is_set():
                try:
                    found = self._client.api_calls(version)
                except Away as error:
                    failures += 1
                    if failures == 1:
                        log.warning("portal away", extra={"error": str(error)})
                    self.stopping.wait(min(LONGEST_WAIT, 0.25 * 2 ** min(failures, 8)))
                    continue
                except Refused as error:
                    log.error("the portal refuses this agent", extra={"error": str(error)})
                    return False
                failures = 0
                # More may wait than were handed out: then ask again at once.
                version = found.version if not found.calls else min(version, found.version)
                for call in found.calls:
                    workers.submit(self._answer, call)
        return True

    def _answer(self, call: ApiRequest) -> None:
        began = time.monotonic()
        answer = self._api.answer(call)
        while time.monotonic() - began < call.seconds:
            try:
                self._client.answer(answer)
            except Away:
                time.sleep(0.5)
            except Refused as error:
                log.warning("an answer was refused", extra={"error": str(error)})
                return
            else:
                return


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="clusters.agent.in_cluster", description=__doc__)
    parser.add_argument("--server", required=True, help="address of the portal, such as https://portal.example.org")
    parser.add_argument("--gateway-url", action="append", default=[],
                        help="address of each gateway that is served apart from the portal")
    parser.add_argument("--api-server", default="https://kubernetes.default.svc", help="address of the cluster's API")
    parser.add_argument("--account", type=Path, default=ACCOUNT, help="folder with token, ca.crt and namespace")
    parser.add_argument("--allow-http", action="store_true", help="call a portal without https on a trusted network")
    return parser.parse_args(argv)


def enrol(options: argparse.Namespace, key: HostKey) -> str:
    """Ask for our place until the portal is there; our name. Raises Refused, SystemExit."""
    token = os.environ.get("PORTAL_AGENT_TOKEN", "").strip()
    if not token:
        raise SystemExit("agent: this cluster is not enrolled yet: set PORTAL_AGENT_TOKEN")
    message = EnrolCluster(token=token, public_key=key.public, agent_version=VERSION)
    client = Client(options.server, key, allow_http=options.allow_http)
    while True:
        try:
            return client.enrol_cluster(message).agent
        except Away as error:
            log.warning("portal away", extra={"error": str(error)})
            time.sleep(2)


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    log_lines()
    api = ClusterApi(options.api_server, options.account)
    try:
        secret = KeySecret(api)
        key, agent = secret.read()
        if not agent:
            secret.write(key, "")  # before the portal learns the key, so that a crash here loses no place
            agent = enrol(options, key)
            secret.write(key, agent)
    except (OSError, http.client.HTTPException, ValueError, Refused) as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    calls = Calls(Client(options.server, key, agent, allow_http=options.allow_http), api)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: calls.stopping.set())
    for url in options.gateway_url or [options.server]:
        Tunnel(Client(url, key, agent, allow_http=options.allow_http), to_services(api)).start()
    log.info("running", extra={"host": agent, "server": options.server})
    return 0 if calls.run() else 1


if __name__ == "__main__":
    sys.exit(main())
