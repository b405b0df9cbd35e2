"""Bodies and options against the shipped schemas, in sentences that name the path and the nearest right name."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.utils.translation import gettext as _
from jsonschema import Draft202012Validator, ValidationError  # type: ignore[import-untyped]
from jsonschema.validators import extend  # type: ignore[import-untyped]

FOLDER = Path(__file__).parent / "schemas"
# What people took for a field's name in guides and hubs (facts.md 1.12), where likeness alone may not find it.
RENAMED: Mapping[str, str] = {
    "minReplicas": "minReplicaCount", "maxReplicas": "maxReplicaCount", "huggingfaceHub": "huggingFaceModel",
    "huggingFaceHub": "huggingFaceModel", "targetMetricValue": "targetValue", "threshold": "targetValue",
    "image_uri": "image", "env": "environmentVariables", "environment": "environmentVariables",
}


@dataclass(frozen=True)
class Problem:
    """`path` with dots and list positions, such as worker.environmentVariables.0.name; empty for the whole.

    `rule` is the schema's, where it matters to the caller.
    """

    path: str
    message: str
    rule: str = ""

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


def _is_integer(_checker: Any, value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _once(_validator: Any, keys: list[str], instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """x-kubernetes-list-map-keys: a list that is a map takes each key once."""
    seen = set()
    for one in instance if isinstance(instance, list) else []:
        key = tuple(str(one.get(name)) for name in keys) if isinstance(one, Mapping) else None
        if key is not None and key in seen:
            yield ValidationError(", ".join(key))
        seen.add(key)


def _pattern(_validator: Any, pattern: str, instance: Any, _schema: Any) -> Iterator[ValidationError]:
    """As Go and AWS read it: `$` is the very end, never before a last line break."""
    if isinstance(instance, str) and (not re.search(pattern, instance) or ("$" in pattern and "\n" in instance)):
        yield ValidationError("pattern")


_Strict = extend(Draft202012Validator, {"x-kubernetes-list-map-keys": _once, "pattern": _pattern},
                 type_checker=Draft202012Validator.TYPE_CHECKER.redefine("integer", _is_integer))


def schema_path(kind: str) -> Path:
    return FOLDER / f"{kind.lower()}.json"


def write_schema(kind: str, schema: Mapping[str, Any]) -> Path:
    path = schema_path(kind)
    path.write_text(json.dumps(schema, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


@cache
def load_schema(kind: str) -> dict[str, Any]:
    """Of InferenceEndpointConfig, JumpStartModel (whole objects) or SageMaker (options)."""
    found: dict[str, Any] = json.loads(schema_path(kind).read_text(encoding="utf-8"))
    return found


@cache
def _validator(kind: str) -> Any:
    return _Strict(load_schema(kind))


@cache
def _validator_of_spec(kind: str) -> Any:
    return _Strict(options_schema(kind))


def options_schema(kind: str) -> dict[str, Any]:
    """The part of the schema that options are of: the spec of an object, or all of it."""
    whole = load_schema(kind)
    return whole["properties"].get("spec", whole) if "spec" in whole["properties"] else whole


def at_path(kind: str, path: str) -> dict[str, Any]:
    """The schema of one field by its path with dots, of options. Raises KeyError where there is none."""
    found = options_schema(kind)
    for name in path.split("."):
        found = found["properties"][name]
    return found


def check_body(kind: str, body: Mapping[str, Any]) -> list[str]:
    """What an API server or the operator would refuse or silently drop in a whole object; empty where it is right."""
    return [str(problem) for problem in problems(_validator(kind), body)]


def check_fields(kind: str, options: Mapping[str, Any]) -> list[Problem]:
    """The same of options alone; what is missing of them may come from the portal, see `Problem.path`."""
    return problems(_validator_of_spec(kind), options)


def problems(validator: Any, value: Any) -> list[Problem]:
    """Sorted by path."""
    found = [problem for error in validator.iter_errors(value) for problem in _told(error)]
    return sorted(found, key=lambda problem: (problem.path, problem.message))


def _told(error: ValidationError) -> Iterator[Problem]:
    path = ".".join(map(str, error.absolute_path))
    rule: Any = error.validator
    if rule == "additionalProperties":
        known = error.schema["properties"]
        for name in sorted(set(error.instance) - set(known)):
            yield Problem(_joined(path, str(name)[:80]), _unknown(str(name)[:80], known))
    elif rule == "required":
        for name in error.validator_value:
            if name not in error.instance and f"'{name}'" in error.message:
                yield Problem(_joined(path, name), _("This is missing."), "required")
    else:
        yield Problem(path, _sentence(rule, error))


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _unknown(name: str, known: Mapping[str, Any]) -> str:
    near = nearest(name, known)
    if near:
        return _("There is no such field. Did you mean “%(near)s”?") % {"near": near}
    if not known:
        return _("There is no such field.")
    return _("There is no such field. There are: %(all)s.") % {"all": ", ".join(sorted(known))}


def nearest(name: str, known: Mapping[str, Any]) -> str:
    """The known name that was most likely meant; empty where nothing is near."""
    if RENAMED.get(name) in known:
        return RENAMED[name]
    folded = {one.casefold(): one for one in known}
    near = difflib.get_close_matches(re.sub(r"[_-]", "", name).casefold(), folded, n=1, cutoff=0.65)
    return folded[near[0]] if near else ""


TYPE_WORDS = {
    "object": lambda: _("an object"), "array": lambda: _("a list"), "string": lambda: _("text"),
    "integer": lambda: _("a whole number"), "number": lambda: _("a number"), "boolean": lambda: _("true or false"),
}


def type_words(types: Any) -> str:
    return _(" or ").join(TYPE_WORDS[one]() for one in ([types] if isinstance(types, str) else types) if one in TYPE_WORDS)


def _sentence(rule: str, error: ValidationError) -> str:
    """Says what the schema wants, never what was given: a secret may stand there."""
    limit: Any = error.validator_value
    words = {
        "type": lambda: _("This must be %(what)s.") % {"what": type_words(limit)},
        "enum": lambda: _one_of(error.instance, limit),
        "pattern": lambda: _("This does not have the right form: %(pattern)s") % {"pattern": limit},
        "minimum": lambda: _("This must be %(limit)s or more.") % {"limit": limit},
        "maximum": lambda: _("This must be %(limit)s or less.") % {"limit": limit},
        "minLength": lambda: _("This must have %(limit)s characters or more.") % {"limit": limit},
        "maxLength": lambda: _("This must have %(limit)s characters or fewer.") % {"limit": limit},
        "minItems": lambda: _("Give %(limit)s of these or more.") % {"limit": limit},
        "maxItems": lambda: _("Give %(limit)s of these or fewer.") % {"limit": limit},
        "x-kubernetes-list-map-keys": lambda: _("“%(name)s” stands there twice.") % {"name": error.message[:80]},
    }
    return words[rule]() if rule in words else _("This is not right.")


def _one_of(given: Any, choices: list[Any]) -> str:
    near = difflib.get_close_matches(str(given)[:80], map(str, choices), n=1)
    if len(choices) > 12:
        return (_("This is not known. Did you mean “%(near)s”?") % {"near": near[0]}) if near else _("This is not known.")
    return _("This must be one of: %(choices)s.") % {"choices": ", ".join(str(choice) or "“”" for choice in choices)}
