"""One figure of a line of usage, as a number and in words."""

from __future__ import annotations

from decimal import Decimal

from django.utils.formats import number_format

from clusters.instances import price_book
from endpoints.services.usage import NANO, Line

from ..templatetags.parts import big

SIGNS = {"USD": "$", "EUR": "€", "GBP": "£", "KRW": "₩", "CNY": "CN¥", "JPY": "¥"}
MANY_DIGITS_BELOW = 1  # small sums would be rounded to nothing


def value_of(line: Line, figure: str) -> Decimal:
    if figure == "tokens":
        return Decimal(line.of("prompt_tokens") + line.of("completion_tokens"))
    return line.cost if figure == "cost" else Decimal(line.of("requests"))


def cash(amount: Decimal | float) -> str:
    """In the currency of the price book."""
    amount = Decimal(amount)
    digits = 4 if 0 < abs(amount) < MANY_DIGITS_BELOW else 2
    code = price_book().currency
    return f"{SIGNS.get(code, f'{code} ')}{number_format(amount, digits, force_grouping=True)}"


def in_words(amount: Decimal, figure: str) -> str:
    return cash(amount) if figure == "cost" else big(float(amount) if amount % 1 else int(amount))


def cost_in_words(nano: int) -> str:
    return cash(nano * NANO) if nano else "–"
