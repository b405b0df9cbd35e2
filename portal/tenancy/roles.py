"""Who may do what in a workspace: one table, read by every door."""

from __future__ import annotations

from enum import StrEnum

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _


class Role(TextChoices):
    VIEWER = "viewer", _("viewer")
    DEVELOPER = "developer", _("developer")
    ADMIN = "admin", _("admin")
    OWNER = "owner", _("owner")


class Scope(TextChoices):
    """What an API key may do, never more than the role of the person who made it."""

    INFERENCE = "inference", _("call models")
    READ = "read", _("read endpoints and models")
    DEPLOY = "deploy", _("deploy and change endpoints")
    MANAGE = "manage", _("manage keys, members and limits")


class Verb(StrEnum):
    VIEW = "view"
    USE = "use"
    DEPLOY = "deploy"
    MANAGE = "manage"
    OWN = "own"


_VIEWER = frozenset({Verb.VIEW})
_DEVELOPER = _VIEWER | {Verb.USE, Verb.DEPLOY}
_ADMIN = _DEVELOPER | {Verb.MANAGE}

ROLE_MAY: dict[str, frozenset[Verb]] = {
    Role.VIEWER: _VIEWER,
    Role.DEVELOPER: _DEVELOPER,
    Role.ADMIN: _ADMIN,
    Role.OWNER: _ADMIN | {Verb.OWN},
}
SCOPE_MAY: dict[str, frozenset[Verb]] = {
    Scope.INFERENCE: frozenset({Verb.USE}),
    Scope.READ: frozenset({Verb.VIEW}),
    Scope.DEPLOY: frozenset({Verb.VIEW, Verb.DEPLOY}),
    Scope.MANAGE: frozenset({Verb.VIEW, Verb.MANAGE}),
}
RANK = {role: rank for rank, role in enumerate((Role.VIEWER, Role.DEVELOPER, Role.ADMIN, Role.OWNER))}


def scopes_may(scopes: list[str]) -> frozenset[Verb]:
    """Everything that a key with these scopes may do; an unknown scope gives nothing."""
    return frozenset().union(*(SCOPE_MAY.get(scope, frozenset()) for scope in scopes))
