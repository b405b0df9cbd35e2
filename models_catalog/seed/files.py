from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent


def _read(name: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return rows


def read_models() -> list[dict[str, Any]]:
    """Facts of each model; bytes and tokens as plain numbers, cache figures at 2 bytes a value."""
    return _read("models.json")


def read_vendors() -> list[dict[str, Any]]:
    return _read("vendors.json")


def read_releases() -> list[dict[str, Any]]:
    return _read("releases.json")
