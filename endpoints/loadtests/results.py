"""What a run measured: sums over all calls, and points along its time. All times are in seconds."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from .histogram import Histogram

MOST_POINTS = 120
MEASURES = ("first", "between", "whole")  # first token, between tokens, the whole answer
MESSAGE_LENGTH = 200


@dataclass
class Slice:
    """What happened in one slice of the run's time."""

    started: int = 0
    done: int = 0
    failed: int = 0
    tokens: int = 0
    in_flight: int = 0
    times: dict[str, Histogram] = field(default_factory=lambda: {name: Histogram() for name in MEASURES})

    def point(self, until: float, width: float) -> dict[str, Any]:
        return {"t": round(until, 3), "started": self.started, "done": self.done, "failed": self.failed,
                "tokens": round(self.tokens / width, 2) if width else 0.0, "in_flight": self.in_flight,
                **{name: times.quantiles() for name, times in self.times.items()}}


@dataclass
class Failures:
    """Calls that failed in one way, and what the first of them was told."""

    count: int = 0
    message: str = ""


class Recorder:
    """Takes what happens as it happens, `at` seconds after the run began, in the order of time."""

    def __init__(self, seconds: int) -> None:
        self.width = float(max(1, math.ceil(seconds / MOST_POINTS)))
        self.times = {name: Histogram() for name in MEASURES}
        self.lag = Histogram()
        self.errors: dict[str, Failures] = {}
        self.started = self.done = self.failed = self.unsent = 0
        self.prompt_tokens = self.output_tokens = self.unreported = 0
        self.asked_prompt = self.asked_output = 0
        self._now = Slice()
        self._until = self.width
        self._points: list[dict[str, Any]] = []

    @property
    def in_flight(self) -> int:
        return self.started - self.done - self.failed

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens

    def start(self, at: float, lag: float) -> None:
        """A call was sent, so much later than it was meant to."""
        self._move(at)
        self.started += 1
        self._now.started += 1
        self.lag.add(max(0.0, lag))

    def time(self, at: float, name: str, seconds: float) -> None:
        self._move(at)
        self.times[name].add(seconds)
        self._now.times[name].add(seconds)

    def token(self, at: float, count: int = 1) -> None:
        """Tokens came; negative where fewer came than were taken for some."""
        self._move(at)
        self._now.tokens += count

    def end(self, at: float, *, prompt: int, output: int, asked: tuple[int, int], is_reported: bool) -> None:
        """A call went well, with these tokens by the engine's own count, or by ours where it gave none."""
        self._move(at)
        self.done += 1
        self._now.done += 1
        self.prompt_tokens += prompt
        self.output_tokens += output
        self.asked_prompt += asked[0]
        self.asked_output += asked[1]
        self.unreported += not is_reported

    def fail(self, at: float, kind: str, message: str, *, prompt: int = 0, output: int = 0) -> None:
        """A call failed, after these tokens."""
        self._move(at)
        self.failed += 1
        self._now.failed += 1
        self.prompt_tokens += prompt
        self.output_tokens += output
        one = self.errors.setdefault(kind, Failures(message=message[:MESSAGE_LENGTH]))
        one.count += 1

    def summary(self, at: float) -> dict[str, Any]:
        seconds = max(at, 0.001)
        return {
            "seconds": round(at, 3), "started": self.started, "done": self.done, "failed": self.failed, "unsent": self.unsent,
            "in_flight": self.in_flight, "prompt_tokens": self.prompt_tokens, "output_tokens": self.output_tokens,
            "asked_prompt": self.asked_prompt, "asked_output": self.asked_output, "unreported": self.unreported,
            "requests_per_second": round(self.done / seconds, 3), "tokens_per_second": round(self.output_tokens / seconds, 2),
            "lag": self.lag.facts(), **{name: times.facts() for name, times in self.times.items()},
            "errors": {kind: {"count": one.count, "message": one.message} for kind, one in sorted(self.errors.items())},
        }

    def series(self, at: float) -> dict[str, Any]:
        """Points along the time, the current one as far as it has come, and how the times are spread."""
        self._move(at)
        now = self._now
        is_telling = now.started or now.done or now.failed or now.tokens
        last = [now.point(at, max(self.width / 2, at - self._until + self.width))] if is_telling else []
        return {"width": self.width, "points": [*self._points, *last],
                "bars": {name: times.bars() for name, times in self.times.items()}}

    def _move(self, at: float) -> None:
        while at >= self._until:
            self._now.in_flight = self.in_flight
            self._points.append(self._now.point(self._until, self.width))
            self._now = Slice()
            self._until += self.width
        self._now.in_flight = self.in_flight
