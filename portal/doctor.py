"""Checks of an installation, for `manage.py doctor`: what was found, and what to do about it. No secret is shown."""

from __future__ import annotations

import shutil
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext as _

from clusters.models import Host
from clusters.states import HostState
from clusters.units import GIB
from portal.tenancy import heartbeat
from portal.tenancy.models import User

from .health import broker_away, late_sweep, missing_migrations, wrong_keys
from .startup import is_loopback

OLDEST_PYTHON = (3, 11)
DISK_BYTES = 2 * GIB
CLOCK_SECONDS = 2.0
PORT_SECONDS = 2.0


@dataclass(frozen=True)
class Finding:
    """One line of the report; a `fault` needs somebody, a `note` is worth knowing."""

    name: str
    state: str
    text: str
    advice: str = ""


def ok(name: str, text: str) -> Finding:
    return Finding(name, "ok", text)


def fault(name: str, text: str, advice: str) -> Finding:
    return Finding(name, "fault", text, advice)


def note(name: str, text: str, advice: str) -> Finding:
    return Finding(name, "note", text, advice)


def check_python() -> Iterator[Finding]:
    version = ".".join(map(str, sys.version_info[:3]))
    if sys.version_info[:2] >= OLDEST_PYTHON:
        yield ok("python", version)
    else:
        yield fault("python", version, _("Install Python 3.11 or later and run “make setup” again."))


def check_settings() -> Iterator[Finding]:
    """Dangerous settings stop every start, this one too; here are those that are only unwise."""
    public = not is_loopback(settings.PORTAL_BIND)
    if settings.DEBUG:
        yield note("settings", _("PORTAL_DEBUG is on."), _("Switch it off where others can reach the portal."))
    if public and not settings.PORTAL_URL.startswith("https://"):
        yield note("settings", _("The portal listens on the network, but PORTAL_URL is not https."),
                   _("Put a TLS proxy in front and set PORTAL_URL and PORTAL_BEHIND_PROXY."))
    if not settings.DEBUG and not public:
        yield ok("settings", settings.PORTAL_URL)


def check_secrets() -> Iterator[Finding]:
    for name in ("secrets.env", "portal.env"):
        path = Path(settings.DATA_DIR) / name
        if not path.is_file():
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            yield fault("secrets", _("Others on this machine can read %(path)s (mode %(mode)o).")
                        % {"path": path, "mode": mode}, f"chmod 600 {path}")
        else:
            yield ok("secrets", _("%(name)s is readable by its owner only") % {"name": name})


def check_database() -> Iterator[Finding]:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except DatabaseError as error:
        yield fault("database", _("It does not answer (%(kind)s).") % {"kind": type(error).__name__},
                    _("Check DATABASE_URL and that the server runs."))
        return
    yield from _database_modes()
    behind = missing_migrations()
    if behind:
        yield fault("migrations", behind, "python manage.py migrate")
        return
    yield ok("migrations", _("all applied"))
    keys = wrong_keys()
    yield (fault("field keys", keys, _("Put the installation's own PORTAL_FIELD_KEYS back; nothing else can read its secrets."))
           if keys else ok("field keys", _("they open what is stored")))
    yield from _after_migrations()


def _database_modes() -> Iterator[Finding]:
    """The modes that the portal's promises stand on, as the database itself names them."""
    if connection.vendor == "sqlite":
        wanted = {"PRAGMA journal_mode": "wal"}
    else:
        wanted = {"SELECT @@SESSION.transaction_isolation": "READ-COMMITTED",
                  "SELECT @@SESSION.character_set_connection": "utf8mb4"}
    for query, value in wanted.items():
        found = _ask(query)
        if found is not None and found.lower() != value.lower():
            yield fault("database", f"{query}: {found}", _("It must be %(value)s.") % {"value": value})
            return
    yield ok("database", f"{connection.vendor} {'.'.join(map(str, connection.get_database_version()))}")


def _ask(query: str) -> str | None:
    """The first value of the answer, None where this version of the database does not know the question."""
    try:
        with connection.cursor() as cursor:
            cursor.execute(query)
            row = cursor.fetchone()
    except DatabaseError:
        return None
    return str(row[0]) if row else None


def _after_migrations() -> Iterator[Finding]:
    for check in (check_operator, check_workers, check_hosts, check_clock):
        yield from check()


def check_operator() -> Iterator[Finding]:
    if User.objects.filter(is_superuser=True, is_active=True).exists():
        yield ok("operator", _("there is one"))
    else:
        yield fault("operator", _("Nobody can sign in to the admin."), "python manage.py createsuperuser")


def check_workers() -> Iterator[Finding]:
    late = late_sweep()
    if late:
        yield fault("workers", late, _("Start them with “make run”, or look at the worker's and beat's logs."))
    else:
        yield ok("workers", _("the last sweep ended %(age).0f s ago") % {"age": heartbeat.age("sweep") or 0})


def check_hosts() -> Iterator[Finding]:
    states = list(Host.objects.values_list("node__name", "state"))
    lost = [name for name, state in states if state == HostState.LOST]
    if lost:
        yield fault("hosts", _("Lost: %(names)s.") % {"names": ", ".join(sorted(lost)[:5])},
                    _("Look at the agents' logs there; an agent that can't renew its lease stops its engines."))
    elif not states:
        yield note("hosts", _("No host has enrolled yet."), _("Make an enrolment token and start an agent."))
    else:
        yield ok("hosts", _("%(count)d enrolled, none lost") % {"count": len(states)})


def check_clock() -> Iterator[Finding]:
    """Leases go by the database's clock; a machine that is far off it confuses people and signatures."""
    there = User.objects.annotate(db_now=Now()).values_list("db_now", flat=True).first()
    off = abs((timezone.now() - there).total_seconds()) if there else 0.0
    if off > CLOCK_SECONDS:
        yield fault("clock", _("This machine and the database differ by %(off).1f s.") % {"off": off},
                    _("Synchronise both clocks (NTP)."))
    else:
        yield ok("clock", _("%(off).1f s off the database's") % {"off": off})


def check_broker() -> Iterator[Finding]:
    away = broker_away()
    if away:
        yield fault("broker", away, _("Check CELERY_BROKER_URL and that it runs. Nothing is lost meanwhile, only slower."))
    else:
        yield ok("broker", settings.CELERY_BROKER_URL.partition(":")[0])


def check_engines() -> Iterator[Finding]:
    folder = Path(settings.PORTAL_ENGINES_DIR)
    found = sorted(path.parent.parent.name for path in folder.glob("*/bin/python"))
    if found:
        yield ok("engines", ", ".join(found))
    else:
        yield note("engines", _("No engine is installed in %(folder)s.") % {"folder": folder},
                   _("“make setup” installs one; a portal whose models run elsewhere needs none."))


def check_disk() -> Iterator[Finding]:
    free = shutil.disk_usage(settings.DATA_DIR).free
    text = _("%(free).1f GiB free under %(folder)s") % {"free": free / GIB, "folder": settings.DATA_DIR}
    yield ok("disk", text) if free >= DISK_BYTES else fault("disk", text, _("Make room: 2 GiB at least."))


def check_port() -> Iterator[Finding]:
    """The port is free, or it is this portal that answers there."""
    bind, port = settings.PORTAL_BIND, settings.PORTAL_PORT
    host = "127.0.0.1" if bind in ("0.0.0.0", "::", "") else bind  # noqa: S104 - compares, binds nothing
    try:
        socket.create_connection((host, port), timeout=PORT_SECONDS).close()
    except OSError:
        yield note("port", _("Nothing listens on port %(port)d.") % {"port": port}, _("“make run” starts the portal."))
        return
    yield (ok("port", _("the portal answers on %(port)d") % {"port": port}) if _is_portal(host, port) else
           fault("port", _("Another program has port %(port)d.") % {"port": port}, _("Choose another one with PORT=.")))


def _is_portal(host: str, port: int) -> bool:
    try:
        with urlopen(f"http://{host}:{port}/healthz", timeout=PORT_SECONDS) as answer:
            found: Any = answer.read(16)
    except (OSError, HTTPException):
        return False
    return bool(found == b"ok\n")


CHECKS: tuple[Callable[[], Iterator[Finding]], ...] = (
    check_python, check_settings, check_secrets, check_database, check_broker, check_engines, check_disk, check_port,
)


def examine() -> Iterator[Finding]:
    """Every check, one after the other; a check that fails does not stop the next."""
    for check in CHECKS:
        yield from check()
