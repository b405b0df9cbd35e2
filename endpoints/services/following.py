"""Follow a log: each new line as it comes, for any kind of place, bounded in time, rate and number of readers.

The place is asked for its last lines again and again, rather than held open: an agent that calls out can carry no
stream, and a reader who leaves ends nothing but this loop.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.utils.translation import gettext as _

from endpoints.models import Endpoint
from portal.tenancy.errors import Unavailable

from .explain import logs

log = logging.getLogger(__name__)
PAUSE_SECONDS = 2.0
MOST_SECONDS = 600.0
MOST_READERS = 20
# The end of what was sent by which the place is found again in the next answer.
MARK_CHARS = (4000, 1000, 200)

_readers: set[object] = set()


def follow_log(
    endpoint: Endpoint, may_look: Callable[[], bool], *, replica: int = 0, previous: bool = False, lines: int,
) -> AsyncIterator[bytes]:
    """What the replica writes from its last lines on, as long as `may_look`, which is asked before each look.

    Raises Unavailable where the place can't be asked now.
    """
    if len(_readers) >= MOST_READERS:
        raise Unavailable(_("%(count)d people follow logs already: try again in a minute.") % {"count": MOST_READERS})
    first = logs(endpoint, replica=replica, previous=previous, lines=lines)
    return _news(first, endpoint, may_look, replica=replica, previous=previous, lines=lines)


async def _news(
    first: str, endpoint: Endpoint, may_look: Callable[[], bool], *, replica: int, previous: bool, lines: int,
) -> AsyncIterator[bytes]:
    me, until, sent = object(), time.monotonic() + MOST_SECONDS, first
    _readers.add(me)
    try:
        yield first.encode()
        while not previous and time.monotonic() < until:
            await asyncio.sleep(PAUSE_SECONDS)
            try:
                text = await sync_to_async(_read)(endpoint, may_look, replica, lines)
            except Unavailable as error:
                yield f"\n… {error.message}\n".encode()
                return
            if text is None:
                return
            if text != sent and (news := fresh(sent, text)):
                yield news.encode()
            sent = text or sent
    finally:
        _readers.discard(me)


def _read(endpoint: Endpoint, may_look: Callable[[], bool], replica: int, lines: int) -> str | None:
    """None for one who may no longer look."""
    try:
        return logs(endpoint, replica=replica, lines=lines) if may_look() else None
    finally:
        close_old_connections()


def fresh(sent: str, text: str) -> str:
    """What of `text`, a place's last lines, comes after `sent`, the ones before. Pure.

    Where the two no longer touch, a mark says that lines are missing.
    """
    if text.startswith(sent):
        return text[len(sent):]
    for chars in MARK_CHARS:
        mark = sent[-chars:]
        at = text.rfind(mark)
        if mark and at >= 0:
            return text[at + len(mark):]
    return f"\n…\n{text}"
