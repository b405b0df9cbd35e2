"""An agent's WebSocket as the transport of one connection to one engine behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from typing import Any

from clusters.agent.messages import (
    TUNNEL_FRAME,
    TUNNEL_WINDOW,
    Connected,
    Dial,
    DialService,
    Malformed,
    Took,
    decode,
    encode,
)

from .call import Message, Receive, Send
from .connection import Connection

GOODBYE_SECONDS = 1.0
# Close codes: a connection that has ended in peace, and why an agent did not make one.
PEACE, POLICY, NO_ENGINE = 1000, 1008, 1011


class TunnelSocket(asyncio.Transport):
    """Idle until `dial`; then it carries one connection, and ends with it. `key` is the host's, as it was at the start.

    Neither side sends more than a window that the other has not yet passed on. So the WebSocket itself is always read,
    whatever the caller does, and its pings never starve.
    """

    def __init__(self, host: str, key: str, receive: Receive, send: Send) -> None:
        super().__init__()
        self.host, self.key = host, key
        self._receive, self._send = receive, send
        self._loop = asyncio.get_running_loop()
        self.idle_since = self._loop.time()
        self._protocol: Connection | None = None
        self._dialled: asyncio.Future[None] | None = None
        self._out: deque[str | memoryview] = deque()
        self._room, self._took = TUNNEL_WINDOW, 0
        self._held: deque[bytes] = deque()
        self._held_bytes = 0
        self._is_paused = self._is_closing = self._is_over = self._is_lost = False
        self._end: Exception | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closer: asyncio.Task[None] | None = None

    @property
    def rests(self) -> bool:
        """Whether its connection is only kept for a next exchange."""
        return self._protocol is not None and self._protocol.idle_since > 0 and self._protocol.is_reusable

    @property
    def rests_since(self) -> float:
        return self._protocol.idle_since if self._protocol is not None else 0.0

    async def run(self) -> None:
        """Take what comes until either side ends."""
        end: Exception | None = ConnectionResetError("the tunnel was cut")
        try:
            while (message := await self._receive())["type"] == "websocket.receive":
                self._on_message(message)
            end = self._meaning(message.get("code", 0))
        except Malformed:
            self._shut(POLICY)
        finally:
            self._on_end(end)
        if self._closer is not None:
            await self._closer  # the server cuts the line when this returns

    async def dial(self, port: int, connection: Connection, service: str = "") -> None:
        """Let the agent connect `connection` to its engine, or to a `service` of the cluster that it runs in.

        Raises ConnectionRefusedError where it can't or won't, ConnectionResetError where the socket was dead.
        """
        if self._is_closing:
            raise ConnectionResetError("the tunnel was cut")
        self._protocol, self._dialled = connection, self._loop.create_future()
        self._say(DialService(port, service) if service else Dial(port))
        await self._dialled

    def _meaning(self, code: int) -> Exception | None:
        """A cut tunnel must never look like an answer's proper end."""
        if code == PEACE:
            return None
        refused = code in (POLICY, NO_ENGINE)
        return ConnectionRefusedError("the agent refuses") if refused else ConnectionResetError("the tunnel was cut")

    # What comes

    def _on_message(self, message: Message) -> None:
        if self._is_closing:
            return
        if self._dialled is None or self._protocol is None:
            raise Malformed("nothing was asked")
        data = message.get("bytes")
        if not self._dialled.done():
            decode(Connected, (message.get("text") or "").encode(), most=TUNNEL_FRAME)
            self._protocol.connection_made(self)
            self._dialled.set_result(None)
        elif data is None:
            took = decode(Took, (message.get("text") or "").encode(), most=TUNNEL_FRAME).took
            self._room = min(TUNNEL_WINDOW, self._room + took)
            self._write_on()
        else:
            self._on_data(bytes(data))

    def _on_data(self, data: bytes) -> None:
        if not self._is_paused and not self._held:
            self._hand_over(data)
            return
        self._held.append(data)
        self._held_bytes += len(data)
        if self._held_bytes > TUNNEL_WINDOW:
            raise Malformed("the agent sends more than the window")

    def _hand_over(self, data: bytes) -> None:
        assert self._protocol is not None
        self._took += len(data)
        if self._took >= TUNNEL_WINDOW // 4:
            self._say(Took(min(self._took, TUNNEL_WINDOW)))
            self._took = 0
        self._protocol.data_received(data)

    def _deliver(self) -> None:
        while self._held and not self._is_paused:
            data = self._held.popleft()
            self._held_bytes -= len(data)
            self._hand_over(data)
        if self._is_over and not self._held:
            self._lose(self._end)

    def _on_end(self, end: Exception | None) -> None:
        self._is_over = self._is_closing = True
        self._end = end
        if self._dialled is not None and not self._dialled.done():
            self._dialled.set_exception(end or ConnectionRefusedError("the agent ended the connection"))
        elif self._protocol is not None and not self._held:
            self._lose(end)

    def _lose(self, error: Exception | None) -> None:
        if self._protocol is not None and not self._is_lost:
            self._is_lost = True
            self._protocol.connection_lost(error)

    # What goes

    def _say(self, note: Dial | DialService | Took) -> None:
        """Notes overtake data, which may wait for room."""
        if not self._is_closing:
            self._out.appendleft(encode(note).decode())
            self._write_on()

    def _write_on(self) -> None:
        if self._out and (self._writer is None or self._writer.done()):
            self._writer = self._loop.create_task(self._write_out())

    async def _write_out(self) -> None:
        # OSError or RuntimeError: the socket is gone, which `run` learns by itself.
        with contextlib.suppress(OSError, RuntimeError):
            while piece := self._next_piece():
                await self._send({"type": "websocket.send", "text" if isinstance(piece, str) else "bytes": piece})

    def _next_piece(self) -> str | bytes | None:
        """The next frame; None where nothing waits or the window is full."""
        if not self._out:
            return None
        first = self._out[0]
        if isinstance(first, str):
            self._out.popleft()
            return first
        size = min(TUNNEL_FRAME, self._room, len(first))
        self._room -= size
        if size == len(first):
            self._out.popleft()
        else:
            self._out[0] = first[size:]
        return bytes(first[:size])

    def _shut(self, code: int) -> None:
        if self._is_closing:
            return
        self._is_closing = True
        self._out.clear()
        if self._writer is not None:
            self._writer.cancel()
        self._closer = self._loop.create_task(self._say_goodbye(code))

    async def _say_goodbye(self, code: int) -> None:
        with contextlib.suppress(OSError, RuntimeError, TimeoutError):
            async with asyncio.timeout(GOODBYE_SECONDS):
                await self._send({"type": "websocket.close", "code": code})

    # What a protocol asks of its transport

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if not self._is_closing and data:
            self._out.append(memoryview(data))
            self._write_on()

    def pause_reading(self) -> None:
        self._is_paused = True

    def resume_reading(self) -> None:
        self._is_paused = False
        self._loop.call_soon(self._deliver)

    def is_reading(self) -> bool:
        return not self._is_paused

    def is_closing(self) -> bool:
        return self._is_closing

    def abort(self) -> None:
        """End at once, what waits on either way is dropped."""
        self._shut(PEACE)
        self._held.clear()
        self._loop.call_soon(self._lose, None)

    def close(self) -> None:
        self.abort()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default
