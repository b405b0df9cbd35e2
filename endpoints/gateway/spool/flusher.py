"""The spool's thread: every two seconds it books what has ended, and now and then what dead processes left."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path

from django.db import connection

from ..loader import DatabaseAway
from . import ledger
from .home import Home, claim_dead
from .layout import BLOCK
from .metrics import ADOPTED, BOOKED_AT, LOST, SIZE, WAITING
from .rollup import Deltas, roll_up
from .writer import Writer

log = logging.getLogger(__name__)
FLUSH_SECONDS = 2.0
ADOPT_SECONDS = 30.0
AT_ONCE = 8_192  # records in one transaction
PIECE = 256  # records without a breath: about 0.3 ms in which the gateway's own thread waits
BREATH_SECONDS = 0.0005


class Flusher:
    """Books one live spool, and the dead ones of its folder."""

    def __init__(self, folder: Path, home: Home, writer: Writer) -> None:
        self._folder = folder
        self._home = home
        self._writer = writer
        self._booked = -1  # of the live spool; -1: ask the database
        self._is_away = False
        self._failed: set[str] = set()  # dead spools that could not be booked; others go before them the next time
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gateway-spool", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Book the rest and give the spool up. Where the database is away, another process will book it. Blocks."""
        self._end.set()
        self._thread.join()

    def flush(self) -> None:
        """Book what the live spool holds. Raises DatabaseAway, OSError."""
        written = self._writer.written
        WAITING.set(written - max(self._booked, 0))
        try:
            if self._booked < written:
                self._booked = book(self._home, self._booked, written)
        except DatabaseAway:
            self._booked = -1
            raise
        self._home.prepare_spare()
        WAITING.set(self._writer.written - self._booked)
        SIZE.set(self._home.size())
        BOOKED_AT.set(time.time())

    def adopt(self) -> None:
        """Book what dead processes left, the calls that they had in flight as cut. Raises DatabaseAway, OSError."""
        while (home := claim_dead(self._folder, but=self._failed)) is not None:
            try:
                writer = Writer()
                writer.attach(home)
                cut = writer.cut_open_calls()
                book(home, -1, writer.written)
            except BaseException:  # whatever it was, another process may try
                home.release()
                self._failed.add(home.name)
                raise
            home.remove()
            ledger.forget(home.name)
            ADOPTED.inc()
            log.warning("booked the usage of a gateway that died", extra={"spool": home.name, "cut_calls": cut})
        self._failed.clear()

    def _run(self) -> None:
        self._look(self.adopt)
        adopt_at = time.monotonic() + ADOPT_SECONDS
        while not self._end.wait(FLUSH_SECONDS):
            self._look(self.flush)
            if time.monotonic() > adopt_at:
                self._look(self.adopt)
                adopt_at = time.monotonic() + ADOPT_SECONDS
        if self._look(self.flush):
            self._home.remove()
            self._look(lambda: ledger.forget(self._home.name))
        else:
            self._home.release()
        connection.close()

    def _look(self, step: Callable[[], None]) -> bool:
        """Whether the step went well. Says so once when things stop working, and when they do again."""
        try:
            step()
        except (DatabaseAway, OSError) as error:
            if not self._is_away:
                log.warning("usage stays in the spool", extra={"error": str(error)})
            self._is_away = True
            return False
        except Exception:  # without this thread the spool would fill the disk
            log.exception("usage was not booked")
            return False
        if self._is_away:
            log.warning("usage is booked again")
        self._is_away = False
        return True


def book(home: Home, booked: int, written: int) -> int:
    """Book all records up to number `written`; that number. Of them, `booked` are known to be, -1: ask the database.

    Raises DatabaseAway.
    """
    if booked < 0:
        booked = ledger.position_of(home.name)
    while booked < written:
        first = max(booked, home.oldest())  # else a database from a backup, which knows of less than was once booked
        data = home.read(first, min(written, first + AT_ONCE))
        upto = first + len(data) // BLOCK
        deltas = _roll_up(data, first)
        if ledger.book(home.name, booked, upto, deltas):
            LOST.inc(deltas.torn)
            booked = upto
        else:
            booked = ledger.position_of(home.name)
    home.forget(booked)
    return booked


def _roll_up(data: bytes, first: int) -> Deltas:
    """In pieces, so that the thread that serves calls never waits long for the interpreter."""
    whole = Deltas()
    for at in range(0, len(data), PIECE * BLOCK):
        whole += roll_up(data[at:at + PIECE * BLOCK], first + at // BLOCK)
        time.sleep(BREATH_SECONDS)
    return whole
