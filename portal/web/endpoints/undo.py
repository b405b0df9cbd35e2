"""What was done last and can be taken back: kept in the session for a minute, and only while nothing else was wished."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from django.http import HttpResponse
from django.shortcuts import redirect

from endpoints.models import Endpoint

from ..visit import Visit

KEY, SECONDS = "endpoint_undo", 60


@dataclass(frozen=True)
class Undo:
    """A form that takes it back: the page it goes to, and its fields beside the generation."""

    sentence: str
    url: str
    fields: dict[str, Any]


def offer(visit: Visit, row: Endpoint, sentence: str, name: str, **fields: Any) -> None:
    """Offer the way back on the next page. `name` is that of the page that takes the form."""
    visit.request.session[KEY] = {"uid": str(row.uid), "generation": row.generation, "at": time.time(),
                                  "sentence": sentence, "name": name, "fields": fields}


def back(visit: Visit, row: Endpoint) -> HttpResponse:
    """To the endpoint's page, where it is offered."""
    return redirect(visit.url("endpoint", row.uid))


def offered(visit: Visit, row: Endpoint) -> Undo | None:
    """What may be taken back of this endpoint now."""
    kept = visit.request.session.get(KEY)
    if not kept or kept["uid"] != str(row.uid) or kept["generation"] != row.generation:
        return None
    if time.time() - kept["at"] > SECONDS:
        return None
    return Undo(kept["sentence"], visit.url(kept["name"], row.uid), kept["fields"])
