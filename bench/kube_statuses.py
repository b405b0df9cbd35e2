"""Writing 10,000 statuses into a table of 100,000 endpoints: the documents' way against ours, in the same run.

``python bench/kube_statuses.py [--mariadb] [--rounds 3]``. The documents' way: `save()` of each row after each look,
changed or not. Ours: find what differs and write that in one statement for a batch of rows, guarded, with a line of history
for each row that moves. Both begin with the verdicts and the rows in memory; reading the rows is printed beside it, and
so is renewing the age of rows that are as they were, for which the documents' way has nothing.
Limits: all changed 60 times (MariaDB 30), 1 % changed 220 times (350).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]

import secrets_file  # noqa: E402 - only found by the path above

LOOKED_AT, ALL = 10_000, 100_000
LIMITS = {"sqlite": {1.0: 60, 0.01: 220}, "mysql": {1.0: 30, 0.01: 350}}
SAYS = ("2 of 3 replicas ready. loads the model (node-%d)", "1 of 3 replicas ready. is being stopped (node-%d)")


def fill() -> list[Any]:
    from bench import endpoint_rows

    workspace, profile = endpoint_rows.make_workspace(), endpoint_rows.make_profile()
    looked_at = endpoint_rows.make_place("looked-at")
    rows = endpoint_rows.make_endpoints(workspace, looked_at, profile, LOOKED_AT)
    others = endpoint_rows.make_place("others")
    for part in range((ALL - LOOKED_AT) // LOOKED_AT):
        endpoint_rows.make_endpoints(workspace, others, profile, LOOKED_AT, prefix=f"o{part}")
    return rows


def verdicts(rows: list[Any], turn: int, share: float) -> dict[int, Any]:
    """By pk what a look has found: of `share` of the rows something else than the turn before."""
    from endpoints.judge import Verdict
    from endpoints.states import Cause

    every = round(1 / share)
    found = {}
    for number, row in enumerate(rows):
        side = turn % 2 if number % every == 0 else 0
        found[row.pk] = Verdict(("DEGRADED", "INSERVICE")[side], (Cause.LOADING, Cause.NONE)[side], SAYS[side] % (number % 50),
                                2 - side, 1)
    return found


def documents_way(rows: dict[int, Any], found: dict[int, Any]) -> None:
    for pk, verdict in found.items():
        row = rows[pk]
        row.status, row.cause, row.message, row.ready_replicas = verdict.status, verdict.cause, verdict.message, verdict.ready
        row.save()


def read(rows: list[Any]) -> list[list[Any]]:
    """As a look reads them, in batches."""
    from endpoints.services.known import known

    return [known(batch) for batch in batches([row.pk for row in rows])]


def our_way(batches_read: list[list[Any]], found: dict[int, Any]) -> int:
    """How many were written."""
    from endpoints.services.write_many import write_many
    from endpoints.targets.base import Observation

    look, seen, written = look_type(), Observation(), 0
    for batch in batches_read:
        news = [each for row in batch if (each := look(row, seen, found[row.pk], ())).is_news]
        write_many(news, "kubernetes")
        written += len(news)
    return written


def look_type() -> Any:
    return sweep().Look


def sweep() -> Any:
    # The package has a function of the module's name.
    return import_module("endpoints.services.sweep")


def batches(pks: list[int]) -> Iterator[list[int]]:
    size = sweep().BATCH
    for start in range(0, len(pks), size):
        yield pks[start:start + size]


def renew(pks: list[int]) -> None:
    from endpoints.services.write import refresh_unchanged

    for batch in batches(pks):
        refresh_unchanged(batch, "kubernetes")


T = TypeVar("T")


def timed(work: Callable[[], T]) -> tuple[float, T]:
    began = time.perf_counter()
    done = work()
    return time.perf_counter() - began, done


@dataclass
class Round:
    """Seconds."""

    theirs: float
    ours: float
    they_read: float
    we_read: float
    age: float


def one_round(rows: list[Any], share: float) -> Round:
    from endpoints.models import Endpoint

    pks = [row.pk for row in rows]
    we_read, known = timed(lambda: read(rows))
    news, back = verdicts(rows, 1, share), verdicts(rows, 0, share)
    ours, written = timed(lambda: our_way(known, news))
    assert written == LOOKED_AT * share, f"{written} rows were written"
    they_read, held = timed(lambda: {row.pk: row for row in Endpoint.objects.filter(pk__in=pks)})
    theirs, _none = timed(lambda: documents_way(held, back))
    age, _none = timed(lambda: renew(pks))
    assert our_way(read(rows), back) == 0, "what save() wrote is not what we read"
    return Round(theirs, ours, they_read, we_read, age)


def measure(rounds: int) -> int:
    from django.core.management import call_command
    from django.db import connection

    call_command("migrate", verbosity=0)
    if connection.vendor == "mysql":
        with connection.cursor() as cursor:  # the tests' server forgets; this one is as durable as a server is by default
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")
    rows = fill()
    met = True
    print(f"{connection.vendor}: {LOOKED_AT} of {ALL} rows, medians of {rounds} rounds")
    for share, limit in LIMITS[connection.vendor].items():
        our_way(read(rows), verdicts(rows, 0, share))
        met = report([one_round(rows, share) for _ in range(rounds)], share, limit) and met
    return 0 if met else 1


def report(results: list[Round], share: float, limit: int) -> bool:
    def median(of: Callable[[Round], float]) -> float:
        return statistics.median(of(each) for each in results)

    ratio = median(lambda each: each.theirs / each.ours)
    best = min(each.theirs for each in results) / min(each.ours for each in results)
    whole = median(lambda each: (each.theirs + each.they_read) / (each.ours + each.we_read))
    print(f"{share:>5.0%} changed: save() each {median(lambda each: each.theirs) * 1000:.0f} ms, ours "
          f"{median(lambda each: each.ours) * 1000:.0f} ms: {ratio:.0f} times faster "
          f"(goal {limit}; best rounds alone {best:.0f})")
    print(f"       with reading the rows ({median(lambda each: each.they_read) * 1000:.0f} and "
          f"{median(lambda each: each.we_read) * 1000:.0f} ms): {whole:.0f} times; renewing the age of all: "
          f"{median(lambda each: each.age) * 1000:.0f} ms")
    return ratio >= limit


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mariadb", action="store_true", help="on a private MariaDB instead of SQLite")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    from tests.rig import servers

    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ |= {"DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_DATA_DIR": str(folder / "var")}
    try:
        secrets_file.make(folder / "var")
        with contextlib.ExitStack() as stack:
            if options.mariadb:
                os.environ["DATABASE_URL"] = stack.enter_context(servers.mariadb(folder))
            import django

            django.setup()
            return measure(options.rounds)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
