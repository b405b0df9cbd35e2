"""Vendors, models and engine releases."""

from __future__ import annotations

import re
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy import audit
from portal.tenancy.actor import Actor
from portal.tenancy.db import retry_tx
from portal.tenancy.errors import Invalid

from ..models import CatalogModel, EngineRelease, Vendor
from .common import before_of, clean, display_name, remove, require_manage, save

LANGUAGE = re.compile(r"[a-z]{2,3}(?:[-_]?[A-Z][A-Za-z]{1,3})?")
VERSION = re.compile(r"[0-9][0-9A-Za-z.+_-]{0,19}")
FOLDER = re.compile(r"[a-z0-9][a-z0-9._-]{0,61}[a-z0-9]")
# A registry's name, folders, and a tag or digest; a tag that moves is refused below.
IMAGE = re.compile(r"[a-z0-9.{}:-]+(?:/[a-z0-9._-]+)+(?::[A-Za-z0-9._-]{1,128}|@sha256:[0-9a-f]{64})")


# Amazon's and Google's passwords are whole documents.
MOST_USER, MOST_PASSWORD = 200, 8192
MOST_TOKENS = 2**31 - 1  # the database's own limit on some databases, the same on all for us


@retry_tx
def put_vendor(actor: Actor, row: Vendor) -> Vendor:
    """Create or change a vendor; `names` by language, such as {"enUS": …, "zhCN": …}. Operators only."""
    require_manage(actor, None)
    if not isinstance(row.names, dict) or not row.names:
        raise Invalid(_("Give the name in at least one language."), field="names")
    if bad := [key for key in row.names if not LANGUAGE.fullmatch(key)]:
        raise Invalid(_("“%(key)s” is no language, such as enUS or zhCN.") % {"key": bad[0][:20]}, field="names")
    row.names = {key: display_name(text, "names") for key, text in row.names.items()}
    clean(row)
    return save(actor, row, before_of(row))


def create_vendor(actor: Actor, **values: Any) -> Vendor:
    return put_vendor(actor, Vendor(**values))


def change_vendor(actor: Actor, row: Vendor, **values: Any) -> Vendor:
    for name, value in values.items():
        setattr(row, name, value)
    return put_vendor(actor, row)


@retry_tx
def put_model(actor: Actor, row: CatalogModel) -> CatalogModel:
    """Create or change a model. A workspace's admins may for its own models, operators for shared ones."""
    old = before_of(row)
    require_manage(actor, row.workspace)
    if old is not None and old.workspace_id != row.workspace_id:
        require_manage(actor, old.workspace)
    row.name = display_name(row.name, most=120)
    _check_shape(row)
    clean(row)
    return save(actor, row, old, workspace=row.workspace)


def create_model(actor: Actor, **values: Any) -> CatalogModel:
    return put_model(actor, CatalogModel(**values))


def change_model(actor: Actor, row: CatalogModel, **values: Any) -> CatalogModel:
    for name, value in values.items():
        setattr(row, name, value)
    return put_model(actor, row)


def _check_shape(row: CatalogModel) -> None:
    for name, kind in (("shape", dict), ("languages", list), ("sources", list)):
        if not isinstance(getattr(row, name), kind):
            wanted = _("an object") if kind is dict else _("a list")
            raise Invalid(_("This takes %(wanted)s.") % {"wanted": wanted}, field=name)
    if isinstance(row.context_tokens, int) and row.context_tokens > MOST_TOKENS:
        raise Invalid(_("No model reads that many tokens."), field="context_tokens")
    if row.parameters and row.parameters_active and row.parameters_active > row.parameters:
        raise Invalid(_("More parameters are active than there are."), field="parameters_active")


@retry_tx
def set_shelved(actor: Actor, row: CatalogModel, shelved: bool) -> bool:
    """Put a model on the shelf or take it off; endpoints that run go on. Whether anything changed."""
    require_manage(actor, row.workspace)
    changed = CatalogModel.objects.filter(pk=row.pk, shelved=not shelved).update(shelved=shelved)
    row.shelved = shelved
    if changed:
        audit.record(actor, "shelve" if shelved else "unshelve", row, workspace=row.workspace,
                     before={"shelved": not shelved}, after={"shelved": shelved})
    return bool(changed)


def shelve(actor: Actor, row: CatalogModel) -> bool:
    return set_shelved(actor, row, True)


def unshelve(actor: Actor, row: CatalogModel) -> bool:
    return set_shelved(actor, row, False)


@retry_tx
def delete_model(actor: Actor, row: CatalogModel) -> None:
    """Delete a model with its artifacts and profiles. Raises Conflict where an endpoint was ever made from it."""
    require_manage(actor, row.workspace)
    # Profiles hold on to artifacts, so they go first; endpoints hold on to profiles and stop the whole.
    for profile in row.profiles.all():
        remove(actor, profile, workspace=row.workspace)
    remove(actor, row, workspace=row.workspace)


@retry_tx
def delete_vendor(actor: Actor, row: Vendor) -> None:
    require_manage(actor, None)
    remove(actor, row)


@retry_tx
def put_release(actor: Actor, row: EngineRelease) -> EngineRelease:
    """Create or change an engine release. Its image is pinned by a version or a digest. Operators only."""
    require_manage(actor, None)
    if not FOLDER.fullmatch(row.slug or "") or ".." in row.slug:
        raise Invalid(_("Use 2 to 63 lower-case letters, digits, dots and hyphens."), field="slug")
    if not VERSION.fullmatch(row.version or ""):
        raise Invalid(_("A version starts with a digit, such as 0.32.0."), field="version")
    if row.image and (not IMAGE.fullmatch(row.image) or row.image.endswith(":latest")):
        raise Invalid(_("Write the image with a fixed tag or digest, such as vllm/vllm-openai:v0.32.0."), field="image")
    clean(row, skip=["registry_password"])
    old = before_of(row)
    if old is not None and old.registry != row.registry:
        row.registry_user = row.registry_password = ""
    return save(actor, row, old)


def create_release(actor: Actor, **values: Any) -> EngineRelease:
    return put_release(actor, EngineRelease(**values))


def change_release(actor: Actor, row: EngineRelease, **values: Any) -> EngineRelease:
    for name, value in values.items():
        setattr(row, name, value)
    return put_release(actor, row)


@retry_tx
def set_registry_login(actor: Actor, row: EngineRelease, user: str, password: str) -> None:
    """Keep the login of the image's registry, the password encrypted; two empty ones forget it. Operators only."""
    require_manage(actor, None)
    if bool(user) != bool(password):
        raise Invalid(_("A login is a user and a password."), field="password" if user else "user")
    if user and not row.registry:
        raise Invalid(_("Give the release an image first: the login is kept for its registry only."), field="user")
    if len(user) > MOST_USER or not user.isprintable() or ":" in user or user != user.strip():
        raise Invalid(_("A user has at most %(most)d plain characters and no colon.") % {"most": MOST_USER}, field="user")
    if len(password) > MOST_PASSWORD or any(not c.isprintable() and c not in "\n\t" for c in password):
        raise Invalid(_("A password has at most %(most)d plain characters.") % {"most": MOST_PASSWORD}, field="password")
    row.registry_user = user
    row.put_secret("registry_password", password)
    row.save(update_fields=["registry_user", "registry_password", "updated_at"])
    audit.record(actor, "set registry login" if user else "forget registry login", row)


@retry_tx
def delete_release(actor: Actor, row: EngineRelease) -> None:
    require_manage(actor, None)
    remove(actor, row)
