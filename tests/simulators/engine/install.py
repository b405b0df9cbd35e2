"""Installs the small engine as a release, the way a host has real ones: a folder with bin/python."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("engine.py")


def install(engines_dir: Path, release: str = "small-1") -> Path:
    python = engines_dir / release / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -S {shlex.quote(str(PROGRAM))} "$@"\n')
    python.chmod(0o755)
    return python


def model(folder: Path, name: str = "model.json", **script: Any) -> str:
    path = folder / name
    path.write_text(json.dumps(script))
    return str(path)
