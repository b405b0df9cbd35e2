"""All tests on SQLite and the file broker, then those marked `both_databases` again on MariaDB and Redis."""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import time
from dataclasses import dataclass, field

from . import servers

NOTHING_COLLECTED = 5


@dataclass(frozen=True)
class Pass:
    """One call of pytest. `workers` is 0 where two tests at once would fight for the two cores."""

    name: str
    marks: str
    workers: int
    environment: dict[str, str] = field(default_factory=dict)


def passes(*, fast: bool) -> list[Pass]:
    if fast:
        return [Pass("SQLite", "not slow and not engine and not browser", 2)]
    return [Pass("SQLite", "not engine", 2), Pass("engine", "engine", 0)]


def again(environment: dict[str, str], *, fast: bool) -> Pass:
    slow = " and not slow" if fast else ""
    return Pass("MariaDB and Redis", f"both_databases and not engine and not browser{slow}", 2, environment)


def run(one: Pass, extra: list[str]) -> tuple[bool, str]:
    """Whether the pass is clean, and one line about it. A pass that finds no test fails: it would prove nothing."""
    print(f"\n== {one.name}: pytest -m {shlex.quote(one.marks)}", flush=True)
    argv = [sys.executable, "-m", "pytest", "-n", str(one.workers), "-m", one.marks, *extra]
    started = time.monotonic()
    process = subprocess.Popen(argv, env={**os.environ, **one.environment}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    last = ""
    for line in process.stdout:
        print(line, end="", flush=True)
        last = line.strip() or last
    code = process.wait()
    if code == NOTHING_COLLECTED:
        last = "no test was found"
    return code == 0, f"{one.name}: {last} [{time.monotonic() - started:.0f} s]"


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.rig.run_both")
    parser.add_argument("--fast", action="store_true", help="leave slow, engine and browser tests out")
    parser.add_argument("pytest", nargs="*", help="more words for pytest")
    options = parser.parse_args()
    results = [run(one, options.pytest) for one in passes(fast=options.fast)]
    with servers.both() as environment:
        results.append(run(again(environment, fast=options.fast), options.pytest))
    print("\n" + "\n".join(line for _clean, line in results))
    return 0 if all(clean for clean, _line in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (servers.MissingServer, RuntimeError) as error:
        sys.exit(f"tests: {error}")
