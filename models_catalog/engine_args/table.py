"""Reading and writing the tables of engine options."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from models_catalog.permitted import PERMITTED, Permit, bounds
from models_catalog.permitted_sglang import SGLANG

FOLDER = Path(__file__).resolve().parent
PROBE_SECONDS = 300
# LMI's handler passes vLLM's own options on.
PERMITS: Mapping[str, Mapping[str, Permit]] = {"vllm": PERMITTED, "lmi": PERMITTED, "sglang": SGLANG}


@dataclass(frozen=True)
class Option:
    """One permitted option. `type`: flag, switch, integer, tokens (1k, 8K or auto too), number, string, object."""

    name: str
    type: str
    choices: tuple[str, ...] = ()
    range: tuple[float | None, float | None] = (None, None)
    keys: Mapping[str, str | list[str]] = field(default_factory=dict, hash=False)
    many: bool = False
    default: bool | int | float | str | None = None
    engine: str = "vllm"

    @property
    def help(self) -> str:
        return str(PERMITS[self.engine][self.name].help)


@dataclass(frozen=True)
class Table:
    """What a release's own parser knows: the options that we permit, and the names of all others."""

    engine: str
    version: str
    options: dict[str, Option]
    refused: frozenset[str]
    aliases: dict[str, str]


def path_of(kind: str, version: str) -> Path:
    return FOLDER / f"{kind}-{version}.json"


@cache
def load_table(kind: str, version: str) -> Table | None:
    """The table of this release, or None where nobody made one."""
    path = path_of(kind, version)
    if path.parent != FOLDER or not path.is_file():
        return None
    data = json.loads(path.read_text())
    options = {row["name"]: _option(kind, row) for row in data["options"] if row["name"] in PERMITS[kind]}
    return Table(data["engine"], data["version"], options, frozenset(data["refused"]), data["aliases"])


def newest_table(kind: str = "vllm") -> Table | None:
    """That of the newest release of which we have one."""
    versions = [path.stem.removeprefix(f"{kind}-") for path in FOLDER.glob(f"{kind}-[0-9]*.json")]
    newest = max(versions, key=lambda version: [int(part) for part in re.findall(r"[0-9]+", version)], default="")
    return load_table(kind, newest) if newest else None


def _option(kind: str, row: dict[str, Any]) -> Option:
    low, high = row.get("range", (None, None))
    return Option(row["name"], row["type"], tuple(row.get("choices", ())), (low, high), row.get("keys", {}),
                  row.get("many", False), row.get("default"), kind)


def ask_engine(python: Path, kind: str = "vllm") -> list[dict[str, Any]]:
    """Every option of the engine that this interpreter has. Raises CalledProcessError, TimeoutExpired, OSError."""
    probe = subprocess.run([str(python.absolute()), str(FOLDER / "probe.py"), kind], capture_output=True, text=True,
                           timeout=PROBE_SECONDS, check=True, cwd=FOLDER)
    rows: list[dict[str, Any]] = json.loads(probe.stdout.splitlines()[-1])
    return rows


def make_table(kind: str, version: str, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The table as it is written: sorted, so that two releases can be compared line by line."""
    options: list[dict[str, Any]] = []
    aliases: dict[str, str] = {}
    for row in sorted(rows, key=lambda row: str(row["name"])):
        permit = PERMITS[kind].get(row["name"])
        if permit is None or _is_open(permit, row):
            continue
        aliases.update(dict.fromkeys(row.pop("aliases", []), row["name"]))
        choices = permit.narrowed(row.pop("choices", ()))
        options.append({**row, **({"choices": choices} if choices else {}), **bounds(permit)})
    refused = sorted({row["name"] for row in rows} - {option["name"] for option in options})
    return {"engine": kind, "version": version, "options": options, "aliases": dict(sorted(aliases.items())),
            "refused": refused}


def _is_open(permit: Permit, row: dict[str, Any]) -> bool:
    """Whether this release takes free text where we permit listed words or members only."""
    if row["type"] == "object":
        return not permit.keys
    return row["type"] == "string" and (bool(permit.keys) or not permit.narrowed(row.get("choices", ())))


def write_table(data: dict[str, Any]) -> Path:
    path = path_of(data["engine"], data["version"])
    lines = ",\n  ".join(json.dumps(option) for option in data["options"])
    refused = json.dumps(data["refused"])
    path.write_text(f'{{"engine": {json.dumps(data["engine"])}, "version": {json.dumps(data["version"])},\n'
                    f' "options": [\n  {lines}\n ],\n "aliases": {json.dumps(data["aliases"])},\n'
                    f' "refused": {refused}}}\n')
    load_table.cache_clear()
    return path
