"""What each door books: the tokens that the engine told in its own way, streaming and not."""

from __future__ import annotations

from typing import Any

import httpx2 as httpx

from endpoints.gateway.doors import DOORS
from endpoints.gateway.limits.estimate import prompt_estimate
from endpoints.models import UsageHour
from tests.gateway.server import Tenant, eventually
from tests.simulators.openai_backend import OpenAIBackend

from .conftest import MODEL

Booked = tuple[int, int, int, int, int]  # requests, partial, tokens of prompts, of answers, from the cache

WRITES, READS, COUNTS = (1, 0, 7, 5, 0), (1, 0, 7, 0, 0), (1, 0, 0, 0, 0)
NOTHING_TOLD = (1, 1, prompt_estimate(len(MODEL)), 0, 0)  # by the form's text: of the file nobody knows
# Door → what one whole answer books, what one stream books.
EXPECTED: dict[str, tuple[Booked, Booked | None]] = {
    "/v1/chat/completions": (WRITES, WRITES), "/v1/completions": (WRITES, WRITES), "/v1/embeddings": (READS, None),
    "/v1/responses": ((1, 0, 7, 5, 3), (1, 0, 7, 5, 3)), "/v1/messages": (WRITES, WRITES),
    "/v1/rerank": (READS, None), "/v2/rerank": (READS, None), "/rerank": (READS, None),
    "/v1/score": (READS, None), "/score": (READS, None), "/v1/messages/count_tokens": (COUNTS, None),
    "/tokenize": (COUNTS, None), "/v1/tokenize": (COUNTS, None), "/detokenize": (COUNTS, None),
    "/v1/detokenize": (COUNTS, None),
    "/v1/audio/transcriptions": (COUNTS, WRITES),  # a whole one tells seconds, a stream tokens
    "/v1/audio/translations": (NOTHING_TOLD, WRITES),
}


def call(tenant: Tenant, key: str, path: str, *, stream: bool) -> None:
    url, headers = tenant.server.url + path, {"x-api-key": key}
    fields: dict[str, Any] = {"model": MODEL, **({"stream": True} if stream else {})}
    if DOORS[path].is_form:
        answer = httpx.post(url, headers=headers, data=fields, files={"file": b"RIFF"})
    else:
        answer = httpx.post(url, headers=headers, json={**fields, "messages": [], "max_tokens": 50})
    assert answer.status_code == 200, f"{path}: {answer.text}"
    assert answer.headers["content-type"].startswith("text/event-stream" if stream else "application/json")


def booked(tenant: Tenant) -> dict[str, Booked]:
    names = {door.number: door.path for door in DOORS.values()}
    rows = UsageHour.objects.filter(workspace_id=tenant.workspace.pk, refused=0).values_list(
        "door", "requests", "partial", "prompt_tokens", "completion_tokens", "cached_tokens")
    found: dict[str, Booked] = {}
    for door, *counts in rows:
        old = found.get(names[door], (0, 0, 0, 0, 0))
        found[names[door]] = tuple(a + b for a, b in zip(old, counts, strict=True))  # type: ignore[assignment]
    return found


def test_a_number_in_the_records_is_one_door() -> None:
    assert len({door.number for door in DOORS.values()}) == len(DOORS)


def test_every_door_books_what_its_engine_told(served: Tenant, engine: OpenAIBackend) -> None:
    assert set(EXPECTED) == {door.path for door in DOORS.values()} - {"/v1/audio/speech"}  # which answers no JSON
    key = served.key()
    total: dict[str, Booked] = {}
    for path, (whole, streamed) in EXPECTED.items():
        call(served, key, path, stream=False)
        if streamed is not None:
            call(served, key, path, stream=True)
        total[path] = tuple(a + b for a, b in zip(whole, streamed or (0,) * 5, strict=True))  # type: ignore[assignment]
    eventually(lambda: sum(counts[0] for counts in booked(served).values()) == sum(row[0] for row in total.values()), 20)
    assert booked(served) == total
