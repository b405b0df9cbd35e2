"""Everything before the first process: one portal a data folder, a free port, tables, access, a place for the agent."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings
from django.core.management.base import CommandError
from django.db import connections
from django.utils.translation import gettext as _

from portal import firstrun
from portal.tenancy.errors import PortalError

from . import programs
from .enrol import enrol_this_machine
from .house import CannotStart, Supervisor, Tell, only_one, require_free_port


@contextmanager
def prepared(tell: Tell) -> Iterator[tuple[firstrun.Access, Supervisor]]:
    """A supervisor that is ready to run. Raises CommandError with one line that says what is in the way."""
    try:
        with only_one(Path(settings.DATA_DIR)):
            require_free_port(settings.PORTAL_BIND, settings.PORTAL_PORT)
            if settings.PORTAL_GATEWAY_WORKERS:
                require_free_port(settings.PORTAL_BIND, settings.PORTAL_GATEWAY_PORT)
                require_free_port(settings.PORTAL_GATEWAY_ADMIN_BIND, settings.PORTAL_GATEWAY_ADMIN_PORT)
            access = firstrun.prepare(tell)
            enrol_this_machine()
            connections.close_all()
            logs = Path(settings.DATA_DIR) / "logs"
            yield access, Supervisor(programs.everything(), logs, tell, deaf=programs.deaf)
    except KeyboardInterrupt as error:
        raise CommandError(_("stopped before it was up")) from error
    except (CannotStart, PortalError) as error:
        raise CommandError(str(error)) from error
