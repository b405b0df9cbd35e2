"""Keys that a page of the portal draws for the person in front of it: they call a few models for some minutes.

They are rows as all keys are, so the gateway knows them and what they call is counted on the person; their public ids
begin with PAGE_KEYS, so that lists can fold them away. Nobody sees their secrets but the page's script.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from . import audit
from .actor import Actor
from .db import retry_tx
from .errors import NotAllowed, TooMany
from .models import ApiKey, Workspace
from .models.access import PAGE_KEYS
from .roles import Scope, Verb

PLAYGROUND = "Playground"  # the name of those that the playground draws, by which usage knows them when they are gone
LIVES = timedelta(minutes=15)
MOST_DRAWN = 40  # of one person in one workspace, within LIVES: a page needs one for each set of models that it tries
KEPT = timedelta(days=2)  # after their end: calls are booked by the key's name some time after them
FORGOTTEN_AT_ONCE = 500


@retry_tx
def draw_key(actor: Actor, workspace: Workspace, *, name: str, model_names: Sequence[str]) -> tuple[ApiKey, str]:
    """A key for these models that ends in LIVES, and its whole text. `name` says which page drew it.

    Raises NotFound, NotAllowed, and TooMany to who draws them faster than a page does.
    """
    actor.require(Verb.USE, workspace)
    user, now = actor.user, timezone.now()
    if user is None or actor.key is not None:
        raise NotAllowed(_("A page draws keys for signed-in people only."))
    drawn = ApiKey.objects.of_pages().filter(workspace=workspace, created_by=user, created_at__gt=now - LIVES)
    if drawn.count() >= MOST_DRAWN:
        raise TooMany(_("This page asked for too many keys. Wait some minutes, then go on."),
                      retry_after=int(LIVES.total_seconds()) // 3)
    row = ApiKey(workspace=workspace, created_by=user, name=name[:100], scopes=[Scope.INFERENCE.value],
                 model_names=sorted(set(model_names)), expires_at=now + LIVES)
    text = row.draw_secret(PAGE_KEYS)
    row.save(force_insert=True)
    if not ApiKey.objects.usable(now).filter(pk=row.pk).exists():
        raise NotAllowed(_("Calls need a member of the workspace. Ask its owner to make you one."))
    audit.record(actor, "create key", row, workspace=workspace, after=audit.snapshot(row))
    return row, text


def forget_old() -> int:
    """Drop those that ended some days ago; how many went. What they used stays counted on the person."""
    gone = 0
    while ids := list(ApiKey.objects.of_pages().filter(expires_at__lt=timezone.now() - KEPT)
                      .values_list("pk", flat=True)[:FORGOTTEN_AT_ONCE]):
        gone += len(ids)
        ApiKey.objects.filter(pk__in=ids).delete()
    return gone
