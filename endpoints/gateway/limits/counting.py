"""How the store counts: one pure step over the records of some counters. `redis_store` has the same as a script."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field

from .messages import Answer, Line, Refusal, Reply, Request

# The slot of this second and the 60 before it: whatever was used in any 60 seconds lies in them.
OLDEST_SLOT = 60
SHARE_CALLS = 8  # a share for fewer calls would cost more refusals elsewhere than it saves questions
TIGHT_SECONDS = 2.0
LEASE_SECONDS = 8.0


@dataclass(slots=True)
class Record:
    """One counter. `grants` has for each process what its calls hold, what it may use in all, and if it knows of a lack."""

    slots: dict[int, int] = field(default_factory=dict)
    total: int = 0
    month: int = 0
    is_seeded: bool = False
    tight_until: float = 0.0
    grants: dict[str, tuple[int, int, bool]] = field(default_factory=dict)

    def prepare(self, line: Line, alive: Collection[str], second: int) -> None:
        """Forget what is over, and book what the line brings.

        What a dead process might use counts as used: it may have used all of it and told nobody.
        """
        self.slots = {slot: amount for slot, amount in self.slots.items() if slot >= second - OLDEST_SLOT}
        lost = sum(granted for process, (_, granted, _) in self.grants.items() if process not in alive)
        if lost and line.kind == "minute":
            self.slots[second] = self.slots.get(second, 0) + lost
        self.grants = {process: grant for process, grant in self.grants.items() if process in alive}
        if line.month > self.month:
            self.month, self.total, self.is_seeded = line.month, 0, False
        for age, amount in line.spends:
            if line.kind == "month" and line.month == self.month:
                self.total += amount
            elif line.kind == "minute" and age <= OLDEST_SLOT:
                self.slots[second - age] = self.slots.get(second - age, 0) + amount
        if line.seed is not None and line.month == self.month:
            self.total, self.is_seeded = max(self.total, line.seed), True

    def spent(self) -> int:
        return self.total + sum(self.slots.values())

    def wait(self, lack: int, second: int) -> int:
        """Seconds until the sliding minute has let go of so much; 1 where running calls hold it."""
        for slot in sorted(self.slots):
            lack -= self.slots[slot]
            if lack <= 0:
                return max(slot + OLDEST_SLOT + 1 - second, 1)
        return 1


class _Sheet:
    """A counter during one exchange."""

    __slots__ = ("_alive", "_line", "_process", "_record", "_second", "admitted", "free", "unsure", "used")

    def __init__(self, record: Record, line: Line, process: str, alive: Collection[str], second: int) -> None:
        record.prepare(line, {*alive, process}, second)
        others = [grant for name, grant in record.grants.items() if name != process]
        self._record, self._line, self._process, self._second = record, line, process, second
        self.unsure = sum(granted for _, granted, knows in others if not knows) + line.keep
        self.used = record.spent() + sum(hold for hold, _, _ in others) + line.hold
        self.free = line.limit - self.used - sum(granted - hold for hold, granted, _ in others) - line.keep
        self.admitted = 0

    @property
    def is_open(self) -> bool:
        return self._line.kind != "month" or self._record.is_seeded

    def has_room(self, amount: int) -> bool:
        return self.is_open and amount <= self.free

    def admit(self, amount: int) -> None:
        self.free -= amount
        self.used += amount
        self.admitted += amount

    def refuse(self, number: int, amount: int, now: float) -> Refusal:
        if self.is_open:
            self._record.tight_until = now + TIGHT_SECONDS
        return Refusal(number, self.unsure, self._record.wait(amount - self.free, self._second))

    def close(self, processes: int, now: float) -> Answer:
        """Write down the process's new grant: what it holds, and a share of what is free where that is worth it."""
        line, record = self._line, self._record
        is_tight = record.tight_until > now
        share = max(self.free + line.keep, 0) // (2 * processes)
        if is_tight or not self.is_open or not line.size or share < SHARE_CALLS * line.size:
            share = 0
        hold = line.hold + self.admitted
        granted = hold + max(share, line.keep)
        if granted and self._process:
            record.grants[self._process] = (hold, granted, granted == hold)
        else:
            record.grants.pop(self._process, None)
        return Answer(granted, self.used, is_tight or granted == hold, self.is_open)


@dataclass(slots=True)
class State:
    """All counters by name, and until when each process is taken for alive."""

    records: dict[str, Record] = field(default_factory=dict)
    leases: dict[str, float] = field(default_factory=dict)


def exchange(state: State, request: Request, now: float, lease_seconds: float = LEASE_SECONDS) -> Reply:
    """Take in what a process tells, admit what fits, and share out what is free."""
    state.leases = {process: until for process, until in state.leases.items() if until > now}
    if request.is_leaving:
        state.leases.pop(request.process, None)
    elif request.process:
        state.leases[request.process] = now + lease_seconds
    sheets = [_Sheet(state.records.setdefault(line.name, Record()), line, request.process, state.leases, int(now))
              for line in request.lines]
    refusals: list[Refusal | None] = []
    for ask in request.asks:
        lacking = next(((number, amount) for number, amount in ask if not sheets[number].has_room(amount)), None)
        refusals.append(sheets[lacking[0]].refuse(*lacking, now) if lacking else None)
        for number, amount in () if lacking else ask:
            sheets[number].admit(amount)
    processes = max(len(state.leases), 1)
    return Reply(processes, [sheet.close(processes, now) for sheet in sheets], refusals)
