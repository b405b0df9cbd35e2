from __future__ import annotations

import os
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import gettext as _

from clusters import services
from clusters.models import Cluster
from clusters.services.enrolment import THIS_MACHINE
from portal.tenancy.actor import PORTAL
from portal.tenancy.errors import PortalError


class Command(BaseCommand):
    help = "Makes a token that enrols one agent within 15 minutes, and prints it or writes it to a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--cluster", default="", help="name of a place of hosts")
        parser.add_argument("--local", action="store_true", help="for the portal's own machine; makes its place")
        parser.add_argument("--address", default="", help="where the gateway reaches the host")
        parser.add_argument("--write", type=Path, help="file for the token, readable by its owner only")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = self._make(options["cluster"], local=options["local"], address=options["address"])
        except PortalError as error:
            raise CommandError(error.message) from error
        if options["write"] is None:
            self.stdout.write(text)
            return
        write_secret(options["write"], text)
        self.stdout.write(_("The token is in %(path)s.") % {"path": options["write"]})

    @staticmethod
    def _make(name: str, *, local: bool, address: str) -> str:
        if local:
            return services.enrol_this_machine(PORTAL, name=name or THIS_MACHINE)[1]
        cluster = Cluster.objects.filter(name=name).first()
        if cluster is None:
            raise CommandError(_("There is no place named “%(name)s”.") % {"name": name})
        return services.make_enrolment_token(PORTAL, cluster, address=address)[1]


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read, also where it was readable before."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        os.fchmod(file.fileno(), 0o600)
        file.write(text + "\n")
