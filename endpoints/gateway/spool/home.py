"""The folder of one process's spool: who holds it, and its files.

All that makes, claims or removes a spool holds the folder's lock meanwhile; whoever writes to a spool, or books what a
dead process left, holds the lock of its `slots`. Both are flock's, which end with the process.
"""

from __future__ import annotations

import fcntl
import logging
import mmap
import os
import re
import shutil
import sys
import uuid
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .layout import BLOCK, KIND, MAGIC, RECORDS_A_FILE, SLOTS, WRITTEN

log = logging.getLogger(__name__)
SLOTS_BYTES, FILE_BYTES = SLOTS * BLOCK, RECORDS_A_FILE * BLOCK
SPARE = "spare"
NAME = re.compile(r"[0-9a-f]{32}\Z")


class Home:
    """A spool that this process holds."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock = lock

    @property
    def name(self) -> str:
        return self.path.name

    def written(self) -> int:
        """How many records its writer has written in all."""
        return int.from_bytes(os.pread(self._lock, 8, WRITTEN * 8), sys.byteorder)

    def map_slots(self) -> mmap.mmap:
        return _map(self.path / "slots", SLOTS_BYTES)

    def map_records(self, number: int) -> mmap.mmap:
        """The file for the record of this number, made where it is not there. Raises OSError where the disk is full.

        Its bytes are reserved: a write to a mapped hole of a full disk would kill the process.
        """
        path = self._file_of(number)
        if not path.exists():
            with suppress(FileNotFoundError):
                (self.path / SPARE).rename(path)
        return _map(path, FILE_BYTES)

    def read(self, first: int, upto: int) -> bytes:
        """Whole records from number `first` on, at most those of one file; what a torn file lacks reads as zeros."""
        begin = first % RECORDS_A_FILE
        count = min(upto - first, RECORDS_A_FILE - begin)
        data = b""
        with suppress(FileNotFoundError), self._file_of(first).open("rb") as file:
            file.seek(begin * BLOCK)
            data = file.read(count * BLOCK)
        return data.ljust(count * BLOCK, b"\0")

    def oldest(self) -> int:
        """The number of the first record that is still there."""
        return min((int(path.name) for path in self._files()), default=0)

    def forget(self, booked: int) -> None:
        """Give up the files of records before number `booked`, but not the last record's; one of them serves again."""
        for path in self._files():
            if int(path.name) + RECORDS_A_FILE < booked:
                path.rename(self.path / SPARE)

    def size(self) -> int:
        return sum(path.stat().st_size for path in self._files())

    def prepare_spare(self) -> None:
        """Have a file ready, so that the next turn costs no waiting for the disk. Raises OSError."""
        spare = self.path / SPARE
        if spare.exists():
            return
        making = self.path / f"{SPARE}.new"
        with making.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, FILE_BYTES)
        making.rename(spare)

    def remove(self) -> None:
        """All of it is booked."""
        with folder_lock(self.path.parent):
            shutil.rmtree(self.path, ignore_errors=True)
            self.release()

    def release(self) -> None:
        """Somebody else may claim it. What is mapped stays usable."""
        os.close(self._lock)

    def _file_of(self, number: int) -> Path:
        return self.path / f"{number - number % RECORDS_A_FILE:020d}"

    def _files(self) -> list[Path]:
        return sorted(path for path in self.path.iterdir() if path.name.isdecimal())


def _map(path: Path, size: int) -> mmap.mmap:
    """By a descriptor of its own: a map keeps its descriptor open, and with it whatever lock that holds."""
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.posix_fallocate(file, 0, size)
        return mmap.mmap(file, size)
    finally:
        os.close(file)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
    finally:
        os.close(file)


def make_home(folder: Path) -> Home:
    """A new, empty spool. Raises OSError where the folder can't be written, or its disk is full."""
    with folder_lock(folder):
        path = folder / uuid.uuid4().hex
        path.mkdir(mode=0o700)
        file = os.open(path / "slots", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        os.posix_fallocate(file, 0, SLOTS_BYTES)
        os.pwrite(file, MAGIC.to_bytes(8, sys.byteorder), KIND * 8)
        return Home(path, file)


def claim_dead(folder: Path, but: Collection[str] = ()) -> Home | None:
    """A spool whose process is gone, none of those named; it belongs to the caller now. None where there is no such."""
    with folder_lock(folder):
        paths = [path for path in sorted(folder.iterdir()) if NAME.match(path.name) and path.name not in but]
        return next((home for path in paths if (home := _claim(path)) is not None), None)


def _claim(path: Path) -> Home | None:
    try:
        file = os.open(path / "slots", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        shutil.rmtree(path, ignore_errors=True)  # its maker, or its remover, died in the middle: it holds nothing
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        return None
    home, kind = Home(path, file), int.from_bytes(os.pread(file, 8, KIND * 8), sys.byteorder)
    if kind == MAGIC and os.fstat(file).st_size == SLOTS_BYTES:
        return home
    home.release()
    if kind or home.size():
        log.error("a usage spool is left alone: it is from another version, or broken", extra={"spool": home.name})
    else:
        shutil.rmtree(path, ignore_errors=True)  # as above
    return None
