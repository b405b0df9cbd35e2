"""Anthropic's Python client: messages, streaming and not, and each error as its class."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

from .conftest import MODEL

WORDS = "word0 word1 word2 word3 word4"
HELLO: Any = [{"role": "user", "content": "Hello"}]


def call(client: anthropic.Anthropic, **more: Any) -> Any:
    return client.messages.create(**{"model": MODEL, "max_tokens": 50, "messages": HELLO, **more})


def test_a_message(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    answer = call(claude, system="Be short.")
    assert answer.content[0].text == WORDS
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)
    seen = engine.requests[0]
    assert seen.path == "/v1/messages"
    assert seen.body == {"model": MODEL, "max_tokens": 50, "messages": HELLO, "system": "Be short."}
    assert seen.header("authorization") == "Bearer engine-token"
    assert seen.header("x-api-key") is None


def test_a_bearer_does_as_well(served: Tenant) -> None:
    with anthropic.Anthropic(auth_token=served.key(), base_url=served.server.url, max_retries=0) as client:
        assert call(client).content


def test_the_beta_client_adds_a_query_that_stays_here(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    answer = claude.beta.messages.create(model=MODEL, max_tokens=50, messages=HELLO)
    assert answer.usage.output_tokens == 5
    assert engine.requests[0].path == "/v1/messages"


def test_a_streamed_message(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    engine.script.split_writes = True
    with claude.messages.stream(model=MODEL, max_tokens=50, messages=HELLO) as stream:
        assert "".join(stream.text_stream).strip() == WORDS
        whole = stream.get_final_message()
    assert (whole.usage.input_tokens, whole.usage.output_tokens, whole.stop_reason) == (7, 5, "end_turn")
    assert "stream_options" not in engine.requests[0].body


def test_a_cut_stream_ends_with_anthropics_error_event(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    engine.script.cut_after = 4
    with pytest.raises(anthropic.APIStatusError, match="stopped in the middle") as failure:
        list(call(claude, stream=True))
    assert isinstance(failure.value.body, dict)
    assert failure.value.body["error"]["type"] == "api_error"


def test_tokens_are_counted_without_an_answer(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    assert claude.messages.count_tokens(model=MODEL, messages=HELLO).input_tokens == 7
    assert engine.requests[0].path == "/v1/messages/count_tokens"


def test_models(claude: anthropic.Anthropic) -> None:
    models = list(claude.models.list())
    assert [(model.id, model.display_name, model.type) for model in models] == [(MODEL, MODEL, "model")]
    assert models[0].created_at.year >= 2026
    assert claude.models.retrieve(MODEL).id == MODEL


def test_refusals_of_the_gateway_have_their_classes_and_types(
    claude: anthropic.Anthropic, served: Tenant, engine: OpenAIBackend,
) -> None:
    def refusal(kind: type[anthropic.APIStatusError], client: anthropic.Anthropic = claude, **more: Any) -> str:
        with pytest.raises(kind) as found:
            call(client, **more)
        body: Any = found.value.body
        assert body["type"] == "error"
        return f"{body['error']['type']} {body['error']['code']}"

    nobody = claude.with_options(api_key="sk-nobody")
    assert refusal(anthropic.AuthenticationError, nobody) == "authentication_error invalid_api_key"
    outsider = claude.with_options(api_key=served.key(scopes=[]))
    assert refusal(anthropic.PermissionDeniedError, outsider) == "permission_error insufficient_scope"
    assert refusal(anthropic.NotFoundError, model="nobody") == "not_found_error model_not_found"
    assert refusal(anthropic.UnprocessableEntityError, max_tokens=0) == "invalid_request_error out_of_range"
    image = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert refusal(anthropic.UnprocessableEntityError, messages=[{"role": "user", "content": [image]}]) == (
        "invalid_request_error media_url_not_permitted")
    assert engine.requests == []


def test_a_model_that_is_not_ready_is_overloaded(served: Tenant, claude: anthropic.Anthropic) -> None:
    served.endpoint("later")
    served.wait_for("later", ready=False)
    with pytest.raises(anthropic.APIStatusError, match="not ready") as refusal:
        call(claude, model="later")
    assert (refusal.value.status_code, refusal.value.response.headers["retry-after"]) == (503, "5")


@pytest.mark.parametrize(("status", "kind", "name"), [
    (400, anthropic.BadRequestError, "invalid_request_error"), (404, anthropic.NotFoundError, "not_found_error"),
    (429, anthropic.RateLimitError, "rate_limit_error"), (500, anthropic.InternalServerError, "api_error"),
])
@pytest.mark.parametrize("shape", [
    {"type": "error", "error": {"type": "BadRequestError", "message": "the engine's words"}},
    {"error": {"message": "the engine's words", "type": "BadRequestError", "param": None, "code": 400}},
], ids=["vLLM's route", "vLLM's server"])
def test_an_engines_error_gets_anthropics_type(
    claude: anthropic.Anthropic, engine: OpenAIBackend, status: int, kind: type[anthropic.APIStatusError], name: str,
    shape: Any,
) -> None:
    engine.script.status, engine.script.body = status, json.dumps(shape).encode()
    with pytest.raises(kind, match="the engine's words") as refusal:
        call(claude)
    body: Any = refusal.value.body
    assert body["error"]["type"] == name


def test_an_engine_without_messages_is_told_of(claude: anthropic.Anthropic, engine: OpenAIBackend) -> None:
    engine.script.status, engine.script.body = 404, b'{"detail":"Not Found"}'
    with pytest.raises(anthropic.BadRequestError, match=r"does not serve /v1/messages"):
        call(claude)
