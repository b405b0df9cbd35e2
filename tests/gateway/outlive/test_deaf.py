"""A gateway process that lives but answers nothing is started again, its neighbour is not."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from portal.supervisor.gateway import Plan, Workers, opened
from portal.supervisor.program import Program
from tests.rig.servers import free_port

PATIENCE = 30.0
# Answers every question at the socket that it inherits; some askers have gone meanwhile.
ANSWERS = """
import contextlib, socket, sys
listener = socket.socket(fileno=int(sys.argv[1]))
while True:
    with contextlib.suppress(OSError), listener.accept()[0] as one:
        one.recv(1000)
        one.sendall(b"HTTP/1.1 200 OK\\r\\ncontent-length: 0\\r\\nconnection: close\\r\\n\\r\\n")
"""


async def until_it_answers(workers: Workers, name: str, after: int = 0) -> None:
    """`after`: the process that does not count."""
    async with asyncio.timeout(PATIENCE):
        while workers.children[name].pid in (None, after) or (await workers.ask("/livez")).get(name) != (200, b""):  # noqa: ASYNC110 - what it waits for is another process
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_process_that_answers_nothing_is_started_again() -> None:
    said: list[str] = []
    with opened(Plan(2, "127.0.0.1", free_port(), "127.0.0.1", free_port(), 0, 1.0, "")) as sockets:
        programs = [Program(str(number), (sys.executable, "-c", ANSWERS, str(line.fileno())), stop_seconds=0.3,
                            sockets=(line.fileno(),)) for number, line in enumerate(sockets.lines)]
        workers = Workers(programs, sockets, said.append, liveness_seconds=0.1, grace_seconds=3.0)
        running = asyncio.create_task(workers.run())
        hung, well = workers.children["0"], workers.children["1"]
        await until_it_answers(workers, "0")
        await until_it_answers(workers, "1")
        assert hung.pid is not None
        os.kill(hung.pid, signal.SIGSTOP)
        await until_it_answers(workers, "0", after=hung.pid)
        workers.ask_to_stop()
        await running
    assert well.restarts == 0
    assert any("deaf" in line for line in said)
