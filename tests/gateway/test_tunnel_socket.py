"""The gateway's end of a tunnel, against an agent's end that a test plays frame by frame."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from clusters.agent.client import Client
from clusters.agent.messages import TUNNEL_FRAME, TUNNEL_WINDOW
from clusters.agent.signing import HostKey
from clusters.agent.tunnel import LONGEST_WAIT, Tunnel, to_engines
from endpoints.gateway import tunnel as door
from endpoints.gateway.connection import BUFFER_BYTES, Connection, UpstreamError
from endpoints.gateway.tunnel import Pool
from endpoints.gateway.tunnel_socket import TunnelSocket

HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\n"


class AgentEnd:
    """What an ASGI server hands over for one WebSocket, with the agent's side in the test's hands."""

    def __init__(self, host: str = "a", key: str = "key") -> None:
        self._in: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.sent: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self.socket = TunnelSocket(host, key, self._in.get, self._send)
        self.task = asyncio.create_task(self.socket.run())

    async def _send(self, message: Any) -> None:
        self.sent.put_nowait(message)
        if message["type"] == "websocket.close":
            self._in.put_nowait({"type": "websocket.disconnect", "code": message["code"]})

    def say(self, **note: Any) -> None:
        self._in.put_nowait({"type": "websocket.receive", "text": json.dumps(note)})

    def data(self, data: bytes) -> None:
        self._in.put_nowait({"type": "websocket.receive", "bytes": data})

    def end(self, code: int) -> None:
        self._in.put_nowait({"type": "websocket.disconnect", "code": code})

    async def next(self) -> dict[str, Any]:
        async with asyncio.timeout(2):
            return await self.sent.get()

    async def connected(self) -> Connection:
        """A connection through this socket."""
        connection = Connection(asyncio.get_running_loop())
        dialling = asyncio.create_task(self.socket.dial(8000, connection))
        assert json.loads((await self.next())["text"]) == {"port": 8000}
        self.say()
        await dialling
        return connection


@asynccontextmanager
async def pooled(pool: Pool, *ends: AgentEnd) -> AsyncIterator[None]:
    for end in ends:
        assert pool.enter(end.socket)
        pool.offer(end.socket)
    try:
        yield
    finally:
        for end in ends:
            end.end(1006)
            await end.task
            pool.leave(end.socket)


async def test_a_request_waits_for_room_in_the_window() -> None:
    agent = AgentEnd()
    connection = await agent.connected()
    connection.send(b"x" * (TUNNEL_WINDOW + 100_000))
    frames = [await agent.next() for _ in range(TUNNEL_WINDOW // TUNNEL_FRAME)]
    assert sum(len(frame["bytes"]) for frame in frames) == TUNNEL_WINDOW
    await asyncio.sleep(0.02)
    assert agent.sent.empty()
    agent.say(took=70_000)
    agent.say(took=30_000)
    got = 0
    while got < 100_000:
        got += len((await agent.next())["bytes"])
    assert got == 100_000
    connection.close()
    assert (await agent.next())["type"] == "websocket.close"


async def test_an_answer_that_ends_while_nobody_reads_is_still_whole() -> None:
    agent = AgentEnd()
    connection = await agent.connected()
    connection.send(b"GET")
    body = bytes(range(256)) * 1800  # more than a connection takes before it pauses, less than both together
    assert BUFFER_BYTES < len(body) < BUFFER_BYTES + TUNNEL_WINDOW
    agent.data(HEAD + b"content-length: %d\r\n\r\n" % len(body))
    for start in range(0, len(body), 30_000):
        agent.data(body[start:start + 30_000])
    agent.end(1000)
    await agent.task
    got = b""
    while part := await connection.read():
        got += part
    assert got == body
    assert not connection.is_open


@pytest.mark.parametrize(("code", "is_whole"), [(1000, True), (1001, False), (1005, False), (1011, False)])
async def test_only_a_peaceful_end_ends_an_answer_without_length(code: int, is_whole: bool) -> None:
    agent = AgentEnd()
    connection = await agent.connected()
    connection.send(b"GET")
    agent.data(HEAD + b"\r\nhalf of it")
    agent.end(code)
    await agent.task
    assert await connection.read() == b"half of it"
    if is_whole:
        assert await connection.read() == b""
    else:
        with pytest.raises(UpstreamError):
            await connection.read()


async def test_an_agent_that_sends_more_than_the_window_is_cut_off() -> None:
    agent = AgentEnd()
    connection = await agent.connected()
    connection.send(b"GET")
    agent.data(HEAD + b"content-length: 9000000\r\n\r\n")
    for _ in range((BUFFER_BYTES + TUNNEL_WINDOW) // TUNNEL_FRAME + 3):
        agent.data(b"x" * TUNNEL_FRAME)
    await agent.task
    while (message := await agent.next())["type"] == "websocket.send":
        pass
    assert message == {"type": "websocket.close", "code": 1008}


@pytest.mark.parametrize("text", ["", "{", '{"took": -1}', '{"took": 10000000}', '{"port": 1}', '[]', '{"took":1,"x":2}'])
async def test_nonsense_cuts_the_socket(text: str) -> None:
    agent = AgentEnd()
    connection = await agent.connected()
    connection.send(b"GET")
    agent._in.put_nowait({"type": "websocket.receive", "text": text})
    await agent.task
    assert not connection.is_open
    with pytest.raises(UpstreamError):
        await connection.wait_for_head()


async def test_a_dead_idle_socket_is_passed_over_and_a_refusal_is_not() -> None:
    pool, dead, alive = Pool(), AgentEnd(), AgentEnd()
    async with pooled(pool, alive, dead):
        trying = asyncio.create_task(pool.connect("a", 7, Connection(asyncio.get_running_loop())))
        await dead.next()
        dead.end(1005)
        assert json.loads((await alive.next())["text"]) == {"port": 7}
        alive.end(1008)
        with pytest.raises(ConnectionRefusedError):
            await trying


async def test_who_waits_longest_gets_the_next_socket_and_who_gave_up_none() -> None:
    pool, loop = Pool(), asyncio.get_running_loop()
    waiting = [asyncio.create_task(pool.connect("a", port, Connection(loop))) for port in (1, 2, 3)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    first, second = AgentEnd(), AgentEnd()
    async with pooled(pool, first, second):
        assert json.loads((await first.next())["text"]) == {"port": 2}
        assert json.loads((await second.next())["text"]) == {"port": 3}
        for end, task in ((first, waiting[1]), (second, waiting[2])):
            end.say()
            await task
    assert pool.count(idle=True) == pool.count(idle=False) == 0


async def test_a_socket_is_never_lent_to_another_host() -> None:
    pool = Pool()
    async with pooled(pool, AgentEnd("a")):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1):
                await pool.connect("b", 1, Connection(asyncio.get_running_loop()))
        assert pool.count(idle=True) == 1


async def test_sockets_that_nobody_needed_for_long_are_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "CHECK_SECONDS", 0.01)
    monkeypatch.setattr(door, "_keys", lambda _hosts: {"a": "key"})
    pool, old, new = Pool(), AgentEnd(), AgentEnd()
    old.socket.idle_since -= door.IDLE_SECONDS + 1
    async with pooled(pool, old, new):
        assert await old.next() == {"type": "websocket.close", "code": 1000}
        assert new.sent.empty()


class TestHowManyTheAgentOpens:
    @pytest.fixture
    def tunnel(self) -> Tunnel:
        return Tunnel(Client("https://portal.example.org", HostKey.draw()), to_engines(lambda _port: True), spare=4, most=64)

    @pytest.mark.parametrize(("used", "open_now", "missing"), [
        (0, 0, 4), (0, 4, 0), (1, 4, 1), (4, 4, 4), (8, 12, 4), (32, 40, 24), (40, 60, 4), (64, 64, 0), (0, 64, 0)])
    def test_as_many_again_as_are_in_use(self, tunnel: Tunnel, used: int, open_now: int, missing: int) -> None:
        tunnel._used, tunnel._open = used, open_now
        assert tunnel.missing() == missing

    def test_one_at_a_time_while_the_gateway_is_away(self, tunnel: Tunnel) -> None:
        tunnel._failures = 3
        assert tunnel.missing() == 1
        tunnel._opening = 1
        assert tunnel.missing() == 0

    def test_attempts_that_fail_together_count_once_and_the_wait_is_bounded(self, tunnel: Tunnel) -> None:
        for _ in range(4):
            tunnel._ended_badly(OSError("away"), 0)
        assert tunnel._failures == 1
        assert 0 < tunnel._pause() <= 0.5
        tunnel._failures = 50
        assert LONGEST_WAIT / 2 <= tunnel._pause() <= LONGEST_WAIT
