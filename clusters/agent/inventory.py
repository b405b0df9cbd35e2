"""What this machine has: CPUs, memory, disk, GPUs, and the engine releases that are installed."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Collection
from pathlib import Path

import psutil

from .gpus import find_gpus
from .messages import Condition, Inventory

GIB = 1024**3
# Figures that move all the time are rounded, so that a quiet machine reports nothing new.
MEMORY_STEP = GIB // 4
DISK_STEP = GIB
LOW_DISK = 2 * GIB
RELEASE = re.compile(r"\A[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
CGROUP = Path("/sys/fs/cgroup")


def take_inventory(state_dir: Path, engines_dir: Path, our_pids: Collection[int]) -> Inventory:
    total, available = _memory()
    disk = psutil.disk_usage(str(state_dir))
    others = max(0, total - available - _resident(our_pids))
    return Inventory(
        cpu_millis=_cpu_millis(), memory_bytes=total,
        memory_used_by_others=min(total, -(-others // MEMORY_STEP) * MEMORY_STEP),
        disk_bytes=disk.total, disk_free_bytes=disk.free // DISK_STEP * DISK_STEP,
        system=f"{platform.system()} {platform.release()} {platform.machine()}"[:120],
        releases=releases(engines_dir), gpus=find_gpus(our_pids),
    )


def releases(engines_dir: Path) -> tuple[str, ...]:
    """The folders below the engines' folder that hold a Python of their own, by name."""
    try:
        found = [path.name for path in engines_dir.iterdir() if (path / "bin" / "python").exists()]
    except OSError:
        return ()
    return tuple(sorted(name for name in found if RELEASE.match(name)))[:64]


def conditions(state_dir: Path) -> tuple[Condition, ...]:
    """What stands in the way of starting engines here."""
    if psutil.disk_usage(str(state_dir)).free >= LOW_DISK:
        return ()
    return (Condition("DiskPressure", "Less than 2 GiB of disk are free: no engine starts here."),)


def _cpu_millis() -> int:
    """The CPUs that this process may use, less where its control group has a quota."""
    allowed = len(os.sched_getaffinity(0)) * 1000
    quota, _space, period = _read(CGROUP / "cpu.max").partition(" ")
    return min(allowed, int(quota) * 1000 // int(period)) if quota.isdigit() and period.isdigit() else allowed


def _memory() -> tuple[int, int]:
    """Total and available memory, less where the control group has a limit."""
    seen = psutil.virtual_memory()
    limit = _read(CGROUP / "memory.max")
    if not limit.isdigit() or int(limit) >= seen.total:
        return seen.total, seen.available
    used = int(_read(CGROUP / "memory.current") or 0)
    file_cache = re.search(r"^inactive_file (\d+)$", _read(CGROUP / "memory.stat"), re.MULTILINE)
    free = int(limit) - used + (int(file_cache[1]) if file_cache else 0)
    return int(limit), max(0, min(seen.available, free))


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def _resident(pids: Collection[int]) -> int:
    total = 0
    for pid in pids:
        try:
            total += psutil.Process(pid).memory_info().rss
        except psutil.Error:
            continue
    return total
