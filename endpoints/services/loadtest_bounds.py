"""What a load test may ask for, what it would use, and how much of the month's limits is left for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from django.conf import settings
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext as _

from endpoints.loadtests.plan import CALLERS, RATE, Expected, Plan, expected, longest
from endpoints.loadtests.states import Mode
from portal.tenancy.errors import Invalid, QuotaExceeded
from portal.tenancy.models import Limit, LimitKind, User, Workspace

from .alert_watch import levels_of
from .loadtest_targets import NANO_OF_A_TOKEN, Called, price_of

MOST_PROMPT, MOST_OUTPUT, MOST_SPREAD = 32_768, 8_192, 90
FEWEST_SECONDS = 5
NANO_OF_MICRO = 1000
TEMPLATE_TOKENS = 64  # that a chat template may add


@dataclass(frozen=True)
class Ask:
    """What a person asks for. Times are seconds, goals milliseconds and per cent, spreads per cent to either side."""

    model: str
    mode: str = Mode.RATE
    rate: Decimal = Decimal(1)
    callers: int = 1
    seconds: int = 60
    prompt_tokens: int = 256
    prompt_spread: int = 0
    output_tokens: int = 128
    output_spread: int = 0
    goal_first_ms: int | None = None
    goal_between_ms: int | None = None
    goal_error_percent: Decimal | None = None
    notes: str = ""


@dataclass(frozen=True)
class Touched:
    """A quantity of a limit that the run uses: used now, at most, and what the run adds (None: it can't be said)."""

    limit: Limit
    quantity: str
    used: int | Decimal | None
    most: int | Decimal
    adds: int | Decimal | None

    @property
    def is_passed(self) -> bool:
        return self.adds is not None and (self.used or 0) + self.adds > self.most


@dataclass(frozen=True)
class Foreseen:
    """What a run would use, and of which limits."""

    plan: Plan
    expected: Expected
    touched: Sequence[Touched]
    has_price: bool

    @property
    def cost(self) -> Decimal:
        return Decimal(self.expected.nano) / 10**9


def check(ask: Ask) -> None:
    """Raise Invalid, with its field, for what no run may ask for."""
    rate, most_rate = float(ask.rate), settings.PORTAL_LOAD_TEST_RATE
    bounds = (
        ("rate", rate, 0.1, most_rate, ask.mode == Mode.RATE),
        ("callers", ask.callers, 1, settings.PORTAL_LOAD_TEST_CALLERS, ask.mode == Mode.CALLERS),
        ("seconds", ask.seconds, FEWEST_SECONDS, settings.PORTAL_LOAD_TEST_SECONDS, True),
        ("prompt_tokens", ask.prompt_tokens, 1, MOST_PROMPT, True),
        ("output_tokens", ask.output_tokens, 1, MOST_OUTPUT, True),
        ("prompt_spread", ask.prompt_spread, 0, MOST_SPREAD, True),
        ("output_spread", ask.output_spread, 0, MOST_SPREAD, True),
        ("goal_first_ms", ask.goal_first_ms or 0, 1, 600_000, ask.goal_first_ms is not None),
        ("goal_between_ms", ask.goal_between_ms or 0, 1, 600_000, ask.goal_between_ms is not None),
        ("goal_error_percent", float(ask.goal_error_percent or 0), 0, 100, True),
    )
    if ask.mode not in Mode.values:
        raise Invalid(_("Choose calls a second, or callers at a time."), field="mode")
    for field, value, least, most, counts in bounds:
        if counts and not least <= value <= most:
            raise Invalid(_("Enter a number from %(least)s to %(most)s.") % {"least": f"{least:g}", "most": f"{most:,g}"},
                          field=field)


def require_context(ask: Ask, called: Called) -> None:
    """Raise Invalid where prompt and answer can't fit into the model's context."""
    most = min((one.wanted.profile.model.context_tokens for one in called.endpoints
                if one.wanted is not None and one.wanted.profile.model.context_tokens), default=None)
    asked = longest(ask.prompt_tokens, ask.prompt_spread) + longest(ask.output_tokens, ask.output_spread) + TEMPLATE_TOKENS
    if most is not None and asked > most:
        raise Invalid(_("Prompt and answer don't fit: with the chat template about %(asked)d tokens, the model takes "
                        "%(most)d.") % {"asked": asked, "most": most}, field="prompt_tokens")


def foresee(workspace: Workspace, user: User | None, ask: Ask, called: Called) -> Foreseen:
    """What this would use. Raises Invalid and QuotaExceeded with the field to change where it can't be."""
    check(ask)
    require_context(ask, called)
    price = price_of(called)
    plan = _plan(ask, price)
    uses = expected(plan)
    if plan.mode == RATE and uses.tokens > plan.most_tokens:
        raise Invalid(_("This would use about %(uses)d tokens; a run may use %(most)d. Choose a shorter time, a lower rate or "
                        "shorter texts.") % {"uses": uses.tokens, "most": plan.most_tokens}, field="seconds")
    touched = _touched(workspace, user, ask, uses)
    plan = _within(plan, touched)
    if uses.is_most:
        uses = expected(plan)
        adds = _adds(ask, uses)
        touched = [replace(one, adds=adds[one.quantity]) for one in touched]
    return Foreseen(plan, uses, touched, price is not None)


def require_room(foreseen: Foreseen) -> None:
    """Raise QuotaExceeded where a limit of the month leaves no room for the run."""
    for one in foreseen.touched:
        if one.quantity not in ("tokens_per_month", "money_per_month"):
            continue
        is_used_up = (one.used or 0) >= one.most
        if is_used_up or (one.is_passed and not foreseen.expected.is_most):
            raise QuotaExceeded(_("The month's limit leaves too little for this run. Choose a shorter time or shorter texts, "
                                  "or ask for a higher limit."), field="seconds")


def _plan(ask: Ask, price: Any) -> Plan:
    prompt, output = (float(price[0]) * NANO_OF_A_TOKEN, float(price[1]) * NANO_OF_A_TOKEN) if price else (0.0, 0.0)
    return Plan(
        url="", model=ask.model, mode=ask.mode, rate=float(ask.rate), callers=ask.callers, seconds=ask.seconds,
        prompt_tokens=ask.prompt_tokens, prompt_spread=ask.prompt_spread, output_tokens=ask.output_tokens,
        output_spread=ask.output_spread, seed=0, most_tokens=settings.PORTAL_LOAD_TEST_TOKENS, prompt_nano=prompt,
        output_nano=output, most_rate=settings.PORTAL_LOAD_TEST_RATE)


def _within(plan: Plan, touched: Sequence[Touched]) -> Plan:
    """The plan, to use no more than the month's limits leave."""
    left = {name: [one.most - (one.used or 0) for one in touched if one.quantity == name]
            for name in ("tokens_per_month", "money_per_month")}
    tokens = min([plan.most_tokens, *(int(one) for one in left["tokens_per_month"])])
    nano = min((int(one * 10**9) for one in left["money_per_month"]), default=0)
    return replace(plan, most_tokens=max(1, tokens), most_nano=max(1, nano) if left["money_per_month"] else 0)


def _touched(workspace: Workspace, user: User | None, ask: Ask, uses: Expected) -> list[Touched]:
    limits = list(Limit.objects.filter(workspace=workspace).filter(
        Q(kind=LimitKind.WORKSPACE) | Q(kind=LimitKind.MEMBER, member=user)
        | Q(kind=LimitKind.MODEL, model_name=ask.model)).select_related("workspace", "member", "key").order_by("pk"))
    used = {(level.limit.pk, level.quantity): level.used for level in levels_of(limits, timezone.now(), places=False)}
    adds = _adds(ask, uses)
    found = []
    for limit in limits:
        for quantity in Limit.CALLS:
            most = getattr(limit, quantity)
            if most is not None:
                now: int | Decimal | None = used.get((limit.pk, quantity))
                if quantity == "money_per_month" and now is not None:
                    now = Decimal(now) * NANO_OF_MICRO / 10**9
                found.append(Touched(limit, quantity, now, most, adds[quantity]))
    return found


def _adds(ask: Ask, uses: Expected) -> dict[str, int | Decimal | None]:
    a_minute = min(60, ask.seconds)
    at_a_rate = ask.mode != CALLERS
    return {
        "requests_per_minute": round(float(ask.rate) * a_minute) if at_a_rate else None,
        "tokens_per_minute": round(float(ask.rate) * a_minute) * (ask.prompt_tokens + ask.output_tokens) if at_a_rate else None,
        "concurrent_requests": None if at_a_rate else ask.callers,
        "tokens_per_month": uses.tokens, "money_per_month": Decimal(uses.nano) / 10**9,
    }
