"""Reads that ask the place itself: why is it not ready, what runs, what would change, what did it write."""

from __future__ import annotations

from dataclasses import replace

from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.explaining import Evidence, Explanation, Trouble, explanation
from endpoints.models import Endpoint, Event
from endpoints.states import Cause, Status, Wish
from endpoints.targets import target_for
from endpoints.targets.base import LOG_CHARS, LOG_LINES, TargetError
from portal.tenancy.errors import Unavailable
from portal.tenancy.text import clean

from .specs import spec_of

MOST_LINES = 2000
# The kind of event that keeps what a replica wrote before it failed.
LAST_WORDS = "log"
# What a step of ours met and wrote into the row; the place itself shows no trace of it.
OF_OUR_STEP = frozenset({
    Cause.NO_ROOM, Cause.REFUSED, Cause.NAME_TAKEN, Cause.QUOTA, Cause.INVALID, Cause.FORBIDDEN, Cause.NO_KIND,
    Cause.CONFLICT, Cause.CONTESTED, Cause.NOT_LOADED, Cause.POLICY, Cause.ENDING, Cause.ERROR,
})


def explain(endpoint: Endpoint) -> Explanation:
    """Why it is as it is. A place that can't be asked is the answer then, not an error."""
    return explanation(evidence(endpoint))


def evidence(endpoint: Endpoint, *, deep: bool = True) -> Evidence:
    """What the place shows and what our own steps met. `deep` reads logs and the objects around the replicas, too."""
    wanted = endpoint.replicas_now if endpoint.wish == Wish.RUNNING else 0
    try:
        spec = replace(spec_of(endpoint), replicas=wanted)
        seen = target_for(endpoint.cluster).evidence(spec, deep=deep)
    except TargetError as error:
        seen = Evidence(wanted, timezone.now(), troubles=(_of_the_place(error, endpoint),))
    words = _last_words(endpoint)
    ours = [trouble for trouble in _of_our_steps(endpoint) if not _is_shown(trouble, seen)]
    return replace(seen, troubles=tuple(dict.fromkeys((*seen.troubles, *ours))),
                   kept_log=clean(words.message, LOG_CHARS) if words else "", kept_at=words.at if words else None)


def _of_the_place(error: TargetError, endpoint: Endpoint) -> Trouble:
    return Trouble(error.code, clean(error.message, 1000), endpoint.cluster.seen_at)


def _is_shown(trouble: Trouble, seen: Evidence) -> bool:
    """Whether the place says it itself, of its own parts: then it is nothing that a step of ours met."""
    said = {*(each.message for each in seen.conditions), *(each.message for each in seen.replicas)}
    return any(message in trouble.message for message in said if message)


def _last_words(endpoint: Endpoint) -> Event | None:
    """What was kept since the wish of now was made, of a replica that may be gone."""
    if endpoint.status in (Status.INSERVICE, Status.STOPPED):
        return None
    mine = Event.objects.filter(endpoint=endpoint, kind=LAST_WORDS, generation=endpoint.generation)
    return mine.order_by("-id").first()


def _of_our_steps(endpoint: Endpoint) -> list[Trouble]:
    """A refusal that ended the attempt, or the last thing that a step stumbled over."""
    if endpoint.status == Status.INSERVICE:
        return []
    if endpoint.cause in OF_OUR_STEP and endpoint.message:
        return [Trouble(Cause(endpoint.cause), clean(endpoint.message, 1000), endpoint.status_since)]
    if not endpoint.attempts or not endpoint.last_error:
        return []
    last = Event.objects.filter(endpoint=endpoint, kind="error").order_by("-id").first()
    return [Trouble(Cause(last.cause if last and last.cause in set(Cause) else Cause.ERROR),
                    clean(endpoint.last_error, 1000), last.at if last else None)]


def logs(endpoint: Endpoint, *, replica: int = 0, previous: bool = False, lines: int = LOG_LINES) -> str:
    """The last lines of one replica, cleaned. Raises Unavailable where the place can't be asked."""
    try:
        spec = spec_of(endpoint)
        said = target_for(endpoint.cluster).logs(spec, replica=replica, previous=previous, lines=min(lines, MOST_LINES))
    except TargetError as error:
        raise _unavailable(error) from error
    return clean(said, LOG_CHARS)


def _unavailable(error: TargetError) -> Unavailable:
    return Unavailable(_("The place can't be asked: %(why)s") % {"why": clean(error.message, 300)})
