"""An endpoint's affinity, from its row to its engines."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from openai import OpenAI

from endpoints.states import Affinity
from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

Ask = Callable[[OpenAI, str], object]


def by_header(client: OpenAI, word: str) -> object:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}],
                                          extra_headers={"x-session-id": f"session-{word}"})


def by_field(client: OpenAI, word: str) -> object:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hello"}],
                                          prompt_cache_key=f"session-{word}")


def by_prompt(client: OpenAI, word: str) -> object:
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": f"tell me of {word}"}])


@pytest.mark.parametrize(("affinity", "ask"), [
    (Affinity.SESSION, by_header), (Affinity.SESSION, by_field), (Affinity.PREFIX, by_prompt)])
def test_what_belongs_together_goes_to_one_engine_and_the_rest_is_spread(
    tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend, affinity: Affinity, ask: Ask,
) -> None:
    tenant.endpoint("m", engine.url, second_engine.url, token="engine-token", affinity=affinity)
    client = tenant.wait_for("m")
    for number in range(24):  # that none of 24 goes to one of two engines happens once in eight million runs
        before = len(engine.requests), len(second_engine.requests)
        for _ in range(4):
            ask(client, str(number))
        grown = len(engine.requests) - before[0], len(second_engine.requests) - before[1]
        assert sorted(grown) == [0, 4]
    assert engine.requests
    assert second_engine.requests


def test_without_affinity_a_session_is_spread(tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend) -> None:
    tenant.endpoint("m", engine.url, second_engine.url, token="engine-token")
    client = tenant.wait_for("m")
    for _ in range(8):
        by_header(client, "one")
    assert len(engine.requests) == len(second_engine.requests) == 4
