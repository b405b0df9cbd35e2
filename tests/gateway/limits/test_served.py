"""Limits on a real server, with OpenAI's client: rows in the database are obeyed within a second."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2 as httpx
import openai
import pytest
from django.utils import timezone

from endpoints.models import UsageHour
from portal.tenancy.models import Limit, LimitKind
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "Hello"}]
TOKENS_A_CALL = 12  # as the simulated engine reports


def client_of(tenant: Tenant, engine: OpenAIBackend, **quantities: int) -> openai.OpenAI:
    """A client for a new endpoint in a workspace with these limits, which the gateway reads in the same moment."""
    Limit.objects.create(workspace=tenant.workspace, kind=LimitKind.WORKSPACE, **quantities)
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    return tenant.wait_for("tiny-chat")


def call(client: openai.OpenAI, **values: Any) -> None:
    client.chat.completions.create(model="tiny-chat", messages=HELLO, **values)


def test_a_call_over_a_limit_gets_429_with_all_that_a_program_needs(tenant: Tenant, engine: OpenAIBackend) -> None:
    client = client_of(tenant, engine, requests_per_minute=2)
    call(client)
    call(client)
    with pytest.raises(openai.RateLimitError) as refused:
        call(client)
    headers = refused.value.response.headers
    assert headers["x-limit-reached"] == "kind=workspace; quantity=requests_per_minute; limit=2; used=2"
    assert 1 <= int(headers["retry-after"]) <= 61
    assert (refused.value.code, refused.value.param, refused.value.type) == (
        "rate_limit_exceeded", "requests_per_minute", "rate_limit_error")
    assert len(engine.requests) == 2


def test_fifty_callers_at_a_limit_of_five_get_five(tenant: Tenant, engine: OpenAIBackend) -> None:
    client = client_of(tenant, engine, concurrent_requests=5)
    key = tenant.key()
    eventually(lambda: engine.open_requests == 0)
    engine.script.delay = 3.0
    gate = threading.Barrier(50)

    def one(_number: int) -> int:
        with httpx.Client() as http:
            gate.wait()
            return http.post(f"{tenant.server.url}/v1/chat/completions", headers={"authorization": f"Bearer {key}"},
                             json={"model": "tiny-chat", "messages": HELLO}, timeout=30).status_code

    with ThreadPoolExecutor(50) as pool:
        found = list(pool.map(one, range(50)))
    assert (found.count(200), found.count(429)) == (5, 45)
    engine.script.delay = 0.0
    call(client)  # all places are free again


def test_tokens_are_settled_with_what_the_engine_says(tenant: Tenant, engine: OpenAIBackend) -> None:
    client = client_of(tenant, engine, tokens_per_minute=100)
    for _ in range(3):
        call(client, max_tokens=5)
    with pytest.raises(openai.RateLimitError) as refused:
        call(client, max_tokens=80)
    assert refused.value.response.headers["x-limit-reached"].endswith(f"limit=100; used={3 * TOKENS_A_CALL}")
    list(client.chat.completions.create(model="tiny-chat", messages=HELLO, max_tokens=5, stream=True))
    with pytest.raises(openai.RateLimitError) as refused:
        call(client, max_tokens=80)
    assert refused.value.response.headers["x-limit-reached"].endswith(f"used={4 * TOKENS_A_CALL}")


def test_a_month_begins_with_what_was_booked(tenant: Tenant, engine: OpenAIBackend) -> None:
    UsageHour.objects.create(
        hour=timezone.now().replace(minute=0, second=0, microsecond=0), workspace_id=tenant.workspace.pk, member_id=0,
        key_id=0, endpoint_id=0, route_id=0, door=0, prompt_tokens=600, completion_tokens=390)
    client = client_of(tenant, engine, tokens_per_month=1000)
    with pytest.raises(openai.RateLimitError) as refused:
        call(client, max_tokens=20)
    assert refused.value.code == "insufficient_quota"
    assert refused.value.response.headers["x-limit-reached"].endswith("limit=1000; used=990")
