"""What the isolation matrix has to know of the pages of members."""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from portal.tenancy.models import Invitation, Membership, Workspace
from portal.tenancy.models.invitations import VALID_FOR
from tests.portal.world import World
from tests.web.routes import Entry


def member_of(world: World, workspace: Workspace) -> tuple[Any, ...]:
    """A developer of Alpha, the owner of Beta."""
    user = world.cast.bob if workspace == world.cast.alpha else world.cast.charlie
    return (Membership.objects.get(workspace=workspace, user=user).uid,)


def invitation_of(world: World, workspace: Workspace) -> tuple[Any, ...]:
    row, _made = Invitation.objects.get_or_create(
        workspace=workspace, mail="beta-secret@example.org" if workspace == world.cast.beta else "new@example.org",
        defaults={"invited_by": world.cast.operator, "digest": str(workspace.pk), "expires_at": timezone.now() + VALID_FOR})
    return (row.uid,)


ROUTES = {
    "members": Entry(),
    "member-invite": Entry(verbs=("POST",), body=lambda _world: {"mail": "new@example.org", "role": "viewer"}),
    "member-role": Entry(ids=member_of, verbs=("POST",), body=lambda _world: {"role": "viewer"}),
    "member-remove": Entry(ids=member_of, verbs=("GET", "POST")),
    "invitation-revoke": Entry(ids=invitation_of, verbs=("POST",)),
}
