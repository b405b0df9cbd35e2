"""Sending a task: only after commit, and never as the only copy of a wish.

The broker may be away; the row is the truth and the sweep finds it, so a failed send is logged and swallowed.
"""

from __future__ import annotations

import logging
import time
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import KombuError
from kombu.pools import producers

log = logging.getLogger(__name__)
# A person waits for this: a broker that takes the connection and says nothing must not hold the page.
SEND_SECONDS = 1.0
# After a failed send nobody tries again for so long, or an action on fifty rows would wait fifty times.
PAUSE_SECONDS = 5.0


class _Broker:
    away_until = 0.0  # of the monotonic clock


def after_commit(task: str, *args: int | str) -> None:
    """Send the task with this registered name, with ids only, once the rows it needs are really there."""
    registered = current_app.tasks[task]
    transaction.on_commit(partial(_send, registered.name, args))


def _send(task: str, args: tuple[int | str, ...]) -> None:
    if time.monotonic() < _Broker.away_until:
        return
    # The worker's own connection waits longer; kombu keeps one pool for each set of options.
    connection = current_app.connection_for_write(transport_options={"socket_timeout": SEND_SECONDS})
    try:
        with producers[connection].acquire(block=True, timeout=SEND_SECONDS) as producer:
            current_app.send_task(task, args=args, producer=producer, retry=False, ignore_result=True)
    except (KombuError, OSError) as error:
        _Broker.away_until = time.monotonic() + PAUSE_SECONDS
        log.warning("broker away, the sweep will do it", extra={"task": task, "error": type(error).__name__})
