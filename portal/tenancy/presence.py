"""Whether one who opened something that lasts may still look at it: asked again and again while it is open."""

from __future__ import annotations

from importlib import import_module

from django.conf import settings
from django.contrib.auth import HASH_SESSION_KEY
from django.utils import timezone
from django.utils.crypto import constant_time_compare

from .actor import Actor
from .models import ApiKey, User, Workspace


def still_sees(actor: Actor, workspace_id: int, session_key: str | None) -> bool:
    """By the rows as they are now, not as they were at the door. `session_key` is that of a person without a key."""
    if actor.user is None:
        return True
    if actor.key is not None:
        return ApiKey.objects.usable(timezone.now()).filter(pk=actor.key.pk, workspace=workspace_id).exists()
    user = User.objects.filter(pk=actor.user.pk, is_active=True).first()
    if user is None or not Workspace.objects.visible_to(user).filter(pk=workspace_id).exists():
        return False
    session = import_module(settings.SESSION_ENGINE).SessionStore(session_key)  # one that has ended is empty
    return constant_time_compare(session.get(HASH_SESSION_KEY, ""), user.get_session_auth_hash())
