"""Label selectors: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from tests.simulators.kubernetes.errors import bad_request

TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|>|<|[^\s,()=!<>]+)")
OPERATORS = {"in", "notin", "=", "==", "!=", ">", "<"}
NAME = re.compile(r"(?:[a-z0-9.-]+/)?([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\Z")
BAD_NAME = (
    "name part must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric "
    "character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is "
    "'([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')"
)
Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Requirement:
    key: str
    operator: str
    values: tuple[str, ...] = ()

    def holds(self, labels: Labels) -> bool:
        value = labels.get(self.key)
        match self.operator:
            case "exists":
                return value is not None
            case "!":
                return value is None
            case "in" | "=" | "==":
                return value in self.values
            case "notin" | "!=":
                return value not in self.values
        if value is None or not value.lstrip("-").isdigit():
            return False
        return int(value) > int(self.values[0]) if self.operator == ">" else int(value) < int(self.values[0])


@lru_cache(maxsize=1000)
def parse(text: str) -> Callable[[Labels], bool]:
    """What the selector says of an object's labels.

    :raises ApiError: 400, with the API server's words.
    """
    requirements = _Parser(text).requirements()
    return lambda labels: all(each.holds(labels) for each in requirements)


class _Parser:
    def __init__(self, text: str) -> None:
        self.tokens = TOKEN.findall(text)

    def requirements(self) -> list[Requirement]:
        found: list[Requirement] = []
        while self.tokens:
            first = self.tokens[0]
            if first in (",", "=", "==", "!=", "(", ")", ">", "<"):
                after = "identifier after ','" if found else "!, identifier, or 'end of string'"
                raise bad_request(f"found '{first}', expected: {after}")
            found.append(self._requirement())
            if self.tokens:
                if self.tokens[0] != ",":
                    raise bad_request(f"found '{self.tokens[0]}', expected: ',' or 'end of string'")
                self.tokens.pop(0)
                if not self.tokens or self.tokens[0] == ",":
                    raise bad_request(f"found '{self._peek()}', expected: identifier after ','")
        return found

    def _requirement(self) -> Requirement:
        absent = self.tokens[0] == "!"
        if absent:
            self.tokens.pop(0)
        key = self.tokens.pop(0) if self.tokens else ""
        if not NAME.match(key):
            raise bad_request(f'unable to parse requirement: <nil>: Invalid value: "{key}": {BAD_NAME}')
        if absent:
            return Requirement(key, "!")
        if self._peek() in ("", ","):
            return Requirement(key, "exists")
        operator = self.tokens.pop(0)
        if operator not in OPERATORS:
            raise bad_request(
                f"unable to parse requirement: found '{operator}', expected: in, notin, =, ==, !=, gt, lt"
            )
        if operator in ("in", "notin"):
            return Requirement(key, operator, self._values())
        value = "" if self._peek() in ("", ",") else self.tokens.pop(0)
        if operator in "<>" and not value.lstrip("-").isdigit():
            why = "for 'Gt', 'Lt' operators, the value must be an integer"
            raise bad_request(f'unable to parse requirement: values[0]: Invalid value: "{value}": {why}')
        return Requirement(key, operator, (value,))

    def _values(self) -> tuple[str, ...]:
        if self._peek() != "(":
            raise bad_request(f"unable to parse requirement: found '{self._peek()}' expected: '('")
        self.tokens.pop(0)
        found: list[str] = []
        while self._peek() != ")":
            if not self.tokens:
                raise bad_request("unable to parse requirement: found '', expected: ',', ')' or identifier")
            if (token := self.tokens.pop(0)) != ",":
                found.append(token)
        self.tokens.pop(0)
        return tuple(found) or ("",)

    def _peek(self) -> str:
        return self.tokens[0] if self.tokens else ""
