"""A whole portal in a data folder and on a port of its own, as `make run` starts it."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from tests.rig.servers import free_port

ROOT = Path(__file__).resolve().parents[2]


class PortalRun:
    """`python manage.py <command>` with its output, ended with SIGINT as Ctrl-C does."""

    def __init__(self, data_dir: Path, *words: str, **environment: str) -> None:
        self.data_dir = data_dir
        data_dir.mkdir(mode=0o700, exist_ok=True)
        self.port = free_port()
        self.lines: list[str] = []
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PORTAL_TEST_")}
        self.environment = {**inherited, "PORTAL_DATA_DIR": str(data_dir), "PORTAL_PORT": str(self.port),
                            "PYTHONUNBUFFERED": "1", **environment}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, text=True, start_new_session=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.rstrip())

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def wait_for(self, pattern: str, seconds: float) -> re.Match[str]:
        """The first line that has the pattern. Raises AssertionError with the output so far."""
        tries = int(seconds / 0.1)
        for _try in range(tries):
            found = re.search(pattern, self.output)
            if found:
                return found
            if self.process.poll() is not None:
                break
            self._reader.join(0.1)
        raise AssertionError(f"no {pattern!r} in:\n{self.output}")

    def manage(self, *words: str) -> str:
        """The output of another management command on the same data folder."""
        result = subprocess.run([sys.executable, "manage.py", *words], cwd=ROOT, env=self.environment,
                                capture_output=True, text=True, timeout=120, check=True)
        return result.stdout

    def access(self) -> dict[str, str]:
        return dict(line.split("=", 1) for line in (self.data_dir / "portal.env").read_text().splitlines())

    def family(self) -> list[psutil.Process]:
        """The supervisor and every process below it, and every process that carries this data folder."""
        found = []
        for process in psutil.process_iter():
            try:
                if str(self.data_dir) in process.environ().values() or str(self.data_dir) in " ".join(process.cmdline()):
                    found.append(process)
            except psutil.Error:
                continue
        return [process for process in found if process.pid != os.getpid()]

    def stop(self, seconds: float = 60.0) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            return self.process.wait(seconds)
        finally:
            for process in self.family():
                process.kill()
            self.join()

    def join(self) -> None:
        """Read the last lines of a process that has ended."""
        self._reader.join(5)
        if self.process.stdout is not None:
            self.process.stdout.close()


@contextmanager
def portal(data_dir: Path, *words: str, **environment: str) -> Iterator[PortalRun]:
    run = PortalRun(data_dir, *words, **environment)
    try:
        yield run
    finally:
        run.stop()
