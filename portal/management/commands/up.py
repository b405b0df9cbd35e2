from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from portal import firstrun
from portal.supervisor import programs
from portal.supervisor.house import CannotStart, Supervisor, only_one, require_free_port
from portal.supervisor.program import Program
from portal.tenancy.errors import PortalError


class Command(BaseCommand):
    help = "Runs the portal on this machine: web with the gateway, worker, beat and agent, until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with only_one(settings.DATA_DIR):
                require_free_port(settings.PORTAL_BIND, settings.PORTAL_PORT)
                access = firstrun.prepare(self.say)
                asyncio.run(stay_up(access, self.say))
        except (CannotStart, PortalError) as error:
            raise CommandError(str(error)) from error

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


async def stay_up(access: firstrun.Access, say: Callable[[str], None]) -> None:
    supervisor = make_supervisor(programs.everything(), say)
    running = asyncio.create_task(supervisor.run())
    ready = asyncio.create_task(supervisor.wait_ready(*supervisor.children))
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        say(_("The portal is up at %(url)s (user %(user)s, password in %(file)s). Ctrl-C stops it.") % {
            "url": access.url, "user": access.user, "file": firstrun.access_file()})
    await running
    ready.cancel()
    say(_("The portal has stopped."))


def make_supervisor(parts: Sequence[Program], say: Callable[[str], None]) -> Supervisor:
    return Supervisor(parts, Path(settings.DATA_DIR) / "logs", say, deaf=programs.deaf)
