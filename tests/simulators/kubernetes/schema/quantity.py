"""Quantities: `500m`, `1Gi`, `2e3`, and the one form in which a cluster writes each of them.

https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import lru_cache

BINARY = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40, "Pi": 2**50, "Ei": 2**60}
DECIMAL = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
FORM = re.compile(r"([+-]?)(\d+\.?\d*|\.\d+)(?:([KMGTPE]i)|([numkMGTPE])|[eE]([+-]?\d+))?\Z")
REFUSAL = r"quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"


def parse(text: str | float) -> Fraction:
    """The number that a quantity stands for.

    :raises ValueError: it is none; the message is the API server's.
    """
    return _parsed(str(text))[0]


@lru_cache(maxsize=2000)
def canonical(text: str) -> str:
    """The same quantity as a cluster writes it: no fraction, the largest suffix, of the kind that came in.

    :raises ValueError: it is no quantity.
    """
    number, style = _parsed(text)
    if number == 0:
        return "0"
    if style == "binary" and number.denominator == 1 and abs(number) >= 1024:
        suffix = max((each for each in BINARY if number % BINARY[each] == 0), key=BINARY.__getitem__)
        return f"{number / BINARY[suffix]}{suffix}"
    exponent = 18
    while exponent > -9 and (number / Fraction(10) ** exponent).denominator != 1:
        exponent -= 3
    mantissa = -(-number // Fraction(10) ** exponent)
    if style == "exponent":
        return f"{mantissa}e{exponent}" if exponent else str(mantissa)
    return f"{mantissa}{next(suffix for suffix, power in DECIMAL.items() if power == exponent)}"


def _parsed(text: str) -> tuple[Fraction, str]:
    match = FORM.match(text)
    if match is None:
        raise ValueError(REFUSAL)
    sign, number, binary, decimal, exponent = match.groups()
    value = Fraction(number) * (-1 if sign == "-" else 1)
    if binary:
        return value * BINARY[binary], "binary"
    if exponent:
        return value * Fraction(10) ** int(exponent), "exponent"
    return value * Fraction(10) ** DECIMAL[decimal or ""], "decimal"
