"""The agent's three threads: one watches engines, one talks to the portal, one waits for its wake-up call."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from . import VERSION
from .client import Away, Client, Refused
from .inventory import conditions, take_inventory
from .messages import Condition, Inventory, Sync
from .supervisor import Supervisor

log = logging.getLogger("agent")
TICK_SECONDS = 0.25
INVENTORY_SECONDS = 10.0
END_SECONDS = 15.0


class Agent:
    def __init__(self, client: Client, supervisor: Supervisor, state_dir: Path, engines_dir: Path,
                 clock: Callable[[], float] = time.monotonic) -> None:
        self._client, self._supervisor, self._clock = client, supervisor, clock
        self._state_dir, self._engines_dir = state_dir, engines_dir
        self.stopping, self._talk, self._heard = threading.Event(), threading.Event(), threading.Event()
        self._heartbeat = 5.0
        self._inventory: Inventory | None = None
        self._told_inventory: Inventory | None = None
        self._conditions: tuple[Condition, ...] = ()
        self._next_inventory = 0.0
        self.failed = False

    def run(self, *, stop_engines: bool) -> bool:
        """Work until `stopping` is set; whether all went well. With `stop_engines`, none is left behind.

        A failed agent leaves its engines to the one that is started after it.
        """
        for work in (self._talking, self._listening):
            threading.Thread(target=self._guarded, args=(work,), name=work.__name__.strip("_"), daemon=True).start()
        while not self.stopping.wait(TICK_SECONDS):
            if self._supervisor.tick():
                self._talk.set()
        if stop_engines and not self.failed:
            self._end_engines()
        return not self.failed

    def _guarded(self, work: Callable[[], None]) -> None:
        """An agent that lost one of its threads is no agent: it ends, to be started anew."""
        try:
            work()
        except Exception:  # whatever it was, it is logged and the process ends
            log.exception("the agent failed")
            self.failed = True
            self.stopping.set()

    def _end_engines(self) -> None:
        until = self._clock() + END_SECONDS
        while not self._supervisor.end_all() and self._clock() < until:
            time.sleep(0.05)
        try:
            self._client.sync(self._message(), 2.0)
        except (Away, Refused):
            log.info("the portal could not be told that the engines are stopped")

    def _talking(self) -> None:
        failures = 0
        while not self.stopping.is_set():
            self._talk.clear()
            failures = 0 if self.talk() else failures + 1
            self._talk.wait(min(1.0 * failures, 5.0) if failures else self._heartbeat)

    def talk(self) -> bool:
        """One report and its orders; whether the portal took it."""
        self._look_around()
        asked_at, message = self._clock(), self._message()
        try:
            orders = self._client.sync(message)
        except Away as error:
            log.warning("portal away", extra={"error": str(error)})
        except Refused as refusal:
            self._on_refusal(refusal)
        else:
            self._told_inventory = message.inventory or self._told_inventory
            self._supervisor.note_told(message.engines)
            self._heartbeat = float(orders.heartbeat_seconds)
            if self.stopping.is_set():
                return True
            self._supervisor.apply(orders, asked_at)
            self._heard.set()
            return True
        return False

    def _on_refusal(self, refusal: Refused) -> None:
        log.warning("portal refuses", extra={"error": str(refusal)})
        self._told_inventory = None
        self._supervisor.retell()
        if refusal.code == "superseded":
            self._supervisor.superseded(refusal.epoch)
            self._talk.set()

    def _look_around(self) -> None:
        """Take the inventory now and then; disk pressure holds up starts at once."""
        now = self._clock()
        if self._inventory is not None and now < self._next_inventory:
            return
        self._next_inventory = now + INVENTORY_SECONDS
        self._inventory = take_inventory(self._state_dir, self._engines_dir, self._supervisor.our_pids())
        self._conditions = conditions(self._state_dir)
        self._supervisor.hindrance = self._conditions[0].message if self._conditions else ""

    def _message(self) -> Sync:
        fresh = self._inventory if self._inventory != self._told_inventory else None
        return Sync(epoch=self._supervisor.lease.epoch, agent_version=VERSION, conditions=self._conditions,
                    engines=self._supervisor.reports(), inventory=fresh)

    def _listening(self) -> None:
        self._heard.wait()
        while not self.stopping.is_set():
            version = self._supervisor.lease.version
            try:
                newest = self._client.wake(version)
            except (Away, Refused):
                self.stopping.wait(1.0)
                continue
            if newest > version:
                self._heard.clear()
                self._talk.set()
                self._heard.wait(2.0)
