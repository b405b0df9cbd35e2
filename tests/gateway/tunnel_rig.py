"""Real parts for tests of the tunnel: a portal's server, agents that call in, engines behind them."""

from __future__ import annotations

import json
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters.models import Engine, Host
from clusters.states import Phase
from endpoints.models import Backend, Endpoint
from endpoints.targets.hosts import _seen
from tests.cast import make_cluster
from tests.clusters.agent_rig import AgentProcess, Portal, host_named, new_agent, order_engine, phase_is
from tests.gateway.server import Server, Tenant, eventually
from tests.simulators.engine.install import model
from tests.simulators.engine.serving import install_serving

HELLO = [{"role": "user", "content": "Hello"}]


@dataclass
class Rig:
    """One portal; agents and endpoints are made as a test wants them."""

    folder: Path
    server: Server
    tenant: Tenant
    agents: list[AgentProcess] = field(default_factory=list)

    def agent(self, name: str, *options: str) -> AgentProcess:
        """Start an agent with --tunnel in a place of its own."""
        portal = Portal(self.folder)
        portal.port = self.server.port
        cluster = make_cluster(f"place-of-{name}")
        agent = new_agent(self.folder / name, portal, cluster, name, *(options or ("--tunnel",)))
        self.agents.append(agent)
        install_serving(agent.engines_dir)
        return agent.start()

    def engine(self, host: str, **script: Any) -> Engine:
        """An engine that answers by `script`, ready on this host."""
        number = len(list(self.folder.glob("*.json")))
        path = model(self.folder, f"{number}.json", **script)
        return phase_is(order_engine(host_named(host), path, release="serving-1"), Phase.READY)

    def endpoint(self, name: str, *engines: Engine) -> Endpoint:
        """An endpoint of these engines, by the addresses that the portal itself would write."""
        endpoint = self.tenant.endpoint(name)
        for number, engine in enumerate(engines):
            seen = _seen(Engine.objects.select_related("node__host").get(pk=engine.pk))
            backend = Backend(endpoint=endpoint, key=str(number), url=seen.url, revision=1)
            backend.put_secret("token", seen.token)
            backend.save()
        return endpoint

    def sockets(self, state: str) -> int:
        """How many of the agents' sockets the gateway has, by its own figures."""
        with urllib.request.urlopen(f"{self.server.url}/metrics", timeout=5) as answer:
            line = f'portal_gateway_tunnels{{state="{state}"}} '
            return int(float(answer.read().decode().partition(line)[2].split("\n")[0] or 0))

    def wait_for_sockets(self, at_least: int = 1) -> None:
        eventually(lambda: self.sockets("idle") >= at_least, 10)

    def end(self) -> None:
        for agent in self.agents:
            agent.kill()


def seen_by(engine: Engine) -> list[dict[str, Any]]:
    """What came to the engine, asked past the tunnel."""
    with urllib.request.urlopen(f"http://127.0.0.1:{engine.port}/seen", timeout=5) as answer:
        found: list[dict[str, Any]] = json.loads(answer.read())
    return found


def host_of(engine: Engine) -> Host:
    return Host.objects.get(node_id=engine.node_id)
