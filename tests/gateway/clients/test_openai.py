"""OpenAI's Python client: each route that it has a method for, streaming and not, and each error as its class."""

from __future__ import annotations

import json
from typing import Any

import httpx2 as httpx
import openai
import pytest

from tests.gateway.server import Tenant
from tests.simulators.openai_backend import OpenAIBackend

from .conftest import MODEL

WORDS = "word0 word1 word2 word3 word4"
SOUND = ("speech.wav", b"RIFF\x24\x00\x00\x00WAVEfmt \r\n\r\n--", "audio/wav")


def call(client: openai.OpenAI, **more: Any) -> Any:
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "Hello"}], **more)


def test_responses(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    answer = client.responses.create(model=MODEL, input="Hello", max_output_tokens=50)
    assert answer.output_text == WORDS
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (7, 5)
    assert engine.requests[0].body["store"] is False, "no engine keeps what a tenant said"


def test_streamed_responses(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    events = list(client.responses.create(model=MODEL, input="Hello", stream=True))
    assert [event.type for event in events][:2] == ["response.created", "response.in_progress"]
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta").strip() == WORDS
    assert events[-1].type == "response.completed"


@pytest.mark.parametrize("asked", [{"previous_response_id": "resp_1"}, {"background": True}])
def test_stored_responses_are_refused_in_words(client: openai.OpenAI, engine: OpenAIBackend, asked: Any) -> None:
    with pytest.raises(openai.BadRequestError, match="no answers are kept") as refusal:
        client.responses.create(model=MODEL, input="Hello", **asked)
    assert refusal.value.param == next(iter(asked))
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve("resp_1")
    assert engine.requests == []


def test_a_cut_stream_of_responses_ends_with_an_error(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.cut_after = 5
    with pytest.raises(openai.APIError, match="stopped in the middle"):
        list(client.responses.create(model=MODEL, input="Hello", stream=True))


def test_sounds_become_words(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    answer = client.audio.transcriptions.create(model=MODEL, file=SOUND, temperature=0.2, prompt="a name")
    assert answer.text == WORDS
    seen = engine.requests[0]
    assert seen.path == "/v1/audio/transcriptions"
    assert seen.body == {"model": MODEL, "file": SOUND[1], "temperature": "0.2", "prompt": "a name"}


def test_sounds_become_words_of_another_language(served: Tenant, engine: OpenAIBackend) -> None:
    answer = httpx.post(f"{served.server.url}/v1/audio/translations", data={"model": MODEL}, files={"file": SOUND},
                        headers={"authorization": f"Bearer {served.key()}"})
    assert answer.json() == {"text": WORDS}
    assert [seen.path for seen in engine.requests] == ["/v1/audio/translations"]


def test_streamed_transcription_hides_the_usage_that_was_not_asked_for(
    client: openai.OpenAI, engine: OpenAIBackend,
) -> None:
    chunks: list[Any] = list(client.audio.transcriptions.create(model=MODEL, file=SOUND, stream=True))
    assert engine.requests[0].body["stream_include_usage"] == "true"
    assert [chunk.choices[0]["delta"]["content"].strip() for chunk in chunks] == WORDS.split()
    assert all(not hasattr(chunk, "usage") for chunk in chunks)


@pytest.mark.parametrize(("content_type", "body"), [("text/plain; charset=utf-8", b"Hello"), ("text/vtt", b"WEBVTT\n")])
def test_a_transcription_may_be_a_text(
    client: openai.OpenAI, engine: OpenAIBackend, content_type: str, body: bytes,
) -> None:
    engine.script.body, engine.script.content_type = body, content_type
    answer = client.audio.transcriptions.with_raw_response.create(model=MODEL, file=SOUND, response_format="vtt")
    assert answer.http_response.content == body
    assert answer.headers["content-type"] == content_type.partition(";")[0]
    with pytest.raises(openai.InternalServerError):
        call(client)


def test_words_become_sounds(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    engine.script.body, engine.script.content_type = b"\xff\xfb" * 5000, "audio/mpeg"
    answer = client.audio.speech.create(model=MODEL, voice="alloy", input="Hello")
    assert answer.content == b"\xff\xfb" * 5000
    assert answer.response.headers["content-type"] == "audio/mpeg"


def test_a_form_that_is_no_form_is_refused(served: Tenant, engine: OpenAIBackend) -> None:
    url, headers = f"{served.server.url}/v1/audio/transcriptions", {"authorization": f"Bearer {served.key()}"}
    assert httpx.post(url, json={"model": MODEL}, headers=headers).status_code == 415
    answer = httpx.post(url, content=b"--x--", headers={**headers, "content-type": "multipart/form-data; boundary=x"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_form")
    answer = httpx.post(url, data={"model": "nobody"}, files={"file": SOUND}, headers=headers)
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "model_not_found")
    big = httpx.post(url, data={"model": MODEL}, files={"file": b"x" * 28_000_000}, headers=headers, timeout=30)
    assert (big.status_code, big.json()["error"]["code"]) == (413, "body_too_big")
    assert engine.requests == []


def test_a_long_sound_passes_whole(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    sound = bytes(range(256)) * 8_000
    client.audio.transcriptions.create(model=MODEL, file=("long.mp3", sound, "audio/mpeg"))
    assert engine.requests[0].body["file"] == sound


@pytest.mark.parametrize(("path", "up"), [
    ("/v1/rerank", "/v1/rerank"), ("/v2/rerank", "/v1/rerank"), ("/rerank", "/v1/rerank"), ("/score", "/v1/score"),
    ("/tokenize", "/tokenize"), ("/v1/tokenize", "/tokenize"), ("/v1/detokenize", "/detokenize"),
])
def test_routes_without_a_client(served: Tenant, engine: OpenAIBackend, path: str, up: str) -> None:
    body = {"model": MODEL, "query": "a", "documents": ["b"], "text_1": "a", "text_2": "b", "prompt": "a", "tokens": [1]}
    answer = httpx.post(served.server.url + path, json=body, headers={"authorization": f"Bearer {served.key()}"})
    assert answer.status_code == 200, answer.text
    assert [seen.path for seen in engine.requests] == [up]
    assert httpx.post(served.server.url + path, json=body).status_code == 401


def test_files_elsewhere_are_refused(client: openai.OpenAI, engine: OpenAIBackend) -> None:
    image: Any = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data"}}
    with pytest.raises(openai.UnprocessableEntityError, match="data: URL") as refusal:
        client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [image]}])
    assert refusal.value.code == "media_url_not_permitted"
    assert engine.requests == []
    image["image_url"]["url"] = "data:image/png;base64,iVBORw0KGgo="
    assert client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": [image]}]).choices


@pytest.mark.parametrize(("status", "kind"), [
    (400, openai.BadRequestError), (404, openai.NotFoundError), (422, openai.UnprocessableEntityError),
    (429, openai.RateLimitError), (500, openai.InternalServerError),
])
@pytest.mark.parametrize("shape", [
    {"error": {"message": "the engine's words", "type": "BadRequestError", "param": None, "code": 400}},
    {"object": "error", "message": "the engine's words", "type": "BadRequest", "param": None, "code": 400},
    {"detail": "the engine's words"}, {"error": "the engine's words"},
], ids=["vLLM", "SGLang", "FastAPI", "plain"])
def test_an_engines_error_keeps_its_status_and_its_words(
    client: openai.OpenAI, engine: OpenAIBackend, status: int, kind: type[openai.APIStatusError], shape: Any,
) -> None:
    engine.script.status, engine.script.body = status, json.dumps(shape).encode()
    with pytest.raises(kind, match="the engine's words") as refusal:
        call(client)
    assert isinstance(refusal.value.body, dict)
    assert refusal.value.body["message"] == "the engine's words"


@pytest.mark.parametrize("body", [b'{"detail":"Not Found"}', b'{"error":{"message":"Not Found","code":404}}', b"<html>"])
def test_a_route_that_the_engine_lacks_is_named(client: openai.OpenAI, engine: OpenAIBackend, body: bytes) -> None:
    engine.script.status, engine.script.body = 404, body
    with pytest.raises(openai.BadRequestError, match=r"does not serve /v1/embeddings") as refusal:
        client.embeddings.create(model=MODEL, input="a")
    assert refusal.value.code == "not_supported"


def test_refusals_of_the_gateway_have_their_classes(client: openai.OpenAI, served: Tenant, engine: OpenAIBackend) -> None:
    with pytest.raises(openai.AuthenticationError):
        call(served.client("sk-nobody"))
    with pytest.raises(openai.PermissionDeniedError):
        call(served.client(served.key(scopes=[])))
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=[])
    engine.script.die_before_answer = 9
    with pytest.raises(openai.InternalServerError) as refusal:
        call(client)
    assert refusal.value.status_code == 502
