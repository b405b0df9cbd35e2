"""What places still have of endpoints that are gone: told first, and taken away when it is seen again after an hour."""

from __future__ import annotations

import logging
from datetime import timedelta
from uuid import UUID

from clusters.models import Cluster
from clusters.states import ClusterKind
from endpoints.models import Endpoint
from endpoints.targets import target_for
from endpoints.targets.base import Collected, Collects
from portal.tenancy.models import AuditEntry
from portal.tenancy.queue import after_commit

log = logging.getLogger(__name__)
GRACE = timedelta(hours=1)


def ring_for_leftovers() -> int:
    """Have every place looked at where things can be left over; how many places."""
    places = list(Cluster.objects.filter(kind=ClusterKind.SAGEMAKER).values_list("pk", flat=True))
    for pk in places:
        after_commit("endpoints.tasks.collect_leftovers", pk)
    return len(places)


def collect_leftovers(cluster: Cluster, grace: timedelta = GRACE) -> Collected:
    """One pass over a place. `grace` is the time between first and second sighting; zero asks for none.

    Raises TargetError where the place can't be asked: then nothing was done.
    """
    target = target_for(cluster)
    if not isinstance(target, Collects):
        return Collected()
    found = target.collect(_known, _knew, grace)
    if found.told or found.deleted:
        log.warning("left over", extra={"place": cluster.name, "told": found.told, "deleted": found.deleted})
    return found


def _known() -> list[UUID]:
    """Endpoints that have a row, and those that somebody forgot with their place: nothing of theirs is deleted."""
    rows = list(Endpoint.objects.values_list("uid", flat=True))
    forgotten = AuditEntry.objects.filter(verb="forget", kind=Endpoint._meta.label_lower) if rows else ()
    return [*rows, *(UUID(entry.object_uid) for entry in forgotten)]


def _knew(uid: UUID) -> bool:
    """Whether this database ever had it. One that was restored from before does not know what runs since: that stays."""
    made = AuditEntry.objects.filter(verb="create", kind=Endpoint._meta.label_lower)
    return made.filter(object_uid=str(uid)).exists()
