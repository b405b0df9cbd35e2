"""Many verdicts at once: one UPDATE joined with a JSON document, guarded row by row as `write_verdict` guards its one.

Row by row it would take 1.3 ms each (performance.md 2.2; bench/kube_statuses.py measures it beside this way). JSON_TABLE
is in MariaDB from 10.6 on, UPDATE ... FROM in SQLite from 3.33 on.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from django.db import connection
from django.db.models.functions import Now

from endpoints.judge import Verdict
from endpoints.models import Backend, Endpoint, Revision
from endpoints.states import TRANSITIONAL, Status
from endpoints.targets.base import Observation
from portal.tenancy.db import retry_tx
from portal.tenancy.text import clean

from .known import Known
from .write import addresses_of, differing, new_backend, pause_of, time_for

# Names and types of the document's columns, in the order in which `_values` gives them.
DOCUMENT = {
    "row_id": "BIGINT", "row_epoch": "BIGINT", "row_generation": "BIGINT", "was": "VARCHAR(10)", "moved": "INT",
    "new_status": "VARCHAR(10)", "new_cause": "VARCHAR(24)", "new_message": "VARCHAR(1000)", "new_ready": "INT",
    "new_autoscaled": "INT", "new_serving": "BIGINT", "deadline": "INT", "pause": "DECIMAL(12,3)", "noted": "INT",
}


@dataclass(frozen=True)
class News:
    """A row, what was seen of it, what that means, and its addresses in the gateway's table: all from one moment."""

    row: Known
    seen: Observation
    verdict: Verdict
    there: Sequence[Backend]

    @property
    def moved(self) -> bool:
        return self.verdict.status != self.row.status

    @property
    def noted(self) -> bool:
        """Whether the history gets a line."""
        return self.moved or self.verdict.cause != self.row.cause

    @property
    def message(self) -> str:
        """As it is kept; what is there already has been cleaned."""
        said = self.verdict.message
        return said if said == self.row.message else clean(said, 1000)

    @property
    def serving_pk(self) -> int | None:
        """The revision that serves now, as `write_verdict` marks it."""
        row = self.row
        if self.verdict.serving is None:
            return None if row.status in (Status.STOPPING, Status.STOPPED) else row.serving_pk
        return {row.serving: row.serving_pk, row.wanted: row.wanted_pk}.get(self.verdict.serving, row.serving_pk)


class Moved(Exception):
    """One of the rows is not as it was read, or a worker holds it: nothing was written."""


def write_many(news: Sequence[News], source: str) -> None:
    """Write what the evidence means for rows without a step of their own; one hop each, no revision given up.

    A row that has moved since it was read keeps what it says and is due again at once.
    """
    if not news:
        return
    try:
        _write(news, source)
    except Moved:
        if len(news) == 1:
            Endpoint.objects.filter(pk=news[0].row.pk).update(next_look_at=Now())
            return
        half = len(news) // 2
        write_many(news[:half], source)
        write_many(news[half:], source)


@retry_tx
def _write(news: Sequence[News], source: str) -> None:
    starts = _start_seconds(news)
    document = json.dumps([_values(each, starts) for each in news], ensure_ascii=False)
    with connection.cursor() as cursor:
        cursor.execute(_update(), [document, source] if connection.vendor == "mysql" else [source, document])
        if cursor.rowcount != len(news):
            raise Moved
        if any(each.noted for each in news):
            cursor.execute(_events(), [document])
    newly = {pk for each in news if (pk := each.serving_pk) is not None and pk != each.row.serving_pk}
    if newly:
        Revision.objects.filter(pk__in=newly, served_at=None).update(served_at=Now())
    _write_addresses(news)


def _values(each: News, starts: dict[int, int]) -> list[Any]:
    row, verdict = each.row, each.verdict
    now = row.replicas if row.autoscaled is None else row.autoscaled
    deadline = None
    if verdict.status in TRANSITIONAL:
        deadline = time_for(verdict.status, now, starts.get(row.wanted_pk or 0, 0)).total_seconds()
    pause = max(pause_of(verdict.status, verdict.status).total_seconds(), each.seen.pause)
    return [row.pk, row.epoch, row.generation, row.status, int(each.moved), verdict.status, verdict.cause, each.message,
            verdict.ready, each.seen.wanted_replicas, each.serving_pk, deadline, pause, int(each.noted)]


def _start_seconds(news: Sequence[News]) -> dict[int, int]:
    """How long the wanted revisions take to start, of the rows that begin to move."""
    pks = {pk for each in news if (pk := each.row.wanted_pk) is not None and each.verdict.status in TRANSITIONAL}
    specs = Revision.objects.filter(pk__in=pks).values_list("pk", "spec") if pks else ()
    return {pk: int(spec.get("start_seconds", 0)) for pk, spec in specs}


def _write_addresses(news: Sequence[News]) -> None:
    gone: list[int] = []
    fresh: list[Backend] = []
    for each in news:
        stale, missing = differing(each.there, addresses_of(each.seen))
        gone += stale
        fresh += [new_backend(each.row.pk, replica) for replica in missing]
    if gone:
        Backend.objects.filter(pk__in=gone).delete()
    Backend.objects.bulk_create(fresh, batch_size=200)


def _update() -> str:
    """The one statement. It takes each row's lease and gives it back, so that whoever read the row before can't write it."""
    if connection.vendor == "mysql":
        return (f"UPDATE endpoints_endpoint JOIN {_told()} ON id = row_id "  # noqa: S608  Only words of ours.
                f"SET {_assignments('NOW(6)', 'NOW(6) + INTERVAL {} SECOND')} WHERE {_guard('NOW(6)')}")
    later = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now', {} || ' seconds')"
    return (f"UPDATE endpoints_endpoint SET {_assignments(_now(), later)} "  # noqa: S608  Only words of ours.
            f"FROM {_told()} WHERE id = row_id AND {_guard(_now())}")


def _events() -> str:
    """A line of history for each row that says so."""
    return ("INSERT INTO endpoints_event (endpoint_id, at, kind, was, now, cause, message, actor_label, generation) "  # noqa: S608
            f"SELECT row_id, {_now()}, 'status', was, new_status, new_cause, new_message, 'portal', row_generation "
            f"FROM {_told()} WHERE noted")


def _now() -> str:
    return "NOW(6)" if connection.vendor == "mysql" else "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f', 'now')"


def _told() -> str:
    """The document as a table. Text is compared byte by byte with the table's own, whatever collation that has."""
    if connection.vendor == "mysql":
        binary = " CHARACTER SET utf8mb4 COLLATE utf8mb4_bin"
        columns = [f"{name} {type_}{binary if 'CHAR' in type_ else ''} PATH '$[{at}]'"
                   for at, (name, type_) in enumerate(DOCUMENT.items())]
        return f"JSON_TABLE(%s, '$[*]' COLUMNS ({', '.join(columns)})) AS told"
    columns = [f"JSON_EXTRACT(value, '$[{at}]') AS {name}" for at, name in enumerate(DOCUMENT)]
    return f"(SELECT {', '.join(columns)} FROM JSON_EACH(%s)) AS told"  # noqa: S608  Only words of ours.


def _assignments(now: str, later: str) -> str:
    return ", ".join([
        "status = new_status", "cause = new_cause", "message = new_message", "ready_replicas = new_ready",
        "autoscaled_replicas = new_autoscaled", "serving_id = new_serving", "seen_by = %s", "last_error = ''",
        f"seen_at = {now}", f"status_since = CASE WHEN moved THEN {now} ELSE status_since END", "version = version + moved",
        f"deadline_at = {later.format('deadline')}", f"next_look_at = {later.format('pause')}",
        "lease_epoch = lease_epoch + 1",
    ])


def _guard(now: str) -> str:
    return (f"lease_epoch = row_epoch AND generation = row_generation AND status = was "
            f"AND (lease_until IS NULL OR lease_until < {now})")
