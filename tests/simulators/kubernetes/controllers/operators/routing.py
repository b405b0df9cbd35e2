"""Which route takes a request: hosts, paths, headers, methods, weights, filters of the Gateway API.

https://gateway-api.sigs.k8s.io/reference/spec/ tells the precedence: the most exact host, then the longest path, then
the most headers, then the oldest route.
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from ..base import Object, name_of, namespace_of

Headers = list[tuple[str, str]]


@dataclass(frozen=True)
class Asked:
    """A request as a route looks at it."""

    host: str
    method: str
    path: str
    query: str
    headers: Mapping[str, str] = field(default_factory=dict)


def host_fits(pattern: str, host: str) -> bool:
    if not pattern or pattern == "*":
        return True
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def host_worth(hostnames: Iterable[str], host: str) -> int:
    """The length of the most exact name that fits, exact ones before wildcards; -1 when none does."""
    worth = [len(name) + (1000 if not name.startswith("*") else 0) for name in hostnames if host_fits(name, host)]
    return max(worth, default=-1)


def path_worth(match: Mapping[str, Any], path: str) -> int:
    """How much of the path a match takes, exact ones before all others; -1 when it does not fit."""
    wanted = match.get("path") or {"type": "PathPrefix", "value": "/"}
    value = wanted.get("value", "/")
    match wanted.get("type", "PathPrefix"):
        case "Exact":
            return 100_000 if path == value else -1
        case "RegularExpression":
            return 0 if re.fullmatch(value, path) else -1
    prefix = value.rstrip("/")
    return len(prefix) if path == prefix or path.startswith(prefix + "/") else -1


def named_fit(wanted: Mapping[str, Any], value: str | None) -> bool:
    if value is None:
        return False
    if wanted.get("type", "Exact") == "RegularExpression":
        return re.fullmatch(wanted["value"], value) is not None
    return value == wanted["value"]


def match_worth(match: Mapping[str, Any], asked: Asked) -> tuple[int, int, int, int]:
    """The precedence of a match; (-1, ...) when it does not fit."""
    headers, params = match.get("headers") or (), match.get("queryParams") or ()
    query = {name: values[0] for name, values in parse_qs(asked.query, keep_blank_values=True).items()}
    fits = (
        match.get("method", asked.method) == asked.method
        and all(named_fit(each, asked.headers.get(each["name"].lower())) for each in headers)
        and all(named_fit(each, query.get(each["name"])) for each in params)
    )
    return (path_worth(match, asked.path) if fits else -1, "method" in match, len(headers), len(params))


@dataclass(frozen=True)
class Found:
    route: Object
    rule: Mapping[str, Any]
    match: Mapping[str, Any]


def find(routes: Iterable[Object], asked: Asked) -> Found | None:
    """The rule that takes the request."""
    best: tuple[Any, ...] = ()
    found = None
    ordered = sorted(
        routes,
        key=lambda each: (each["metadata"]["creationTimestamp"], namespace_of(each), name_of(each)),
        reverse=True,
    )
    for route in ordered:
        host = host_worth(route["spec"].get("hostnames") or ["*"], asked.host)
        for rule in reversed(route["spec"].get("rules") or ()):
            for match in rule.get("matches") or [{}]:
                worth = match_worth(match, asked)
                if host >= 0 and worth[0] >= 0 and (host, *worth) >= best:
                    best, found = (host, *worth), Found(route, rule, match)
    return found


def backend(rule: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """One of the backends, by their weights."""
    refs = [ref for ref in rule.get("backendRefs") or () if ref.get("weight", 1)]
    if not refs:
        return None
    return random.choices(refs, weights=[ref.get("weight", 1) for ref in refs])[0]


def modify(headers: Headers, change: Mapping[str, Any]) -> Headers:
    """RequestHeaderModifier and ResponseHeaderModifier: set, add, remove."""
    gone = {each.lower() for each in change.get("remove") or ()} | {
        each["name"].lower() for each in change.get("set") or ()
    }
    kept = [(name, value) for name, value in headers if name.lower() not in gone]
    return kept + [(each["name"], each["value"]) for each in (*(change.get("set") or ()), *(change.get("add") or ()))]


def rewrite(path: str, change: Mapping[str, Any], match: Mapping[str, Any]) -> str:
    """URLRewrite: the whole path, or the prefix that matched."""
    wanted = change.get("path") or {}
    if wanted.get("type") == "ReplaceFullPath":
        return wanted.get("replaceFullPath", path)
    if wanted.get("type") == "ReplacePrefixMatch":
        prefix = ((match.get("path") or {}).get("value") or "/").rstrip("/")
        rest = path[len(prefix) :]
        return (wanted.get("replacePrefixMatch", "/").rstrip("/") + rest) or "/"
    return path
