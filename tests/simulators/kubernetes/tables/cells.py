"""What stands in a cell: values found by JSON path, ages, lists of names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

NONE, UNKNOWN = "<none>", "<unknown>"
STEP = re.compile(r"""\.?(?P<name>[\w\-/\\.]*[\w\-/])|\.?\['(?P<quoted>[^']+)'\]|\[(?P<index>-?\d+)\]|(?P<all>\[\*\]|\.\*)
    |\[\?\(\s*@\.?(?P<left>[^=!<>\s]+)\s*(?P<how>==|!=)\s*(?P<right>"[^"]*"|'[^']*'|[^\s)]+)\s*\)\]""", re.VERBOSE)  # fmt: skip

Finder = Callable[[Any], list[Any]]


@lru_cache(maxsize=1000)
def json_path(text: str) -> Finder:
    """A function that finds the values at a JSON path, in the subset that printer columns use.

    :raises ValueError: the path is not understood.
    """
    steps: list[Callable[[Any], Iterator[Any]]] = []
    at, inner = 0, text.strip().strip("{}")
    while at < len(inner):
        match = STEP.match(inner, at) if inner[at] != "." or at + 1 < len(inner) else None
        if match is None or match.end() == at:
            raise ValueError(f"unrecognized JSON path {text}")
        steps += _steps(match)
        at = match.end()

    def find(value: Any) -> list[Any]:
        found = [value]
        for step in steps:
            found = [each for item in found for each in step(item)]
        return found

    return find


def _steps(match: re.Match[str]) -> list[Callable[[Any], Iterator[Any]]]:
    if match["quoted"] is not None:
        return [_child(match["quoted"])]
    if match["index"] is not None:
        return [_item(int(match["index"]))]
    if match["all"] is not None:
        return [_every]
    if match["left"] is not None:
        return [_where(match["left"], match["how"], match["right"].strip("'\""))]
    names = re.split(r"(?<!\\)\.", match["name"])  # a dot in a name is escaped
    return [_child(name.replace("\\.", ".")) for name in names]


def _child(name: str) -> Callable[[Any], Iterator[Any]]:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, dict) and value.get(name) is not None:
            yield value[name]

    return step


def _item(at: int) -> Callable[[Any], Iterator[Any]]:
    def step(value: Any) -> Iterator[Any]:
        if isinstance(value, list) and -len(value) <= at < len(value):
            yield value[at]

    return step


def _every(value: Any) -> Iterator[Any]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict):
        yield from value.values()


def _where(left: str, how: str, right: str) -> Callable[[Any], Iterator[Any]]:
    find = json_path(f".{left}")

    def step(value: Any) -> Iterator[Any]:
        for each in value if isinstance(value, list) else ():
            found = [_text(item) for item in find(each)]
            if (right in found) is (how == "=="):
                yield each

    return step


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def custom_cell(column: dict[str, Any], obj: dict[str, Any]) -> Any:
    """The cell of a CRD's printer column; None where there is nothing."""
    found = json_path(column["jsonPath"])(obj)
    if not found:
        return None
    value = found[0]
    match column["type"]:
        case "string":
            return _text(value)
        case "date":
            return age(value) if isinstance(value, str) else UNKNOWN
        case "integer":
            return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "number":
            return value if isinstance(value, int | float) and not isinstance(value, bool) else None
        case "boolean":
            return value if isinstance(value, bool) else None
    return None


def age(timestamp: str | None) -> str:
    """How long ago that was, as people read it."""
    return human(seconds_since(timestamp)) if timestamp else UNKNOWN


def seconds_since(timestamp: str) -> float:
    return (datetime.now(UTC) - datetime.fromisoformat(timestamp)).total_seconds()


def lasted(start: str, end: str | None) -> str:
    """How long something took, or takes by now."""
    until = datetime.fromisoformat(end) if end else datetime.now(UTC)
    return human((until - datetime.fromisoformat(start)).total_seconds())


def human(seconds: float) -> str:
    """A length of time in its two largest units, as `kubectl` shows it: 45s, 3m20s, 5h, 2d3h, 1y30d."""
    whole = max(int(seconds), 0)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    steps: tuple[tuple[bool, str], ...] = (
        (whole < 120, f"{whole}s"),
        (minutes < 10, _two(minutes, "m", whole % 60, "s")),
        (minutes < 180, f"{minutes}m"),
        (hours < 8, _two(hours, "h", minutes % 60, "m")),
        (hours < 48, f"{hours}h"),
        (hours < 192, _two(days, "d", hours % 24, "h")),
        (days < 730, f"{days}d"),
        (days < 2920, _two(days // 365, "y", days % 365, "d")),
    )
    return next((text for fits, text in steps if fits), f"{days // 365}y")


def _two(many: int, unit: str, rest: int, small: str) -> str:
    return f"{many}{unit}{rest}{small}" if rest else f"{many}{unit}"


def joined(values: list[str]) -> str:
    return ",".join(values) or NONE


def selector_text(selector: dict[str, Any] | None) -> str:
    """A label selector, or a plain map of labels, in one line."""
    selector = selector or {}
    labels = selector.get("matchLabels", selector if "matchExpressions" not in selector else {}) or {}
    texts = [f"{key}={value}" for key, value in sorted(labels.items())]
    for each in selector.get("matchExpressions") or ():
        values = f" ({','.join(each.get('values') or ())})" if each.get("values") else ""
        texts.append(f"{each['key']} {each['operator'].lower()}{values}")
    return joined(texts)
