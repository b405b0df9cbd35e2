"""What a replica wrote before it failed, kept in the history: a pod and its log may be gone when somebody looks."""

from __future__ import annotations

from django.db import DatabaseError

from endpoints.judge import Verdict
from endpoints.models import Endpoint, Event
from endpoints.states import NEEDS_PERSON, Status
from endpoints.targets.base import Observation
from portal.tenancy.errors import Unavailable
from portal.tenancy.text import clean

from .explain import LAST_WORDS, logs

LINES = 30
CHARS = 1000
BAD = NEEDS_PERSON | {Status.DEGRADED}


def last_words(endpoint: Endpoint, verdict: Verdict, seen: Observation) -> str:
    """The last lines of the replica that broke, asked for once, when the row is about to turn bad; "" if there are none."""
    turns_bad = verdict.failed or (verdict.status in BAD and endpoint.status not in BAD)
    broken = next((replica for replica in seen.replicas if replica.broken), None)
    if not turns_bad or broken is None:
        return ""
    try:
        said = logs(endpoint, replica=broken.index, previous=True, lines=LINES)
        return clean((said or logs(endpoint, replica=broken.index, lines=LINES)).strip(), CHARS)
    except Unavailable:
        return ""  # The verdict stands without them.


def keep(endpoint: Endpoint, words: str) -> None:
    """Write them into the history; a database that is away loses them, and nothing else."""
    try:
        Event.objects.create(endpoint=endpoint, kind=LAST_WORDS, message=words, actor_label="portal",
                             generation=endpoint.generation)
    except DatabaseError:
        return
