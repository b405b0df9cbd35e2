"""What a rule sees: the options, the frozen settings that they go with, and the place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from clusters.models import AwsPlace, Cluster


@dataclass(frozen=True)
class Case:
    """`kind` is that of the object, or SageMaker; `spec` is as models_catalog.services.revision_spec makes it."""

    kind: str
    options: Mapping[str, Any]
    spec: Mapping[str, Any]
    cluster: Cluster

    @property
    def engine(self) -> str:
        return str(self.spec.get("engine", ""))

    @cached_property
    def place(self) -> AwsPlace | None:
        """Asked for by few rules only, since it costs a query."""
        return AwsPlace.objects.filter(cluster=self.cluster).first()

    def get(self, path: str) -> Any:
        """The option at a path with dots; None where it, or what holds it, is not there."""
        return value_at(self.options, path)


def value_at(options: Mapping[str, Any], path: str) -> Any:
    found: Any = options
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return None
        found = found[name]
    return found


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every path with what stands there, of objects only: lists are leaves."""
    if not isinstance(value, Mapping) or (not value and path):
        yield path, value
        return
    for name, part in value.items():
        yield from leaves(part, f"{path}.{name}" if path else str(name))


def parts(value: Any, path: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every object in the value, itself and those in lists too, with its path."""
    if isinstance(value, Mapping):
        yield path, value
        for name, part in value.items():
            yield from parts(part, f"{path}.{name}" if path else str(name))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from parts(part, f"{path}.{index}")
