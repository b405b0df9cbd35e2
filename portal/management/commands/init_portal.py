from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from portal import firstrun
from portal.tenancy.errors import PortalError


class Command(BaseCommand):
    help = "Makes tables, static files, the operator and a first key where they are missing. Can be repeated."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            firstrun.prepare(self.stdout.write)
        except PortalError as error:
            raise CommandError(str(error)) from error
