"""Sending a task: only after commit, and never as the only copy of a wish.

The broker may be away; the row is the truth and the sweep finds it, so a failed send is logged and swallowed.
"""

from __future__ import annotations

import logging
from functools import partial

from celery import current_app
from django.db import transaction
from kombu.exceptions import OperationalError

log = logging.getLogger(__name__)
SEND_SECONDS = 1.0


def after_commit(task: str, *args: int | str) -> None:
    """Send the task with this registered name, with ids only, once the rows it needs are really there."""
    registered = current_app.tasks[task]
    transaction.on_commit(partial(_send, registered.name, args))


def _send(task: str, args: tuple[int | str, ...]) -> None:
    try:
        current_app.send_task(task, args=args, retry=False, ignore_result=True)
    except (OperationalError, OSError) as error:
        log.warning("broker away, the sweep will do it", extra={"task": task, "error": type(error).__name__})
