"""One figure of a line of usage, as a number and in words."""

from __future__ import annotations

from decimal import Decimal

from django.utils.formats import number_format

from clusters.instances import price_book
from endpoints.services.usage import Line

from ..templatetags.parts import big

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩", "CNY": "CN¥", "JPY": "¥"}
MANY_DIGITS_BELOW = 1  # small sums would be rounded to nothing


def value_of(line: Line, figure: str) -> Decimal:
    if figure == "tokens":
        return Decimal(line.of("prompt_tokens") + line.of("completion_tokens"))
    return line.cost if figure == "cost" else Decimal(line.of("requests"))


def cash(amount: Decimal | float, digits: int | None = None) -> str:
    """In the currency of the price book; small sums with more digits, unless it is said how many."""
    amount = Decimal(amount)
    if digits is None:
        digits = 4 if 0 < abs(amount) < MANY_DIGITS_BELOW else 2
    code = price_book().currency
    return f"{SIGNS.get(code, f'{code} ')}{number_format(amount, digits, force_grouping=True)}"


def gpu_hours(seconds: int | None) -> str:
    """A dash where no GPUs belong to it."""
    return "–" if seconds is None else number_format(Decimal(seconds) / 3600, 1 if seconds % 3600 else 0, force_grouping=True)


def in_words(amount: Decimal, figure: str, *, is_round: bool = False) -> str:
    """`is_round` leaves the digits after the point away where they are zeros, as for an axis or a limit."""
    if figure == "cost":
        return cash(amount, 0 if is_round and amount == int(amount) else None)
    return big(float(amount) if amount % 1 else int(amount))

