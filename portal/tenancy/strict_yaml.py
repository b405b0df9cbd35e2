"""YAML from strangers: plain data and nothing else, within limits, in one pass over the parser's events.

No aliases (a few lines of them can stand for gigabytes), no tags (they can name classes), no key twice (two
readers may see two meanings). Scalars follow the core schema of YAML 1.2, so `yes` and `on` are words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml
from django.utils.translation import gettext as _

from .errors import Invalid

MOST_LEVELS = 40
MOST_DIGITS = 300  # longer numbers cost more than linear time to read
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INT = re.compile(r"[-+]?[0-9]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True, "TRUE": True,
          "false": False, "False": False, "FALSE": False}


def load_all(text: str) -> list[Any]:
    """Every document in `text` as dicts with text keys, lists, text, numbers, booleans and None.

    Raises Invalid, with the line, for what is not YAML, not plain data or too deep. The caller limits the size.
    """
    try:
        events = iter(yaml.parse(text, Loader=_LOADER))
        return [_node(next(events), events, 0) for event in events if isinstance(event, yaml.DocumentStartEvent)]
    except yaml.YAMLError as error:
        raise Invalid(_("This is not YAML%(where)s.") % {"where": _where(getattr(error, "problem_mark", None))}) from error


def load(text: str) -> Any:
    """The one document in `text`; None where it is empty. Raises Invalid, also for a second document."""
    documents = load_all(text)
    if len(documents) > 1:
        raise Invalid(_("Only one YAML document is allowed here."))
    return documents[0] if documents else None


def _where(mark: Any) -> str:
    return _(" (line %(line)d)") % {"line": mark.line + 1} if mark else ""


def _refuse(sentence: str, event: Any) -> Invalid:
    return Invalid(f"{sentence}{_where(event.start_mark)}.")


def _node(event: Any, events: Iterator[Any], level: int) -> Any:
    if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
        raise _refuse(_("YAML aliases are not allowed"), event)
    if event.tag is not None:
        raise _refuse(_("YAML tags are not allowed"), event)
    if level > MOST_LEVELS:
        raise _refuse(_("The YAML is nested too deeply"), event)
    if isinstance(event, yaml.MappingStartEvent):
        return _mapping(events, level)
    if isinstance(event, yaml.SequenceStartEvent):
        return [_node(item, events, level + 1) for item in _until(events, yaml.SequenceEndEvent)]
    return _scalar(event)


def _until(events: Iterator[Any], end: type[Any]) -> Iterator[Any]:
    """The events that begin the children; each child takes its own events from the same iterator."""
    while not isinstance(event := next(events), end):
        yield event


def _mapping(events: Iterator[Any], level: int) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in _until(events, yaml.MappingEndEvent):
        key = _node(event, events, level + 1)
        if isinstance(key, bool | int | float):
            key = event.value  # `8000: x` means the text
        if not isinstance(key, str):
            raise _refuse(_("A key in the YAML is not text"), event)
        if key in found:
            raise _refuse(_("“%(key)s” stands twice in the YAML") % {"key": key[:80]}, event)
        found[key] = _node(next(events), events, level + 1)
    return found


def _scalar(event: Any) -> Any:
    text: str = event.value
    if not event.implicit[0]:  # quoted, or a block
        return text
    if text in _WORDS:
        return _WORDS[text]
    if len(text) > MOST_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
