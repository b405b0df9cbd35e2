"""What stands for a container: a real server at an address, or a small engine of its own."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

# What vLLM's own /invocations does: the body's members say which of its routes is meant.
ROUTES = {"messages": "/v1/chat/completions", "prompt": "/v1/completions", "input": "/v1/embeddings", "documents": "/v1/rerank"}


@dataclass(slots=True)
class Reply:
    status: int
    content_type: str
    pieces: Iterator[bytes]

    def whole(self) -> bytes:
        return b"".join(self.pieces)


@contextmanager
def ask(url: str, body: bytes, headers: dict[str, str], timeout: float) -> Iterator[Reply]:
    """Posts to the container at `url`, as /invocations of vLLM's image goes on to the route that the body is for.

    :raises OSError: it isn't there, or says nothing for so many seconds.
    """
    if not url:
        yield _own_reply(_object(body))
        return
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=timeout)
    try:
        connection.request("POST", parts.path.rstrip("/") + _route(_object(body)), body, headers)
        response = connection.getresponse()
        yield Reply(response.status, response.getheader("content-type", "application/json"), _pieces(response))
    finally:
        connection.close()


def _pieces(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """As they come, not when they are complete."""
    while piece := response.read1(65536):
        yield piece


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _route(body: dict[str, Any]) -> str:
    return next((route for member, route in ROUTES.items() if member in body), "/invocations")


def _own_reply(body: dict[str, Any]) -> Reply:
    """Enough of an engine for a test that only asks whether one is there."""
    model, usage = body.get("model", "model"), {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
    if body.get("stream"):
        return Reply(200, "text/event-stream", iter(_events(model, usage)))
    choice = {"index": 0, "message": {"role": "assistant", "content": "hello there"}, "finish_reason": "stop"}
    answer = {"id": "own-1", "object": "chat.completion", "created": 1, "model": model, "choices": [choice], "usage": usage}
    return Reply(200, "application/json", iter([json.dumps(answer).encode()]))


def _events(model: str, usage: dict[str, int]) -> list[bytes]:
    base = {"id": "own-1", "object": "chat.completion.chunk", "created": 1, "model": model}
    words: list[Any] = [{**base, "choices": [{"index": 0, "delta": {"content": word}, "finish_reason": None}]}
                        for word in ("hello ", "there")]  # fmt: skip
    return [f"data: {json.dumps(each)}\n\n".encode() for each in [*words, {**base, "choices": [], "usage": usage}]] + [
        b"data: [DONE]\n\n"]  # fmt: skip
