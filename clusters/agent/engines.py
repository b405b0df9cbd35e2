"""One engine of this host: started, watched, started again after a crash, ended."""

from __future__ import annotations

import subprocess
from concurrent.futures import Future
from pathlib import Path

from .causes import Why, explain, progress
from .health import Probe
from .history import History
from .messages import EngineOrder, EngineReport
from .process import CannotStart, Place, Running, ask_to_end, find_marked, has_callers, kill_all, listens, start
from .tail import cap, last_lines, read_tail

END_SECONDS = 10.0
DRAIN_SECONDS = 120.0
PROBE_LOADING, PROBE_READY = 0.5, 5.0
FAILED_PROBES = 6
LONG_HEALTHY = 300.0
LOG_SECONDS_READY = 30.0


class Engine:
    """Moves by `tick(now)` only, which never waits. `now` is monotonic."""

    def __init__(self, uid: str, place: Place, folder: Path, probe: Probe, *, order: EngineOrder | None = None,
                 running: Running | None = None) -> None:
        self.uid, self.place, self.folder, self._probe = uid, place, folder, probe
        self.order, self.running = order, running
        self.wanted, self.gone, self.ending = True, False, False
        self.history = History.load(folder)
        self.phase = "STARTING" if running else "CRASHLOOP" if self.history.crashloop else "ASSIGNED"
        self.message = self.history.message if self.history.crashloop else ""
        self._child: subprocess.Popen[bytes] | None = None
        self._answer: Future[bool] | None = None
        self._next_probe = self._kill_at = self._ready_since = self._drained_at = 0.0
        self._failed_probes = 0

    def tick(self, now: float, hindrance: str = "") -> None:
        """Look once. `hindrance` says why nothing may start now."""
        if self.running is not None:
            self._watch(self.running, now)
        elif not self.wanted:
            self.gone = True
        elif not self.history.crashloop and self.order is not None and now >= self.history.next_start:
            self._start(self.order, now, hindrance)

    def retire(self, now: float, seconds: float) -> None:
        """End when the last caller has gone, or after `seconds`: no stream is cut that ends in time."""
        if self.phase == "READY" and seconds and not self.ending:
            self._drained_at = now + seconds
            self._show("STOPPING", "It ends the calls that it has.")
        elif not self._drained_at:
            self.end(now)

    def end(self, now: float, why: str = "") -> None:
        """Ask the process to end; it is killed after a while. Repeating it changes nothing."""
        if self.running is None or self.ending:
            return
        self.ending, self._kill_at, self._answer = True, now + END_SECONDS, None
        self._show("STOPPING", why)
        ask_to_end(self.running)

    def _start(self, order: EngineOrder, now: float, hindrance: str) -> None:
        if hindrance:
            self._show("ASSIGNED", hindrance)
            return
        self.history.note_start(now, order.start_seconds)
        self.history.save(self.folder)
        try:
            self._child, self.running = start(order, self.place, self.folder)
        except CannotStart as error:
            self._failed(now, None, Why("cannot_start", str(error)))
            return
        self._next_probe, self._failed_probes, self._ready_since = now, 0, 0.0
        self._show("STARTING", "")

    def _watch(self, running: Running, now: float) -> None:
        ended, code = self._has_ended(running)
        if ended:
            self._clear(running)
            self._on_end(now, code)
        elif self.ending:
            if now >= self._kill_at:
                kill_all(self.processes())
        elif self._drained_at:
            if now >= self._drained_at or not has_callers(self.processes(), running.port):
                self.end(now)
        elif self.phase != "READY" and self.history.deadline and now >= self.history.deadline:
            self._too_slow(now)
        else:
            self._check(running, now)

    def _has_ended(self, running: Running) -> tuple[bool, int | None]:
        if self._child is None:
            return not running.alive(), None
        code = self._child.poll()
        # As a shell shows it: 137 for a process that was killed.
        return code is not None, 128 - code if code is not None and code < 0 else code

    def _clear(self, running: Running) -> None:
        """Nothing of the engine may outlive it: its workers would go on holding memory."""
        kill_all(self.processes())
        self.running = self._child = self._answer = None

    def processes(self) -> list[Running]:
        return find_marked(self.place.state_id).get(self.uid, [])

    def _on_end(self, now: float, code: int | None) -> None:
        was_ending, self.ending, self._drained_at = self.ending, False, 0.0
        if not self.wanted:
            self.gone = True
        elif was_ending:
            self._show("ASSIGNED", "")
        else:
            if self._ready_since and now - self._ready_since > LONG_HEALTHY:
                self.history.failures = 0
            self._failed(now, code, explain(code, read_tail(self.folder / "engine.log")))

    def _failed(self, now: float, code: int | None, why: Why) -> None:
        self.history.note_failure(now, code, why.code, why.sentence)
        self.history.save(self.folder)
        self._show("CRASHLOOP" if self.history.crashloop else "BACKOFF", why.sentence)

    def _too_slow(self, now: float) -> None:
        seconds = self.order.start_seconds if self.order else 0
        last = progress(read_tail(self.folder / "engine.log")) or "it had not begun to load the model"
        kill_all(self.processes())
        if self._child is not None:
            self._child.wait()
        self.running = self._child = self._answer = None
        self._failed(now, None, Why("too_slow", f"The engine was not ready after {seconds} s ({last}): "
                                                "give the profile more time or a smaller model."))

    def _check(self, running: Running, now: float) -> None:
        if self._answer is None:
            if now >= self._next_probe:
                self._answer = self._probe(self.place.bind, running.port)
            return
        if not self._answer.done():
            return
        healthy, self._answer = self._answer.result(), None
        self._next_probe = now + (PROBE_READY if self.phase == "READY" and healthy else PROBE_LOADING)
        if healthy:
            self._healthy(now)
        else:
            self._unhealthy(now)
        cap(self.folder / "engine.log")

    def _healthy(self, now: float) -> None:
        self._failed_probes = 0
        if self.phase != "READY" and listens(self.processes()):
            self._ready_since = now
            self._show("READY", "")

    def _unhealthy(self, now: float) -> None:
        if self.phase != "READY":
            steps = progress(read_tail(self.folder / "engine.log"))
            self._show("LOADING" if steps else "STARTING", steps)
            return
        self._failed_probes += 1
        if self._failed_probes >= FAILED_PROBES:
            self.history.deadline = now + (self.order.start_seconds if self.order else 600)
            self._show("LOADING", "It does not answer /health any more.")

    def _show(self, phase: str, message: str) -> None:
        self.phase, self.message = phase, message

    def report(self) -> EngineReport:
        """What the portal should know, with both logs."""
        running = self.running
        history = self.history
        return EngineReport(
            uid=self.uid, phase=self.phase, message=self.message[:1000], restarts=history.restarts,
            cause=history.cause if self.phase in ("BACKOFF", "CRASHLOOP") else "",
            pid=running.pid if running else None, port=running.port if running else None,
            exit_code=history.exit_code, log=self._log("engine.log"), previous_log=self._log("previous.log"),
        )

    def _log(self, name: str) -> str:
        text = last_lines(read_tail(self.folder / name))
        for secret in (self.order.token, self.order.hub_token) if self.order else ():
            text = text.replace(secret, "***") if secret else text
        return text
