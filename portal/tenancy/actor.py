"""Who acts: a person, a person's key, or the portal itself. Passed to every service, never looked up in a global."""

from __future__ import annotations

from dataclasses import dataclass

from django.utils.translation import gettext as _

from .errors import NotAllowed, NotFound
from .models import ApiKey, Membership, User, Workspace, WorkspaceQuerySet
from .roles import ROLE_MAY, Verb, scopes_may


@dataclass(frozen=True)
class Actor:
    """`user` is None only for the portal itself. `key` narrows what the user may do."""

    user: User | None
    key: ApiKey | None = None
    request_id: str = ""

    @property
    def label(self) -> str:
        if self.user is None:
            return "portal"
        return f"{self.user.get_username()} ({self.key})" if self.key else self.user.get_username()

    @property
    def workspaces(self) -> WorkspaceQuerySet:
        """Where every queryset of a request starts: the key's workspace, or the person's."""
        everything = Workspace.objects.all()
        if self.key is not None:
            return everything.filter(pk=self.key.workspace_id)
        return everything if self.user is None else everything.visible_to(self.user)

    def verbs(self, workspace: Workspace) -> frozenset[Verb]:
        """What this actor may do in `workspace`, right now, by the rows."""
        if self.user is None:
            return frozenset(Verb)
        if self.key is not None and (self.key.workspace_id != workspace.pk or self.key.state != "active"):
            return frozenset()
        held = self._role_verbs(self.user, workspace)
        return held & scopes_may(self.key.scopes) if self.key else held

    @staticmethod
    def _role_verbs(user: User, workspace: Workspace) -> frozenset[Verb]:
        if not user.is_active:
            return frozenset()
        if user.sees_everything:
            return frozenset(Verb)
        role = Membership.objects.filter(user=user, workspace=workspace).values_list("role", flat=True).first()
        return ROLE_MAY.get(role or "", frozenset())

    def require(self, verb: Verb, workspace: Workspace) -> None:
        """Raise NotFound to a stranger, NotAllowed to a member who lacks the right."""
        verbs = self.verbs(workspace)
        if verb in verbs:
            return
        if not verbs and not (self.key and self.key.workspace_id == workspace.pk):
            raise NotFound()
        raise NotAllowed(_("Your role or key does not allow this here: it needs the right to %(verb)s.") % {"verb": verb})


PORTAL = Actor(user=None)
