"""The hot side of the spool: a call is a slot while it is in flight, and a record once it has ended."""

from __future__ import annotations

import mmap
import struct
from time import time

from ..errors import GatewayError
from ..limits import Usage
from ..snapshot import Price
from .home import FILE_BYTES, Home
from .layout import (
    ATTEMPT,
    BEGIN,
    BEGIN_IN_SLOT,
    BLOCK,
    CALL,
    CUT,
    ENDED,
    ERROR,
    IDENTITY,
    IDENTITY_IN_SLOT,
    MOST_TOKENS,
    PARTIAL,
    RECORDS_A_FILE,
    REFUSED,
    RESULT,
    SLOTS,
    TOKENS,
    WRITTEN,
)
from .metrics import LOST

_FREE = Price(0.0, 0.0, 0.0)
_WORDS = BLOCK // 8
_END = IDENTITY_IN_SLOT + IDENTITY.size


class Writer:
    """Writes into one home, from one thread, with a copy of memory for each call and no lock."""

    def __init__(self) -> None:
        self._free: list[int] = []
        self._next = 1  # the slot that was never used; 0 is the header
        self._calls = 0
        self._minute = 0

    def attach(self, home: Home) -> None:
        """Write there from now on. Raises OSError where its disk is full."""
        self._home = home
        self._slots = home.map_slots()
        self._words = memoryview(self._slots).cast("Q")
        self._written = self._words[WRITTEN]
        place = self._written % RECORDS_A_FILE
        self._records = home.map_records(self._written) if place else mmap.mmap(-1, BLOCK)
        self._at = place * BLOCK or FILE_BYTES  # the first record of a file makes it
        self.tick()

    def tick(self) -> None:
        """Once a second: look at the clock, which is too dear for each call."""
        self._minute = int(time() / 60)

    @property
    def written(self) -> int:
        """The number of records so far. Another thread may read it, and then those records."""
        return self._written

    def open(self, name: bytes, prompt_estimate: int) -> int:
        """A call of this `layout.name_of` begins; its slot. Raises GatewayError (503) where all slots are taken."""
        slot = self._free.pop() if self._free else self._fresh()
        BEGIN.pack_into(self._slots, slot * BLOCK + BEGIN_IN_SLOT, 0, name, prompt_estimate)
        self._calls = self._words[slot * _WORDS + CALL] = self._calls + 1
        return slot

    def progress(self, slot: int, completion_tokens: int) -> None:
        """A stream has come so far."""
        self._words[slot * _WORDS + TOKENS] = completion_tokens

    def moved(self, slot: int, *, endpoint_id: int, price: Price | None) -> None:
        """The call's endpoint failed it before the first byte, and it goes on at another one."""
        at, call, price = slot * BLOCK + IDENTITY_IN_SLOT, self._words[slot * _WORDS + CALL], price or _FREE
        identity = self._slots[at:at + IDENTITY.size]
        self._append(identity, 0, 0, 0, 0, ATTEMPT | ERROR, 0.0, 0.0, call)
        workspace, member, key, _endpoint, route, *_prices, door, guess = IDENTITY.unpack(identity)
        IDENTITY.pack_into(self._slots, at, workspace, member, key, endpoint_id, route, price.prompt, price.completion,
                           price.cached, door, guess)

    def close(self, slot: int, status: int, usage: Usage, first_byte: float, seconds: float, error: bool) -> None:  # noqa: PLR0917  As above.
        """The call has ended, answered or not. `first_byte` is 0 where none came; `error`: the engine failed it."""
        word = slot * _WORDS
        call = self._words[word + CALL]
        if not call:
            return  # booked as cut when this process was told to stop
        flags = (ERROR if error else 0) | (PARTIAL if usage.is_partial else 0)
        begin = slot * BLOCK
        self._append(self._slots[begin + IDENTITY_IN_SLOT:begin + _END], usage.prompt_tokens, usage.completion_tokens,
                     usage.cached_tokens, status, flags, first_byte, seconds, call)
        self._words[word + CALL] = 0
        self._free.append(slot)

    def refused(self, *, key_id: int, member_id: int, workspace_id: int, route_id: int, endpoint_id: int, door: int,
                status: int) -> None:
        """An authenticated call that no engine got: one whole record. What isn't known of it is 0."""
        identity = IDENTITY.pack(workspace_id, member_id, key_id, endpoint_id, route_id, 0.0, 0.0, 0.0, door, 0)
        self._append(identity, 0, 0, 0, status, REFUSED, 0.0, 0.0, 0)

    def cut_open_calls(self) -> int:
        """Record all calls in flight as cut, with the tokens so far; how many they were. May be repeated."""
        last, cut = self._last_call(), 0
        for slot in range(1, SLOTS):
            call = self._words[slot * _WORDS + CALL]
            if not call:
                continue
            if call != last:  # else its process was killed between the call's record and the freeing of its slot
                begin = slot * BLOCK
                self._append(self._slots[begin + IDENTITY_IN_SLOT:begin + _END], 0, self._words[slot * _WORDS + TOKENS], 0,
                             CUT, PARTIAL, 0.0, 0.0, call)
                cut += 1
            self._words[slot * _WORDS + CALL] = 0
        return cut

    def _append(self, identity: bytes, prompt: int, completion: int, cached: int,  # noqa: PLR0917  Names cost time here.
                status: int, flags: int, first_byte: float, seconds: float, call: int) -> None:
        at = self._at
        if at == FILE_BYTES:
            if not self._turn():
                return
            at = 0
        written = self._written + 1
        try:
            ENDED.pack_into(self._records, at, identity, prompt, completion, cached, self._minute, status, flags, first_byte,
                            seconds, call, written)
        except (struct.error, OverflowError):  # an engine told nonsense; it must not cost the call, nor the record
            ENDED.pack_into(self._records, at, identity,
                            *(min(max(int(one), 0), MOST_TOKENS) for one in (prompt, completion, cached)),
                            self._minute, status, flags, 0.0, 0.0, call, written)
        self._at = at + BLOCK
        self._written = self._words[WRITTEN] = written

    def _turn(self) -> bool:
        """Go on in the next file; whether there is room for one. Without room the record is lost, and counted."""
        try:
            records = self._home.map_records(self._written)
        except OSError:
            LOST.inc()
            return False
        self._records.close()
        self._records = records
        self._at = 0
        return True

    def _last_call(self) -> int:
        """The call of the last record, if that record ended it; else 0."""
        if not self._written:
            return 0
        block = self._home.read(self._written - 1, self._written)
        *_head, flags, _first, _seconds, call, number = RESULT.unpack_from(block, IDENTITY.size)
        return 0 if flags & ATTEMPT or number != self._written else call

    def _fresh(self) -> int:
        if self._next == SLOTS:
            raise GatewayError(503, "The gateway is full. Try again in a moment.", code="overloaded", kind="server_error")
        self._next += 1
        return self._next - 1
