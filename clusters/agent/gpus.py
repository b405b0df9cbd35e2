"""NVIDIA GPUs by NVML; a machine without its driver simply has none."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import pynvml

from .messages import Gpu


def find_gpus(our_pids: Collection[int]) -> tuple[Gpu, ...]:
    """Every GPU with its memory and what processes other than `our_pids` hold of it."""
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        return tuple(_gpu(index, our_pids) for index in range(pynvml.nvmlDeviceGetCount()))
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def _gpu(index: int, our_pids: Collection[int]) -> Gpu:
    handle = pynvml.nvmlDeviceGetHandleByIndex(index)
    memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    total, used = int(memory.total), int(memory.used)
    return Gpu(index=index, uuid=_text(pynvml.nvmlDeviceGetUUID(handle)), model=_text(pynvml.nvmlDeviceGetName(handle)),
               memory_bytes=total, used_by_others=min(total, _strangers(handle, used, our_pids)))


def _strangers(handle: Any, used: int, our_pids: Collection[int]) -> int:
    """What is used less what is ours. In a container NVML may hide pids; then all is counted as a stranger's."""
    try:
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:
        running = []
    ours = sum(int(process.usedGpuMemory or 0) for process in running if process.pid in our_pids)
    return max(0, used - ours)


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
