"""Verbs on workspaces, members and keys. The doors (admin, API, pages) call these and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.db.models import F, Model, Prefetch
from django.utils import timezone
from django.utils.translation import gettext as _

from . import audit
from .actor import Actor
from .db import retry_tx
from .errors import Conflict, Invalid, NotAllowed
from .models import ApiKey, Limit, LimitKind, Membership, User, Workspace, WorkspaceQuerySet
from .roles import RANK, Role, Scope, Verb, scopes_may
from .text import printable

# How a workspace's own limits are called where it is shown, and the quantities of its row of limits.
LIMIT_FIELDS = {"max_endpoints": "endpoints", "max_replicas": "replicas", "max_gpus": "gpus"}
CHANGED_LATER = {"name", *LIMIT_FIELDS}


@retry_tx
def create_workspace(actor: Actor, *, name: str, slug: str, **limits: int | None) -> Workspace:
    """A new tenant, with its maker as owner. Raises Invalid, Conflict, NotAllowed."""
    actor.require_operator()
    row = Workspace(name=name.strip(), slug=slug)
    clean_or_raise(row)
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(_("There is already a workspace with this short name."), field="slug") from error
    _set_limits(row, limits)
    audit.record(actor, "create", row, workspace=row, after=_audited(row))
    if actor.user is not None:
        Membership.objects.create(workspace=row, user=actor.user, role=Role.OWNER)
    return row


@retry_tx
def change_workspace(actor: Actor, workspace: Workspace, **values: object) -> Workspace:
    """Rename a workspace (its admins may) or change its limits (operators only).

    Raises Invalid for a value or a field that can't be changed, NotAllowed, NotFound.
    """
    actor.require(Verb.MANAGE, workspace)
    if not values.keys() <= CHANGED_LATER:
        raise Invalid(_("This can't be changed."), field=sorted(values.keys() - CHANGED_LATER)[0])
    row = Workspace.objects.get(pk=workspace.pk)
    before = _audited(row)
    limits = {name: value for name, value in values.items() if name in LIMIT_FIELDS and before[name] != value}
    if limits:
        actor.require_operator()
    row.name = str(values.get("name", row.name))
    clean_or_raise(row)
    row.save(update_fields=["name", "updated_at"])
    _set_limits(row, limits)
    audit.record(actor, "change", row, workspace=row, before=before, after=_audited(row))
    return row


def with_limits(rows: WorkspaceQuerySet) -> WorkspaceQuerySet:
    """Read the workspaces' own limits too, in one query for all of them."""
    own = Limit.objects.filter(kind=LimitKind.WORKSPACE)
    name: str = "own_limits"  # fills the cached property, which django-stubs would take for a clash
    return rows.prefetch_related(Prefetch("limits", own, to_attr=name))


def _set_limits(workspace: Workspace, limits: Mapping[str, object]) -> None:
    """Write these of LIMIT_FIELDS into the workspace's own row of limits, which is made when it is first needed."""
    row = next(iter(workspace.own_limits), None) or Limit(workspace=workspace, kind=LimitKind.WORKSPACE)
    if not limits or (row._state.adding and all(value is None for value in limits.values())):
        return
    for name, value in limits.items():
        setattr(row, LIMIT_FIELDS[name], value)
    try:
        clean_or_raise(row, but=("workspace", "subject"))
    except Invalid as error:
        raise Invalid(error.message, field=f"max_{error.field}") from error
    row.save()
    workspace.own_limits = [row]


def _audited(workspace: Workspace) -> dict[str, object]:
    return audit.snapshot(workspace, ["name", "slug"]) | {name: getattr(workspace, name) for name in LIMIT_FIELDS}


@retry_tx
def set_member(actor: Actor, workspace: Workspace, user: User, role: str) -> Membership:
    """Add a member or change a role. Nobody grants or takes a role above their own; one owner stays."""
    actor.require(Verb.MANAGE, workspace)
    if role not in RANK:
        raise Invalid(_("There is no role “%(role)s”.") % {"role": role}, field="role")
    row = Membership.objects.filter(workspace=workspace, user=user).first()
    _require_rank(actor, workspace, max(RANK[Role(role)], RANK[Role(row.role)] if row else 0))
    if row is None:
        return _add_member(actor, workspace, user, role)
    if row.role == Role.OWNER and role != Role.OWNER:
        _require_other_owner(workspace, row)
    before = row.role
    row.role = role
    row.save(update_fields=["role", "updated_at"])
    audit.record(actor, "change member", row, workspace=workspace, before={"role": before}, after={"role": role})
    return row


def _add_member(actor: Actor, workspace: Workspace, user: User, role: str) -> Membership:
    if not user.is_active:
        raise Invalid(_("This person's account is disabled."), field="user")
    try:
        with transaction.atomic():
            row = Membership.objects.create(workspace=workspace, user=user, role=role)
    except IntegrityError as error:
        raise Conflict(_("Somebody has just added this person."), field="user") from error
    audit.record(actor, "add member", row, workspace=workspace, after={"user": str(user), "role": role})
    return row


@retry_tx
def remove_member(actor: Actor, membership: Membership) -> None:
    """Take a person out of a workspace (or leave it); the person's keys there stop working at once."""
    workspace = membership.workspace
    if actor.user is None or membership.user_id != actor.user.pk or actor.key is not None:
        actor.require(Verb.MANAGE, workspace)
        _require_rank(actor, workspace, RANK[Role(membership.role)])
    if membership.role == Role.OWNER:
        _require_other_owner(workspace, membership)
    keys = ApiKey.objects.filter(workspace=workspace, created_by=membership.user, revoked_at=None)
    before = {"user": str(membership.user), "role": membership.role, "active_keys": keys.update(revoked_at=timezone.now())}
    audit.record(actor, "remove member", membership, workspace=workspace, before=before)
    membership.delete()


def _require_rank(actor: Actor, workspace: Workspace, rank: int) -> None:
    if actor.operates:
        return
    own = Membership.objects.filter(workspace=workspace, user=actor.user).values_list("role", flat=True).first()
    if own is None or RANK[Role(own)] < rank:
        raise NotAllowed(_("Nobody can grant or take a role above their own."))


def _require_other_owner(workspace: Workspace, leaving: Membership) -> None:
    # The workspace's version makes two owners who leave at once collide, on every database.
    Workspace.objects.filter(pk=workspace.pk).update(claims_version=F("claims_version") + 1)
    others = Membership.objects.filter(workspace=workspace, role=Role.OWNER, user__is_active=True)
    if not others.exclude(pk=leaving.pk).exists():
        raise Conflict(_("The last owner can't leave. Make somebody else an owner first."), code="last_owner")


@retry_tx
def create_key(
    actor: Actor, workspace: Workspace, *, name: str, scopes: Sequence[str] = (Scope.INFERENCE,),
    model_names: Sequence[str] = (), expires_at: datetime | None = None,
) -> tuple[ApiKey, str]:
    """A new key and its whole text, which is shown this once. Raises NotAllowed beyond the maker's own rights."""
    if actor.user is None:
        raise NotAllowed(_("A key belongs to a person."))
    unknown = sorted(set(scopes) - set(Scope.values))
    if unknown or not scopes:
        raise Invalid(_("Choose what the key may do; unknown: %(scopes)s") % {"scopes": ", ".join(unknown)}, field="scopes")
    held = actor.verbs(workspace)
    actor.require(Verb.VIEW, workspace)
    if not scopes_may(list(scopes)) <= held:
        raise NotAllowed(_("A key can't do more than the person who makes it."), code="scope_exceeds_role")
    name = _key_name(name)
    if expires_at is not None and expires_at <= timezone.now():
        raise Invalid(_("The expiry lies in the past."), field="expires_at")
    row = ApiKey(workspace=workspace, created_by=actor.user, name=name, scopes=list(scopes),
                 model_names=list(model_names), expires_at=expires_at)
    text = row.draw_secret()
    row.save()
    audit.record(actor, "create key", row, workspace=workspace, after=audit.snapshot(row))
    return row, text


def _key_name(name: str) -> str:
    try:
        kept = printable(name)
    except ValueError as error:
        raise Invalid(str(error), field="name") from error
    if not kept:
        raise Invalid(_("Give the key a name, so that you know it again."), field="name")
    return kept[:100]


@retry_tx
def revoke_key(actor: Actor, key: ApiKey) -> None:
    """End a key; its maker may, and whoever manages the workspace. Repeating it changes nothing."""
    own = actor.user is not None and key.created_by_id == actor.user.pk
    actor.require(Verb.VIEW if own else Verb.MANAGE, key.workspace)
    if ApiKey.objects.filter(pk=key.pk, revoked_at=None).update(revoked_at=timezone.now()):
        audit.record(actor, "revoke key", key, workspace=key.workspace)


def clean_or_raise(row: Model, but: Collection[str] = ()) -> None:
    """Run the row's own validation and turn its first complaint into Invalid with the field's name."""
    try:
        row.clean_fields(exclude=but)
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error
