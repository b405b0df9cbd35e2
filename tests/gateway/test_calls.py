"""The real OpenAI client against a real server: every route, streaming and not."""

from __future__ import annotations

import httpx2 as httpx
import openai
import pytest

from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

HELLO = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def client(tenant: Tenant, engine: OpenAIBackend) -> openai.OpenAI:
    tenant.endpoint("tiny-chat", engine.url, token="engine-token")
    return tenant.wait_for("tiny-chat")


def test_chat(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    answer = client.chat.completions.create(model="tiny-chat", messages=HELLO)
    assert answer.choices[0].message.content == "word0 word1 word2 word3 word4"
    assert answer.usage is not None
    assert answer.usage.total_tokens == 12
    assert [seen.path for seen in engine.requests] == ["/v1/chat/completions"]


def test_streaming_chat_hides_usage_that_was_not_asked_for(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    chunks = list(client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == "word0 word1 word2 word3 word4 "
    assert all(chunk.usage is None for chunk in chunks)
    assert engine.requests[0].body["stream_options"] == {"include_usage": True}


def test_streaming_chat_passes_usage_that_was_asked_for(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    chunks = list(client.chat.completions.create(
        model="tiny-chat", messages=HELLO, stream=True, stream_options={"include_usage": True}))
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 5
    assert chunks[-1].choices == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_events_cut_by_the_network_are_put_together(client: openai.OpenAI, engine: OpenAIBackend, line_end: str) -> None:
    engine.script.split_writes, engine.script.line_end = True, line_end
    chunks = list(client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True))
    assert [chunk.choices[0].delta.content for chunk in chunks] == [f"word{number} " for number in range(5)]


def test_completions_embeddings_responses(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    assert client.completions.create(model="tiny-chat", prompt="a").choices[0].text.startswith("word0")
    answer = client.embeddings.create(model="tiny-chat", input="a", encoding_format="float")
    assert answer.data[0].embedding == [0.25, -0.5, 1.0]
    assert client.responses.create(model="tiny-chat", input="a").output_text == "word0 word1 word2 word3 word4"
    streamed = client.completions.create(model="tiny-chat", prompt="a", stream=True)
    assert len(list(streamed)) == 5


@pytest.mark.parametrize("path", ["rerank", "score"])
def test_rerank_and_score(tenant: Tenant, client: openai.OpenAI, engine: OpenAIBackend, path: str) -> None:
    body = {"model": "tiny-chat", "query": "a", "documents": ["b"], "text_1": "a", "text_2": "b"}
    answer = httpx.post(f"{tenant.server.url}/v1/{path}", json=body,
                        headers={"authorization": f"Bearer {client.api_key}"})
    assert answer.status_code == 200
    found = answer.json()
    assert (found["results"][0]["relevance_score"] if path == "rerank" else found["data"][0]["score"]) == 0.5
    assert engine.requests[-1].path == f"/v1/{path}"


def test_models(client: openai.OpenAI, tenant: Tenant) -> None:
    assert [model.id for model in client.models.list()] == ["tiny-chat"]
    assert client.models.retrieve("tiny-chat").owned_by == "inference-portal"


def test_a_model_name_with_a_slash_is_found(tenant: Tenant, engine: OpenAIBackend) -> None:
    tenant.endpoint("Acme/Tiny-1.5", engine.url, token="engine-token")
    client = tenant.wait_for("Acme/Tiny-1.5")
    assert client.models.retrieve("Acme/Tiny-1.5").id == "Acme/Tiny-1.5"
    assert client.chat.completions.create(model="Acme/Tiny-1.5", messages=HELLO).choices


def test_only_allowed_headers_go_up_and_no_key_of_ours(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    client.chat.completions.create(model="tiny-chat", messages=HELLO, extra_headers={
        "cookie": "session=1", "x-forwarded-for": "1.2.3.4", "x-request-id": "my-request-1", "openai-beta": "x"})
    seen = engine.requests[0]
    assert {name for name, _value in seen.headers} == {
        "host", "authorization", "content-type", "content-length", "accept", "x-request-id"}
    assert seen.header("authorization") == "Bearer engine-token"
    assert seen.header("x-request-id") == "my-request-1"
    secret = client.api_key.split("-", 2)[2]
    assert secret not in repr(seen)


def test_only_allowed_headers_come_down(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    answer = client.chat.completions.with_raw_response.create(model="tiny-chat", messages=HELLO)
    assert set(answer.headers) <= {"content-type", "content-length", "x-request-id", "date", "server",
                                   "x-content-type-options"}
    assert "server" not in answer.headers


def test_a_large_answer_passes_whole(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    numbers = ",".join(["0.125"] * 800_000)
    usage = '{"prompt_tokens":3,"total_tokens":3,"completion_tokens":0,"prompt_tokens_details":null}'
    text = f'{{"object":"list","data":[{{"index":0,"object":"embedding","embedding":[{numbers}]}}],"usage":{usage}}}'
    engine.script.body = text.encode()
    answer = client.embeddings.create(model="tiny-chat", input="a", encoding_format="float")
    assert len(answer.data[0].embedding) == 800_000


def test_a_log_line_has_tokens_and_request_id_and_no_secret(
    client: openai.OpenAI, tenant: Tenant, engine: OpenAIBackend,
) -> None:
    client.chat.completions.create(model="tiny-chat", messages=[{"role": "user", "content": "very-private"}],
                                   stream=False, extra_headers={"x-request-id": "find-me-in-the-log"})
    line = eventually(lambda: next((line for line in tenant.server.log.splitlines() if "find-me-in-the-log" in line), ""))
    assert '"prompt_tokens":7,"completion_tokens":5' in line
    assert "very-private" not in tenant.server.log
    assert client.api_key.split("-", 2)[2] not in tenant.server.log
    assert "engine-token" not in tenant.server.log


def test_connections_to_the_engine_are_used_again(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    for number in range(10):
        answer = client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=number % 2 == 0)
        if number % 2 == 0:
            list(answer)
    assert engine.connections == 1


def test_metrics_count_by_route_and_never_by_tenant(client: openai.OpenAI, tenant: Tenant) -> None:
    client.chat.completions.create(model="tiny-chat", messages=HELLO)
    list(client.chat.completions.create(model="tiny-chat", messages=HELLO, stream=True))
    text = httpx.get(f"{tenant.server.url}/metrics").text
    ours = "\n".join(line for line in text.splitlines() if line.startswith("portal_gateway_"))
    assert 'portal_gateway_requests_total{route="/v1/chat/completions",status="2xx"}' in ours
    assert 'portal_gateway_tokens_total{direction="completion"}' in ours
    assert "portal_gateway_in_flight 0.0" in ours
    assert float(ours.partition("portal_gateway_snapshot_age_seconds ")[2].split()[0]) < 5
    assert "tiny-chat" not in ours
    assert tenant.workspace.slug not in ours
