"""What the keeper knows of an endpoint before it looks: plain values, because a look at thousands is mostly reading them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import BooleanField, ExpressionWrapper, Q
from django.db.models.functions import Now

from endpoints.judge import RowView
from endpoints.models import Endpoint
from endpoints.states import MAX_CORRECTIONS, TRANSITIONAL


class Known(NamedTuple):
    """One row as it was read. `wanted` and `serving` are numbers of revisions, `late` says that its deadline has passed."""

    pk: int
    uid: UUID
    wish: str
    status: str
    cause: str
    message: str
    replicas: int
    ready: int
    autoscaled: int | None
    generation: int
    observed: int
    epoch: int
    attempts: int
    wanted_pk: int | None
    wanted: int | None
    failed_at: datetime | None
    failure: str | None
    serving_pk: int | None
    serving: int | None
    drift: list[dict[str, Any]]
    corrections: int
    late: bool | None

    @property
    def is_settled(self) -> bool:
        return self.status not in TRANSITIONAL and self.observed == self.generation

    @property
    def view(self) -> RowView:
        return RowView(self.wish, self.status, self.replicas, self.wanted or 0, self.serving, self.failed_at is not None,
                       self.failure or "", self.is_settled, bool(self.late),
                       contested=bool(self.drift) and self.corrections >= MAX_CORRECTIONS, ready=self.ready)


COLUMNS = (
    "pk", "uid", "wish", "status", "cause", "message", "replicas", "ready_replicas", "autoscaled_replicas", "generation",
    "observed_generation", "lease_epoch", "attempts", "wanted_id", "wanted__number", "wanted__failed_at", "wanted__failure",
    "serving_id", "serving__number", "drift", "corrections", "late",
)


def known(pks: Sequence[int]) -> list[Known]:
    """These rows in the order of their numbers, in one query; who is gone is missing."""
    late = ExpressionWrapper(Q(deadline_at__lt=Now()), output_field=BooleanField())
    rows = Endpoint.objects.filter(pk__in=pks).annotate(late=late).order_by("pk")
    return [Known(*values) for values in rows.values_list(*COLUMNS)]
