from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from models_catalog.seed.load import load_catalogue
from portal.tenancy.errors import PortalError


class Command(BaseCommand):
    help = "Load the seed catalogue; can be run again and leaves alone what a person changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--only", nargs="+", default=(), metavar="SLUG", help="short names of the models to load")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            loaded = load_catalogue(options["only"])
        except PortalError as error:
            raise CommandError(error.message) from error
        self.stdout.write(
            f"catalogue: {loaded.models} models, {loaded.profiles} profiles; {loaded.created} rows new, "
            f"{loaded.updated} updated, {loaded.kept} kept as changed by people")
