"""The answer to a call over a limit: which limit, how much of it is used, and when to come again."""

from __future__ import annotations

from datetime import UTC, datetime

from ..errors import GatewayError, retry_after
from ..snapshot import Rule
from .counters import Counter
from .messages import Refusal

WORDS = {
    "requests_per_minute": "requests a minute", "tokens_per_minute": "tokens a minute",
    "concurrent_requests": "requests at a time", "tokens_per_month": "tokens a month",
    "money_per_month": "money a month",
}
MICRO = 1_000_000  # money is counted in micro-units


class LimitReached(GatewayError):
    """429. `param` is the quantity; a header says all of it to programs: kind, quantity, limit, used."""

    def __init__(self, counter: Counter, used: int, seconds: int) -> None:
        is_budget = counter.kind == "month"
        headers = (*retry_after(seconds), (b"x-limit-reached", _header(counter, used)))
        if is_budget:
            headers += ((b"x-should-retry", b"false"),)  # OpenAI's clients would try again by themselves
        kind = "insufficient_quota" if is_budget else "rate_limit_error"
        super().__init__(
            429, f"The limit {_whose(counter.rule)} is reached: {WORDS[counter.quantity]}, {_number(counter, used)} of "
                 f"{_number(counter, counter.limit)} used. Try again in {seconds} s.",
            code="insufficient_quota" if is_budget else "rate_limit_exceeded", kind=kind, param=counter.quantity,
            headers=headers)


def limit_reached(counter: Counter, refusal: Refusal, used: int, now: float) -> LimitReached:
    """`used` is what the store counts; `now` is Unix time."""
    return LimitReached(counter, used, _next_month(now) if counter.kind == "month" else refusal.wait)


def kind_of(rule: Rule) -> str:
    if rule.model_name:
        return "model"
    return "key" if rule.key_id else "member" if rule.member_id else "workspace"


def _whose(rule: Rule) -> str:
    return {"model": f"of the model '{rule.model_name}'", "key": "of this API key", "member": "of this key's member",
            "workspace": "of the workspace"}[kind_of(rule)]


def _header(counter: Counter, used: int) -> bytes:
    return (f"kind={kind_of(counter.rule)}; quantity={counter.quantity}; limit={_number(counter, counter.limit)}; "
            f"used={_number(counter, used)}").encode()


def _number(counter: Counter, amount: int) -> str:
    return f"{amount / MICRO:.6g}" if counter.quantity == "money_per_month" else str(amount)


def _next_month(now: float) -> int:
    """Seconds to the first moment of the next month, UTC."""
    today = datetime.fromtimestamp(now, UTC)
    first = datetime(today.year + today.month // 12, today.month % 12 + 1, 1, tzinfo=UTC)
    return int((first - today).total_seconds()) + 1
