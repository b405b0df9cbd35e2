"""Memory of an idle portal: `make run` in one terminal, `python bench/idle_memory.py` in another. Limit: 600 MB."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import psutil

MB = 1024 * 1024
LIMIT_MB = 600


def supervisor_pid(data_dir: Path) -> int:
    return int((data_dir / "up.lock").read_text())


def name_of(process: psutil.Process) -> str | None:
    """Which part of the portal this is; None for an engine, which no portal makes smaller."""
    words = " ".join(process.cmdline())
    parts = {"uvicorn": "web with gateway", "celery -A portal worker": "worker", "celery -A portal beat": "beat",
             "clusters.agent": "agent", "manage.py": "supervisor"}
    return next((name for mark, name in parts.items() if mark in words), None)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--settle", type=float, default=20.0, help="seconds to wait before measuring")
    options = parser.parse_args()
    time.sleep(options.settle)
    parent = psutil.Process(supervisor_pid(options.data_dir))
    total = {"rss": 0, "pss": 0}
    print(f"{'process':<18}{'RSS MB':>8}{'PSS MB':>8}")
    for process in [parent, *parent.children(recursive=True)]:
        name = name_of(process)
        if name is None:
            continue
        memory = process.memory_full_info()
        print(f"{name:<18}{memory.rss / MB:>8.0f}{memory.pss / MB:>8.0f}")
        total = {"rss": total["rss"] + memory.rss, "pss": total["pss"] + memory.pss}
    print(f"{'together':<18}{total['rss'] / MB:>8.0f}{total['pss'] / MB:>8.0f}   (limit {LIMIT_MB})")
    return 0 if total["rss"] / MB < LIMIT_MB else 1


if __name__ == "__main__":
    sys.exit(main())
