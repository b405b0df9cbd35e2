"""Amounts as Kubernetes writes them: ``500m``, ``4Gi``, ``1e3`` (kubernetes.io, "Quantity")."""

from __future__ import annotations

import re
from decimal import ROUND_CEILING, Decimal

_FORM = re.compile(r"(?P<number>[+-]?(?:[0-9]{1,40}(?:\.[0-9]{0,40})?|\.[0-9]{1,40}))"
                   r"(?:(?P<suffix>[KMGTPE]i|[numkMGTPE])|[eE](?P<exponent>[+-]?[0-9]{1,3}))?")
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {f"{letter}i": Decimal(1024**power) for power, letter in enumerate("KMGTPE", start=1)}
BIGGEST = 2**63 - 1


def parse(amount: object) -> Decimal:
    """The exact value; numbers are taken as they are written. Raises ValueError for anything else."""
    found = None if isinstance(amount, bool) else _FORM.fullmatch(str(amount).strip())
    if found is None:
        raise _refuse(amount)
    number, suffix = Decimal(found["number"]), found["suffix"]
    if suffix in _BINARY:
        return number * _BINARY[suffix]
    power = _DECIMAL[suffix] if suffix else int(found["exponent"] or 0)
    return number.scaleb(power)


def whole(amount: object) -> int:
    """Bytes or a count, rounded up. Raises ValueError, also for what is negative or beyond 64 bits."""
    return _up(amount, 1)


def millis(amount: object) -> int:
    """Thousandths, as CPU is counted, rounded up. Raises ValueError as `whole`."""
    return _up(amount, 1000)


def _up(amount: object, times: int) -> int:
    value = parse(amount) * times
    if not 0 <= value <= BIGGEST:
        raise _refuse(amount)
    return int(value.to_integral_value(ROUND_CEILING))


def _refuse(amount: object) -> ValueError:
    return ValueError(f"not a quantity: {str(amount)[:40]!r}")
