"""Clients as programs have them: each with a key of its own, against a served model of every kind."""

from __future__ import annotations

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

MODEL = "acme/model-1"


@pytest.fixture
def served(tenant: Tenant, engine: OpenAIBackend) -> Tenant:
    """The tenant, with the model `MODEL` behind the engine."""
    tenant.endpoint(MODEL, engine.url, token="engine-token")
    tenant.wait_for(MODEL)
    return tenant


@pytest.fixture
def client(served: Tenant) -> openai.OpenAI:
    return served.client()


@pytest.fixture
def claude(served: Tenant) -> Iterator[anthropic.Anthropic]:
    """Anthropic's client, which sends its key as x-api-key."""
    with anthropic.Anthropic(api_key=served.key(), base_url=served.server.url, max_retries=0) as client:
        yield client
