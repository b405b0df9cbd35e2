"""What must be there before the first process starts: tables, static files, an operator, a key."""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.db import connection, transaction
from django.db.migrations.executor import MigrationExecutor
from django.utils.translation import gettext as _

from portal.tenancy.actor import Actor
from portal.tenancy.models import Instance, User, Workspace
from portal.tenancy.roles import Scope
from portal.tenancy.services import create_key, create_workspace

OPERATOR = "operator"
WORKSPACE = "demo"
KEY_SCOPES = (Scope.INFERENCE, Scope.READ, Scope.DEPLOY)

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Access:
    """How a person and a script get in; `password` is empty once a person has changed it in the file."""

    url: str
    user: str
    password: str
    api_key: str


def prepare(tell: Tell) -> Access:
    """Make or bring up to date everything that a portal needs to start. Repeating it is quick.

    Raises SecretUnreadable where the secrets do not belong to this database.
    """
    settings.DATA_DIR.mkdir(mode=0o700, parents=True, exist_ok=True)
    migrate(tell)
    Instance.check_keys()
    collect_static(tell)
    access = first_access(tell)
    connection.close()
    return access


def migrate(tell: Tell) -> None:
    executor = MigrationExecutor(connection)
    if executor.migration_plan(executor.loader.graph.leaf_nodes()):
        tell(_("bringing the database up to date"))
        call_command("migrate", verbosity=0, interactive=False)


def collect_static(tell: Tell) -> None:
    """Gather and compress the static files where one of them has changed."""
    stamp, digest = Path(settings.STATIC_ROOT) / ".digest", static_digest()
    if stamp.is_file() and stamp.read_text() == digest:
        return
    tell(_("collecting static files"))
    call_command("collectstatic", verbosity=0, interactive=False, clear=True)
    stamp.write_text(digest)


def static_digest() -> str:
    total = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            about = Path(storage.path(path)).stat()
            total.update(f"{path} {about.st_size} {about.st_mtime_ns}\n".encode())
    return total.hexdigest()


def access_file() -> Path:
    return Path(settings.DATA_DIR) / "portal.env"


def first_access(tell: Tell) -> Access:
    """An operator, a workspace and a key on first run; later what portal.env says, with today's address."""
    if User.objects.filter(is_superuser=True).exists():
        return known_access()
    with transaction.atomic():
        access = make_access()
        # Before the commit: an operator whose password nobody knows would be worse than a file too many.
        write_access(access)
    tell(_("made the operator “%(user)s” with the password %(password)s (kept in %(file)s)") % {
        "user": access.user, "password": access.password, "file": access_file()})
    return access


def make_access() -> Access:
    password = secrets.token_urlsafe(15)
    user = User.objects.create_superuser(username=OPERATOR, password=password)
    workspace = Workspace.objects.filter(slug=WORKSPACE).first() or create_workspace(
        Actor(user=user), name=_("Demo"), slug=WORKSPACE)
    _key, text = create_key(Actor(user=user), workspace, name="portal.env", scopes=KEY_SCOPES)
    return Access(settings.PORTAL_URL, OPERATOR, password, text)


def write_access(access: Access) -> None:
    lines = (f"PORTAL_URL={access.url}", f"PORTAL_USER={access.user}", f"PORTAL_PASSWORD={access.password}",
             f"PORTAL_API_KEY={access.api_key}")
    draft = access_file().with_suffix(".draft")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write("\n".join(lines) + "\n")
    draft.replace(access_file())


def known_access() -> Access:
    """What an earlier run wrote; only the address may have changed since."""
    path = access_file()
    text = path.read_text() if path.is_file() else ""
    known = dict(line.split("=", 1) for line in text.splitlines() if "=" in line)
    access = Access(settings.PORTAL_URL, known.get("PORTAL_USER", ""), known.get("PORTAL_PASSWORD", ""),
                    known.get("PORTAL_API_KEY", ""))
    if known and known.get("PORTAL_URL") != access.url:
        write_access(access)
    return access
