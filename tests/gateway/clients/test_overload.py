"""A limit that is reached, as each client tells it."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from portal.tenancy.models import Limit
from portal.tenancy.models.limits import LimitKind
from tests.gateway.server import Tenant, eventually

from .conftest import MODEL

HELLO: Any = [{"role": "user", "content": "Hello"}]


def test_a_reached_limit_is_each_clients_rate_limit_error(
    served: Tenant, client: openai.OpenAI, claude: anthropic.Anthropic,
) -> None:
    Limit.objects.create(workspace=served.workspace, kind=LimitKind.WORKSPACE, requests_per_minute=1)

    def is_limited() -> openai.RateLimitError | None:
        try:
            client.chat.completions.create(model=MODEL, messages=HELLO)
        except openai.RateLimitError as error:
            return error
        return None

    refusal = eventually(is_limited)
    assert refusal.code == "rate_limit_exceeded"
    assert int(refusal.response.headers["retry-after"]) > 0
    assert refusal.param == "requests_per_minute"
    with pytest.raises(anthropic.RateLimitError, match="requests a minute") as claudes:
        claude.messages.create(model=MODEL, max_tokens=9, messages=HELLO)
    body: Any = claudes.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "rate_limit_error")
    assert body["error"]["code"] == "rate_limit_exceeded"
    assert int(claudes.value.response.headers["retry-after"]) > 0
