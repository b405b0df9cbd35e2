"""Counters in the database, for installations without Redis: each exchange is one compare-and-swap of their rows."""

from __future__ import annotations

import random
import time
from contextlib import nullcontext
from dataclasses import asdict
from datetime import datetime
from typing import Any

import msgspec
from django.db import Error, IntegrityError, connection, transaction
from django.db.models.functions import Now

from portal.tenancy.db import is_passing
from portal.tenancy.models import LimitCounter

from .counting import LEASE_SECONDS, Record, State, exchange
from .messages import Reply, Request, StoreAway

PROCESSES = "processes"
TOTAL_SECONDS = 3.0
LONGEST_PAUSE = 0.05


class _Overtaken(Exception):
    """Another process has changed a row in between."""


class SqlStore:
    """Raises StoreAway from `exchange` when the database does not answer, or changes too fast, for some seconds."""

    def __init__(self, *, lease_seconds: float = LEASE_SECONDS) -> None:
        self._lease_seconds = lease_seconds

    def exchange(self, request: Request) -> Reply:
        until = time.monotonic() + TOTAL_SECONDS
        pause = 0.001
        while True:
            try:
                with transaction.atomic() if request.process else nullcontext():
                    return self._exchange(request)
            except (_Overtaken, IntegrityError) as error:
                lost: Exception = error
            except Error as error:
                self.close()
                if not is_passing(error):
                    raise StoreAway(type(error).__name__) from error
                lost = error
            if time.monotonic() > until:
                raise StoreAway(type(lost).__name__) from lost
            time.sleep(pause * random.random())
            pause = min(pause * 2, LONGEST_PAUSE)

    def close(self) -> None:
        """End this thread's connection, where it is its own."""
        if not connection.in_atomic_block:
            connection.close()

    def _exchange(self, request: Request) -> Reply:
        names = sorted({line.name for line in request.lines})
        rows = {row.name: row for row in LimitCounter.objects.filter(name__in=[PROCESSES, *names]).annotate(now=Now())}
        if PROCESSES not in rows:
            if not request.process:
                return exchange(State(), request, time.time())
            LimitCounter.objects.create(name=PROCESSES, state="{}")
            return self._exchange(request)
        now: datetime = rows[PROCESSES].now
        state = State({name: _record(rows[name].state) for name in names if name in rows},
                      msgspec.json.decode(rows[PROCESSES].state, type=dict[str, float]))
        leases = dict(state.leases)
        reply = exchange(state, request, now.timestamp(), self._lease_seconds)
        if not request.process:
            return reply
        for name in names:
            _write(rows.get(name), name, msgspec.json.encode(asdict(state.records[name])).decode())
        if self._has_changed(leases, state.leases):
            _write(rows[PROCESSES], PROCESSES, msgspec.json.encode(state.leases).decode())
        return reply

    def _has_changed(self, before: dict[str, float], after: dict[str, float]) -> bool:
        """Not for each exchange, since all processes share this row: a lease may be an eighth shorter."""
        return before.keys() != after.keys() or any(
            until - before[process] > self._lease_seconds / 8 for process, until in after.items())


def _record(text: str) -> Record:
    return msgspec.json.decode(text, type=Record)


def _write(row: Any, name: str, state: str) -> None:
    """Raises _Overtaken, or IntegrityError for a new row that another process was faster to make."""
    if row is None:
        LimitCounter.objects.create(name=name, state=state)
    elif row.state != state and not LimitCounter.objects.filter(pk=row.pk, version=row.version).update(
            state=state, version=row.version + 1):
        raise _Overtaken
