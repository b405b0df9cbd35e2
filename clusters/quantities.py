"""Amounts as Kubernetes writes them: ``500m``, ``4Gi``, ``1e3`` (kubernetes.io, "Quantity")."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_FORM = re.compile(r"(?P<number>[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))"
                   r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGTPE", start=1)}
BIGGEST = 2**63 - 1


def parse(amount: str | float) -> Decimal:
    """The exact value; numbers are taken as they are written. Raises ValueError for anything else."""
    found = _FORM.fullmatch(str(amount).strip())
    if found is None:
        raise ValueError(f"no quantity: {str(amount)[:40]!r}")
    number, suffix = Decimal(found["number"]), found["suffix"]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    power = _DECIMAL[suffix] if suffix else int(found["exponent"] or 0)
    return number.scaleb(power)


def whole(amount: str | float, unit: str = "") -> int:
    """The value in units of `unit` (a suffix such as ``m``), rounded up and at most 2**63 - 1. Raises ValueError."""
    value = parse(amount) / parse(f"1{unit}")
    return int(min(value, Decimal(BIGGEST)).to_integral_value(ROUND_CEILING))
