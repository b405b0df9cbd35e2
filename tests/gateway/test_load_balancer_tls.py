"""An engine behind a load balancer whose certificate its operator made itself: known by the CA that came with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from endpoints.models import Backend
from tests.gateway.server import Tenant, eventually
from tests.gateway.tunnel_tls import make_certificate, tls_door
from tests.simulators.openai_backend import OpenAIBackend

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def balancer(tmp_path: Path, engine: OpenAIBackend) -> Iterator[tuple[str, Path]]:
    """Its address and its certificate."""
    with tls_door(tmp_path, int(engine.url.rpartition(":")[2])) as (url, certificate):
        yield url, certificate


def behind(tenant: Tenant, url: str, ca: Path) -> openai.OpenAI:
    endpoint = tenant.endpoint("chat", url, token="engine-token")
    Backend.objects.filter(endpoint=endpoint).update(ca=ca.read_text())
    return tenant.wait_for("chat")


def answers(client: openai.OpenAI) -> bool:
    """The gateway may have read the row before its CA was there."""
    try:
        return bool(client.chat.completions.create(model="chat", messages=HELLO).choices)
    except openai.InternalServerError:
        return False


def test_answers_and_streams_pass_by_the_operators_own_ca(
    tenant: Tenant, balancer: tuple[str, Path], engine: OpenAIBackend,
) -> None:
    client = behind(tenant, *balancer)
    engine.script.delay = 0.02
    eventually(lambda: answers(client), 10)
    chunks = list(client.chat.completions.create(model="chat", messages=HELLO, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == [f"word{number} " for number in range(5)]
    assert engine.requests[-1].header("authorization") == "Bearer engine-token"


def test_a_caller_that_hangs_up_stops_the_engine_behind_tls(
    tenant: Tenant, balancer: tuple[str, Path], engine: OpenAIBackend,
) -> None:
    client = behind(tenant, *balancer)
    eventually(lambda: answers(client), 10)
    engine.script.delay, engine.script.words = 0.05, 400
    stream = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
    next(iter(stream))
    stream.close()
    eventually(lambda: engine.open_requests == 0, 2)


def test_another_authority_is_not_believed(
    tenant: Tenant, balancer: tuple[str, Path], engine: OpenAIBackend, tmp_path: Path,
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    client = behind(tenant, balancer[0], make_certificate(other)[0])
    with pytest.raises(openai.InternalServerError) as refusal:
        client.chat.completions.create(model="chat", messages=HELLO)
    assert refusal.value.status_code == 502
    assert engine.requests == []
