"""Real parts for tests of the tunnel: a portal's server, agents that call in, engines behind them."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import Any

import httpx2 as httpx

from clusters.models import Engine, Host
from clusters.states import Phase
from endpoints.models import Backend, Endpoint
from endpoints.targets.hosts import _seen
from tests.cast import make_cluster
from tests.clusters.agent_rig import AgentProcess, Portal, host_named, identity_of, new_agent, order_engine, phase_is
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

    def agent(self, name: str, *options: str, server: str = "", **environment: str) -> AgentProcess:
        """Start an agent with --tunnel in a place of its own; it calls the portal at `server`."""
        portal = Portal(self.folder)
        portal.port = self.server.port
        cluster = make_cluster(f"place-of-{name}")
        agent = new_agent(self.folder / name, portal, cluster, name, *(options or ("--tunnel",)))
        agent.server, agent.environment = server or agent.server, environment
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


def identity(agent: AgentProcess) -> dict[str, str]:
    return identity_of(agent)


def stream_lines(rig: Rig, key: str, model: str, begun: Event | None = None) -> list[str]:
    """All lines of a streamed answer; `begun` is set with the first one."""
    body = {"model": model, "messages": HELLO, "stream": True}
    with httpx.stream("POST", f"{rig.server.url}/v1/chat/completions", json=body, timeout=30,
                      headers={"authorization": f"Bearer {key}"}) as answer:
        assert answer.status_code == 200, answer.read()
        lines = []
        for line in filter(None, answer.iter_lines()):
            lines.append(line)
            if begun is not None:
                begun.set()
        return lines


@contextmanager
def streaming(rig: Rig, key: str, model: str) -> Iterator[Future[list[str]]]:
    """A stream in the middle of its answer."""
    begun = Event()
    with ThreadPoolExecutor(1) as threads:
        lines = threads.submit(stream_lines, rig, key, model, begun)
        assert begun.wait(10)
        yield lines
