"""OpenAI's JavaScript client, which `make test` installs: the same calls as in Python, in one run of Node."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

from .conftest import MODEL

FOLDER = Path(__file__).parent / "javascript"
WORDS = "word0 word1 word2 word3 word4"


@pytest.fixture
def node() -> str:
    found = shutil.which("node")
    if found is None or not (FOLDER / "node_modules" / "openai").is_dir():
        pytest.skip("the JavaScript client is not installed: scripts/setup --dev --test-servers")
    return found


def calls(node: str, tenant: Tenant, *names: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "GATEWAY": tenant.server.url, "KEY": tenant.key(), "MODEL": MODEL}
    done = subprocess.run([node, "calls.js", *names], cwd=FOLDER, env=environment, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_call(node: str, served: Tenant, engine: OpenAIBackend) -> None:
    assert calls(node, served) == {
        "chat": [WORDS, 12], "stream": [f"{WORDS} ", 0], "streamWithUsage": 5, "responses": [WORDS, 5],
        "streamedResponses": [f"{WORDS} ", "response.completed"], "completion": WORDS, "embedding": [0.25, -0.5, 1.0],
        "transcription": WORDS, "models": [MODEL], "aborted": "word0 ",
        "wrongKey": ["AuthenticationError", 401, "invalid_api_key"],
        "unknownModel": ["NotFoundError", 404, "model_not_found"],
        "badNumber": ["UnprocessableEntityError", 422, "out_of_range"],
    }
    sound = next(seen for seen in engine.requests if seen.path == "/v1/audio/transcriptions")
    assert sound.body["file"] == b"RIFF sound"
    assert {seen.header("authorization") for seen in engine.requests} == {"Bearer engine-token"}


def test_a_cut_stream_and_an_overload_are_told(node: str, served: Tenant, engine: OpenAIBackend) -> None:
    engine.script.cut_after = 2
    assert calls(node, served, "stream", "streamedResponses") == {
        "stream": ["APIError", None, "upstream_interrupted"],
        "streamedResponses": ["APIError", None, "upstream_interrupted"]}
    engine.script.status, engine.script.body = 429, b'{"error":{"message":"slow down","code":"busy"}}'
    assert calls(node, served, "chat") == {"chat": ["RateLimitError", 429, "busy"]}


def test_an_aborted_stream_ends_at_the_engine(node: str, served: Tenant, engine: OpenAIBackend) -> None:
    engine.script.words, engine.script.delay = 1000, 0.02
    assert calls(node, served, "aborted") == {"aborted": "word0 "}
    eventually(lambda: engine.open_requests == 0, 5)
    assert engine.requests[-1].hung_up_at is not None
