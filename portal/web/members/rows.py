"""The members of a workspace as the page shows them, and what each role may do."""

from __future__ import annotations

from dataclasses import dataclass

from django.db.models import Count, IntegerField, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

from portal.tenancy.models import ApiKey, Membership, Workspace
from portal.tenancy.roles import RANK, ROLE_MAY, Role, Verb

from ..visit import Visit

VERBS: dict[Verb, str | Promise] = {
    Verb.VIEW: _("see endpoints, models, usage and limits"), Verb.USE: _("call models, try them in the playground"),
    Verb.DEPLOY: _("deploy, change and delete endpoints"), Verb.MANAGE: _("manage members, keys, limits; read the audit"),
    Verb.OWN: _("make owners and take the role from them"),
}


@dataclass(frozen=True)
class RoleWords:
    """A role, and what it adds to the one before."""

    role: Role
    adds: list[str | Promise]


def roles_in_words() -> list[RoleWords]:
    words, held = [], frozenset[Verb]()
    for role in Role:
        words.append(RoleWords(role, [VERBS[verb] for verb in Verb if verb in ROLE_MAY[role] - held]))
        held = ROLE_MAY[role]
    return words


def grantable(visit: Visit) -> list[Role]:
    """The roles that this person may give: none above their own. None for who doesn't manage the workspace."""
    if not visit.may(Verb.MANAGE):
        return []
    return [role for role in Role if visit.actor.operates or ROLE_MAY[role] <= visit.verbs]


def members_of(workspace: Workspace, text: str = "") -> QuerySet[Membership]:
    """Those with this text in their name or mail address. With `active_keys`, how many keys would end if they left."""
    keys = ApiKey.objects.filter(workspace=OuterRef("workspace"), created_by=OuterRef("user"), revoked_at=None).order_by()
    number = keys.values("created_by").annotate(number=Count("pk")).values("number")
    named = Q(user__username__icontains=text) | Q(user__email__icontains=text) if text else Q()
    return Membership.objects.filter(named, workspace=workspace).select_related("user", "workspace").annotate(
        active_keys=Coalesce(Subquery(number, output_field=IntegerField()), 0))


@dataclass(frozen=True)
class Line:
    """A member, and what the person who looks may do about them."""

    member: Membership
    is_me: bool
    roles: list[Role]  # to choose from; empty where the role can't be changed
    may_remove: bool
    is_last_owner: bool


def line_of(visit: Visit, member: Membership, roles: list[Role], owners: int) -> Line:
    is_last = member.role == Role.OWNER and owners == 1
    is_me = member.user_id == visit.user.pk
    reaches = bool(roles) and RANK[Role(member.role)] <= max(RANK[role] for role in roles)
    return Line(member, is_me, roles if reaches and not is_last else [], (reaches or is_me) and not is_last, is_last)


def owners_of(workspace: Workspace) -> int:
    """How many owners can still sign in."""
    return Membership.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True).count()
