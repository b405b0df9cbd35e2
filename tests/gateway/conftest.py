"""One server for all tests of a worker; each test has its own tenant and its own engines."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.server import Server, Tenant, database, eventually, make_tenant, migrate, running_server
from tests.gateway.tunnel_rig import Rig
from tests.simulators.openai_backend import OpenAIBackend

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def empty_portal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gateway-template")
    migrate(folder)
    return folder


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory, empty_portal: Path) -> Iterator[Server]:
    with running_server(tmp_path_factory.mktemp("gateway"), empty_portal) as running:
        yield running


@pytest.fixture
def make(server: Server, django_db_blocker: Any) -> Iterator[Callable[[], Tenant]]:
    """Make tenants in the server's database."""
    made: list[Tenant] = []

    def one() -> Tenant:
        made.append(make_tenant(server, f"tenant-{next(NUMBERS)}"))
        return made[-1]

    with django_db_blocker.unblock(), database(server.folder):
        yield one
    for client in [client for tenant in made for client in tenant.clients]:
        client.close()


@pytest.fixture
def tenant(make: Callable[[], Tenant]) -> Tenant:
    return make()


@pytest.fixture
def engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend(token="engine-token") as running:
        yield running


@pytest.fixture
def second_engine() -> Iterator[OpenAIBackend]:
    with OpenAIBackend(token="engine-token") as running:
        yield running


@pytest.fixture
def rig(tmp_path: Path, server: Server, tenant: Tenant) -> Iterator[Rig]:
    """Agents with tunnels; none is left behind."""
    rig = Rig(tmp_path, server, tenant)
    yield rig
    rig.end()
    eventually(lambda: rig.sockets("idle") + rig.sockets("used") == 0, 10)


@pytest.fixture
def name() -> str:
    """A name for a host that no other test takes."""
    return f"host-{next(NUMBERS)}"
