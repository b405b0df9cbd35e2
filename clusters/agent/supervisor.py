"""All engines of this host against what the portal ordered; and the lease without which none may run."""

from __future__ import annotations

import dataclasses
import logging
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

from .engines import DRAIN_SECONDS, LOG_SECONDS_READY, Engine
from .health import Probe
from .history import boot_id
from .messages import EngineOrder, EngineReport, Orders
from .process import Place, Running, find_marked, kill_all, leader, listens
from .state import StateDir, read_json, write_json

log = logging.getLogger("agent")
STRAYS_SECONDS = 30.0


@dataclasses.dataclass
class Lease:
    """Until when engines may run, on the monotonic clock; kept in a file for an agent that restarts."""

    path: Path
    until: float = 0.0
    epoch: int = 0
    version: int = 0

    def load(self) -> None:
        kept = read_json(self.path)
        if kept.get("boot") == boot_id() and isinstance(kept.get("until"), int | float):
            self.until = float(kept["until"])
        self.epoch = int(kept.get("epoch", 0))

    def renew(self, asked_at: float, orders: Orders) -> None:
        """The lease counts from when it was asked for, so that no time on the way makes it longer."""
        self.until = asked_at + orders.lease_seconds - orders.margin_seconds
        self.epoch, self.version = orders.epoch, orders.version
        try:
            write_json(self.path, {"boot": boot_id(), "until": self.until, "epoch": self.epoch}, sync=False)
        except OSError as error:
            log.warning("can't keep the lease", extra={"error": str(error)})


class Supervisor:
    """Safe to use from several threads; each method holds the lock for a moment only."""

    def __init__(
        self, state: StateDir, place: Place, probe: Probe, clock: Callable[[], float],
        drain_seconds: float = DRAIN_SECONDS,
    ) -> None:
        self._state, self._place, self._probe, self._clock = state, place, probe, clock
        self._drain_seconds = drain_seconds
        self._lock = threading.RLock()
        self.engines: dict[str, Engine] = {}
        self.lease = Lease(state.path / "lease.json")
        self.hindrance = ""
        self._fenced, self._next_strays, self._had_orders = False, 0.0, False
        self._told: dict[str, tuple[float, EngineReport]] = {}
        self._shown: dict[str, tuple[str, str]] = {}

    def adopt(self) -> int:
        """Take up the engines of an earlier life of this agent; how many."""
        self.lease.load()
        for uid, processes in find_marked(self._place.state_id).items():
            found = leader(processes)
            if found is None:
                kill_all(processes)
                continue
            self.engines[uid] = self._engine(uid, running=found)
            log.info("adopted engine", extra={"engine": uid, "pid": found.pid})
        return len(self.engines)

    def _engine(self, uid: str, running: Running | None = None) -> Engine:
        return Engine(uid, self._place, self._state.engine_dir(uid), self._probe, running=running)

    def apply(self, orders: Orders, asked_at: float) -> None:
        """Make the orders ours. Only a complete list of an epoch that is not older ends what it lacks."""
        with self._lock:
            if orders.epoch < self.lease.epoch:
                return
            self.lease.renew(asked_at, orders)
            for order in orders.engines:
                self._take(order)
            if orders.complete:
                self._end_others({order.uid for order in orders.engines})
            self._look()

    def _take(self, order: EngineOrder) -> None:
        engine = self.engines.get(order.uid)
        if engine is None:
            try:
                engine = self.engines[order.uid] = self._engine(order.uid)
            except OSError as error:  # tried again with the next orders
                log.warning("no room for an engine's folder", extra={"engine": order.uid, "error": str(error)})
                return
        engine.order, engine.wanted = order, True

    def _end_others(self, wanted: set[str]) -> None:
        self._had_orders = True
        for uid, engine in self.engines.items():
            if uid not in wanted and engine.wanted:
                engine.wanted = False
                engine.retire(self._clock(), self._drain_seconds)

    def superseded(self, epoch: int) -> None:
        """The portal gave our lease up; the next report carries the new epoch and gets the new orders."""
        with self._lock:
            self.lease.epoch = max(self.lease.epoch, epoch)

    def tick(self) -> bool:
        """Look at every engine; whether something changed since the last tick that the portal should know."""
        with self._lock:
            self._look()
            shown = {uid: (engine.phase, engine.message) for uid, engine in self.engines.items()}
            changed, self._shown = shown != self._shown, shown
            return changed

    def _look(self) -> None:
        now = self._clock()
        self._fence(now)
        hindrance = "This host waits for the portal." if self._fenced else self.hindrance
        for uid, engine in list(self.engines.items()):
            engine.tick(now, hindrance)
            if engine.gone:
                self._forget(uid)
        if self._had_orders and now >= self._next_strays:
            self._next_strays = now + STRAYS_SECONDS
            self._end_strays()

    def _fence(self, now: float) -> None:
        """Without a lease nothing runs: the portal may have given our engines' places to another host."""
        was, self._fenced = self._fenced, now >= self.lease.until
        if self._fenced and not was and self.engines:
            log.warning("lease not renewed in time, stopping engines", extra={"engines": len(self.engines)})
        if self._fenced:
            for engine in self.engines.values():
                engine.end(now, "This host lost its connection to the portal.")

    def _forget(self, uid: str) -> None:
        del self.engines[uid]
        self._told.pop(uid, None)
        shutil.rmtree(self._state.path / "engines" / uid, ignore_errors=True)
        log.info("engine is gone", extra={"engine": uid})

    def _end_strays(self) -> None:
        for uid, processes in find_marked(self._place.state_id).items():
            if uid not in self.engines:
                log.warning("stopping an engine that nobody ordered", extra={"engine": uid})
                kill_all(processes)

    def end_all(self) -> bool:
        """End every engine because the agent ends; whether all are gone."""
        with self._lock:
            for engine in self.engines.values():
                engine.wanted = False
                engine.end(self._clock(), "The agent on this host was stopped.")
            self._look()
            return not self.engines

    def serves(self, port: int) -> bool:
        """Whether an engine of ours listens at this port."""
        with self._lock:
            found = [one for one in self.engines.values() if one.running is not None and one.running.port == port]
        return any(engine.phase == "READY" or listens(engine.processes()) for engine in found)

    def our_pids(self) -> set[int]:
        return {running.pid for found in find_marked(self._place.state_id).values() for running in found}

    def reports(self) -> tuple[EngineReport, ...]:
        """Every engine; logs only where they are new, and rarely while an engine is well."""
        with self._lock:
            return tuple(self._report(uid, engine) for uid, engine in self.engines.items())

    def _report(self, uid: str, engine: Engine) -> EngineReport:
        report, (at, told) = engine.report(), self._told.get(uid, (0.0, None))
        if told is None:
            return report
        calm = report.phase == "READY" == told.phase and self._clock() - at < LOG_SECONDS_READY
        return dataclasses.replace(
            report, log=None if calm or report.log == told.log else report.log,
            previous_log=None if report.previous_log == told.previous_log else report.previous_log)

    def note_told(self, reports: tuple[EngineReport, ...]) -> None:
        """The portal has these; what they leave out it had before."""
        with self._lock:
            for report in reports:
                at, told = self._told.get(report.uid, (0.0, report))
                self._told[report.uid] = (
                    at if report.log is None else self._clock(),
                    dataclasses.replace(report, log=told.log if report.log is None else report.log,
                                        previous_log=told.previous_log if report.previous_log is None
                                        else report.previous_log))

    def retell(self) -> None:
        """Tell everything anew, because the portal may have forgotten."""
        with self._lock:
            self._told.clear()
