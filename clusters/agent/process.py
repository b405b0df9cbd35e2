"""Engine processes: started from a list of arguments with a built environment, found again by their marks, ended."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from .inventory import RELEASE
from .messages import EngineOrder
from .tail import open_log

STATE_MARK, UID_MARK, PORT_MARK = "PORTAL_AGENT_STATE", "PORTAL_ENGINE_UID", "PORTAL_ENGINE_PORT"
FROM_AGENT = ("PATH", "HOME", "LANG", "TMPDIR", "HF_HOME")
# What an order may set: names of engines and their libraries. Nothing that loads code or moves files.
FROM_ORDER = re.compile(
    r"\A(VLLM|HF|HUGGING_FACE|TRANSFORMERS|TOKENIZERS|SAFETENSORS|TORCH|PYTORCH|CUDA|NCCL|GLOO|OMP|MKL|KMP|NVIDIA)_[A-Z0-9_]+\Z"
    r"|\ADO_NOT_TRACK\Z")
NOT_FROM_ORDER = frozenset({"VLLM_API_KEY", "VLLM_PLUGINS", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
                            "CUDA_VISIBLE_DEVICES", "VLLM_CACHE_ROOT", "HF_HOME"})


class CannotStart(Exception):
    """The order can't be carried out here; the text says why."""


@dataclass(frozen=True)
class Place:
    """Where engines run on this host. `local` engines listen on loopback without a key."""

    state_id: str
    engines_dir: Path
    address: str
    local: bool

    @property
    def bind(self) -> str:
        return "127.0.0.1" if self.local else self.address


@dataclass(frozen=True)
class Running:
    """A process that is surely ours: its pid belongs to it only together with its start time."""

    pid: int
    started: int
    port: int

    def alive(self) -> bool:
        return start_ticks(self.pid) == self.started


def start_ticks(pid: int) -> int:
    """Clock ticks from boot to the start of a living process, 0 for none; no change of the wall clock moves it."""
    try:
        after_name = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (OSError, UnicodeDecodeError):
        return 0
    return 0 if after_name[0] in "ZX" else int(after_name[19])


def free_port(address: str) -> int:
    """A port that is free now; the engine takes it a moment later, and is started again where it was lost."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
            port: int = probe.getsockname()[1]
            return port
    except OSError as error:
        raise CannotStart(f"This host has no address {address}: {error.strerror}.") from error


def command(order: EngineOrder, place: Place, port: int) -> list[str]:
    if not RELEASE.match(order.release):
        raise CannotStart("The name of the engine release is not the name of a folder.")
    python = place.engines_dir / order.release / "bin" / "python"
    if not python.exists():
        raise CannotStart(f"Engine release {order.release} is not installed on this host.")
    return [str(python), "-m", "vllm.entrypoints.openai.api_server", *order.argv,
            "--host", place.bind, "--port", str(port)]


def environment(order: EngineOrder, place: Place, port: int, ours: Mapping[str, str]) -> dict[str, str]:
    """Built from an allow-list: a few of the agent's own, what the order may set, and our marks."""
    refused = [name for name in order.env if not FROM_ORDER.match(name) or name in NOT_FROM_ORDER]
    if refused:
        raise CannotStart(f"The order sets {refused[0][:60]}, which an engine here may not be given.")
    built = {name: ours[name] for name in FROM_AGENT if name in ours}
    built["PATH"] = f"{place.engines_dir / order.release / 'bin'}:{built.get('PATH', '/usr/bin:/bin')}"
    built |= {"VLLM_NO_USAGE_STATS": "1", "PYTHONUNBUFFERED": "1"} | order.env
    if order.devices:
        # The same numbers as NVML's, whatever the driver's own order is.
        built |= {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, order.devices))}
    else:
        built["CUDA_VISIBLE_DEVICES"] = ""
    if order.token and not place.local:
        built["VLLM_API_KEY"] = order.token
    if order.hub_token:
        built["HF_TOKEN"] = order.hub_token
    return built | {STATE_MARK: place.state_id, UID_MARK: order.uid, PORT_MARK: str(port)}


def start(order: EngineOrder, place: Place, folder: Path) -> tuple[subprocess.Popen[bytes], Running]:
    """Start the engine in a session of its own, so that it outlives the agent. Raises CannotStart."""
    port = free_port(place.bind)
    argv = command(order, place, port)
    built = environment(order, place, port, os.environ)
    log: int | None = None
    try:
        log = open_log(folder)
        child = subprocess.Popen(argv, env=built, cwd=folder, stdin=subprocess.DEVNULL, stdout=log,
                                 stderr=subprocess.STDOUT, start_new_session=True)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "an argument holds a zero byte"
        raise CannotStart(f"The engine can't be started: {reason}.") from error
    finally:
        if log is not None:
            os.close(log)
    return child, Running(child.pid, start_ticks(child.pid), port)


def find_marked(state_id: str) -> dict[str, list[Running]]:
    """All processes that carry this agent's mark, by engine uid, the leader of the session first."""
    found: dict[str, list[Running]] = defaultdict(list)
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError, ValueError, KeyError):
            marks = process.environ()
            ticks = start_ticks(process.pid)
            if marks.get(STATE_MARK) == state_id and ticks:
                found[marks[UID_MARK]].append(Running(process.pid, ticks, int(marks[PORT_MARK])))
    for processes in found.values():
        processes.sort(key=lambda running: (not _leads(running.pid), running.started))
    return dict(found)


def leader(processes: list[Running]) -> Running | None:
    """The engine itself among its processes; None where only its children are left."""
    return processes[0] if processes and _leads(processes[0].pid) else None


def _leads(pid: int) -> bool:
    try:
        return os.getsid(pid) == pid
    except ProcessLookupError:
        return False


def ask_to_end(running: Running) -> None:
    """SIGTERM to the engine's whole group."""
    if running.alive():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(running.pid, signal.SIGTERM)


def kill_all(processes: Iterable[Running]) -> None:
    """SIGKILL to each of these, if it still is what it was."""
    for running in processes:
        if running.alive():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(running.pid, signal.SIGKILL)


def listens(processes: Iterable[Running]) -> bool:
    """Whether one of these holds the engine's port, so that a stranger's answer there isn't taken for the engine's."""
    return any(status == psutil.CONN_LISTEN and port == running.port
               for running in processes for status, port in _connections(running))


def has_callers(processes: Iterable[Running], port: int) -> bool:
    """Whether anybody is connected to the engine's port."""
    return any(status == psutil.CONN_ESTABLISHED and at == port
               for running in processes for status, at in _connections(running))


def _connections(running: Running) -> list[tuple[str, int]]:
    """State and own port of each TCP connection of this process; none where it has just ended."""
    try:
        return [(one.status, one.laddr.port) for one in psutil.Process(running.pid).net_connections(kind="tcp")]
    except psutil.Error:
        return []
