"""Transactions that survive what databases do: deadlocks, lock waits, lost connections, a busy SQLite."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from django.db import DatabaseError, InterfaceError, OperationalError, connection, transaction

from .errors import Unavailable

P = ParamSpec("P")
T = TypeVar("T")

ATTEMPTS = 6
TOTAL_SECONDS = 5.0
# MySQL: deadlock, lock wait, changed row (MariaDB), gone away, lost connection, cannot connect (2002, 2003), and
# what a server says that is just shutting down (1053, 1927).
# A full disk too (1021, 1026, 1114): somebody makes room, and until then the caller is told to come again.
RETRIED_CODES = {1213, 1205, 1020, 2006, 2013, 2002, 2003, 1053, 1927, 1021, 1026, 1114}
# Said in answer to a COMMIT, these mean that it was not done. All others leave that open: the server may have died before
# its answer, and what is told is then often the next failure, that nobody can connect to it.
UNDONE_CODES = {1213, 1205, 1020, 1021, 1026, 1114}
# SQLite has words only. A disk that takes no more bytes is "full", one with a limit or a quota an "I/O error".
RETRIED_WORDS = ("database is locked", "database or disk is full", "disk I/O error")


def is_passing(error: BaseException) -> bool:
    """Whether this database error goes away by doing the whole transaction again."""
    if not isinstance(error, OperationalError | InterfaceError):
        return False
    code = _code(error)
    return code in RETRIED_CODES or _is_of_sqlite(error) or (isinstance(error, InterfaceError) and code == 0)


def _code(error: BaseException) -> object:
    return error.args[0] if error.args else None


def _is_of_sqlite(error: BaseException) -> bool:
    return any(words in str(error) for words in RETRIED_WORDS)


def retry_tx(function: Callable[P, T]) -> Callable[P, T]:
    """Run `function` in one transaction; on a passing error roll the whole block back and do it again.

    Inside an open transaction it only joins it: the outermost block is the one that is repeated.
    Raises Unavailable (503) when it still fails after a few tries or five seconds, and at once where the connection was
    lost in the commit: repeating what may be done already would make it twice, or refuse it as done by another.
    """

    @wraps(function)
    def inner(*args: P.args, **kwargs: P.kwargs) -> T:
        if connection.in_atomic_block:
            with transaction.atomic():  # A savepoint: a refusal that the caller handles must leave nothing half done.
                return function(*args, **kwargs)
        began = time.monotonic()
        for attempt in range(ATTEMPTS):
            committing = False
            try:
                with transaction.atomic():
                    result = function(*args, **kwargs)
                    committing = True
                return result
            except DatabaseError as error:
                if not is_passing(error):
                    raise
                connection.close_if_unusable_or_obsolete()
                if committing and _code(error) not in UNDONE_CODES and not _is_of_sqlite(error):
                    raise Unavailable("The database went away before it said whether this was done. Look, then try "
                                      "again.") from error
                if attempt == ATTEMPTS - 1 or time.monotonic() - began > TOTAL_SECONDS:
                    raise Unavailable("The database is busy or restarting. Try again in a moment.") from error
                time.sleep(0.05 * 2**attempt * (0.5 + random.random()))
        raise AssertionError("unreachable")

    return inner
