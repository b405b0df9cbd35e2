"""One report of an agent against the rows: lease, inventory, engines; and what should run there."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Case, F, Value, When
from django.db.models.functions import Now
from django.utils.translation import gettext as _

from clusters.agent.messages import MAX_ANSWER, EngineOrder, EngineReport, Orders, Sync, decode, encode
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Conflict
from portal.tenancy.fields import SecretUnreadable
from portal.tenancy.queue import after_commit
from portal.tenancy.text import clean

from .. import states
from ..models import Engine, Host, Node
from ..states import EngineCause, HostState, Phase
from .inventory import write_inventory

log = logging.getLogger(__name__)
# What a report may change of an engine; the wish (stop, launch, claims) is never among it.
REPORTED = ("phase", "message", "cause", "pid", "port", "restarts", "exit_code")
LOGS = ("log", "previous_log")
LOOK_AT = "endpoints.tasks.look_at"


class Superseded(Conflict):
    """The host's lease was given up meanwhile; `epoch` is the new one."""

    code = "superseded"

    def __init__(self, epoch: int) -> None:
        super().__init__(_("This host was lost meanwhile: engines that are not in the new orders must stop."))
        self.epoch = epoch


@dataclass(frozen=True)
class Change:
    engine: Engine
    moved: bool


@retry_tx
def sync(host: Host, message: Sync) -> Orders:
    """Take a host's report and renew its lease, in one transaction. Raises Superseded."""
    _renew(host, message)
    if message.inventory is not None:
        write_inventory(host.node, message.inventory)
    reports = {report.uid: report for report in message.engines}
    # Logs are long and rarely new: neither read nor written without need.
    with_logs = any(report.log is not None or report.previous_log is not None for report in message.engines)
    rows = Engine.objects.filter(node_id=host.node_id)
    engines = list(rows if with_logs else rows.defer(*LOGS))
    _log_strangers(host, engines, reports)
    _write(engines, reports, REPORTED + LOGS if with_logs else REPORTED)
    _forget_ended(engines, reports)
    return _orders(host, [engine for engine in engines if not engine.stop], message.epoch)


def _renew(host: Host, message: Sync) -> None:
    """Renew the lease by the database's clock, if the report is of the current epoch."""
    values: dict[str, Any] = {"seen_at": Now(), "lease_until": Now() + states.LEASE}
    if host.state == HostState.LOST:
        values["state"] = Case(When(draining=True, then=Value(HostState.DRAINING)), default=Value(HostState.READY))
        Node.objects.filter(pk=host.node_id).update(ready=True)
        log.warning("lost host is back", extra={"host": str(host)})
    told: dict[str, Any] = {
        "agent_version": clean(message.agent_version, 32),
        "conditions": [{"type": clean(c.type, 64), "message": clean(c.message, 1000)} for c in message.conditions],
    }
    if message.inventory is not None:
        told["releases"] = [clean(name, 64) for name in message.inventory.releases]
    values |= {name: value for name, value in told.items() if getattr(host, name) != value}
    if not Host.objects.filter(pk=host.pk, lease_epoch=message.epoch).update(**values):
        raise Superseded(Host.objects.values_list("lease_epoch", flat=True).get(pk=host.pk))


def _log_strangers(host: Host, engines: Sequence[Engine], reports: dict[str, EngineReport]) -> None:
    """An engine of another host, or of none, is nobody's business here: no answer tells whether it exists."""
    strangers = reports.keys() - {str(engine.uid) for engine in engines}
    if strangers:
        log.info("report of engines that are not this host's", extra={"host": str(host), "engines": len(strangers)})


def _write(engines: Sequence[Engine], reports: dict[str, EngineReport], fields: Sequence[str]) -> None:
    """Write what changed in one statement, and ring for each endpoint whose engine moved."""
    changes = [change for engine in engines if (change := _changed(engine, reports.get(str(engine.uid))))]
    if changes:
        Engine.objects.bulk_update([change.engine for change in changes], fields)
    moved = [change.engine for change in changes if change.moved]
    if moved:
        Engine.objects.filter(pk__in=[engine.pk for engine in moved]).update(phase_since=Now())
    if engines:
        Engine.objects.filter(pk__in=[engine.pk for engine in engines]).update(reported_at=Now())
    for engine in moved:
        after_commit(LOOK_AT, str(engine.endpoint_uid))


def _changed(engine: Engine, report: EngineReport | None) -> Change | None:
    """Put the report's values on the row; None where all are there already."""
    values = _values(engine, report)
    if all(getattr(engine, name) == value for name, value in values.items()):
        return None
    moved = any(getattr(engine, name) != values.get(name, getattr(engine, name)) for name in ("phase", "port"))
    for name, value in values.items():
        setattr(engine, name, value)
    return Change(engine, moved)


def _values(engine: Engine, report: EngineReport | None) -> dict[str, Any]:
    if report is None:  # the agent doesn't know it (yet, or any more): it doesn't run
        never_sent = engine.stop or engine.cause == EngineCause.BAD_ORDER
        return {} if never_sent else {"phase": Phase.ASSIGNED, "pid": None, "port": None}
    values: dict[str, Any] = {
        "phase": report.phase if report.phase in AGENT_PHASES else Phase.STARTING,
        "message": clean(report.message, 1000), "cause": _known_cause(report.cause), "pid": report.pid,
        "port": report.port, "restarts": report.restarts, "exit_code": report.exit_code,
    }
    logs = {"log": report.log, "previous_log": report.previous_log}
    return values | {name: clean(text, 16_000) for name, text in logs.items() if text is not None}


def _known_cause(code: str) -> str:
    """A newer agent may know more causes than we do; its sentence still tells."""
    return code if code in EngineCause.values or not code else EngineCause.ERROR.value


AGENT_PHASES = frozenset(Phase.values) - {Phase.LOST}


def _forget_ended(engines: Sequence[Engine], reports: dict[str, EngineReport]) -> None:
    """An engine that should stop and that the agent does not know is gone; its claims go with it."""
    forget_engines([engine for engine in engines if engine.stop and str(engine.uid) not in reports])


def forget_engines(engines: Sequence[Engine]) -> None:
    """Delete engines that are gone for sure, and tell their endpoints."""
    if not engines:
        return
    Engine.objects.filter(pk__in=[engine.pk for engine in engines]).delete()
    for uid in {str(engine.endpoint_uid) for engine in engines}:
        after_commit(LOOK_AT, uid)


def _orders(host: Host, engines: Sequence[Engine], epoch: int) -> Orders:
    # The version was read before the engines: where it is too old the agent only asks once more.
    orders = [_order(host, engine) for engine in engines]
    return Orders(
        complete=True, version=host.wanted_version, epoch=epoch, lease_seconds=round(states.LEASE.total_seconds()),
        margin_seconds=round(states.LEASE_MARGIN.total_seconds()),
        heartbeat_seconds=round(states.HEARTBEAT.total_seconds()),
        engines=tuple(order for order in orders if order is not None))


def _order(host: Host, engine: Engine) -> EngineOrder | None:
    """The order as an agent can read it; None for one that it couldn't, so that the others still reach it."""
    try:
        launch = engine.launch
        order = EngineOrder(
            uid=str(engine.uid), engine=launch["engine"], release=launch["release"], argv=tuple(launch["argv"]),
            env=dict(launch["env"]), devices=tuple(launch["devices"]), start_seconds=int(launch["start_seconds"]),
            token="" if host.engines_are_on_loopback else engine.secret("token"), hub_token=engine.secret("hub_token"))
        return decode(EngineOrder, encode(order), most=MAX_ANSWER)
    except (KeyError, TypeError, ValueError, SecretUnreadable) as error:
        _mark_bad(engine, error)
        return None


def _mark_bad(engine: Engine, error: Exception) -> None:
    log.error("an order can't be sent", extra={"engine": str(engine.uid), "error": type(error).__name__})
    if engine.cause != EngineCause.BAD_ORDER:
        Engine.objects.filter(pk=engine.pk).update(
            phase=Phase.CRASHLOOP, phase_since=Now(), cause=EngineCause.BAD_ORDER,
            message=_("The order for this engine can't be sent: %(error)s") % {"error": clean(error, 300)})
        after_commit(LOOK_AT, str(engine.endpoint_uid))


def bump_version(host: Host) -> None:
    """Ring the agent's bell: what should run there changed."""
    Host.objects.filter(pk=host.pk).update(wanted_version=F("wanted_version") + 1)
