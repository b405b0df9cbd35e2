"""The part of the Common Expression Language that CRDs' `x-kubernetes-validations` use.

https://kubernetes.io/docs/reference/using-api/cel/ . Left out, and refused when a rule is compiled: timestamps, quantities, IP
addresses, URLs, two-variable comprehensions. Types are those of the values: nothing checks them ahead of time, and there is
no cost limit.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tests.simulators.kubernetes.schema.cel.evaluate import CelError, Program, compile_ast, go_regex
from tests.simulators.kubernetes.schema.cel.parse import CelSyntaxError, names_in, parse

__all__ = ["CelError", "CelSyntaxError", "Rule", "compile_cel", "go_regex"]


def compile_cel(text: str) -> Program:
    """A function from the variables' values to the expression's value.

    :raises CelSyntaxError: the text is no expression, or uses what is not known here.
    """
    return compile_ast(parse(text))


@dataclass(frozen=True, slots=True)
class Rule:
    """One entry of x-kubernetes-validations."""

    test: Program
    message: str
    explain: Program | None
    reason: str
    field_path: str
    on_change: bool
    """It speaks of oldSelf and so holds for updates only."""

    @classmethod
    def compile(cls, rule: dict[str, Any]) -> Rule:
        text = rule["rule"].strip()
        tree = parse(text)
        explain = rule.get("messageExpression")
        return cls(
            test=compile_ast(tree), message=rule.get("message", "").strip() or f"failed rule: {text}",
            explain=compile_cel(explain) if explain else None, reason=rule.get("reason", "FieldValueInvalid"),
            field_path=rule.get("fieldPath", ""), on_change="oldSelf" in names_in(tree),
        )  # fmt: skip

    def complaint(self, value: Any, old: Any) -> str:
        """What is wrong with the value, or "" when the rule holds."""
        variables = {"self": value, "oldSelf": old}
        try:
            if self.test(variables) is True:
                return ""
        except CelError as error:
            return f"rule evaluation error: {error}"
        if self.explain is not None:
            try:
                return str(self.explain(variables))
            except CelError:
                return self.message
        return self.message
