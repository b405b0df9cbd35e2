"""The way in for a host that nobody can reach: the agent calls out, and the gateway's requests come back on that call.

A few WebSockets wait at the gateway. Each carries one connection to one engine of this host and is then replaced.
"""

from __future__ import annotations

import contextlib
import logging
import random
import socket
import threading
import time
from collections.abc import Callable, Iterator

from websockets.exceptions import ConnectionClosed, InvalidStatus, WebSocketException
from websockets.protocol import State
from websockets.sync.client import ClientConnection, connect

from .client import CONNECT_SECONDS, Away, Client, Refused
from .messages import TUNNEL_FRAME, TUNNEL_WINDOW, Connected, Dial, Malformed, Took, decode, encode

log = logging.getLogger("agent")
quiet = logging.getLogger("agent.websocket")
quiet.setLevel(logging.CRITICAL)  # what goes wrong with a socket is said here, in one line

PATH = "/tunnel"
SPARE, MOST = 4, 64
PING_SECONDS = 20.0
LOOK_SECONDS = 0.5  # how late a side may notice the other's end when both directions are stuck
LONGEST_WAIT = 5.0
DIAL_SECONDS = 2.0
# Reasons of an end, as WebSocket close codes.
ENGINE_ENDED, NOT_OURS, ENGINE_AWAY = 1000, 1008, 1011
CUT = 1001


class NotOurs(Exception):
    """The order names something that this agent does not serve."""


# Connects to what the gateway's first message names. Raises Malformed, NotOurs, OSError.
Dialler = Callable[[bytes], socket.socket]


def to_engines(serves: Callable[[int], bool]) -> Dialler:
    """Of a host: its own engines on loopback. `serves` tells whether a port is one of them."""
    def dial(order: bytes) -> socket.socket:
        port = decode(Dial, order, most=TUNNEL_FRAME).port
        if not serves(port):
            raise NotOurs("the port is no engine's of this host")
        return socket.create_connection(("127.0.0.1", port), timeout=DIAL_SECONDS)
    return dial


class Tunnel:
    """Keeps sockets ready at one gateway; `dial` connects each to what the gateway asks for."""

    def __init__(self, client: Client, dial: Dialler, *, spare: int = SPARE, most: int = MOST) -> None:
        self._client, self._dial, self._spare, self._most = client, dial, spare, most
        self._changed = threading.Condition()
        self._open = self._opening = self._used = self._failures = 0

    def start(self) -> None:
        """Work in threads of its own until the process ends."""
        threading.Thread(target=self._keep_ready, name="tunnel", daemon=True).start()

    def missing(self) -> int:
        """How many sockets to open now: as many again as are in use; one at a time while the gateway is away."""
        wanted = min(self._most, self._used + max(self._spare, self._used)) - self._open
        if self._failures:
            return 0 if self._opening or wanted <= 0 else 1
        return max(0, wanted)

    def _keep_ready(self) -> None:
        while True:
            with self._changed:
                for _ in range(self.missing()):
                    self._open_one()
                self._changed.wait(LONGEST_WAIT)
                pause = self._pause()
            time.sleep(pause)

    def _open_one(self) -> None:
        self._open += 1
        self._opening += 1
        try:
            threading.Thread(target=self._live, args=(self._failures,), name="tunnel-socket", daemon=True).start()
        except RuntimeError as error:  # this machine has no thread left
            self._ended_badly(error, self._failures)
            self._open -= 1

    def _pause(self) -> float:
        """How long to leave a gateway alone that failed: longer each time, and never the same for all agents."""
        if not self._failures:
            return 0.0
        return float(min(LONGEST_WAIT, 0.25 * 2 ** min(self._failures, 8))) * random.uniform(0.5, 1.0)

    def _live(self, failures: int) -> None:
        try:
            self._carry()
        except (Away, Refused, OSError, WebSocketException, RuntimeError) as error:
            self._ended_badly(error, failures)
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()

    def _ended_badly(self, error: Exception, failures: int) -> None:
        """Attempts that fail at the same time count once. `failures`: how many there were when this one began."""
        with self._changed:
            self._opening -= 1
            first = not self._failures
            self._failures = max(self._failures, failures + 1)
        if first:
            log.warning("tunnel can't be opened", extra={"error": str(error)[:200] or type(error).__name__})

    def _note_open(self) -> None:
        with self._changed:
            self._opening -= 1
            failed, self._failures = self._failures, 0
            self._changed.notify_all()
        if failed:
            log.info("tunnel is open again")

    def _carry(self) -> None:
        with self._socket() as gateway:
            self._note_open()
            try:
                order = _text(gateway.recv())
                with self._use():
                    self._pipe(gateway, order)
            except Malformed:
                gateway.close(NOT_OURS, "the order is not understood")
            except (WebSocketException, OSError, RuntimeError) as error:
                log.debug("a tunnel's socket has ended", extra={"error": type(error).__name__})
                gateway.close(CUT)

    @contextlib.contextmanager
    def _use(self) -> Iterator[None]:
        with self._changed:
            self._used += 1
            self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._used -= 1

    def _pipe(self, gateway: ClientConnection, order: bytes) -> None:
        try:
            engine = self._dial(order)
        except NotOurs as refusal:
            log.warning("an order of the gateway is refused", extra={"error": str(refusal)})
            gateway.close(NOT_OURS, str(refusal))
            return
        except OSError:
            gateway.close(ENGINE_AWAY, "the engine refuses connections")
            return
        with engine:
            engine.settimeout(LOOK_SECONDS)
            engine.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            gateway.send(encode(Connected()).decode())
            Pipe(gateway, engine).run()

    @contextlib.contextmanager
    def _socket(self) -> Iterator[ClientConnection]:
        """An open socket. Raises Away, Refused, OSError, WebSocketException."""
        address, headers = self._client.upgrade(PATH)
        plain = self._client.dial(CONNECT_SECONDS)  # a socket of our own: no proxy, and no redirect can be followed
        try:
            opened = connect(address, sock=plain, additional_headers=headers, compression=None, user_agent_header=None,
                             open_timeout=CONNECT_SECONDS, ping_interval=PING_SECONDS, ping_timeout=PING_SECONDS,
                             close_timeout=1, max_size=2 * TUNNEL_FRAME, max_queue=1024, logger=quiet)
            with opened as gateway:
                yield gateway
        except InvalidStatus as refusal:
            answer = refusal.response
            raise self._client.refusal(answer.status_code, bytes(answer.body or b"")) from refusal
        finally:
            plain.close()


class Pipe:
    """Bytes both ways between the gateway and one engine, until one of them ends; the other one learns it at once.

    Neither side sends more than a window that the other has not yet passed on, so the socket itself never stands
    still, however slow the caller or the engine is: pings and the news of an end always get through.
    """

    def __init__(self, gateway: ClientConnection, engine: socket.socket) -> None:
        self._gateway, self._engine = gateway, engine
        self._room = TUNNEL_WINDOW
        self._changed = threading.Condition()

    @property
    def _is_open(self) -> bool:
        return self._gateway.state is State.OPEN

    def run(self) -> None:
        """Return when both directions have ended."""
        answers = threading.Thread(target=self._carry_answers, name="tunnel-answers", daemon=True)
        answers.start()
        try:
            self._carry_requests()
        except (ConnectionClosed, OSError, Malformed):
            self._gateway.close(CUT)
        finally:
            with contextlib.suppress(OSError):
                self._engine.shutdown(socket.SHUT_RDWR)
            with self._changed:
                self._changed.notify_all()
            answers.join()

    def _carry_requests(self) -> None:
        passed_on = 0
        for message in self._gateway:
            if isinstance(message, str):
                self._more_room(decode(Took, message.encode(), most=TUNNEL_FRAME).took)
                continue
            self._write(memoryview(message))
            passed_on += len(message)
            if passed_on >= TUNNEL_WINDOW // 4:
                self._gateway.send(encode(Took(passed_on)).decode())
                passed_on = 0

    def _more_room(self, size: int) -> None:
        with self._changed:
            self._room = min(TUNNEL_WINDOW, self._room + size)
            self._changed.notify_all()

    def _write(self, data: memoryview) -> None:
        while data:
            try:
                data = data[self._engine.send(data):]
            except TimeoutError:
                if not self._is_open:
                    raise

    def _carry_answers(self) -> None:
        code = ENGINE_AWAY
        try:
            while data := self._read():
                self._gateway.send(data)
            code = ENGINE_ENDED
        except (ConnectionClosed, OSError):
            log.debug("a connection of the tunnel was cut")
        self._gateway.close(code)

    def _read(self) -> bytes:
        """What the engine sends next, as much as the window allows; b"" when it has ended. Raises OSError."""
        with self._changed:
            while self._room <= 0 and self._is_open:
                self._changed.wait(LOOK_SECONDS)
            size = min(TUNNEL_FRAME, self._room)
        while self._is_open:
            with contextlib.suppress(TimeoutError):
                data = self._engine.recv(size)
                with self._changed:
                    self._room -= len(data)
                return data
        raise ConnectionResetError("the gateway has ended the connection")


def _text(message: str | bytes) -> bytes:
    if isinstance(message, bytes):
        raise Malformed("the order is not text")
    return message.encode()
