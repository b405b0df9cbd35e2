"""Options laid over what the portal renders: maps merge, everything else is replaced. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Lists whose members are known by a name: a member of the options stands in for ours of that name, or beside ours.
_NAMED = frozenset({"environmentVariables", "volumes", "initContainers"})


def merged(ours: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """A new object; neither of the two is changed."""
    made = dict(ours)
    for key, value in given.items():
        before = made.get(key)
        if isinstance(before, Mapping) and isinstance(value, Mapping):
            made[key] = merged(before, value)
        elif key in _NAMED and isinstance(before, list):
            names = {one["name"] for one in value}
            made[key] = [*(one for one in before if one["name"] not in names), *value]
        else:
            made[key] = value
    return made
