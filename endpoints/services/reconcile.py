"""One step of one endpoint: take its lease, act on the target, judge what is seen, write once.

No transaction is open while the target works. A worker may die at any line: the lease ends by itself, and
every call outside is find-or-create.
"""

from __future__ import annotations

import logging
from dataclasses import replace

from django.db import DatabaseError

from endpoints.judge import judge
from endpoints.models import Endpoint
from endpoints.states import Wish
from endpoints.targets import target_for
from endpoints.targets.base import Observation, TargetError
from portal.tenancy.errors import Unavailable

from . import lease
from .last_words import keep, last_words
from .specs import row_view, spec_of
from .weights import bind
from .write import write_error, write_problem, write_verdict

log = logging.getLogger(__name__)


def reconcile(endpoint_id: int) -> bool:
    """Take one step; False where another worker holds the row or it is gone."""
    held = lease.take(endpoint_id)
    if held is None:
        return False
    endpoint, late = held
    try:
        _step(endpoint, late=late)
    except TargetError as error:
        write_problem(endpoint, error)
    except (DatabaseError, Unavailable):
        raise  # The lease ends by itself and the sweep comes again; nothing can be written now.
    except Exception as error:  # A bug in one row must not stop the others; it is counted in the row and logged.
        log.exception("reconcile failed", extra={"endpoint": str(endpoint.uid)})
        write_error(endpoint, error)
    finally:
        lease.release(endpoint)
    return True


def _step(endpoint: Endpoint, *, late: bool) -> None:
    seen = _act(endpoint)
    verdict = judge(row_view(endpoint, late=late), seen)
    words = last_words(endpoint, verdict, seen)
    if write_verdict(endpoint, verdict, seen) and words:
        keep(endpoint, words)


def _act(endpoint: Endpoint) -> Observation:
    """Go one step towards the wish, then look. A passing refusal becomes part of what is seen."""
    bind(endpoint)
    target, spec = target_for(endpoint.cluster), spec_of(endpoint)
    problem: TargetError | None = None
    try:
        if endpoint.wish == Wish.RUNNING:
            target.apply(spec)
        else:
            target.remove(spec)
    except TargetError as error:
        if error.permanent or error.of_the_place:
            raise
        problem = error
    seen = target.observe([endpoint.uid]).get(endpoint.uid, Observation())
    if problem is None:
        return seen
    return replace(seen, problem=problem.code, message=problem.message, pause=problem.pause, undone=True)
