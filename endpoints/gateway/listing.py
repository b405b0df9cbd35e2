"""GET /v1/models: one answer that the clients of OpenAI and of Anthropic both read, each its own fields of it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

import msgspec

from .snapshot import Route


def models_of(routes: Sequence[Route]) -> bytes:
    """All models at once: a workspace has few enough."""
    names = [route.public_name for route in routes]
    return msgspec.json.encode({
        "object": "list", "data": [_fields(route) for route in routes],
        "first_id": names[0] if names else None, "last_id": names[-1] if names else None, "has_more": False})


def model_of(route: Route) -> bytes:
    return msgspec.json.encode(_fields(route))


def _fields(route: Route) -> dict[str, object]:
    created_at = datetime.fromtimestamp(route.created, UTC).isoformat().replace("+00:00", "Z")
    return {"id": route.public_name, "object": "model", "created": route.created, "owned_by": "inference-portal",
            "ready": route.is_ready, "type": "model", "display_name": route.public_name, "created_at": created_at}
