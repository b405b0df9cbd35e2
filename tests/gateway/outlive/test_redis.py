"""Without Redis each gateway process goes on with its part of every limit, and says so on the page of figures."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx

from endpoints.gateway.limits.compose import installation
from endpoints.gateway.limits.redis_store import PREFIX
from endpoints.gateway.limits.shared import BEAT_SECONDS
from portal.tenancy.models import ApiKey, Limit
from tests.faults.processes import redis_at, redis_says
from tests.gateway.outlive.conftest import running
from tests.gateway.outlive.parent import Parent
from tests.gateway.server import Tenant, eventually
from tests.rig.servers import free_port
from tests.simulators.openai_backend import OpenAIBackend

AWAY = "portal_gateway_limits_store_away"
LIMIT = 40


def test_calls_go_on_without_redis_and_stay_within_their_limit(
        folder: Path, tenant_of: Callable[[Parent], Tenant], engine: OpenAIBackend) -> None:
    port = free_port()
    parent = Parent(folder, environment={"CELERY_BROKER_URL": f"redis://127.0.0.1:{port}/0"})
    tenant = tenant_of(parent)
    tenant.endpoint("m", engine.url, token="engine-token")
    key = tenant.key()
    row = ApiKey.objects.get(public_id=key.split("-")[1])
    Limit(workspace=tenant.workspace, kind="key", key=row, requests_per_minute=LIMIT).save()

    def calls(count: int) -> Counter[int]:
        body, headers = {"model": "m", "messages": []}, {"authorization": f"Bearer {key}"}
        return Counter(httpx.post(f"{parent.url}/v1/chat/completions", json=body, headers=headers).status_code
                       for _ in range(count))

    with ExitStack() as stack:
        with redis_at(folder, port):
            stack.enter_context(running(parent))
            eventually(lambda: redis_says(port, "ZCARD", f"{PREFIX}{installation()}:processes").strip() == b"2", 20)
            time.sleep(BEAT_SECONDS)  # until then each has heard of the other
            assert calls(10) == {200: 10}
            assert parent.figure(AWAY) == 0
        answers = calls(LIMIT * 2)
        assert set(answers) == {200, 429}
        # The parts of both processes, of which chance may not use one up; each knows of a part of the ten from before.
        assert LIMIT // 2 - 10 <= answers[200] <= LIMIT
        assert parent.figure(AWAY) >= 1
        stack.enter_context(redis_at(folder, port))
        eventually(lambda: parent.figure(AWAY) == 0, 20)
        assert set(calls(3)) <= {200, 429}
