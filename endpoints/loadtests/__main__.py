"""The process that makes the calls of one run, apart from the worker so that neither slows the other down.

The first line on standard input is the key, the second the plan as JSON; then come `go on` at least every fifteen seconds and
perhaps `stop <why>`. Twice a second a line of JSON goes out with what was measured so far; the last one has `ended`.
Who hears nothing for fifteen seconds has lost its worker and ends, by the kernel's own clock.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from typing import Any

import uvloop

from .client import Client
from .plan import Plan
from .runner import Runner

DEAF_SECONDS = 15  # less than a lease: when a run is taken from a worker, its calls have ended
TELL_SECONDS = 0.5
ORPHANED = "worker"


async def main() -> None:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    key = (await reader.readline()).decode().strip()
    plan = Plan.read(json.loads(await reader.readline()))
    client = Client(plan.url, key)
    runner = Runner(plan, client)
    hearing, telling = asyncio.create_task(_hear(reader, runner)), asyncio.create_task(_tell(runner))
    try:
        await runner.run()
    finally:
        hearing.cancel()
        telling.cancel()
        client.close()
    _say(_told(runner), ended=True, why=runner.why)


async def _hear(reader: asyncio.StreamReader, runner: Runner) -> None:
    while line := await reader.readline():
        signal.alarm(DEAF_SECONDS)
        word, _space, why = line.decode().strip().partition(" ")
        if word == "stop":
            runner.stop(why)
    runner.stop(ORPHANED)


async def _tell(runner: Runner) -> None:
    while True:
        await asyncio.sleep(TELL_SECONDS)
        _say(_told(runner))


def _told(runner: Runner) -> dict[str, Any]:
    at = runner.now
    return {"has_begun": runner.has_begun, "summary": runner.recorder.summary(at), "series": runner.recorder.series(at)}


def _say(told: dict[str, Any], **more: Any) -> None:
    sys.stdout.write(json.dumps({**told, **more}) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.alarm(DEAF_SECONDS)
    uvloop.run(main())
