from __future__ import annotations

import asyncio
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from django.utils.translation import gettext as _

from portal import firstrun
from portal.demo.client import Answer
from portal.demo.drive import Demo, Stop
from portal.demo.shelf import CannotDemo, require_engine
from portal.supervisor.house import Supervisor
from portal.supervisor.start import prepared


class Command(BaseCommand):
    help = "Starts the portal, deploys two models on this machine and calls them; stays up until Ctrl-C."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--once", action="store_true", help="stop everything after the answers")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            require_engine()
        except CannotDemo as error:
            raise CommandError(str(error)) from error
        with prepared(self.say) as (access, supervisor):
            failure = asyncio.run(self.show(supervisor, access, once=options["once"]))
        if failure:
            raise CommandError(failure)

    def say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()

    async def show(self, supervisor: Supervisor, access: firstrun.Access, *, once: bool) -> str:
        """Why the demo failed, or "". When this returns, no process is left."""
        stop = Stop()
        running = asyncio.create_task(supervisor.run())
        driving = asyncio.create_task(self.drive(supervisor, access, stop, once=once))
        await asyncio.wait([running, driving], return_when=asyncio.FIRST_COMPLETED)
        failure = driving.result() if driving.done() else ""
        if failure or once:
            supervisor.ask_to_stop()
        await running
        stop.event.set()
        driving.cancel()
        self.say(_("The portal has stopped."))
        return failure or (_("stopped before the answers came") if once and not driving.done() else "")

    async def drive(self, supervisor: Supervisor, access: firstrun.Access, stop: Stop, *, once: bool) -> str:
        await supervisor.wait_ready()
        demo = Demo(access, self.say, stop)
        return await asyncio.to_thread(self.act, demo, once)

    def act(self, demo: Demo, once: bool) -> str:
        """Everything that waits, in a thread of its own; why it failed, or ""."""
        try:
            demo.run()
            self.say(demo.figures())
            if once:
                demo.stop_endpoints()
            else:
                self.say_where(demo)
        except (CannotDemo, Answer) as error:
            return str(error)
        finally:
            connections.close_all()
        return ""

    def say_where(self, demo: Demo) -> None:
        access = demo.access
        self.say(_("The portal is up at %(url)s/ (/admin/ for operators; user %(user)s, password %(password)s, "
                   "all in %(file)s). Ctrl-C stops it.") % {"url": access.url, "user": access.user, "password": access.password,
                                          "file": firstrun.access_file()})
