"""From the text of a CEL expression to its tree. Trees are tuples: the kind of node, then its parts.

Grammar: https://github.com/google/cel-spec/blob/master/doc/langdef.md#syntax
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Any

Tree = tuple[Any, ...]

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*)
    |(?P<string>[rR]?(?:\"{3}(?:[^\\]|\\.)*?\"{3}|'{3}(?:[^\\]|\\.)*?'{3}|"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))
    |(?P<number>0x[0-9a-fA-F]+|[0-9]+\.[0-9]+(?:[eE][+-]?[0-9]+)?|[0-9]+)u?
    |(?P<name>[A-Za-z_][A-Za-z0-9_]*)
    |(?P<mark>&&|\|\||==|!=|<=|>=|[-+*/%<>!?:.,()\[\]{}])""",
    re.VERBOSE | re.DOTALL,
)
LEVELS = (("||",), ("&&",), ("==", "!=", "<", "<=", ">", ">=", "in"), ("+", "-"), ("*", "/", "%"))
WORDS = {"true": True, "false": False, "null": None}


class CelSyntaxError(ValueError):
    """The text is no CEL expression that is understood here."""


def parse(text: str) -> Tree:
    parser = _Parser(list(_tokens(text)))
    tree = parser.expression()
    if parser.peek() != "":
        raise CelSyntaxError(f"unexpected {parser.peek()!r}")
    return tree


def names_in(tree: Any) -> set[str]:
    """The names of all variables in a tree."""
    if not isinstance(tree, tuple | list):
        return set()
    found = {tree[1]} if tree and tree[0] == "name" else set()
    return found.union(*(names_in(part) for part in tree))


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        match = TOKEN.match(text, at)
        if match is None:
            raise CelSyntaxError(f"unexpected {text[at]!r}")
        at = match.end()
        if match.lastgroup != "space":
            yield str(match.lastgroup), match[str(match.lastgroup)]


class _Parser:
    def __init__(self, tokens: list[tuple[str, str]]) -> None:
        self.tokens, self.at = tokens, 0

    def peek(self) -> str:
        """The next mark or word; "" at the end."""
        return self.tokens[self.at][1] if self.at < len(self.tokens) else ""

    def take(self) -> tuple[str, str]:
        if self.at >= len(self.tokens):
            raise CelSyntaxError("unexpected end")
        self.at += 1
        return self.tokens[self.at - 1]

    def accept(self, mark: str) -> bool:
        if self.peek() != mark or self.tokens[self.at][0] == "string":
            return False
        self.at += 1
        return True

    def expect(self, mark: str) -> None:
        if not self.accept(mark):
            raise CelSyntaxError(f"expected {mark!r}, found {self.peek()!r}")

    def expression(self) -> Tree:
        tree = self.binary(0)
        if not self.accept("?"):
            return tree
        yes = self.binary(0)
        self.expect(":")
        return ("if", tree, yes, self.expression())

    def binary(self, level: int) -> Tree:
        if level == len(LEVELS):
            return self.unary()
        tree = self.binary(level + 1)
        while (mark := self.peek()) in LEVELS[level] and self.accept(mark):
            tree = ("op", mark, tree, self.binary(level + 1))
        return tree

    def unary(self) -> Tree:
        for mark in ("!", "-"):
            if self.accept(mark):
                return ("unary", mark, self.unary())
        return self.member()

    def member(self) -> Tree:
        tree = self.primary()
        while True:
            if self.accept("."):
                name = self.take()[1]
                tree = ("call", name, tree, self.items(")")) if self.accept("(") else ("select", tree, unescape(name))
            elif self.accept("["):
                tree = ("index", tree, self.expression())
                self.expect("]")
            else:
                return tree

    def primary(self) -> Tree:
        kind, text = self.take()
        if kind == "string":
            return ("literal", string_value(text))
        if kind == "number":
            return ("literal", float(text) if "." in text else int(text, 0))
        if kind == "name":
            if text in WORDS:
                return ("literal", WORDS[text])
            return ("call", text, None, self.items(")")) if self.accept("(") else ("name", text)
        return self.bracket(text)

    def bracket(self, text: str) -> Tree:
        if text == "(":
            tree = self.expression()
            self.expect(")")
            return tree
        if text == "[":
            return ("list", self.items("]"))
        if text == "{":
            return ("map", self.pairs())
        raise CelSyntaxError(f"unexpected {text!r}")

    def items(self, end: str) -> list[Tree]:
        found: list[Tree] = []
        while not self.accept(end):
            found.append(self.expression())
            if not self.accept(",") and self.peek() != end:
                raise CelSyntaxError(f"expected {end!r}, found {self.peek()!r}")
        return found

    def pairs(self) -> list[tuple[Tree, Tree]]:
        found: list[tuple[Tree, Tree]] = []
        while not self.accept("}"):
            key = self.expression()
            self.expect(":")
            found.append((key, self.expression()))
            if not self.accept(",") and self.peek() != "}":
                raise CelSyntaxError(f"expected '}}', found {self.peek()!r}")
        return found


def string_value(text: str) -> str:
    raw = text[0] in "rR"
    quoted = text[1:] if raw else text
    if not raw:
        return str(ast.literal_eval(quoted))
    return quoted[3:-3] if quoted[:3] in ('"""', "'''") else quoted[1:-1]


ESCAPES = {"__dot__": ".", "__dash__": "-", "__slash__": "/", "__underscores__": "__"}


def unescape(name: str) -> str:
    """A property's name as it stands in CEL: `a__dash__b` is a-b, `__namespace__` is namespace."""
    if "__" not in name:
        return name
    if name.startswith("__") and name.endswith("__") and name not in ESCAPES:
        return name[2:-2]
    return re.sub("__(?:dot|dash|slash|underscores)__", lambda match: ESCAPES[match[0]], name)
