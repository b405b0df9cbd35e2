"""What a refusal of AWS means for an endpoint (reliability.md F23), and the calls whose refusal is an answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from clusters.drivers.aws_errors import AwsError, AwsProblem
from endpoints.states import Cause
from endpoints.targets.base import TargetError
from portal.tenancy.fields import SecretUnreadable

# Seconds to leave it alone: a right or a quota does not come by itself, a person brings it.
FORBIDDEN_PAUSE = LIMIT_PAUSE = 300.0
BUSY_PAUSE = 15.0

_CAUSES: dict[AwsProblem, Cause] = {
    AwsProblem.AUTH: Cause.AUTH, AwsProblem.FORBIDDEN: Cause.FORBIDDEN, AwsProblem.THROTTLED: Cause.UNREACHABLE,
    AwsProblem.NOT_FOUND: Cause.LOADING, AwsProblem.TAKEN: Cause.CONFLICT, AwsProblem.LIMIT: Cause.QUOTA,
    AwsProblem.INVALID: Cause.INVALID, AwsProblem.UNREACHABLE: Cause.UNREACHABLE, AwsProblem.OTHER: Cause.ERROR,
}
_PAUSES: dict[AwsProblem, float] = {
    AwsProblem.FORBIDDEN: FORBIDDEN_PAUSE, AwsProblem.LIMIT: LIMIT_PAUSE, AwsProblem.TAKEN: BUSY_PAUSE}
LOOKS = ("list_", "describe_")
# SageMaker refuses what is in the middle of a change like anything that is wrong; only its words tell the two apart.
BUSY = re.compile(r"in[- ]progress|currently being|is being", re.IGNORECASE)


def is_busy(error: AwsError) -> bool:
    """Whether the object is in the middle of a change and takes this one later."""
    return error.problem in (AwsProblem.INVALID, AwsProblem.TAKEN) and BUSY.search(error.message) is not None


def target_error(error: AwsError) -> TargetError:
    """Only what AWS says about this very wish is permanent; everything else is tried again.

    A name that is taken is found out by its tags (making.py), so what is left of TAKEN are two changes at once.
    """
    if is_busy(error):
        return TargetError(Cause.LOADING, error.message, pause=BUSY_PAUSE)
    blind = error.problem is AwsProblem.FORBIDDEN and error.operation.startswith(LOOKS)
    return TargetError(
        _CAUSES[error.problem], error.message, permanent=error.problem is AwsProblem.INVALID,
        of_the_place=error.is_of_the_place or blind, pause=error.retry_after or _PAUSES.get(error.problem, 0.0))


@contextmanager
def told() -> Iterator[None]:
    """Turn what AWS answers into the error of targets."""
    try:
        yield
    except AwsError as error:
        raise target_error(error) from error
    except SecretUnreadable as error:
        raise TargetError(Cause.AUTH, str(error), of_the_place=True) from error


def unless_gone(call: Callable[[], Any]) -> Any:
    """What the call says, or None where there is no such object. Raises AwsError for anything else."""
    try:
        return call()
    except AwsError as error:
        if error.problem is AwsProblem.NOT_FOUND:
            return None
        raise
