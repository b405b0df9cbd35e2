"""The JavaScript client that tests call the gateway with, from its lock file, with a stamp that makes a second run instant."""

from __future__ import annotations

from pathlib import Path

from say import say
from venvs import digest, run

FOLDER = Path("tests", "gateway", "clients", "javascript")


def install(root: Path) -> None:
    """Raises Failed with npm's last lines."""
    folder = root / FOLDER
    stamp = folder / "node_modules" / f".stamp-{digest(folder / 'package-lock.json')}"
    if stamp.exists():
        return
    say("installing the JavaScript client for tests")
    run(["npm", "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    stamp.touch()
