"""What goes wrong on purpose: throttling, errors, latency, refusals, connections that end without an answer."""

from __future__ import annotations

import fnmatch
import random
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from tests.simulators.aws.errors import AwsFault, Dropped, denied
from tests.simulators.aws.messages import Call

# SageMaker says ThrottlingException with "Rate exceeded"; other services use other names.
THROTTLED = {"s3": ("SlowDown", 503), "sts": ("Throttling", 400)}
READS = ("Describe", "List", "Get", "Head", "Invoke", "Search", "Filter", "Assume", "Query")


@dataclass(slots=True)
class Fault:
    """Comes before or instead of what matching calls would do, `times` often (None: until removed).

    operations: patterns of "service:Operation", such as "sagemaker:Create*".
    """

    operations: tuple[str, ...] = ("*",)
    times: int | None = None
    share: float = 1.0  # of the matching calls
    code: str = ""
    message: str = ""
    status: int = 400
    delay: float = 0.0  # seconds, before anything is done
    drop: bool = False
    met: int = 0
    remove: Callable[[], None] = field(default=lambda: None, repr=False)

    def matches(self, call: Call) -> bool:
        name = f"{call.service}:{call.operation}"
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in self.operations)


@dataclass(slots=True)
class Crash:
    """The caller dies at its n-th changing call: see `Faults.crash_at`."""

    at: int
    before: bool
    stays_down: bool
    operations: tuple[str, ...]
    seen: int = 0
    doomed: Call | None = None  # the call at which it happens
    happened: threading.Event = field(default_factory=threading.Event)


class Faults:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._random = random.Random(7)  # the same share of the same calls in every run
        self._faults: list[Fault] = []
        self._refused: dict[str, str] = {}
        self._crash: Crash | None = None
        self.changes = 0

    def reset(self) -> None:
        with self._lock:
            self._faults.clear()
            self._refused.clear()
            self._crash, self.changes, self._random = None, 0, random.Random(7)

    # --- what tests ask for

    def add(self, fault: Fault) -> Fault:
        fault.remove = lambda: self._faults.remove(fault) if fault in self._faults else None
        self._faults.append(fault)
        return fault

    def throttle(self, share: float = 1.0, times: int | None = None, operations: Iterable[str] = ("*",)) -> Fault:
        """A share of the calls, or the next `times`, answer "Rate exceeded"."""
        return self.add(Fault(tuple(operations), times, share, "ThrottlingException", "Rate exceeded"))

    def fail(self, code: str = "InternalFailure", message: str = "An internal error", status: int = 500,
             times: int | None = None, share: float = 1.0, operations: Iterable[str] = ("*",)) -> Fault:  # fmt: skip
        return self.add(Fault(tuple(operations), times, share, code, message, status))

    def slow(self, seconds: float, times: int | None = None, operations: Iterable[str] = ("*",)) -> Fault:
        return self.add(Fault(tuple(operations), times, delay=seconds))

    def drop(self, times: int | None = None, share: float = 1.0, operations: Iterable[str] = ("*",)) -> Fault:
        """The connection ends before anything is done."""
        return self.add(Fault(tuple(operations), times, share, drop=True))

    def refuse(self, action: str, resource: str = "*") -> None:
        """From now on nobody may do this ("sagemaker:CreateEndpoint"); a resource as the message shall name it."""
        self._refused[action] = resource

    def allow(self, action: str) -> None:
        self._refused.pop(action, None)

    def crash_at(self, number: int, *, before: bool = False, stays_down: bool = True,
                 operations: Iterable[str] = ("*",)) -> Crash:  # fmt: skip
        """At the n-th changing call from here (1 is the next) the connection ends without an answer: after the call is
        done, or `before` it. With `stays_down` nothing more is answered until `recover`, as if the caller were dead."""
        self._crash = Crash(number, before, stays_down, tuple(operations))
        return self._crash

    def recover(self) -> None:
        self._crash = None

    # --- what the simulator asks

    def before(self, call: Call) -> None:
        """
        :raises AwsFault: throttled, broken or refused.
        :raises Dropped: no answer at all.
        """
        self._maybe_dead(call)
        for fault in list(self._faults):
            if fault.matches(call) and self._takes(fault):
                _act(fault, call)
        action = f"{'sagemaker' if call.service == 'sagemaker-runtime' else call.service}:{call.operation}"
        if action in self._refused:
            raise denied(call.identity.arn, action, self._refused[action])

    def after(self, call: Call) -> None:
        """
        :raises Dropped: the change is made, and nobody hears of it.
        """
        if not is_change(call):
            return
        with self._lock:
            self.changes += 1
            crash = self._crash
        if crash is not None and crash.doomed is call:
            crash.happened.set()
            raise Dropped

    def _maybe_dead(self, call: Call) -> None:
        with self._lock:
            crash = self._crash
            if crash is None:
                return
            if crash.happened.is_set():
                if crash.stays_down:
                    raise Dropped
                return
            matched = is_change(call) and Fault(crash.operations).matches(call)
            crash.seen += matched
            if matched and crash.seen == crash.at:
                crash.doomed = call
                if crash.before:
                    crash.happened.set()
                    raise Dropped

    def _takes(self, fault: Fault) -> bool:
        with self._lock:
            if fault.times == 0 or self._random.random() >= fault.share:
                return False
            fault.met += 1
            if fault.times is not None:
                fault.times -= 1
            return True


def _act(fault: Fault, call: Call) -> None:
    if fault.delay:
        time.sleep(fault.delay)
    if fault.drop:
        raise Dropped
    if fault.code == "ThrottlingException":
        code, status = THROTTLED.get(call.service, (fault.code, 400))
        raise AwsFault(code, fault.message, status)
    if fault.code:
        raise AwsFault(fault.code, fault.message, fault.status)


def is_change(call: Call) -> bool:
    if call.service == "s3":
        return call.request.method not in ("GET", "HEAD")
    return not call.operation.startswith(READS)
