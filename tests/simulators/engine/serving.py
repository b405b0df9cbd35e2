"""An engine as a process that answers as OpenAI's API does: tests/simulators/openai_backend.py behind vLLM's arguments.

Its model's file (JSON) holds the fields of `Script`. `GET /seen` on its port lists what came.
"""

from __future__ import annotations

import json
import shlex
import sys
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]


def install_serving(engines_dir: Path, release: str = "serving-1") -> None:
    """Make it a release of this folder."""
    python = engines_dir / release / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} "
                      f'-m tests.simulators.engine.serving "$@"\n')
    python.chmod(0o755)


def main() -> None:
    from tests.simulators.engine.engine import option
    from tests.simulators.openai_backend import OpenAIBackend, Script

    with OpenAIBackend(port=int(option("--port"))) as backend:
        backend.script = Script(**json.loads(Path(option("--model")).read_text()))
        threading.Event().wait()


if __name__ == "__main__":
    main()
