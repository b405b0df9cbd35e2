"""Makes the calls of a plan and records what happens.

At a rate the loop is open: a call begins when its time has come, whether or not earlier ones are answered, and its times
count from the moment it was meant to begin, so that a slow model can't hide by slowing the test down. From callers the
loop is closed: each goes on when it is answered.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from random import Random
from typing import Any

import msgspec

from .client import UNFINISHED, Answer, Client
from .plan import MOST_IN_FLIGHT, RATE, Plan, draw
from .prompts import prompt
from .results import Recorder
from .stopping import ERRORS, REFUSED, Watch

CALL_SECONDS = 120.0
DRAIN_SECONDS = 30.0  # for answers that are still coming when the time is up
KEY_SECONDS = 10.0  # for gateways to learn of the run's key
BUDGET, NO_GATEWAY = "budget", "no_gateway"
PATIENT = frozenset({"", BUDGET})  # endings after which running answers are waited for


class Runner:
    """One run. `why` says why it ended before its time, or ""."""

    def __init__(self, plan: Plan, client: Client) -> None:
        self.plan = plan
        self.why = ""
        self.recorder = Recorder(plan.seconds)
        self._client = client
        self._chance = Random(plan.seed)
        self._watch = Watch()
        self._stopping = asyncio.Event()
        self._calls: set[asyncio.Task[None]] = set()
        self._room = asyncio.Semaphore(MOST_IN_FLIGHT)
        self._began: float | None = None
        self._next_start = 0.0

    @property
    def now(self) -> float:
        """Seconds since the run began, 0 before."""
        return 0.0 if self._began is None else asyncio.get_running_loop().time() - self._began

    @property
    def has_begun(self) -> bool:
        return self._began is not None

    def stop(self, why: str) -> None:
        """End the run early; the first reason counts."""
        if not self._stopping.is_set():
            self.why = why
            self._stopping.set()

    async def run(self) -> None:
        """Until the time is up or somebody stops it; when this returns no call is open."""
        if await self._is_known():
            self._began = asyncio.get_running_loop().time()
            await (self._at_a_rate() if self.plan.mode == RATE else self._from_callers())
            await self._drain()
        elif not self.why:
            self.stop(NO_GATEWAY)

    async def _is_known(self) -> bool:
        """Gateways read keys every second or so; wait until this one opens the door, or the run is stopped."""
        loop = asyncio.get_running_loop()
        end = loop.time() + KEY_SECONDS
        while not self._stopping.is_set() and loop.time() < end:
            if await self._client.status_of("/v1/models") == 200:
                return True
            await self._pause(0.5)
        return False

    async def _at_a_rate(self) -> None:
        for at in self.plan.starts(self._chance):
            await self._pause(at - self.now)
            await self._room.acquire()
            if self.now > self.plan.seconds:
                self.recorder.unsent += 1  # so far behind that its turn never came
                self._room.release()
                continue
            if self._stopping.is_set() or not self._may_go_on():
                self._room.release()
                return
            self._begin(self._call(at, self._room))
        await self._pause(self.plan.seconds - self.now)

    async def _from_callers(self) -> None:
        callers = [asyncio.create_task(self._caller()) for _ in range(self.plan.callers)]
        await self._pause(self.plan.seconds)
        for one in callers:
            one.cancel()
        await asyncio.gather(*callers, return_exceptions=True)

    async def _caller(self) -> None:
        while not self._stopping.is_set() and self.now < self.plan.seconds:
            await self._pause(self._pace())
            if self._stopping.is_set() or not self._may_go_on():
                return
            await asyncio.shield(self._begin(self._call(self.now)))

    def _pace(self) -> float:
        """How long this caller waits, so that all together begin no more calls a second than a run may."""
        start = max(self.now, self._next_start)
        self._next_start = start + 1 / self.plan.most_rate if self.plan.most_rate else start
        return start - self.now

    def _may_go_on(self) -> bool:
        used = self.recorder
        nano = used.prompt_tokens * self.plan.prompt_nano + used.output_tokens * self.plan.output_nano
        if self.plan.would_pass(used.tokens, nano, used.in_flight):
            self.stop(BUDGET)
        return not self._stopping.is_set()

    def _begin(self, call: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(call)
        self._calls.add(task)
        task.add_done_callback(self._calls.discard)
        return task

    async def _call(self, meant: float, room: asyncio.Semaphore | None = None) -> None:
        """One call that was meant to begin then."""
        asked = (draw(self.plan.prompt_tokens, self.plan.prompt_spread, self._chance),
                 draw(self.plan.output_tokens, self.plan.output_spread, self._chance))
        body = self._body(*asked)
        times = _Times(self.recorder, self._began or 0.0, meant)
        answer = Answer(times.text)
        self.recorder.start(self.now, self.now - meant)
        try:
            await self._client.chat(body, answer, CALL_SECONDS)
        except asyncio.CancelledError:
            answer.failure = UNFINISHED
            raise
        finally:
            self._end(answer, times, asked)
            if room is not None:
                room.release()

    def _end(self, answer: Answer, times: _Times, asked: tuple[int, int]) -> None:
        now, usage = self.now, answer.usage
        output = usage.completion_tokens if usage and usage.completion_tokens is not None else times.pieces
        got_in = answer.status == 200
        used = {"prompt": usage.prompt_tokens if usage else asked[0] * got_in, "output": output}
        if answer.failure:
            self.recorder.fail(now, answer.failure, answer.message, **used)
            if answer.failure == UNFINISHED:
                return
        else:
            self.recorder.time(now, "whole", now - times.meant)
            self.recorder.token(now, output - times.pieces)
            self.recorder.end(now, **used, asked=asked, is_reported=usage is not None)
        kind = REFUSED if answer.failure == "http_429" else ERRORS if answer.failure else ""
        why = self._watch.saw(now, kind)
        if why:
            self.stop(why)

    def _body(self, prompt_tokens: int, output_tokens: int) -> bytes:
        return msgspec.json.encode({
            "model": self.plan.model, "stream": True, "stream_options": {"include_usage": True},
            "messages": [{"role": "user", "content": prompt(prompt_tokens, self._chance)}],
            # Engines go on to the asked length, whatever the model would say.
            "max_tokens": output_tokens, "ignore_eos": True, "temperature": 1.0,
        })

    async def _drain(self) -> None:
        """Wait for running answers where the run simply ended; give them up where somebody or something stopped it."""
        end = self.now + DRAIN_SECONDS
        while self._calls and self.why in PATIENT and self.now < end:
            await asyncio.wait(self._calls, timeout=0.2)
        for call in list(self._calls):
            call.cancel()
        await asyncio.gather(*self._calls, return_exceptions=True)

    async def _pause(self, seconds: float) -> None:
        """Sleep, but no longer than the run goes on."""
        if seconds > 0:
            try:
                async with asyncio.timeout(seconds):
                    await self._stopping.wait()
            except TimeoutError:
                return


class _Times:
    """The times of one answer, as its text comes."""

    __slots__ = ("_began", "_last", "_recorder", "meant", "pieces")

    def __init__(self, recorder: Recorder, began: float, meant: float) -> None:
        self._recorder, self._began, self.meant = recorder, began, meant
        self._last, self.pieces = meant, 0

    def text(self, moment: float) -> None:
        at = moment - self._began
        self._recorder.time(at, "between" if self.pieces else "first", at - self._last)
        self._recorder.token(at)
        self._last = at
        self.pieces += 1
