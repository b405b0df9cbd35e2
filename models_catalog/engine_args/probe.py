"""Run by an engine's own Python: prints every option of its parser as JSON. Imports nothing of the portal."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Iterable
from typing import Any

# Where releases keep the parser of the whole server; the first that exists is taken.
PARSERS = ("vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
UTILS = ("vllm.utils.argparse_utils", "vllm.utils")
NUMBERS = {"int": "integer", "float": "number", "human_readable_int": "tokens", "human_readable_int_or_auto": "tokens"}
OBJECTS = ("parse_dataclass", "_parse_type", "loads", "union_dict_and_str")


def first(names: Iterable[str], attribute: str) -> Any:
    for name in names:
        try:
            return getattr(importlib.import_module(name), attribute)
        except (ImportError, AttributeError):
            continue
    raise SystemExit(f"this engine has no {attribute}")


def type_name(reader: Any) -> str:
    """The kind of value that an option's reader takes; an optional reader hides the real one in its closure."""
    name = getattr(reader, "__qualname__", "")
    if "_optional_type" in name:
        inner = [cell.cell_contents for cell in reader.__closure__ or () if callable(cell.cell_contents)]
        return type_name(inner[0]) if inner else "string"
    if name.endswith(OBJECTS):
        return "object"
    return NUMBERS.get(name, "string")


def describe(action: argparse.Action) -> dict[str, Any]:
    names = [name[2:] for name in action.option_strings if name.startswith("--")]
    flag = isinstance(action, argparse.BooleanOptionalAction)
    kind = "flag" if flag else "switch" if action.nargs == 0 else type_name(action.type)
    row: dict[str, Any] = {"name": names[0] if names else "", "type": kind}
    row["aliases"] = [n for n in [*names[1:], *(o[1:] for o in action.option_strings if o[:2] != "--")]
                      if not (flag and n.startswith("no-"))]
    if action.choices:
        row["choices"] = [str(choice) for choice in action.choices if str(choice) != "None"]
    if action.nargs in {"+", "*"}:
        row["many"] = True
    default = getattr(action.default, "value", action.default)
    if isinstance(default, bool | int | float | str) and default not in ("", argparse.SUPPRESS):
        row["default"] = default
    return row


def registered() -> dict[str, list[str]]:
    """Names that the parser takes as free text but the engine knows as a closed list."""
    tools = first(["vllm.tool_parsers", "vllm.entrypoints.openai.tool_parsers"], "ToolParserManager")
    thoughts = first(["vllm.reasoning"], "ReasoningParserManager")
    methods = first(["vllm.model_executor.layers.quantization"], "QUANTIZATION_METHODS")
    return {"tool-call-parser": sorted(tools.list_registered()), "quantization": sorted(methods),
            "reasoning-parser": sorted(thoughts.list_registered())}


def main() -> None:
    parser = first(PARSERS, "make_arg_parser")(first(UTILS, "FlexibleArgumentParser")())
    rows = [describe(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]
    closed = registered()
    for row in rows:
        if row["name"] in closed:
            row["choices"] = closed[row["name"]]
    json.dump([row for row in rows if row["name"]], sys.stdout)


if __name__ == "__main__":
    main()
