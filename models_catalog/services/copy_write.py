"""What the keeper writes down of a copy, each by compare-and-swap on the version that a wish counts up."""

from __future__ import annotations

from typing import Any

from django.db.models import F
from django.db.models.functions import Now

from portal.tenancy import audit
from portal.tenancy.actor import PORTAL
from portal.tenancy.db import retry_tx
from portal.tenancy.text import clean

from ..models import ModelCopy
from ..preheating.judge import Verdict
from ..preheating.progress import Progress
from ..states import LOOK_CALM, LOOK_SOON, MOVING, CopyState, retry_delay


def look_later(row: ModelCopy) -> None:
    """After a look that failed: nothing is known, so only the next one moves."""
    ModelCopy.objects.filter(pk=row.pk, version=row.version).update(
        attempts=F("attempts") + 1, next_look_at=Now() + retry_delay(row.attempts))


@retry_tx
def write(
    row: ModelCopy, verdict: Verdict, *, sent_round: int | None = None, progress: Progress | None = None, refused: bool = False,
) -> bool:
    """Keep what was seen, unless somebody wished something else meanwhile; whether it was kept."""
    values: dict[str, Any] = {
        "state": verdict.state, "cause": verdict.cause, "message": clean(verdict.message, 1000), "claim": verdict.claim[:253],
        "loaded_round": verdict.loaded_round, "sent_round": row.sent_round if sent_round is None else sent_round,
        **_figures(row, verdict, progress),
    }
    pause = retry_delay(row.attempts) if refused else LOOK_SOON if verdict.state in MOVING else LOOK_CALM
    moved = {"state_since": Now()} if verdict.state != row.state else {}
    return bool(ModelCopy.objects.filter(pk=row.pk, version=row.version).update(
        seen_at=Now(), next_look_at=Now() + pause, attempts=row.attempts + 1 if refused else 0, **values, **moved))


def _figures(row: ModelCopy, verdict: Verdict, progress: Progress | None) -> dict[str, int]:
    if verdict.state == CopyState.READY:
        return {"bytes_done": row.bytes_total or row.bytes_done}
    if progress is None:
        return {}
    return {"bytes_done": progress.done, **({"bytes_total": progress.total} if progress.total else {})}


@retry_tx
def forget(row: ModelCopy) -> None:
    """The row of a copy that is gone from its cluster."""
    gone, _by_kind = ModelCopy.objects.filter(pk=row.pk, version=row.version, state=CopyState.REMOVING).delete()
    if gone:
        audit.record(PORTAL, "removed", row, workspace=row.workspace)
