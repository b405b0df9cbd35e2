"""Changes that were made outside the portal: found, told with their maker's name, and put back, accepted or ignored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from django.db.models import F
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from clusters.models import Cluster
from clusters.states import KUBERNETES_KINDS, ClusterKind
from endpoints.models import Endpoint, Event
from endpoints.planning.paths import IGNORED, REPLICAS
from endpoints.states import ENDS_AN_ATTEMPT, MAX_CORRECTIONS, SERVING, Cause, DriftPolicy, Status, Wish
from endpoints.targets import target_for
from endpoints.targets.base import FieldChange, FindsDrift, Spec, TargetError
from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict, Unavailable
from portal.tenancy.queue import after_commit
from portal.tenancy.roles import Verb
from portal.tenancy.text import clean

from .specs import spec_of
from .wishes import checked_replicas, rewish

RELATED = ("workspace", "cluster", "wanted__profile__artifact", "wanted__profile__release", "serving__profile__artifact",
           "serving__profile__release")
MOST_KEPT = 50
# Kinds of places whose objects others can change as well.
CHANGED_BY_OTHERS = KUBERNETES_KINDS | {ClusterKind.SAGEMAKER}


def ring_for_drift() -> int:
    """Have every place looked at that others can change as well; how many places."""
    places = list(Endpoint.objects.filter(cluster__kind__in=CHANGED_BY_OTHERS, wish=Wish.RUNNING).order_by()
                  .values_list("cluster_id", flat=True).distinct())
    for pk in places:
        after_commit("endpoints.tasks.find_drift", pk)
    return len(places)


def find_drift(cluster: Cluster) -> int:
    """Look at every endpoint of a place that serves; how many differ from what they should be. A failed look says nothing,
    and what the place has refused differs by nobody's doing.
    """
    rows = {row.uid: row for row in Endpoint.objects.filter(
        cluster=cluster, wish=Wish.RUNNING, status__in=SERVING, observed_generation=F("generation"),
    ).exclude(status=Status.DEGRADED, cause__in=ENDS_AN_ATTEMPT).select_related(*RELATED)}
    target = target_for(cluster)
    if not rows or not isinstance(target, FindsDrift):
        return 0
    specs = {uid: spec for uid, row in rows.items() if (spec := _spec_or_none(row)) is not None}
    found = target.find_drift(specs.values())
    for uid, changes in found.items():
        row = rows[uid]
        if _note(row, changes) and row.drift_policy == DriftPolicy.CORRECT:
            _correct(row, target, specs[uid], changes)
    return sum(map(bool, found.values()))


def _spec_or_none(row: Endpoint) -> Spec | None:
    """None where it can't be made, such as with a secret that nobody can read: the row's own step says so."""
    try:
        return spec_of(row)
    except TargetError:
        return None


@retry_tx
def _note(row: Endpoint, changes: Sequence[FieldChange]) -> bool:
    """Write down what differs; whether anything does. An unchanged finding keeps its time and makes no event."""
    since = {(known["object"], known["path"]): known["since"] for known in row.drift}
    now = timezone.now().isoformat()
    seen = [{**_plain(change), "since": since.get((change.object, change.path), now)} for change in changes[:MOST_KEPT]]
    if seen != row.drift:
        Endpoint.objects.filter(pk=row.pk, generation=row.generation).update(drift=seen)
        if {(each["object"], each["path"]) for each in seen} - set(since):
            _event(row, "drift", told(changes))
        row.drift = seen
    return bool(seen)


def _plain(change: FieldChange) -> dict[str, Any]:
    """As kept in the row: outside text is cleaned, and a long value is cut."""
    values = asdict(change)
    for name in ("before", "after"):
        if isinstance(values[name], str):
            values[name] = clean(values[name], 500)
    return {**values, "manager": clean(change.manager, 100), "path": clean(change.path, 300)}


def told(changes: Sequence[FieldChange]) -> str:
    """One sentence: who changed what."""
    managers = ", ".join(sorted({clean(change.manager, 60) for change in changes if change.manager})) or _("Somebody")
    fields = ", ".join(clean(f"{change.object} {change.path}".strip(), 150) for change in changes[:3])
    more = len(changes) - 3
    rest = ngettext(" and %(n)d more field", " and %(n)d more fields", more) % {"n": more} if more > 0 else ""
    return _("%(who)s changed outside the portal: %(fields)s%(rest)s.") % {"who": managers, "fields": fields, "rest": rest}


def _correct(row: Endpoint, target: FindsDrift, spec: Spec, changes: Sequence[FieldChange]) -> None:
    """Put it back, three times at most: after that somebody fights, and a person decides."""
    if row.corrections >= MAX_CORRECTIONS:
        return
    try:
        target.put_back(spec, changes)
    except TargetError as error:
        _event(row, "error", clean(error.message, 1000), error.code)
        return
    _count(row)


@retry_tx
def _count(row: Endpoint) -> None:
    Endpoint.objects.filter(pk=row.pk).update(corrections=F("corrections") + 1)
    row.corrections += 1
    if row.corrections >= MAX_CORRECTIONS:
        _event(row, "drift", _("Put back for the %(n)d. time. If it is changed again, it stays: decide what is right.") % {
            "n": row.corrections}, Cause.CONTESTED)
    else:
        _event(row, "drift", _("Put back what was changed outside the portal."))


def _event(row: Endpoint, kind: str, message: str, cause: str = "") -> None:
    Event.objects.create(endpoint=row, kind=kind, was=row.status, now=row.status, cause=cause, message=clean(message, 1000),
                         actor_label="portal", generation=row.generation)


def put_back(actor: Actor, endpoint: Endpoint) -> None:
    """Make it as the portal keeps it, now. Raises NotAllowed, Conflict where nothing differs, Unavailable."""
    changes = _require_drift(actor, endpoint)
    target = target_for(endpoint.cluster)
    assert isinstance(target, FindsDrift), "only such a place finds drift"
    try:
        target.put_back(spec_of(endpoint), changes)
    except TargetError as error:
        raise Unavailable(_("It can't be put back: %(why)s") % {"why": clean(error.message, 300)}) from error
    _settle(actor, endpoint)


@retry_tx
def _settle(actor: Actor, endpoint: Endpoint) -> None:
    before = {"drift": endpoint.drift}
    Endpoint.objects.filter(pk=endpoint.pk).update(drift=[], corrections=0)
    audit.record(actor, "put back", endpoint, workspace=endpoint.workspace, before=before, after={"drift": []})


def accept(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Take what is there as the new truth: from now on the portal keeps it so."""
    changes = _require_drift(actor, endpoint)
    if any(not change.path for change in changes):
        raise Conflict(_("An object that is gone can't be the new truth: put it back, or delete the endpoint."))
    taken = [FieldChange(c.object, c.path, c.after, c.before, c.manager) for c in changes]
    counts = [checked_replicas(change.before) for change in changes if change.path == REPLICAS]
    return _take(actor, endpoint, taken, "accept drift", _("Changes made outside the portal were accepted."),
                 **({"replicas": counts[0]} if counts else {}))


def ignore(actor: Actor, endpoint: Endpoint) -> Endpoint:
    """Leave these fields to whoever writes them: the portal stops sending them. Raises Conflict for the replicas."""
    changes = _require_drift(actor, endpoint)
    if any(change.path == REPLICAS for change in changes):
        raise Conflict(_("The number of replicas has one owner: put it back, accept it, or let an autoscaler choose it."))
    taken = [replace(change, manager=IGNORED) for change in changes if change.path]
    return _take(actor, endpoint, taken, "ignore drift", _("Fields that others change are left to them."))


def _take(
    actor: Actor, endpoint: Endpoint, taken: Sequence[FieldChange], verb: str, message: str, **fields: Any,
) -> Endpoint:
    kept = {(known["object"], known["path"]): known for known in endpoint.accepted}
    kept |= {(change.object, change.path): asdict(change) for change in taken}
    return rewish(actor, endpoint, verb, message, accepted=list(kept.values()), drift=[], corrections=0, **fields)


def _require_drift(actor: Actor, endpoint: Endpoint) -> list[FieldChange]:
    actor.require(Verb.DEPLOY, endpoint.workspace)
    if not endpoint.drift:
        raise Conflict(_("%(name)s is as the portal keeps it.") % {"name": endpoint.name}, code="no_change")
    return [FieldChange(**{key: value for key, value in known.items() if key != "since"}) for known in endpoint.drift]
