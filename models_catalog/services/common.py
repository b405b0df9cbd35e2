from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import TypeVar

from django.core.exceptions import ValidationError
from django.db import IntegrityError, models, transaction
from django.utils.translation import gettext as _

from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.errors import Conflict, Invalid, NotAllowed
from portal.tenancy.models import Workspace
from portal.tenancy.roles import Verb

R = TypeVar("R", bound=models.Model)
UNAUDITED = frozenset({"id", "uid", "created_at", "updated_at", "seeded"})


def is_operator(actor: Actor) -> bool:
    """The portal itself, or a person who runs it and came in person: a key belongs to one workspace."""
    return actor.user is None or (actor.user.sees_everything and actor.key is None)


def require_manage(actor: Actor, workspace: Workspace | None) -> None:
    """Shared rows belong to operators, a workspace's rows to its admins. Raises NotAllowed, NotFound."""
    if workspace is not None:
        actor.require(Verb.MANAGE, workspace)
    elif not is_operator(actor):
        raise NotAllowed(_("Only an operator can change what all workspaces share."))


def display_name(text: object, field: str = "name", most: int = 100) -> str:
    """A name for people: composed Unicode without control, direction or unassigned characters. Raises Invalid."""
    if not isinstance(text, str) or any(unicodedata.category(c)[0] == "C" for c in text):
        raise Invalid(_("A name has no control or invisible characters."), field=field)
    name = " ".join(unicodedata.normalize("NFC", text).split())
    if not 0 < len(name) <= most:
        raise Invalid(_("A name has 1 to %(most)d characters.") % {"most": most}, field=field)
    return name


def audited(row: models.Model) -> list[str]:
    return [field.name for field in row._meta.concrete_fields if field.name not in UNAUDITED]


def before_of(row: R) -> R | None:
    """The row as it is stored now, or None for a new one."""
    return type(row)._default_manager.filter(pk=row.pk).first() if row.pk else None


def clean(row: models.Model, skip: Iterable[str] = ()) -> None:
    """Run the fields' own rules; the first complaint becomes Invalid with the field's name."""
    try:
        row.clean_fields(exclude=set(skip))
    except ValidationError as error:
        field, messages = next(iter(error.message_dict.items()))
        raise Invalid(" ".join(messages), field=field) from error


def save(
    actor: Actor, row: R, old: R | None, *, workspace: Workspace | None = None, taken: str = "", field: str = "slug",
) -> R:
    """Write a checked row and its audit entry. Raises Conflict with `taken` where a unique rule says no."""
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        raise Conflict(taken or _("There is already one with this short name."), field=field) from error
    fields = audited(row)
    before = audit.snapshot(old, fields) if old is not None else None
    after = audit.snapshot(row, fields)
    if before != after:
        audit.record(actor, "change" if old else "create", row, workspace=workspace, before=before, after=after)
    return row


def remove(actor: Actor, row: models.Model, *, workspace: Workspace | None = None) -> None:
    """Delete a row that nothing uses. Raises Conflict where something does."""
    before, label = audit.snapshot(row, audited(row)), str(row)
    try:
        with transaction.atomic():
            audit.record(actor, "delete", row, workspace=workspace, before=before)
            row.delete()
    except models.ProtectedError as error:
        used = len(error.protected_objects)
        raise Conflict(_("“%(name)s” is used by %(used)d others and stays.") % {"name": label, "used": used},
                       code="in_use") from error
