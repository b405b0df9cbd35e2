"""A paginator for tables that grow without end."""

from __future__ import annotations

from typing import Any

from django.core.paginator import Paginator
from django.utils.functional import cached_property


class CappedPaginator(Paginator[Any]):
    """Counts at most `cap` rows, so the price of a page doesn't grow with the table; older rows need a filter."""

    cap = 10_000

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by().values("pk")[: self.cap].count())  # without the annotations of the list
