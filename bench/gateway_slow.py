"""500 slow callers, and what another one feels of them: `python -m bench.gateway_slow`. Its p95 may grow by 20 %.

Rounds with and without the crowd follow one another, on one gateway; the figure is the median of the rounds' ratios.
A quarter of the crowd sends nothing, a quarter sends a head byte by byte, a quarter a body, and a quarter reads a
stream slower than the engine writes it. Who is cut comes back at once.
"""

from __future__ import annotations

import argparse
import json
import os
import selectors
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.gateway.load import PATH, Aim, Line
from bench.gateway.peers import Rig
from bench.gateway.portal import prepare, whole
from bench.gateway.processes import Core, Missing, cores, running
from bench.gateway.tools import build, need

CROWD, ROUNDS, SECONDS, PAUSE = 500, 5, 6.0, 0.002
MOST = 1.2
STEP = 1.0  # seconds between two drops
ENDLESS, PACE = 100_000, 100_000  # events of a stream, and microseconds between two: twice what is read of it


def request(key: str, line: Line, claimed: int = 0) -> bytes:
    """A call; `claimed` bytes of body instead of those that it has."""
    body = json.dumps(line.body()).encode()
    return (f"POST {PATH} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {key}\r\ncontent-type: application/json\r\n"
            f"content-length: {claimed or len(body)}\r\n\r\n").encode() + body


class Slow:
    """One of the crowd: what it sends at once, and what each step."""

    def __init__(self, port: int, key: str, number: int) -> None:
        self._port = port
        plain, stream = Line("", 1, 0), Line("", 1, 0, chunks=ENDLESS, pace=PACE)
        self._first, self._drop = ((b"", b""), (request(key, plain)[:30], b"a"), (request(key, plain, 30_000), b" "),
                                   (request(key, stream), b""))[number % 4]
        self.cuts = -1
        self._connect()

    def _connect(self) -> None:
        self.cuts += 1
        self._line = socket.socket()
        self._line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._line.connect(("127.0.0.1", self._port))
        self._line.setblocking(False)
        if self._first:
            self._line.send(self._first)

    def step(self) -> None:
        try:
            if self._drop:
                self._line.send(self._drop)
            if self._line.recv(1024):  # a stream brings twice as much
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self._line.close()
        self._connect()


def crowd(port: int, key: str, count: int) -> None:
    """Run in a process of its own, until it is ended. Prints a line when all are there."""
    callers = [Slow(port, key, number) for number in range(count)]
    time.sleep(1)
    print("ready", flush=True)
    while True:
        for one in callers:  # spread over the step: a thousand wakings at once would be a load, not slowness
            one.step()
            time.sleep(STEP / count)


@contextmanager
def around(aim: Aim, core: Core, count: int) -> Iterator[None]:
    command = [sys.executable, "-m", "bench.gateway_slow", "--crowd-of", str(aim.port), aim.keys[0], str(count)]
    with running(command, core, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        with selectors.DefaultSelector() as waiting:
            waiting.register(process.stdout, selectors.EVENT_READ)
            if not waiting.select(30) or process.stdout.readline() != "ready\n":
                raise Missing("The slow callers did not come.")
        with process.stdout:
            yield
            if process.poll() is not None:
                raise Missing("The slow callers did not stay.")


def p95(aim: Aim, seconds: float) -> float:
    """Milliseconds of a call by somebody else, one after the other with a little pause. Raises Missing after a failure."""
    data, took = request(aim.keys[1], Line("", 1, 0)), list[float]()
    with socket.create_connection(("127.0.0.1", aim.port), timeout=10) as line:
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            line.sendall(data)
            answer = b""
            while not answer.endswith(b"}"):
                answer += line.recv(65536) or b"}"
            if not answer.startswith(b"HTTP/1.1 200"):
                raise Missing(f"A call failed: {answer[:200]!r}")
            took.append(1000 * (time.perf_counter() - began))
            time.sleep(PAUSE)
    return statistics.quantiles(took, n=20)[-1]


def measure(aim: Aim, core: Core, options: argparse.Namespace) -> float:
    ratios = []
    for number in range(options.rounds):
        alone = p95(aim, options.seconds)
        with around(aim, core, options.callers):
            among = p95(aim, options.seconds)
        time.sleep(1)
        ratios.append(among / alone)
        print(f"round {number + 1}: p95 {alone:.3f} ms alone, {among:.3f} ms among {options.callers} slow callers: "
              f"{ratios[-1]:.2f}", flush=True)
    return statistics.median(ratios)


def go_first() -> None:
    """Before all other programs of this machine, where that is allowed: else their time slices are what is measured."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(10))
    except PermissionError:
        print("no right to go before other programs: run this on a machine that does nothing else")


def run(options: argparse.Namespace, folder: Path) -> int:
    need("gcc", "taskset", install=False)
    go_first()
    core, load_core = cores()
    mock, _load = build(folder)
    with running([mock], load_core, stdout=subprocess.PIPE) as engine:
        assert engine.stdout is not None
        port = int(engine.stdout.readline())
        portal = prepare(folder, port)
        with engine.stdout, whole(Rig(folder, core, port, portal.keys), portal) as aim:
            ratio = measure(aim, load_core, options)
    print(f"p95 among {options.callers} slow callers / alone: {ratio:.2f} (at most {MOST})")
    return 0 if ratio <= MOST else 1


def main(argv: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--callers", type=int, default=CROWD)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each half of a round")
    parser.add_argument("--crowd-of", nargs=3, metavar=("PORT", "KEY", "COUNT"), help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    if options.crowd_of:
        port, key, count = options.crowd_of
        crowd(int(port), key, int(count))
    folder = Path(tempfile.mkdtemp(prefix="gateway-slow-"))
    try:
        return run(options, folder)
    except Missing as error:
        print(error)
        return 2
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
