"""What a refusal of a cluster means for an endpoint (reliability.md F13-F21)."""

from __future__ import annotations

from django.utils.translation import gettext as _

from clusters.drivers.kube_answers import DENIED, NAMESPACE_MISSING, QUOTA
from clusters.drivers.kube_errors import KubeError, Problem
from endpoints.states import Cause
from endpoints.targets.base import TargetError

# Seconds to leave the place alone: a right or a CRD does not come by itself, a person brings it.
FORBIDDEN_PAUSE, MISSING_PAUSE = 300.0, 60.0

_CAUSES: dict[Problem, Cause] = {
    Problem.AUTH: Cause.AUTH, Problem.TLS: Cause.TLS, Problem.UNREACHABLE: Cause.UNREACHABLE, Problem.BUSY: Cause.UNREACHABLE,
    Problem.FORBIDDEN: Cause.FORBIDDEN, Problem.NO_KIND: Cause.NO_KIND, Problem.NOT_FOUND: Cause.NO_KIND,
    Problem.ENDING: Cause.REFUSED, Problem.EXISTS: Cause.NAME_TAKEN, Problem.CONFLICT: Cause.CONFLICT,
    Problem.INVALID: Cause.INVALID, Problem.GONE: Cause.UNREACHABLE, Problem.TOO_LARGE: Cause.UNREACHABLE,
}
_PAUSES: dict[Problem, float] = {
    Problem.FORBIDDEN: FORBIDDEN_PAUSE, Problem.NO_KIND: MISSING_PAUSE, Problem.CONFLICT: MISSING_PAUSE,
    Problem.ENDING: 10.0,
}


def target_error(error: KubeError) -> TargetError:
    """Only what the cluster says about these very objects is permanent; everything else is tried again."""
    reasons = {fault.reason for fault in error.faults}
    if QUOTA in reasons:
        return TargetError(Cause.QUOTA, error.message, pause=MISSING_PAUSE)
    if DENIED in reasons:
        return TargetError(Cause.POLICY, error.message, permanent=True)
    message = error.message
    if error.problem is Problem.CONFLICT and error.faults:
        owners = ", ".join(sorted({fault.message for fault in error.faults}))
        message = _("%(owners)s changed what the portal keeps: %(fields)s") % {
            "owners": owners, "fields": ", ".join(fault.field for fault in error.faults)}
    return TargetError(
        _CAUSES[error.problem], message, permanent=error.problem in (Problem.INVALID, Problem.EXISTS),
        of_the_place=error.is_of_the_cluster, pause=error.retry_after or _PAUSES.get(error.problem, 0.0))


def misses_namespace(error: KubeError) -> bool:
    return any(fault.reason == NAMESPACE_MISSING for fault in error.faults)
