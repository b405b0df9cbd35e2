from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clusters.instances import instance_type, read_book
from clusters.instances.prices import SHIPPED
from portal.tenancy.errors import Invalid


class Command(BaseCommand):
    help = "Check a price book, or print the one that comes with the portal, to be copied and changed."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--check", type=Path, metavar="FILE", help="say what is wrong with this file")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["check"] is None:
            self.stdout.write(SHIPPED.read_text(encoding="utf-8"), ending="")
            return
        try:
            book = read_book(options["check"].read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"can't read {options['check']}: {error}") from error
        except Invalid as error:
            raise CommandError(error.message) from error
        names = {name for types in book.regions.values() for name in types}
        unknown = sorted(name for name in names if instance_type(name) is None)
        self.stdout.write(f"{sum(map(len, book.regions.values()))} prices of {len(book.regions)} regions, "
                          f"{book.currency} of {book.as_of}")
        if unknown:
            self.stdout.write(f"the portal does not know: {', '.join(unknown)}")
