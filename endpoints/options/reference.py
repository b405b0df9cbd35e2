"""The fields of options as tables of Markdown, for docs/: the same words, types and limits that the forms show."""

from __future__ import annotations

import re

from django.utils.translation import override

from .fields import GROUPS, Field, kind_of_field, limits_of, schema_of
from .reserved import is_reserved

BLOCK = re.compile(r"<!-- options (?P<kind>\w+) -->\n.*?<!-- end -->", re.S)


def filled_in(text: str) -> str:
    """The document with each block between ``<!-- options KIND -->`` and ``<!-- end -->`` made anew. Raises KeyError."""
    with override("en"):
        return BLOCK.sub(lambda found: f"<!-- options {found['kind']} -->\n{_tables(found['kind'])}<!-- end -->", text)


def _tables(kind: str) -> str:
    lines = []
    for group in GROUPS[kind]:
        rare = " (rarely needed)" if group.rare else ""
        lines += [f"**{group.label}**{rare}", "", "| field | takes | meaning |", "|---|---|---|"]
        lines += [f"| `{field.path}` | {_takes(kind, field)} | {_cell(_meaning(kind, field))} |" for field in group.fields]
        lines.append("")
    return "\n".join(lines) + "\n"


def _meaning(kind: str, field: Field) -> str:
    return f"{field.help} Operators only." if is_reserved(kind, field.path) else str(field.help)


def _takes(kind: str, field: Field) -> str:
    schema, how = schema_of(kind, field.path), kind_of_field(kind, field)
    low, high = limits_of(kind, field.path)
    words = {
        "choice": ", ".join(f"`{one}`" for one in field.choices or schema.get("enum", ())), "switch": "true or false",
        "integer": "whole number", "number": "number", "text": "text", "list": "list of words", "json": "JSON",
    }[how]
    limits = f" {low} to {high}" if low is not None else ""
    default = f"; `{str(schema['default']).lower() if how == 'switch' else schema['default']}`" if "default" in schema else ""
    return _cell(f"{words}{limits}{default}")


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
