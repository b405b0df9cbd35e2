"""Load on one gateway, and what came of it. Every figure is of one run of some seconds."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .processes import (
    Core,
    Missing,
    core_seconds,
    cpu_seconds,
    main_seconds,
    megabytes,
    proportional_megabytes,
    start,
    stop,
)

HERE = Path(__file__).parent
PATH = "/v1/chat/completions"
PROMPT = "Tell me a story of a ship and its crew. " * 5
WARM_UP = 1.0
ANSWERS, LONGEST = 20, 10.0  # a slow gateway gets longer runs, so that calls cut at the end count for little
PATIENCE = 60.0  # seconds beyond a run's own length


@dataclass(frozen=True)
class Measured:
    """One run. Times in microseconds; `cpu`: milliseconds of the gateway's processes a call, or a chunk of a stream."""

    per_second: float
    cpu: float
    threads: float = 0.0  # the part of `cpu` that was not on a main thread
    p50: float = 0.0
    p99: float = 0.0
    first: float = 0.0  # median time to the first chunk
    delay: float = 0.0  # median time of a chunk on its way
    delay99: float = 0.0
    whole: float = 0.0  # median time of a whole stream
    memory: float = 0.0  # MB that the gateway's processes hold at the end
    pss: float = 0.0  # the same, shared pages divided
    others: float = 0.0  # how much of the gateway's core somebody else used
    load_core: float = 0.0  # how much of the core of load and engine was used, by whomever
    faults: int = 0
    fault: str = ""

    @property
    def is_sound(self) -> bool:
        """Whether it can be compared: there were answers, all of them good."""
        return self.per_second > 0 and not self.faults


@dataclass(frozen=True)
class Aim:
    """Where a gateway listens, with which keys; its top processes (none: the engine itself, which nobody counts)."""

    port: int
    keys: tuple[str, ...]
    pids: tuple[int, ...] = ()


@dataclass(frozen=True)
class Line:
    """One kind of load. `pace`: microseconds between the chunks of a stream."""

    name: str
    connections: int
    seconds: float
    chunks: int = 0
    pace: int = 0

    @property
    def is_stream(self) -> bool:
        return self.chunks > 0

    def body(self) -> dict[str, Any]:
        body: dict[str, Any] = {"model": "m", "max_tokens": self.chunks or 20,
                                "messages": [{"role": "user", "content": PROMPT}]}
        if self.is_stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}, "seed": self.pace}
        return body


class Clock:
    """Processor time from now on: of a gateway's processes, and of both cores."""

    def __init__(self, aim: Aim, core: Core, load_core: Core) -> None:
        self._aim = aim
        self._cores = (core, load_core)
        self._own, self._main = cpu_seconds(*aim.pids), main_seconds(*aim.pids)
        self._core, self._load_core = (core_seconds(one) for one in self._cores)

    def read(self, units: int) -> dict[str, Any]:
        """Fields of `Measured`, for so many calls or chunks."""
        own, main = cpu_seconds(*self._aim.pids) - self._own, main_seconds(*self._aim.pids) - self._main
        (busy, passed), (load_busy, _) = (
            (used - before[0], total - before[1]) for (used, total), before in
            zip((core_seconds(one) for one in self._cores), (self._core, self._load_core), strict=True))
        passed = max(passed, 0.01)
        return {"cpu": 1000 * own / max(units, 1), "threads": 1000 * max(own - main, 0) / max(units, 1),
                "memory": megabytes(*self._aim.pids), "pss": proportional_megabytes(*self._aim.pids),
                "others": max(busy - own, 0) / passed,
                "load_core": load_busy / passed}


class Loads:
    """Drives the load programs from their core; `core` is the gateways'."""

    def __init__(self, folder: Path, sload: Path, core: Core, load_core: Core) -> None:
        self._folder = folder
        self._sload = sload
        self._core = core
        self._load_core = load_core

    def run(self, line: Line, aim: Aim) -> Measured:
        """Raises Missing where the load program itself fails; faults of the gateway are counted."""
        return self._streams(line, aim) if line.is_stream else self._calls(line, aim)

    def at_rate(self, line: Line, aim: Aim, rate: float, seconds: float) -> subprocess.Popen[str]:
        """Start a load of so many calls a second (0: as it comes); `result` waits for its end."""
        command: list[str | Path] = [self._sload, str(aim.port), PATH, self._body(line), str(line.connections),
                                     str(seconds), str(rate), *aim.keys]
        return start(command, self._load_core, stdout=subprocess.PIPE)

    def result(self, process: subprocess.Popen[str], seconds: float) -> dict[str, Any]:
        try:
            out, _nothing = process.communicate(timeout=seconds + PATIENCE)
        except subprocess.TimeoutExpired:
            raise Missing("a load program did not end") from None
        finally:
            stop(process)
        if process.returncode:
            raise Missing(f"a load program failed: {out[-500:]}")
        return json.loads(out.splitlines()[-1])  # type: ignore[no-any-return]

    def _calls(self, line: Line, aim: Aim) -> Measured:
        warm = self._wrk(line, aim, WARM_UP)
        seconds = min(max(ANSWERS * line.connections * WARM_UP / max(warm["answers"], 1), line.seconds), LONGEST)
        clock = Clock(aim, self._core, self._load_core)
        out = self._wrk(line, aim, seconds)
        return Measured(per_second=1e6 * out["answers"] / out["microseconds"], p50=out["p50"], p99=out["p99"],
                        faults=out["faults"], **clock.read(out["answers"]))

    def _streams(self, line: Line, aim: Aim) -> Measured:
        clock = Clock(aim, self._core, self._load_core)
        out = self.result(self.at_rate(line, aim, 0, line.seconds), line.seconds)
        return Measured(
            per_second=out["events"] / out["seconds"] if out["seconds"] else 0.0, first=out["first"]["p50"],
            delay=out["delay"]["p50"], delay99=out["delay"]["p99"], whole=out["whole"]["p50"],
            faults=out["faults"] + out["unfinished"], fault=out["fault"], **clock.read(out["all_events"]))

    def _wrk(self, line: Line, aim: Aim, seconds: float) -> dict[str, Any]:
        command: list[str | Path] = [
            "wrk", "-t1", f"-c{line.connections}", f"-d{max(round(seconds), 1)}s", "--timeout", "30s",
            "-s", HERE / "load.lua", f"http://127.0.0.1:{aim.port}{PATH}", "--", self._body(line), *aim.keys]
        return self.result(start(command, self._load_core, stdout=subprocess.PIPE), seconds)

    def _body(self, line: Line) -> Path:
        path = self._folder / f"{line.name}.json"
        path.write_text(json.dumps(line.body(), separators=(",", ":")))
        return path
