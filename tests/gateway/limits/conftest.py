from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from redis import Redis

from tests.gateway.limits.caller import Where
from tests.rig.servers import redis


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis(tmp_path_factory.mktemp("limits-redis")) as url:
        yield url


@pytest.fixture
def in_redis(redis_url: str) -> Where:
    """An empty Redis."""
    with Redis.from_url(redis_url) as client:
        client.flushall()
    return Where(redis_url)


@pytest.fixture
def in_database(transactional_db: Any) -> Where:
    """The tests' database, for the connections of other threads and processes."""
    return Where(database={**connection.settings_dict})
