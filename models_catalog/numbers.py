"""Numbers for people: 7.6 B parameters, 15.3 GiB, 128 K tokens."""

from __future__ import annotations

from django.utils.formats import number_format

from clusters.units import GIB

UNITS = ((10**12, "T"), (10**9, "B"), (10**6, "M"), (10**3, "K"))


def count(value: int | None) -> str:
    """Parameters with one decimal and a letter, such as 7.6 B."""
    if value is None:
        return "–"
    for size, letter in UNITS:
        if value >= size:
            short = round(value / size, 1 if value < 100 * size else 0)
            return f"{number_format(short, 0 if short == int(short) else 1)} {letter}"
    return number_format(value)


def memory(value: int | None) -> str:
    """Bytes as GiB with one decimal, or as MiB below one tenth."""
    if value is None:
        return "–"
    if value < GIB / 10:
        return f"{number_format(round(value / 1024**2))} MiB"
    return f"{number_format(round(value / GIB, 1), 1)} GiB"


def tokens(value: int | None) -> str:
    """Tokens in units of 1024, such as 128 K, where that is exact enough to be read."""
    if value is None:
        return "–"
    if value < 1024:
        return number_format(value)
    return f"{number_format(round(value / 1024))} K" if value < 1024**2 else f"{number_format(value / 1024**2, 0)} M"
