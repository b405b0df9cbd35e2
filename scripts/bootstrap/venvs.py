"""Virtual environments from the lock files, with stamps that make a second run instant."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

from say import Failed, say

BROKEN = ".half-made"
PIP = ["-m", "pip", "--no-input", "--disable-pip-version-check", "-q"]


def digest(*parts: Path | str) -> str:
    """Of the lock files' content and of the Python that the environment is made with."""
    total = hashlib.sha256(sys.version.encode())
    for part in parts:
        total.update(part.read_bytes() if isinstance(part, Path) else part.encode())
    return total.hexdigest()[:20]


class Venv:
    """One virtual environment in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.python = folder / "bin" / "python"

    def has(self, stamp: str) -> bool:
        return (self.folder / f".stamp-{stamp}").exists() and not (self.folder / BROKEN).exists() and self.runs()

    def runs(self) -> bool:
        """False also for an environment that was moved or whose Python is gone."""
        if not self.python.exists():
            return False
        asked = subprocess.run([self.python, "-c", "import sys; print(sys.prefix)"], capture_output=True, text=True,
                               check=False)
        return asked.returncode == 0 and asked.stdout.strip() == str(self.folder)

    def open(self) -> None:
        """Make it, or make it anew where an earlier run was cut short."""
        if self.folder.exists() and ((self.folder / BROKEN).exists() or not self.runs()):
            say(f"rebuilding {self.folder.name}: an earlier set-up was cut short, or the folder was moved")
            shutil.rmtree(self.folder)
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            (self.folder / BROKEN).touch()
            run([sys.executable, "-m", "venv", str(self.folder)])
        (self.folder / BROKEN).touch()
        for old in self.folder.glob(".stamp-*"):
            old.unlink()

    def close(self, stamps: Iterable[str]) -> None:
        for stamp in stamps:
            (self.folder / f".stamp-{stamp}").touch()
        (self.folder / BROKEN).unlink()

    def pip(self, *words: str) -> None:
        """Raises Failed with pip's last lines."""
        run([str(self.python), *PIP, *words])


def run(words: list[str]) -> None:
    result = subprocess.run(words, capture_output=True, text=True, check=False,
                            env={**os.environ, "PYTHONWARNINGS": "ignore", "PIP_NO_COLOR": "1"})
    if result.returncode:
        lines = [line for line in result.stderr.splitlines() if line.strip()]
        told = [line for line in lines if not line.startswith("WARNING: Location")]
        raise Failed(f"this failed: {' '.join(words[:6])} …\n" + "\n".join(f"    {line}" for line in told[-8:]))


def portal(root: Path, *, dev: bool, mysql: bool) -> None:
    """The portal's own environment in .venv; with `dev` the tools for tests and checks too."""
    locks = {"portal": root / "requirements.txt", "dev": root / "requirements" / "dev.txt"}
    driver = "mysql" if mysql else "no-mysql"
    stamps = {name: f"{name}-{digest(path, driver)}" for name, path in locks.items()}
    venv = Venv(root / ".venv")
    if venv.has(stamps["dev"] if dev else stamps["portal"]):
        return
    # An environment that had the tools keeps them when only the lock has changed.
    dev = dev or any(venv.folder.glob(".stamp-dev-*"))
    say("installing the portal's packages, about 60 s")
    venv.open()
    lock = locks["dev" if dev else "portal"]
    if not mysql:
        lock = without("mysqlclient", lock, venv.folder / "requirements.txt")
    venv.pip("install", "--require-hashes", "-r", str(lock))
    venv.close([stamps["portal"], stamps["dev"]] if dev else [stamps["portal"]])


def without(package: str, lock: Path, target: Path) -> Path:
    """The lock file without one package, for a machine that can't build it."""
    blocks = re.split(r"(?m)^(?=[A-Za-z0-9])", lock.read_text())
    target.write_text("".join(block for block in blocks if not block.startswith(f"{package}==")))
    return target
