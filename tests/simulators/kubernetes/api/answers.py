"""Answers: a status, headers and bytes, or a stream of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.simulators.kubernetes.errors import ApiError

_encode = msgspec.json.Encoder().encode


@dataclass(slots=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    stream: AsyncIterator[bytes] | None = None


def json_answer(body: Any, status: int = 200, **more: Any) -> Answer:
    return Answer(status, _encode(body) + b"\n", **more)


def error_answer(error: ApiError) -> Answer:
    return json_answer(error.body(), error.status, headers=dict(error.headers))
