from __future__ import annotations

from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.tenancy import sealing

MOST_SHOWN = 50


class Command(BaseCommand):
    help = "Follows the audit's chain of digests and says which entries were changed or taken away behind the portal's back."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--head", default="", help="a digest that the log told (“audit sealed”): the chain must have it")
        parser.add_argument("--seal", action="store_true", help="seal what was written since, first")

    def handle(self, *args: Any, head: str, seal: bool, **options: Any) -> None:
        if seal:
            sealing.seal()
        report = sealing.check(head)
        for one in report.breaks[:MOST_SHOWN]:
            self.stdout.write(f"entry {one.entry_id}: {one.what}")
        if not report.knows_head:
            self.stdout.write(f"the chain has no {head}: it was cut, or made anew")
        if not report.is_whole:
            raise CommandError(f"{len(report.breaks)} entries are not as they were sealed; compare with a backup.")
        self.stdout.write(f"{report.sealed} entries, all as they were sealed; head {report.head}")
