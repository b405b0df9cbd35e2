"""What is looked for, and how well a name answers it: exactly, by its beginning, or somewhere in it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_
from typing import Any

from django.db.models import Case, IntegerField, Q, QuerySet, Value, When

from portal.tenancy.answers import is_uid

EXACT, BEGINS, HOLDS = range(3)
LEAST = 2  # letters of the Latin alphabet; one sign of another script is a word
LONGEST, MOST_WORDS = 100, 5
KEY = re.compile(r"(sk-[a-z0-9]{16})\S+")
PUBLIC_ID = re.compile(r"\A(?:sk-)?([a-z0-9]{4,16})\Z")


@dataclass(frozen=True)
class Question:
    """The words as they were typed, without what would open a door: of a whole key only its public part is kept."""

    text: str

    @classmethod
    def of(cls, typed: str) -> Question:
        return cls(KEY.sub(r"\1", " ".join(typed.split()))[:LONGEST].strip())

    @property
    def words(self) -> list[str]:
        return self.text.casefold().split()[:MOST_WORDS]

    @property
    def is_too_short(self) -> bool:
        return len(self.text) < LEAST and self.text.isascii()

    @property
    def uid(self) -> str | None:
        return self.text if is_uid(self.text) else None

    @property
    def public_id(self) -> str | None:
        """The beginning of a key's public id, if it can be one."""
        found = PUBLIC_ID.match(self.text)
        return found[1] if found else None

    def rank(self, names: Iterable[str], more: Iterable[str] = ()) -> int | None:
        """How well these names answer, None for not at all; what is in `more` counts where each word has to be somewhere."""
        wanted, found = self.text.casefold(), [name.casefold() for name in names]
        if wanted in found:
            return EXACT
        if any(name.startswith(wanted) for name in found):
            return BEGINS
        everywhere = "\n".join([*found, *(one.casefold() for one in more)])
        return HOLDS if all(word in everywhere for word in self.words) else None

    def best(self, rows: QuerySet[Any], fields: Sequence[str], most: int, also: Q | None = None) -> list[Any]:
        """The same in the database, in one query: at most so many rows, each with its `rank`, the best first.

        `also` are rows that answer exactly by something else than these fields, such as an id.
        """
        exact, begins = _any(fields, "iexact", self.text), _any(fields, "istartswith", self.text)
        holds = reduce(and_, (_any(fields, "icontains", word) for word in self.words))
        if also is not None:
            exact, holds = exact | also, holds | also
        rank = Case(When(exact, then=Value(EXACT)), When(begins, then=Value(BEGINS)), default=Value(HOLDS),
                    output_field=IntegerField())
        return list(rows.filter(holds).annotate(rank=rank).order_by("rank", fields[0], "-pk")[:most])


def _any(fields: Iterable[str], lookup: str, value: str) -> Q:
    return reduce(or_, (Q(**{f"{field}__{lookup}": value}) for field in fields))
