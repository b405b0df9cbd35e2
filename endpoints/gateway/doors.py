"""The routes that lead to engines, and in what they differ."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Door:
    """A route to the engines. `has_usage_option`: a stream tells its usage only when asked; it ends with [DONE]."""

    path: str
    has_usage_option: bool = False


DOORS = {door.path: door for door in (
    Door("/v1/chat/completions", has_usage_option=True), Door("/v1/completions", has_usage_option=True),
    Door("/v1/embeddings"), Door("/v1/responses"), Door("/v1/rerank"), Door("/v1/score"),
)}
