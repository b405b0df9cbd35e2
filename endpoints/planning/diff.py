"""The exact difference between an object that is there and what would be there, field by field."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from clusters.quantities import parse
from endpoints.targets.base import FieldChange, Step

from .fields import flat, owners

HIDDEN = "(secret)"
AMOUNTS = re.compile(r"\.(requests|limits|hard)\.|\.sizeLimit$")
_MISSING = object()


def object_of(manifest: Mapping[str, Any]) -> str:
    """Kind/name, as people write it; its namespace is the endpoint's."""
    return f"{manifest['kind']}/{manifest['metadata']['name']}"


def changes(live: Mapping[str, Any] | None, after: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """What differs; `before` or `after` is None where a field comes or goes. Values of Secrets never show."""
    was, will = flat(live) if live else {}, flat(after)
    managers = owners(live) if live else {}
    is_secret = after.get("kind") == "Secret"
    found = []
    for path in sorted({*was, *will}):
        before, now = was.get(path, _MISSING), will.get(path, _MISSING)
        if before == now or _only_emptied(path, before, now, was, will):
            continue
        found.append(FieldChange(
            object_of(after), path, _shown(before, path, is_secret), _shown(now, path, is_secret), managers.get(path, "")))
    return tuple(found)


def _only_emptied(path: str, before: Any, now: Any, was: Mapping[str, Any], will: Mapping[str, Any]) -> bool:
    """An empty map that gets members (or loses its last) shows as those members alone."""
    if before in ({}, []) and now is _MISSING:
        return any(other.startswith((f"{path}.", f"{path}[")) for other in will)
    if now in ({}, []) and before is _MISSING:
        return any(other.startswith((f"{path}.", f"{path}[")) for other in was)
    return False


def _shown(value: Any, path: str, is_secret: bool) -> Any:
    if value is _MISSING:
        return None
    return HIDDEN if is_secret and path.startswith(("data", "stringData")) else value


def step_of(live: Mapping[str, Any] | None, after: Mapping[str, Any]) -> Step:
    """Create, change or leave, with the fields that it concerns."""
    fields = changes(live, after)
    verb = "create" if live is None else "change" if fields else "keep"
    return Step(verb, object_of(after), fields=fields)


def drift(live: Mapping[str, Any], sent: Mapping[str, Any]) -> tuple[FieldChange, ...]:
    """What we send and somebody else has changed or taken away: `before` is there now, `after` is ours."""
    there, ours, managers = flat(live), flat(sent), owners(live)
    is_secret = sent.get("kind") == "Secret"
    return tuple(
        FieldChange(object_of(sent), path, _shown(there.get(path, _MISSING), path, is_secret),
                    _shown(value, path, is_secret), managers.get(path, ""))
        for path, value in sorted(ours.items()) if not _same(path, there.get(path, _MISSING), value))


def _same(path: str, there: Any, ours: Any) -> bool:
    """An empty map or list may be left out by the server, and it writes amounts in its own way (2000m as 2)."""
    if there == ours or (there is _MISSING and ours in ({}, [], "", None)):
        return True
    return bool(AMOUNTS.search(path)) and _amount(there) == _amount(ours)


def _amount(value: Any) -> Any:
    try:
        return parse(value)
    except ValueError:
        return value


def digest(steps: Iterable[Step], lives: Iterable[Mapping[str, Any] | None]) -> str:
    """Of a plan: changes when the plan or the objects that it was made on do, whatever writes their status."""
    seen = [None if live is None else [live["metadata"].get("uid"), flat(live)] for live in lives]
    plan = [[step.verb, step.what, [[f.path, f.before, f.after] for f in step.fields]] for step in steps]
    text = json.dumps([plan, seen], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
