"""What tests need of JavaScript, from lock files, with a stamp that makes a second run instant."""

from __future__ import annotations

from pathlib import Path

from say import say
from venvs import digest, run

FOLDERS = {
    "the JavaScript client": Path("tests", "gateway", "clients", "javascript"),
    "axe-core": Path("tests", "browser", "javascript"),
}


def install(root: Path) -> None:
    """Raises Failed with npm's last lines."""
    for what, folder in FOLDERS.items():
        _install(what, root / folder)


def _install(what: str, folder: Path) -> None:
    stamp = folder / "node_modules" / f".stamp-{digest(folder / 'package-lock.json')}"
    if stamp.exists():
        return
    say(f"installing {what} for tests")
    run(["npm", "ci", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"])
    stamp.touch()
