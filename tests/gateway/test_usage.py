"""What callers used is in the tables of usage: through a real gateway, its kills and its refusals."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import openai
import pytest

from endpoints.gateway.doors import DOORS
from endpoints.models import Endpoint, TokenPrice, TrafficMinute, UsageHour
from tests.gateway.server import Server, Tenant, database, eventually, make_tenant, running_server
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "hello there, this is a prompt of some words"}]
CHAT = DOORS["/v1/chat/completions"].number


def rows_of(tenant: Tenant) -> list[UsageHour]:
    return list(UsageHour.objects.filter(workspace_id=tenant.workspace.pk))


def total(tenant: Tenant, name: str) -> int:
    return sum(getattr(row, name) for row in rows_of(tenant))


def served(tenant: Tenant, engine: OpenAIBackend, name: str = "acme/chat") -> Endpoint:
    endpoint = tenant.endpoint(name, engine.url, token="engine-token")
    tenant.wait_for(name)
    return endpoint


def test_calls_are_booked_by_key_endpoint_and_address(tenant: Tenant, engine: OpenAIBackend) -> None:
    TokenPrice.objects.create(workspace=tenant.workspace, public_name="acme/chat", prompt=Decimal("0.5"), completion=Decimal(2))
    endpoint = served(tenant, engine)
    client, tokens = tenant.client(), [0, 0]
    for stream in (False, True, False):
        if stream:
            parts = list(client.chat.completions.create(model="acme/chat", messages=HELLO, stream=True,
                                                        stream_options={"include_usage": True}))
            usage = parts[-1].usage
        else:
            usage = client.chat.completions.create(model="acme/chat", messages=HELLO).usage
        assert usage
        tokens = [tokens[0] + usage.prompt_tokens, tokens[1] + usage.completion_tokens]
    eventually(lambda: total(tenant, "requests") == 3, 15)
    row = rows_of(tenant)[0]
    assert (row.endpoint_id, row.endpoint_name, row.model_name, row.door) == (endpoint.pk, "chat", "acme/chat", CHAT)
    assert (row.workspace_name, row.member_name, row.key_name) == (tenant.workspace.slug, tenant.owner.username, "test")
    assert [total(tenant, "prompt_tokens"), total(tenant, "completion_tokens")] == tokens
    assert total(tenant, "cost_nano") == tokens[0] * 500 + tokens[1] * 2000
    minutes = list(TrafficMinute.objects.filter(endpoint_id=endpoint.pk))
    assert (sum(one.calls for one in minutes), sum(one.errors for one in minutes)) == (3, 0)
    assert sum(getattr(one, f"first_byte_{at}") for one in minutes for at in range(12)) == 3


def test_refusals_are_booked_and_cost_nothing(tenant: Tenant, engine: OpenAIBackend) -> None:
    served(tenant, engine)
    tenant.endpoint("acme/asleep")
    client = tenant.client()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="acme/none", messages=HELLO)
    with pytest.raises(openai.UnprocessableEntityError):
        client.chat.completions.create(model="acme/chat", messages=HELLO, max_tokens=-1)
    eventually(lambda: _not_ready(client))
    eventually(lambda: total(tenant, "refused") >= 3, 15)
    assert total(tenant, "requests") == total(tenant, "cost_nano") == 0
    assert {row.model_name for row in rows_of(tenant)} >= {"", "acme/asleep"}


def _not_ready(client: openai.OpenAI) -> bool:
    try:
        client.chat.completions.create(model="acme/asleep", messages=HELLO)
    except openai.NotFoundError:  # the gateway has yet to learn of it
        return False
    except openai.InternalServerError:
        return True
    return False


@pytest.fixture
def own(empty_portal: Path, tmp_path: Path, django_db_blocker: Any) -> Iterator[Tenant]:
    """A tenant of a server that a test may kill."""
    with running_server(tmp_path, empty_portal) as running, django_db_blocker.unblock(), database(tmp_path):
        tenant = make_tenant(running, "own")
        yield tenant
        for client in tenant.clients:
            client.close()


def begin(client: openai.OpenAI, chunks: int) -> None:
    """A stream of which so many chunks have come, and which goes on."""
    stream = client.chat.completions.create(model="acme/chat", messages=HELLO, stream=True)
    for _ in range(chunks):
        next(stream)


def test_a_killed_gateway_loses_and_doubles_nothing(own: Tenant, engine: OpenAIBackend) -> None:
    served(own, engine)
    for _ in range(5):
        own.client().chat.completions.create(model="acme/chat", messages=HELLO)
    eventually(lambda: total(own, "requests") == 5, 15)
    for _ in range(2):
        own.client().chat.completions.create(model="acme/chat", messages=HELLO)
    before = total(own, "completion_tokens")
    engine.script.words, engine.script.delay = 500, 0.02
    begin(own.client(), 8)
    kill(own.server)
    own.server.start()
    own.server.wait()
    eventually(lambda: total(own, "requests") == 8, 20)
    assert total(own, "partial") == 1
    assert 6 <= total(own, "completion_tokens") - before <= 500
    own.server.stop()
    assert total(own, "requests") == 8


def kill(server: Server) -> None:
    assert server.process is not None
    assert server.listener is not None
    server.process.send_signal(signal.SIGKILL)
    server.process.wait(15)
    server.listener.close()
