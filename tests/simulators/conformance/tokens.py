"""Tokens in recorded values: what they stand for is learnt from answers and put into requests."""

from __future__ import annotations

import re
from collections import defaultdict
from itertools import pairwise
from typing import Any

NAMES = (
    "uid", "rv", "lrv", "time", "microtime", "continue", "token", "name", "revision", "clusterIP", "podIP", "nodeIP",
    "nodePort", "port", "server", "managedFields", "status", "age", "count", "message", "imageID", "containerID", "osImage",
    "text", "hash", "n", "certificate", "credential",
)  # fmt: skip
TOKEN = re.compile(rf"<(?:{'|'.join(NAMES)})(?::\d+)?>")
REPLICA_SET = re.compile(r'(replica ?set "[a-z0-9-]*-)[bcdfghjklmnpqrstvwxz2456789]{5,10}"', re.IGNORECASE)
"""A ReplicaSet's name in a message that was recorded before its hash was known as a <revision>."""
FREE = {"<managedFields>", "<status>"}
"""Whole values that are not compared."""


class Bindings:
    """The values of one case."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.seen: defaultdict[str, list[int]] = defaultdict(list)
        """Every value of a version's token."""

    def fill(self, value: Any) -> Any:
        """A request's part with the values in place of the tokens."""
        if isinstance(value, str):
            return TOKEN.sub(lambda match: self.values.get(match[0], match[0]), value)
        if isinstance(value, list):
            return [self.fill(each) for each in value]
        if isinstance(value, dict):
            return {self.fill(key): self.fill(each) for key, each in value.items()}
        return value

    def matches(self, expected: str, actual: Any) -> bool:
        """Whether a value is what the recorded text allows; learns what its tokens stand for."""
        expected = REPLICA_SET.sub(r'\1<hash>"', expected)
        if not TOKEN.search(expected):
            return expected == actual
        if expected in FREE:
            return True
        if actual is None or actual == "" or isinstance(actual, (dict, list)):
            return False
        tokens = TOKEN.findall(expected)
        parts = [re.escape(part) for part in TOKEN.split(expected)]
        found = re.fullmatch(
            "(.+?)".join(parts[:-1]) + ("(.+)" if len(parts) > 1 else "") + parts[-1], str(actual), re.S
        )
        return found is not None and all(
            self._fits(name, value) for name, value in zip(tokens, found.groups(), strict=True)
        )

    def _fits(self, token: str, value: str) -> bool:
        if ":" not in token:
            return True
        kind = token[1:].partition(":")[0]
        if kind in ("rv", "lrv") and not value.isdigit():
            return False
        if kind == "lrv":
            self.seen[token].append(int(value))
            self.values[token] = value
            return True
        if kind == "rv":
            self.seen[token].append(int(value))
        return self.values.setdefault(token, value) == value

    def order_faults(self) -> list[str]:
        """Versions that do not grow with their numbers."""
        faults = []
        for kind, strict in (("rv", True), ("lrv", False)):
            known = sorted((int(name.strip("<>").partition(":")[2]), values) for name, values in self.seen.items()
                           if name.startswith(f"<{kind}:"))  # fmt: skip
            for (low, before), (high, after) in pairwise(known):
                if min(after) < min(before) or (strict and min(after) <= max(before)):
                    faults.append(f"<{kind}:{low}> is {before}, <{kind}:{high}> is {after}")
        return faults
