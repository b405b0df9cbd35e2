"""Starts the process that makes the calls, and hears and tells it."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .plan import Plan

ROOT = Path(__file__).resolve().parents[2]
KEPT = ("PATH", "LANG", "LC_ALL", "SSL_CERT_FILE", "SSL_CERT_DIR", "TZ", "VIRTUAL_ENV")  # nothing secret
END_SECONDS = 3.0
LAST_WORDS = 2000


class Process:
    """Use as a context manager: when the block ends, so has the process."""

    def __init__(self, plan: Plan, key: str) -> None:
        self._plan, self._key = plan, key
        self._rest = b""
        self.is_over = False

    def __enter__(self) -> Self:
        environment = {name: os.environ[name] for name in KEPT if name in os.environ}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "endpoints.loadtests"], cwd=ROOT, env=environment,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        self._send(f"{self._key}\n{json.dumps(self._plan.told())}\n")
        return self

    def __exit__(self, _kind: type[BaseException] | None, _error: BaseException | None, _at: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert pipe is not None
            try:
                pipe.close()
            except BrokenPipeError:
                continue

    @property
    def pid(self) -> int:
        return self._process.pid

    def hear(self, seconds: float) -> dict[str, Any] | None:
        """The latest thing it says within so long; None where it says nothing. `is_over` when it says no more."""
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()
        latest = None
        while select.select([pipe], [], [], 0 if latest else seconds)[0]:
            data = os.read(pipe, 1 << 16)
            if not data:
                self.is_over = True
                break
            *lines, self._rest = (self._rest + data).split(b"\n")
            latest = json.loads(lines[-1]) if lines else latest
        return latest

    def go_on(self) -> None:
        self._send("go on\n")

    def stop(self, why: str) -> None:
        self._send(f"stop {why}\n")

    def last_words(self) -> str:
        """What it wrote before it ended by itself, for the log."""
        assert self._process.stderr is not None
        try:
            self._process.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            return ""
        return self._process.stderr.read().decode(errors="replace")[-LAST_WORDS:]

    def _send(self, text: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(text.encode())
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended, and its last line may wait to be heard
