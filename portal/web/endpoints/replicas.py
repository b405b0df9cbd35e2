"""Replicas as lines of a table, whatever place they run in. Texts of outside are cleaned where they are read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext as _

from clusters.models import Engine
from clusters.states import COLOURS, HEARTBEAT, Phase
from endpoints.explaining import Evidence, Replica
from portal.tenancy.badges import status_badge
from portal.tenancy.text import clean

# Waiting reasons that no time mends.
BROKEN = ("BackOff", "Error", "Err", "Invalid", "Failed", "Evicted", "OOMKilled")


@dataclass(frozen=True)
class Line:
    """One replica. `number` is the one that its log is asked for by."""

    number: int
    name: str
    badge: SafeString
    revision: int
    node: str
    said: str
    restarts: int
    exit_code: int | None
    since: datetime | None
    is_simulated: bool = False


def of_engines(engines: Iterable[Engine]) -> list[Line]:
    now = timezone.now()
    return [Line(
        engine.index, _("replica %(index)d") % {"index": engine.index}, _engine_badge(engine, now), engine.revision,
        clean(engine.node.name, 253), clean(engine.message, 400), engine.restarts,
        engine.exit_code if engine.phase != Phase.READY else None, engine.phase_since or engine.created_at)
        for engine in engines]


def _engine_badge(engine: Engine, now: datetime) -> SafeString:
    is_old = engine.reported_at is None or now - engine.reported_at > 3 * HEARTBEAT
    ready = engine.phase == Phase.READY
    return status_badge(
        engine.get_phase_display(), "good" if ready else COLOURS.get(engine.phase, "bad"), state="inservice" if ready else "",
        seen=engine.reported_at, stale=engine.phase != Phase.ASSIGNED and is_old)


def of_evidence(seen: Evidence) -> list[Line]:
    return [Line(
        one.index, clean(one.name, 253), _badge(one, seen.looked_at), one.revision, clean(one.node, 253),
        clean(one.unplaced or one.message or one.ended_because, 400), one.restarts, None if one.ready else one.exit_code,
        one.since or one.made_at, one.simulated) for one in seen.replicas]


def _badge(one: Replica, seen: datetime) -> SafeString:
    if one.going:
        return status_badge(_("stopping"), "idle", state="stopping", seen=seen)
    if one.ready:
        return status_badge(_("ready"), "good", state="inservice", seen=seen)
    if one.phase in Phase.values:
        return status_badge(Phase(one.phase).label, COLOURS.get(one.phase, "bad"), seen=seen)
    if one.unplaced:
        return status_badge(_("not placed"), "late", state="stalled", seen=seen)
    word = clean(one.waiting or (one.ended if one.phase == "Failed" else "") or one.phase, 60)
    bad = any(part in word for part in BROKEN)
    return status_badge(word, "bad" if bad else "mean", state="failed" if bad else "creating", seen=seen)
