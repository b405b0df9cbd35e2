"""Which price holds for an endpoint. Pure; the rows are those of TokenPrice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal

Amounts = tuple[Decimal, Decimal, Decimal | None]  # a million tokens of prompt, answer, and cached prompt
PriceRow = tuple[int | None, int | None, str, int | None, Decimal, Decimal, Decimal | None]
PRICE_FIELDS = ("model_id", "workspace_id", "public_name", "cluster_id", "prompt", "completion", "cached")
Subject = tuple[int | None, int | None, str, int | None]


@dataclass(frozen=True, slots=True)
class Priced:
    """What a price can be for: an endpoint's workspace, name for callers, place and model."""

    workspace_id: int
    public_name: str
    cluster_id: int
    model_id: int | None

    def subjects(self) -> Iterator[Subject]:
        """From the most to the least specific: a name goes before a model, and then a place before everywhere."""
        for cluster_id in (self.cluster_id, None):
            yield None, self.workspace_id, self.public_name, cluster_id
        if self.model_id is not None:
            for cluster_id in (self.cluster_id, None):
                yield self.model_id, None, "", cluster_id


class TokenPrices:
    """The prices that hold at one moment, from rows whose later ones replace earlier ones of the same subject."""

    def __init__(self, rows: Iterable[PriceRow]) -> None:
        self._amounts: dict[Subject, Amounts] = {tuple(row[:4]): tuple(row[4:]) for row in rows}  # type: ignore[misc]

    def of(self, priced: Priced) -> Amounts | None:
        """The most specific price; None where there is none, and calls cost nothing."""
        return next((self._amounts[one] for one in priced.subjects() if one in self._amounts), None)
