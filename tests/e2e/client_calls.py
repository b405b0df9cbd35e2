"""What programs' clients get from real engines through the gateway: every route that a tiny model can answer."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import anthropic
import httpx2 as httpx
import openai
import pytest

JAVASCRIPT = Path(__file__).resolve().parents[1] / "gateway" / "clients" / "javascript"
HELLO: Any = [{"role": "user", "content": "hello hello"}]
SHORT = 12  # tokens


def check_clients(url: str, key: str, chat: str, embedding: str) -> None:
    """Raises AssertionError, or what a client raises. The models' words are noise; their shapes are not."""
    with openai.OpenAI(api_key=key, base_url=f"{url}/v1", max_retries=0) as client:
        check_openai(client, chat, embedding)
        check_errors(client, chat, embedding)
    with anthropic.Anthropic(api_key=key, base_url=url, max_retries=0) as claude:
        check_anthropic(claude, chat)
    check_plain(url, key, chat, embedding)
    check_javascript(url, key, chat)


def check_openai(client: openai.OpenAI, chat: str, embedding: str) -> None:
    assert {chat, embedding} <= {model.id for model in client.models.list()}
    more: Any = {"model": chat, "messages": HELLO, "max_tokens": SHORT, "seed": 7, "extra_body": {"min_tokens": SHORT}}
    whole = client.chat.completions.create(**more)
    assert whole.model == chat
    assert whole.usage is not None
    assert whole.usage.completion_tokens == SHORT
    chunks = list(client.chat.completions.create(**more, stream=True))
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == whole.choices[0].message.content
    last = list(client.chat.completions.create(**more, stream=True, stream_options={"include_usage": True}))[-1]
    assert last.usage == whole.usage
    assert client.completions.create(model=chat, prompt="a", max_tokens=SHORT).usage
    vectors = client.embeddings.create(model=embedding, input=["A man is eating food.", "The stock market crashed."])
    assert [len(row.embedding) for row in vectors.data] == [384, 384]
    assert vectors.usage.prompt_tokens > 0
    check_responses(client, chat)


def check_responses(client: openai.OpenAI, chat: str) -> None:
    whole = client.responses.create(model=chat, input="hello", max_output_tokens=SHORT)
    assert whole.usage is not None
    assert 0 < whole.usage.output_tokens <= SHORT
    events = list(client.responses.create(model=chat, input="hello", max_output_tokens=SHORT, stream=True))
    assert any(event.type == "response.output_text.delta" for event in events)
    last = events[-1]
    assert last.type in ("response.completed", "response.incomplete")
    assert last.response.usage is not None


def check_errors(client: openai.OpenAI, chat: str, embedding: str) -> None:
    with pytest.raises(openai.AuthenticationError):
        client.with_options(api_key="sk-nobody").models.list()
    with pytest.raises(openai.NotFoundError):
        client.chat.completions.create(model="nobody", messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="max_model_len"):
        client.chat.completions.create(model=chat, messages=HELLO, max_tokens=100_000)
    with pytest.raises(openai.BadRequestError, match="does not serve /v1/chat/completions"):
        client.chat.completions.create(model=embedding, messages=HELLO)
    with pytest.raises(openai.BadRequestError, match="does not serve /v1/audio/transcriptions"):
        client.audio.transcriptions.create(model=chat, file=("a.wav", b"RIFF", "audio/wav"))


def check_anthropic(claude: anthropic.Anthropic, chat: str) -> None:
    more: Any = {"model": chat, "messages": HELLO, "max_tokens": SHORT, "extra_body": {"temperature": 0}}
    whole = claude.messages.create(**more)
    assert whole.type == "message"
    assert 0 < whole.usage.output_tokens <= SHORT
    assert claude.messages.count_tokens(model=chat, messages=HELLO).input_tokens == whole.usage.input_tokens
    with claude.messages.stream(**more) as stream:
        streamed = stream.get_final_message()
    assert (streamed.usage, streamed.stop_reason) == (whole.usage, whole.stop_reason)
    assert words_of(streamed) == words_of(whole)
    with pytest.raises(anthropic.BadRequestError, match="thinking"):
        claude.messages.create(**{**more, "thinking": {"type": "enabled", "budget_tokens": 1024}})


def words_of(message: anthropic.types.Message) -> str:
    return "".join(block.text for block in message.content if block.type == "text")


def check_plain(url: str, key: str, chat: str, embedding: str) -> None:
    """Routes for which there is no client."""
    def post(path: str, **body: Any) -> Any:
        answer = httpx.post(url + path, json=body, headers={"authorization": f"Bearer {key}"}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    tokens = post("/tokenize", model=chat, prompt="hello hello")["tokens"]
    assert post("/v1/detokenize", model=chat, tokens=tokens)["prompt"] == "hello hello"
    pair = {"text_1": "A man is eating food.", "text_2": ["Someone is having a meal.", "The stock market crashed."]}
    close, far = (row["score"] for row in post("/v1/score", model=embedding, **pair)["data"])
    assert close > far + 0.3
    for path in ("/v1/rerank", "/v2/rerank"):
        ranked = post(path, model=embedding, query=pair["text_1"], documents=pair["text_2"])
        assert ranked["results"][0]["index"] == 0
        assert ranked["usage"]["total_tokens"] > 0


def check_javascript(url: str, key: str, chat: str) -> None:
    node = shutil.which("node")
    if node is None or not (JAVASCRIPT / "node_modules").is_dir():
        return
    names = ("chat", "stream", "streamWithUsage", "responses", "streamedResponses", "completion")
    done = subprocess.run(
        [node, "calls.js", *names], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=120, check=True,
        env={"PATH": os.environ["PATH"], "GATEWAY": url, "KEY": key, "MODEL": chat})
    told = json.loads(done.stdout)
    assert told["chat"][1] > 0, told
    assert told["stream"][1] == 0, told
    assert told["streamWithUsage"] > 0, told
    assert told["streamedResponses"][1] in ("response.completed", "response.incomplete"), told
    assert isinstance(told["completion"], str), told
