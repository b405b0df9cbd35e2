"""The whole way of a canary that does worse: called, counted, judged, and back at 0 % in the running gateway."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from endpoints.models import Canary
from endpoints.services.canaries import judge_canaries
from endpoints.services.route_picture import picture
from endpoints.services.route_wish import RouteWish, Share
from endpoints.services.routes import create_route, start_canary
from portal.tenancy.actor import Actor
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend, Script

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.mark.parametrize(("bad", "why", "words"), [
    (Script(status=500, body=b'{"error": {"message": "broken"}}'), "100.0 % of its calls failed", {"word"}),
    (Script(word="trial", delay=0.3), "time to the first token", {"word", "trial"}),
], ids=["broken", "slow"])
def test_a_canary_that_does_worse_returns_by_itself(
    tenant: Tenant, engine: OpenAIBackend, second_engine: OpenAIBackend, bad: Script, why: str, words: set[str],
) -> None:
    """No call fails: what the broken one fails goes on to the other, and counts against it all the same."""
    actor = Actor(user=tenant.owner)
    stable, trial = (tenant.endpoint(name, backend.url, token="engine-token")
                     for name, backend in (("stable", engine), ("trial", second_engine)))
    second_engine.script = bad
    route = create_route(actor, tenant.workspace, RouteWish("chat", (Share(stable),)))
    start_canary(actor, route, trial, percent=50, max_first_byte_ms=200)
    client = tenant.wait_for("chat")

    def call(_number: int) -> str:
        said = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=5).choices[0].message.content
        return str(said).partition("0")[0]

    def counted(name: str) -> int:
        return next(lane.seen.calls for lane in picture(route).lanes if lane.endpoint.name == name)

    with ThreadPoolExecutor(8) as pool:
        heard = Counter(pool.map(call, range(120)))
        assert set(heard) == words
        eventually(lambda: counted("stable") == heard["word"], 15)
        eventually(lambda: counted("trial") >= 30, 15)
        assert judge_canaries() >= 1  # other tests leave theirs
        canary = Canary.objects.get(route=route)
        assert canary.state == "returned"
        assert why in canary.reason
        eventually(lambda: set(pool.map(call, range(24))) == {"word"})
