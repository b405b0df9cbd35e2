from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.utils.functional import Promise


@dataclass(frozen=True)
class Field:
    """`path` with dots, in the upstream's own names; `example` stands in an empty input."""

    path: str
    help: str | Promise
    example: str = ""
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """`rare` groups stand last and are for those who know them."""

    label: str | Promise
    fields: Sequence[Field]
    rare: bool = False
