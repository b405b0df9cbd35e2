"""From the tree of a CEL expression to a function. Compiled once, since rules run with each write."""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

from tests.simulators.kubernetes.schema.cel.parse import CelSyntaxError, Tree

Variables = dict[str, Any]
Program = Callable[[Variables], Any]


class CelError(Exception):
    """An expression could not be evaluated: a missing key, operands that do not fit."""


def compile_ast(tree: Tree) -> Program:
    kind, *parts = tree
    return COMPILERS[kind](*parts)


def _literal(value: Any) -> Program:
    return lambda _: value


def _name(name: str) -> Program:
    def get(variables: Variables) -> Any:
        if name not in variables:
            raise CelError(f"undeclared reference to '{name}'")
        return variables[name]

    return get


def _select(tree: Tree, key: str) -> Program:
    owner = compile_ast(tree)

    def get(variables: Variables) -> Any:
        value = owner(variables)
        if not isinstance(value, dict):
            raise CelError(f"no such overload: {key}")
        if key not in value:
            raise CelError(f"no such key: {key}")
        return value[key]

    return get


def _index(tree: Tree, key_tree: Tree) -> Program:
    owner, key = compile_ast(tree), compile_ast(key_tree)

    def get(variables: Variables) -> Any:
        value, at = owner(variables), key(variables)
        if isinstance(value, list) and not 0 <= at < len(value):
            raise CelError(f"index out of bounds: {at}")
        try:
            return value[at]
        except (KeyError, TypeError):
            raise CelError(f"no such key: {at}") from None

    return get


def _list(trees: list[Tree]) -> Program:
    items = [compile_ast(each) for each in trees]
    return lambda variables: [item(variables) for item in items]


def _map(pairs: list[tuple[Tree, Tree]]) -> Program:
    entries = [(compile_ast(key), compile_ast(value)) for key, value in pairs]
    return lambda variables: {key(variables): value(variables) for key, value in entries}


def _if(test: Tree, yes: Tree, no: Tree) -> Program:
    condition, then, otherwise = compile_ast(test), compile_ast(yes), compile_ast(no)
    return lambda variables: then(variables) if _truth(condition(variables)) else otherwise(variables)


def _unary(mark: str, tree: Tree) -> Program:
    value = compile_ast(tree)
    if mark == "!":
        return lambda variables: not _truth(value(variables))
    return lambda variables: _number(-1, value(variables), operator.mul)


def _op(mark: str, left: Tree, right: Tree) -> Program:
    first, second = compile_ast(left), compile_ast(right)
    if mark in ("&&", "||"):
        return _logic(first, second, mark == "||")
    apply = OPERATORS[mark]
    return lambda variables: apply(first(variables), second(variables))


def _logic(first: Program, second: Program, decides: bool) -> Program:
    """Either side may decide alone, even when the other one cannot be evaluated."""

    def evaluate(variables: Variables) -> bool:
        try:
            if _truth(first(variables)) is decides:
                return decides
        except CelError:
            if _truth(second(variables)) is decides:
                return decides
            raise
        return _truth(second(variables))

    return evaluate


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise CelError("no such overload: a condition is no boolean")
    return value


def same(left: Any, right: Any) -> bool:
    """Equality as in CEL: numbers by value, but no number equals a boolean."""
    return isinstance(left, bool) is isinstance(right, bool) and bool(left == right)


def _number(left: Any, right: Any, apply: Callable[[Any, Any], Any]) -> Any:
    if any(isinstance(each, bool) or not isinstance(each, int | float) for each in (left, right)):
        raise CelError("no such overload: arithmetic on what is no number")
    return apply(left, right)


def _add(left: Any, right: Any) -> Any:
    for kind in (str, list):
        if isinstance(left, kind) and isinstance(right, kind):
            return left + right  # type: ignore[operator]
    return _number(left, right, operator.add)


def _divide(left: Any, right: Any) -> Any:
    if isinstance(left, float) or isinstance(right, float):
        return left / right if right else math.copysign(math.inf, left)
    if not right:
        raise CelError("division by zero")
    return abs(left) // abs(right) * (1 if (left < 0) is (right < 0) else -1)


def _modulo(left: Any, right: Any) -> Any:
    if not right:
        raise CelError("modulus by zero")
    return int(math.fmod(left, right))


def _compare(apply: Callable[[Any, Any], bool]) -> Callable[[Any, Any], bool]:
    def compare(left: Any, right: Any) -> bool:
        try:
            return apply(left, right)
        except TypeError:
            raise CelError("no such overload: order of different types") from None

    return compare


def _in(item: Any, group: Any) -> bool:
    if not isinstance(group, list | dict):
        raise CelError("no such overload: in")
    return any(same(item, each) for each in group)


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "==": same, "!=": lambda left, right: not same(left, right), "in": _in,
    "<": _compare(operator.lt), "<=": _compare(operator.le), ">": _compare(operator.gt), ">=": _compare(operator.ge),
    "+": _add, "-": lambda left, right: _number(left, right, operator.sub),
    "*": lambda left, right: _number(left, right, operator.mul),
    "/": lambda left, right: _number(left, right, _divide), "%": lambda left, right: _number(left, right, _modulo),
}  # fmt: skip


def _call(name: str, target: Tree | None, arguments: list[Tree]) -> Program:
    if name == "has" and target is None:
        return _has(arguments)
    if target is not None and name in MACROS and arguments and arguments[0][0] == "name":
        return _macro(name, target, arguments)
    if name not in FUNCTIONS:
        raise CelSyntaxError(f"unknown function {name}")
    apply = FUNCTIONS[name]
    values = [compile_ast(each) for each in ([target] if target is not None else []) + arguments]

    def call(variables: Variables) -> Any:
        try:
            return apply(*(value(variables) for value in values))
        except (TypeError, ValueError, AttributeError):
            raise CelError(f"no such overload: {name}") from None

    return call


def _has(arguments: list[Tree]) -> Program:
    if len(arguments) != 1 or arguments[0][0] != "select":
        raise CelSyntaxError("has() takes one field")
    owner, key = compile_ast(arguments[0][1]), arguments[0][2]

    def has(variables: Variables) -> bool:
        value = owner(variables)
        return isinstance(value, dict) and value.get(key) is not None

    return has


def _macro(name: str, target: Tree, arguments: list[Tree]) -> Program:
    group, variable = compile_ast(target), arguments[0][1]
    bodies = [compile_ast(each) for each in arguments[1:]]
    run = MACROS[name]

    def evaluate(variables: Variables) -> Any:
        items = group(variables)
        if not isinstance(items, list | dict):
            raise CelError(f"no such overload: {name}")
        scopes = [{**variables, variable: item} for item in items]
        return run(variable, scopes, *bodies)

    return evaluate


Scopes = list[Variables]


def _all(_: str, scopes: Scopes, body: Program) -> bool:
    return _until(scopes, body, False)


def _exists(_: str, scopes: Scopes, body: Program) -> bool:
    return _until(scopes, body, True)


def _until(scopes: Scopes, body: Program, decides: bool) -> bool:
    """Whether no element fails (or any holds); an element that decides outweighs one that cannot be evaluated."""
    failure = None
    for scope in scopes:
        try:
            if _truth(body(scope)) is decides:
                return decides
        except CelError as error:
            failure = error
    if failure is not None:
        raise failure
    return not decides


def _exists_one(_: str, scopes: Scopes, body: Program) -> bool:
    return sum(_truth(body(scope)) for scope in scopes) == 1


def _filter(variable: str, scopes: Scopes, body: Program) -> list[Any]:
    return [scope[variable] for scope in scopes if _truth(body(scope))]


def _mapped(_: str, scopes: Scopes, *bodies: Program) -> list[Any]:
    chosen = [scope for scope in scopes if _truth(bodies[0](scope))] if len(bodies) == 2 else scopes
    return [bodies[-1](scope) for scope in chosen]


MACROS: dict[str, Callable[..., Any]] = {
    "all": _all, "exists": _exists, "exists_one": _exists_one, "filter": _filter, "map": _mapped,
}  # fmt: skip


def go_regex(pattern: str) -> str:
    """A pattern of Go's regexp for Python: its `$` is the end of the text, not a line's."""
    return re.sub(r"(?<!\\)((?:\\\\)*)\$(?=$|\))", r"\1\\Z", pattern)


@lru_cache(maxsize=500)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(go_regex(pattern))


UNITS = {
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "µs": 1_000,
    "ns": 1,
}


def _duration(text: str) -> int:
    """In nanoseconds; of durations CRDs only compare the lengths."""
    if text in ("0", "+0", "-0"):
        return 0
    sign = -1 if text.startswith("-") else 1
    unsigned = text.lstrip("+-")
    if not re.fullmatch(r"(?:[0-9]*\.?[0-9]+(?:h|ms|us|µs|ns|m|s))+", unsigned):
        raise ValueError(text)
    parts = re.findall(r"([0-9]*\.?[0-9]+)(h|ms|us|µs|ns|m|s)", unsigned)
    return sign * sum(int(float(number) * UNITS[unit]) for number, unit in parts)


def _string(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _is_sorted(items: list[Any]) -> bool:
    return all(first <= second for first, second in pairwise(items))


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "size": len, "string": _string, "int": int, "double": float, "duration": _duration,
    "matches": lambda text, pattern: _compiled(pattern).search(text) is not None,
    "startsWith": lambda text, part: text.startswith(part), "endsWith": lambda text, part: text.endswith(part),
    "contains": lambda text, part: part in text, "split": lambda text, *how: text.split(*how),
    "join": lambda items, separator="": separator.join(items), "replace": lambda text, *how: text.replace(*how),
    "trim": lambda text: text.strip(), "lowerAscii": lambda text: text.lower(), "upperAscii": lambda text: text.upper(),
    "substring": lambda text, start, end=None: text[start:end], "indexOf": lambda group, item: group.find(item),
    "min": min, "max": max, "sum": sum,
    "isSorted": _is_sorted,
}  # fmt: skip

COMPILERS: dict[str, Callable[..., Program]] = {
    "literal": _literal, "name": _name, "select": _select, "index": _index, "list": _list, "map": _map, "if": _if,
    "unary": _unary, "op": _op, "call": _call,
}  # fmt: skip
