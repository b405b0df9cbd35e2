from __future__ import annotations

import gzip
import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

import yaml
from django.core.management.base import BaseCommand, CommandError

from endpoints.options.making import of_crd, of_sagemaker
from endpoints.options.schema import write_schema


class Command(BaseCommand):
    help = ("Take in a new release of the HyperPod operator (its CRDs as YAML) or of the SageMaker API (botocore's "
            "data/sagemaker/…/service-2.json): the fields that endpoints of these places can have.")

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("file", type=Path, nargs="+")
        parser.add_argument("--crd-version", default="v1", help="which version of a CRD, v1 if not said")

    def handle(self, *args: Any, **options: Any) -> None:
        for path in options["file"]:
            try:
                kind, schema = _read(path, options["crd_version"])
            except (OSError, ValueError, KeyError, yaml.YAMLError) as error:
                raise CommandError(f"{path.name}: {error}") from error
            self.stdout.write(f"{write_schema(kind, schema).name}: taken from {path.name}")


def _read(path: Path, version: str) -> tuple[str, dict[str, Any]]:
    data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    if path.name.startswith("service-2.json"):
        return "SageMaker", of_sagemaker(json.loads(data))
    return of_crd(yaml.safe_load(data), version)
