from __future__ import annotations

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand

from endpoints.options.reference import filled_in


class Command(BaseCommand):
    help = "Write the tables of options into documents, between <!-- options KIND --> and <!-- end -->."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="+")

    def handle(self, *args: Any, **options: Any) -> None:
        for path in options["file"]:
            path.write_text(filled_in(path.read_text(encoding="utf-8")), encoding="utf-8")
