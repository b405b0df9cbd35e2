"""Answers: a status, headers and bytes, or a stream of them."""

from __future__ import annotations

import gzip
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.simulators.kubernetes.errors import ApiError

encode = msgspec.json.Encoder().encode
GZIP_BYTES = 128 * 1024
"""Smaller answers are not compressed (the API server's own limit)."""


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None

    def compress(self, accepted: str) -> None:
        if self.stream is None and len(self.body) > GZIP_BYTES and "gzip" in accepted:
            self.body = gzip.compress(self.body, 1)
            self.headers["content-encoding"] = "gzip"

    def pairs(self) -> list[tuple[bytes, bytes]]:
        headers = {"content-type": self.content_type, **self.headers}
        if self.stream is None:
            headers["content-length"] = str(len(self.body))
        found = [(name.encode(), value.encode()) for name, value in headers.items()]
        return found + [(b"warning", f"299 - {quoted(text)}".encode()) for text in self.warnings]


def quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def json_answer(body: Any, status: int = 200, **more: Any) -> Answer:
    return Answer(status, encode(body) + b"\n", **more)


def error_answer(error: ApiError) -> Answer:
    return json_answer(error.body(), error.status, headers=dict(error.headers), warnings=error.warnings)
