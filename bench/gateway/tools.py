"""What the bench needs from elsewhere: compiled on the spot, found on the machine, or installed under var/bench."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from .processes import Missing

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "var" / "bench"
PACKAGES = {"nginx": "nginx", "wrk": "wrk", "gcc": "gcc", "taskset": "util-linux"}
# LiteLLM lacks OpenTelemetry by default, and then looks for it in each request: with these it is twice as fast.
VENVS = {
    "litellm": ("litellm", ["litellm[proxy]", "opentelemetry-api", "opentelemetry-sdk", "opentelemetry-exporter-otlp",
                            "httptools"]),
    "vllm-router": ("vllm-router", ["vllm-router"]),
    # In no package index: pip gets it from its repository, where that can be reached.
    "production-stack": ("vllm-router", ["git+https://github.com/vllm-project/production-stack"]),
}


def build(folder: Path) -> tuple[Path, Path]:
    """Compile engine and load. Raises Missing."""
    programs = []
    for name in ("mock", "sload"):
        program = folder / name
        done = subprocess.run(["gcc", "-O2", "-Wall", "-o", program, HERE / f"{name}.c"], capture_output=True, text=True,
                              check=False, timeout=120)
        if done.returncode:
            raise Missing(f"{name}.c does not compile:\n{done.stderr}")
        programs.append(program)
    return programs[0], programs[1]


def need(*names: str, install: bool) -> None:
    """Raises Missing where one of these programs is not on this machine."""
    missing = [name for name in names if shutil.which(name) is None]
    if missing and install:
        packages = [PACKAGES[name] for name in missing]
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends", *packages], check=False, timeout=600)
        missing = [name for name in names if shutil.which(name) is None]
    if missing:
        raise Missing(f"Not on this machine: {', '.join(missing)}. Install with "
                      f"“apt-get install {' '.join(PACKAGES[name] for name in missing)}”, or run this with --install.")


def program_of(peer: str, *, install: bool) -> Path:
    """The program of a peer, in a virtual environment of its own. Raises Missing."""
    name, packages = VENVS[peer]
    venv = CACHE / peer
    program = venv / "bin" / name
    if program.is_file():
        return program
    if not install:
        raise Missing(f"{peer} is not installed: run this with --install (into var/bench/{peer}).")
    shutil.rmtree(venv, ignore_errors=True)
    for command in ([sys.executable, "-m", "venv", venv], [venv / "bin" / "pip", "install", "-q", *packages]):
        done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, timeout=1800)
        if done.returncode or (command[0] != sys.executable and not program.is_file()):
            shutil.rmtree(venv, ignore_errors=True)
            raise Missing(f"{peer} can't be installed: {_reason(done.stderr)}")
    return program


def _reason(said: str) -> str:
    """The line of pip's words that says why."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    told = [line for word in ("fatal:", "error:") for line in lines if line.lower().startswith(word)]
    return (told or lines[-1:] or ["no program in it"])[0]


def version_of(peer: str) -> str:
    """Of a peer in its environment, or of a program of the machine."""
    if peer == "nginx":
        return subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip().rpartition("/")[2]
    package = "vllm-router" if peer == "production-stack" else peer
    shown = subprocess.run([CACHE / peer / "bin" / "pip", "show", package], capture_output=True, text=True, check=False)
    return next((line[9:] for line in shown.stdout.splitlines() if line.startswith("Version: ")), "?")
