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
        if self.user is None:
            return Workspace.objects.all()
        own = Workspace.objects.visible_to(self.user)
        return own if self.key is None else own.filter(pk=self.key.workspace_id)

    def scope(self, verb: Verb = Verb.VIEW) -> WorkspaceQuerySet:
        """The workspaces where this actor may do `verb`. Raises NotAllowed where the key's scopes exclude it."""
        if self.key is not None and verb not in scopes_may(self.key.scopes):
            raise NotAllowed(_("This key does not allow this: it needs the right to %(verb)s.") % {"verb": verb})
        if self.user is None or self.user.sees_everything or verb == Verb.VIEW:
            return self.workspaces
        roles = [role for role, verbs in ROLE_MAY.items() if verb in verbs]
        mine = Membership.objects.filter(user=self.user, role__in=roles)
        return self.workspaces.filter(pk__in=mine.values("workspace"))

    @property
    def operates(self) -> bool:
        """Whether this is an operator, or the portal; an operator's key does not operate."""
        return self.user is None or (self.key is None and self.user.sees_everything)

    def require_operator(self) -> None:
        """Raise NotAllowed to everybody who is not an operator."""
        if not self.operates:
            raise NotAllowed(_("Only an operator can do this."))

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
