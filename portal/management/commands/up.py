from __future__ import annotations

import asyncio
from typing import Any

from django.core.management.base import BaseCommand
from django.utils.translation import gettext as _

from portal import firstrun
from portal.supervisor.house import Supervisor, Tell
from portal.supervisor.start import prepared


class Command(BaseCommand):
    help = "Runs the portal on this machine: web with the gateway, worker, beat and agent, until Ctrl-C."

    def handle(self, *args: Any, **options: Any) -> None:
        with prepared(self.say) as (access, supervisor):
            asyncio.run(stay_up(supervisor, access, self.say))

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


async def stay_up(supervisor: Supervisor, access: firstrun.Access, say: Tell) -> None:
    running = asyncio.create_task(supervisor.run())
    ready = asyncio.create_task(supervisor.wait_ready())
    await asyncio.wait([running, ready], return_when=asyncio.FIRST_COMPLETED)
    if not running.done():
        say(_("The portal is up at %(url)s/ (/admin/ for operators; user %(user)s, password in %(file)s). "
              "Ctrl-C stops it.") % {
            "url": access.url, "user": access.user, "file": firstrun.access_file()})
    await running
    ready.cancel()
    say(_("The portal has stopped."))
