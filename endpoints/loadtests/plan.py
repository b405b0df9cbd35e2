"""What a load test will do: when calls begin, how long they are, and what all of it may use."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Self

RATE, CALLERS = "rate", "callers"
MOST_IN_FLIGHT = 256  # of a run at a rate: more calls wait, and the wait counts as theirs


@dataclass(frozen=True)
class Plan:
    """A run, for the process that makes its calls. Times are seconds; spreads are per cent to either side."""

    url: str
    model: str
    mode: str
    rate: float
    callers: int
    seconds: int
    prompt_tokens: int
    prompt_spread: int
    output_tokens: int
    output_spread: int
    seed: int
    # What it may use at most; 0 is no limit. Money is in 10⁻⁹ of the currency, prices are of one token in it.
    most_tokens: int = 0
    most_nano: int = 0
    prompt_nano: float = 0.0
    output_nano: float = 0.0
    most_rate: float = 0.0  # of calls a second from callers that go on as soon as they are answered

    @classmethod
    def read(cls, values: dict[str, Any]) -> Self:
        return cls(**values)

    def told(self) -> dict[str, Any]:
        return asdict(self)

    @property
    def tokens_each(self) -> int:
        """What one call may use at most, by the lengths that were asked for."""
        return longest(self.prompt_tokens, self.prompt_spread) + longest(self.output_tokens, self.output_spread)

    @property
    def nano_each(self) -> float:
        return (longest(self.prompt_tokens, self.prompt_spread) * self.prompt_nano
                + longest(self.output_tokens, self.output_spread) * self.output_nano)

    def starts(self, chance: Random) -> Iterator[float]:
        """When calls begin, in seconds from the start of the run: a Poisson process of this rate."""
        at = chance.expovariate(self.rate)
        while at < self.seconds:
            yield at
            at += chance.expovariate(self.rate)

    def would_pass(self, tokens: int, nano: float, in_flight: int) -> bool:
        """Whether one more call could pass what the run may use, after these tokens and this money."""
        calls = in_flight + 1
        return bool((self.most_tokens and tokens + calls * self.tokens_each > self.most_tokens)
                    or (self.most_nano and nano + calls * self.nano_each > self.most_nano))


@dataclass(frozen=True)
class Expected:
    """What a run uses. At a rate it is about this, from callers it is at most this. Money in 10⁻⁹ of the currency."""

    calls: int
    prompt_tokens: int
    output_tokens: int
    nano: int
    is_most: bool

    @property
    def tokens(self) -> int:
        return self.prompt_tokens + self.output_tokens


def expected(plan: Plan) -> Expected:
    """What this plan uses, before any call is made."""
    each = plan.prompt_tokens + plan.output_tokens
    is_most = plan.mode == CALLERS
    calls = math.ceil((plan.most_rate if is_most else plan.rate) * plan.seconds)
    nano_each = plan.prompt_tokens * plan.prompt_nano + plan.output_tokens * plan.output_nano
    if is_most and plan.most_tokens:
        calls = min(calls, plan.most_tokens // each)
    if is_most and plan.most_nano and nano_each:
        calls = min(calls, math.floor(plan.most_nano / nano_each))
    nano = calls * nano_each
    return Expected(calls, calls * plan.prompt_tokens, calls * plan.output_tokens, round(nano), is_most)


def draw(tokens: int, spread: int, chance: Random) -> int:
    """A length: the middle one, or any within `spread` per cent of it, all equally likely."""
    return chance.randint(shortest(tokens, spread), longest(tokens, spread)) if spread else tokens


def shortest(tokens: int, spread: int) -> int:
    return max(1, tokens - tokens * spread // 100)


def longest(tokens: int, spread: int) -> int:
    return tokens + tokens * spread // 100
