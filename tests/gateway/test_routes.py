"""Routes in a running gateway: calls are shared, sessions stay, and a name changes its endpoints without a failed call."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import openai
import pytest

from endpoints.models import Backend, Endpoint, Route
from endpoints.services.route_wish import RouteWish, Share
from endpoints.services.routes import change_route, create_route, promote, return_canary, start_canary
from endpoints.states import Status, Wish
from portal.tenancy.actor import Actor
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend, Script

HELLO: Any = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def blue(tenant: Tenant, engine: OpenAIBackend) -> Endpoint:
    engine.script.word = "blue"
    return tenant.endpoint("blue", engine.url, token="engine-token")


@pytest.fixture
def green(tenant: Tenant, second_engine: OpenAIBackend) -> Endpoint:
    second_engine.script.word = "green"
    return tenant.endpoint("green", second_engine.url, token="engine-token")


@pytest.fixture
def actor(tenant: Tenant) -> Actor:
    return Actor(user=tenant.owner)


def route(tenant: Tenant, *shares: tuple[Endpoint, int], **more: Any) -> Route:
    wish = RouteWish("chat", tuple(Share(endpoint, weight) for endpoint, weight in shares), **more)
    return create_route(Actor(user=tenant.owner), tenant.workspace, wish)


def who(client: openai.OpenAI, **more: Any) -> str:
    """The colour that answers a call."""
    said = client.chat.completions.create(model="chat", messages=HELLO, max_tokens=5, **more).choices[0].message.content
    assert said is not None
    return said.partition("0")[0]


def test_calls_are_shared_and_each_engine_hears_its_own_name(
    tenant: Tenant, blue: Endpoint, green: Endpoint, engine: OpenAIBackend, second_engine: OpenAIBackend,
) -> None:
    route(tenant, (blue, 80), (green, 20))
    client = tenant.wait_for("chat")
    assert {model.id for model in client.models.list()} == {"chat", "blue", "green"}
    counts = Counter(who(client) for _call in range(150))
    assert 12 <= counts["green"] <= 54  # 30 on average; outside of this in 1 of 30,000 runs
    assert {seen.body["model"] for seen in engine.requests} == {"blue"}
    assert {seen.body["model"] for seen in second_engine.requests} == {"green"}


def test_sessions_stay_with_their_endpoint(tenant: Tenant, blue: Endpoint, green: Endpoint) -> None:
    route(tenant, (blue, 50), (green, 50), is_sticky=True)
    client = tenant.wait_for("chat")
    by_user = {user: {who(client, user=user) for _call in range(4)} for user in map(str, range(12))}
    assert all(len(colours) == 1 for colours in by_user.values())
    assert len(set.union(*by_user.values())) == 2
    for named in ({"extra_headers": {"x-session-id": "0"}}, {"extra_body": {"prompt_cache_key": "0"}}):
        assert {who(client, **named) for _call in range(4)} == by_user["0"]


def test_a_name_changes_its_endpoint_under_load_without_a_failed_call(
    tenant: Tenant, actor: Actor, blue: Endpoint, green: Endpoint, engine: OpenAIBackend,
) -> None:
    """Blue, a canary of half the calls, green alone, and back: while four callers call and a stream goes on."""
    row = route(tenant, (blue, 100))
    client = tenant.wait_for("chat")
    stop, lately, total = threading.Event(), Counter[str](), Counter[str]()

    def call() -> None:
        while not stop.is_set():
            colour = who(client)
            lately[colour] += 1
            total[colour] += 1

    def only(*colours: str) -> bool:
        lately.clear()
        eventually(lambda: sum(lately.values()) >= 12)
        return set(lately) == set(colours)

    with ThreadPoolExecutor(5) as pool:
        callers = [pool.submit(call) for _caller in range(4)]
        try:
            eventually(lambda: only("blue"), 10)
            engine.script = Script(words=60, delay=0.05, word="blue")
            stream = pool.submit(stream_of, client)
            eventually(lambda: any(seen.body.get("stream") for seen in engine.requests))
            engine.script = Script(word="blue")
            changed = time.monotonic()
            start_canary(actor, row, green, percent=50)
            eventually(lambda: only("blue", "green"), 10)
            promote(actor, row)
            eventually(lambda: only("green"), 10)
            assert not stream.done()
            assert time.monotonic() - changed < 15
            change_route(actor, row, mains=(Share(blue),), fallbacks=(green,))
            eventually(lambda: only("blue"), 10)
        finally:
            stop.set()
        for caller in callers:
            caller.result(10)  # raises what a call has raised
        assert stream.result(20) == ["blue"] * 60
    assert min(total["blue"], total["green"]) > 20


def stream_of(client: openai.OpenAI) -> list[str]:
    chunks = client.chat.completions.create(model="chat", messages=HELLO, stream=True)
    return [(chunk.choices[0].delta.content or "").rstrip("0123456789 ") for chunk in chunks
            if chunk.choices and chunk.choices[0].delta.content]


def test_fallbacks_stand_in_where_nothing_else_is_ready(
    tenant: Tenant, blue: Endpoint, green: Endpoint,
) -> None:
    route(tenant, (blue, 100), fallbacks=(green,))
    client = tenant.wait_for("chat")
    assert {who(client) for _call in range(10)} == {"blue"}
    Backend.objects.filter(endpoint=blue).delete()
    eventually(lambda: who(client) == "green")
    Endpoint.objects.filter(pk=green.pk).update(wish=Wish.STOPPED)
    Endpoint.objects.filter(pk=blue.pk).update(status=Status.FAILED, message="out of memory")

    def refused() -> bool:
        try:
            return not who(client)
        except openai.InternalServerError as error:
            return error.status_code == 503 and "out of memory" in error.message

    eventually(refused)


def test_a_dead_engine_costs_no_call_while_another_stands_in(
    tenant: Tenant, blue: Endpoint, green: Endpoint, engine: OpenAIBackend,
) -> None:
    route(tenant, (blue, 100), fallbacks=(green,))
    client = tenant.wait_for("chat")
    Backend.objects.filter(endpoint=blue).update(url="http://127.0.0.1:9")
    row = Backend.objects.get(endpoint=blue)
    row.put_secret("token", "")
    row.save()
    eventually(lambda: who(client) == "green")
    assert {who(client) for _call in range(10)} == {"green"}


def test_a_returned_canary_gets_no_call(tenant: Tenant, actor: Actor, blue: Endpoint, green: Endpoint) -> None:
    row = route(tenant, (blue, 100))
    start_canary(actor, row, green, percent=99)
    client = tenant.wait_for("chat")
    eventually(lambda: who(client) == "green")
    return_canary(actor, row, "too slow")
    eventually(lambda: {who(client) for _call in range(20)} == {"blue"})


def test_a_neighbours_route_is_unknown(tenant: Tenant, make: Any, blue: Endpoint) -> None:
    route(tenant, (blue, 100))
    tenant.wait_for("chat")
    with pytest.raises(openai.NotFoundError):
        who(make().client())


def test_a_key_for_some_models_knows_the_route_by_its_own_name(tenant: Tenant, blue: Endpoint) -> None:
    route(tenant, (blue, 100))
    tenant.wait_for("chat")
    assert who(tenant.client(tenant.key(model_names=["chat"]))) == "blue"
    with pytest.raises(openai.NotFoundError):
        who(tenant.client(tenant.key(model_names=["blue"])))
