"""Reading parts of an object that somebody wrote: each with its path in the refusal."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

from django.utils.translation import gettext as _

from portal.tenancy.errors import Invalid
from portal.tenancy.text import clean

MOST_TEXT = 500


def mapping(parent: Any, name: str, path: str = "") -> Mapping[str, Any]:
    """The object at `name`, or an empty one."""
    value = parent.get(name) if isinstance(parent, Mapping) else None
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise Invalid(_("%(path)s is no object.") % {"path": path or name}, field=path or name)
    return value


def text_at(parent: Mapping[str, Any], name: str, path: str) -> str:
    value = parent.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > MOST_TEXT:
        raise Invalid(_("%(path)s takes text of at most %(most)d characters.") % {"path": path, "most": MOST_TEXT}, field=path)
    return value


def whole_at(parent: Mapping[str, Any], name: str, path: str, default: int = 1, least: int = 1) -> int:
    value = parent.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise Invalid(_("%(path)s takes a whole number from %(least)d.") % {"path": path, "least": least}, field=path)
    return value


def unknown(parent: Mapping[str, Any], known: Iterable[str], path: str) -> list[str]:
    """A note for each part that is not understood; an API server would have dropped it without a word."""
    notes, names = [], list(known)
    for name in parent:
        if name in names:
            continue
        near = difflib.get_close_matches(str(name), names, n=1)
        hint = _(" Did you mean %(near)s?") % {"near": near[0]} if near else ""
        notes.append(_("%(path)s.%(name)s is not known and was left out.") % {"path": path, "name": clean(name, 60)} + hint)
    return notes
