"""Run by an engine's own Python: prints every option of its parser as JSON. Imports nothing of the portal.

The first argument says whose parser: `vllm` and `sglang` their server's, `lmi` that of the vLLM which an LMI image wraps.
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import types
from collections.abc import Iterable
from typing import Any

# Where releases keep the parser of the whole server; the first that exists is taken.
PARSERS = ("vllm.entrypoints.launchers.cli_args", "vllm.entrypoints.openai.cli_args")
UTILS = ("vllm.utils.argparse_utils", "vllm.utils")
# What LMI's handler for vLLM takes from the server's options; all its other options are the engine's own.
OF_LMI = ("enable-auto-tool-choice", "tool-call-parser", "chat-template-content-format")
KERNELS = ("vllm._C", "vllm._C_stable_libtorch")
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
    flag = isinstance(action, argparse.BooleanOptionalAction) or type(action).__name__ == "StoreBoolean"
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
    """Names that vLLM's parser takes as free text but the engine knows as a closed list."""
    tools = first(["vllm.tool_parsers", "vllm.entrypoints.openai.tool_parsers"], "ToolParserManager")
    thoughts = first(["vllm.reasoning"], "ReasoningParserManager")
    methods = first(["vllm.model_executor.layers.quantization"], "QUANTIZATION_METHODS")
    return {"tool-call-parser": known(tools, "tool_parsers"), "quantization": sorted(methods),
            "reasoning-parser": known(thoughts, "reasoning_parsers")}


def known(manager: Any, attribute: str) -> list[str]:
    """The names that a manager of parsers knows; older releases have no method for it."""
    lister = getattr(manager, "list_registered", None)
    return sorted(lister() if lister else getattr(manager, attribute))


def stand_in_for_gpu() -> None:
    """Let a CUDA build's parser be made where there is no GPU: it asks which platform it is on.

    The modules left out hold kernels alone, and can't be loaded without a driver.
    """
    platforms: Any = importlib.import_module("vllm.platforms")
    if platforms.current_platform.device_type:
        return
    sys.modules.update({name: types.ModuleType(name) for name in KERNELS})
    platforms._current_platform = importlib.import_module("vllm.platforms.cuda").NonNvmlCudaPlatform()


def rows_of(parser: argparse.ArgumentParser) -> list[dict[str, Any]]:
    return [describe(action) for action in parser._actions if not isinstance(action, argparse._HelpAction)]


def vllm_rows() -> list[dict[str, Any]]:
    rows = rows_of(first(PARSERS, "make_arg_parser")(first(UTILS, "FlexibleArgumentParser")()))
    closed = registered()
    return [{**row, "choices": closed[row["name"]]} if row["name"] in closed else row for row in rows]


def lmi_rows() -> list[dict[str, Any]]:
    arguments = importlib.import_module("vllm.engine.arg_utils").AsyncEngineArgs
    engine = {row["name"] for row in rows_of(arguments.add_cli_args(first(UTILS, "FlexibleArgumentParser")()))}
    return [row for row in vllm_rows() if row["name"] in {*engine, *OF_LMI}]


def sglang_rows() -> list[dict[str, Any]]:
    parser = argparse.ArgumentParser()
    importlib.import_module("sglang.srt.server_args").ServerArgs.add_cli_args(parser)
    return rows_of(parser)


def main(engine: str) -> None:
    if engine != "sglang":
        stand_in_for_gpu()
    rows = {"vllm": vllm_rows, "lmi": lmi_rows, "sglang": sglang_rows}[engine]()
    json.dump([row for row in rows if row["name"]], sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:2] or ["vllm"])
