"""Rows by the hundred thousand: plain INSERTs in big batches, which is several times as fast as making objects."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

BATCH = 20_000


@contextmanager
def quickly() -> Iterator[None]:
    """SQLite neither waits for the disk nor drops pages that it will need; pages are then measured on a connection as usual."""
    from django.db import connection

    if connection.vendor == "sqlite":
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA synchronous = OFF")
            cursor.execute("PRAGMA cache_size = -800000")  # KiB
    yield
    connection.close()


def insert(model: Any, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """`columns` are those of the table; what isn't named gets no value, also where the model has a default."""
    from django.db import connection, transaction

    names = ", ".join(map(connection.ops.quote_name, columns))
    sql = f"INSERT INTO {model._meta.db_table} ({names}) VALUES ({', '.join(['%s'] * len(columns))})"
    found = iter(rows)
    with transaction.atomic(), connection.cursor() as cursor:
        while some := list(itertools.islice(found, BATCH)):
            cursor.executemany(sql, some)


def moment(when: datetime) -> str:
    """As the database writes it."""
    from django.db import connection

    return str(connection.ops.adapt_datetimefield_value(when.astimezone(UTC)))
