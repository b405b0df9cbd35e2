"""Several engines behind a model: which one is asked, when a second time, and how one leaves or comes back (F30, F31)."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest

from endpoints.gateway.config import Config
from endpoints.gateway.connection import TooSlow, UpstreamError
from endpoints.gateway.metrics import RETRIES
from endpoints.gateway.replica import Exchange, Request, collect
from endpoints.gateway.snapshot import Address, Route, Snapshot, Target, Way
from endpoints.gateway.upstream import Upstreams

ASK = Request("/v1/chat/completions", b"x-request-id: r-1\r\n", b'{"model":"m"}')
GOOD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
BAD = b"HTTP/1.1 500 Oh\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
CUT = None  # ends the connection without a word

Step = Callable[[asyncio.StreamWriter], Awaitable[None]] | bytes | None


@dataclass
class Engine:
    """Does `steps` with the calls that come, one after the other, and then answers well. /health is told by `is_well`."""

    steps: list[Step] = field(default_factory=list)
    always: Step = GOOD
    is_well: bool = True
    calls: int = 0
    checks: int = 0
    connections: int = 0
    url: str = ""
    lines: set[asyncio.StreamWriter] = field(default_factory=set)
    server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> Engine:
        self.server = await asyncio.start_server(self._talk, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}"
        return self

    async def stop(self) -> None:
        assert self.server is not None
        self.server.close()
        for line in list(self.lines):
            line.transport.abort()
        await asyncio.sleep(0)

    async def _talk(self, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.lines.add(line)
        try:
            while await self._answered(await reader.readuntil(b"\r\n\r\n"), reader, line):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self.lines.discard(line)
            line.transport.abort()

    async def _answered(self, head: bytes, reader: asyncio.StreamReader, line: asyncio.StreamWriter) -> bool:
        if head.startswith(b"GET /health "):
            self.checks += 1
            line.write(GOOD if self.is_well else BAD)
            return True
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
        self.calls += 1
        step = self.steps.pop(0) if self.steps else self.always
        if callable(step):
            await step(line)
        elif step is not None:
            line.write(step)
        return step is not None


@pytest.fixture
async def engines() -> AsyncIterator[Callable[..., Awaitable[Engine]]]:
    made: list[Engine] = []

    async def make(*steps: Step, always: Step = GOOD) -> Engine:
        made.append(await Engine(list(steps), always).start())
        return made[-1]

    yield make
    for engine in made:
        await engine.stop()


@pytest.fixture
async def upstreams() -> AsyncIterator[Upstreams]:
    made = Upstreams(Config(down_seconds=0.2))
    yield made
    made.close()


def at(*engines: Engine) -> tuple[Address, ...]:
    return tuple(Address(engine.url, "") for engine in engines)


async def called(upstreams: Upstreams, addresses: tuple[Address, ...], request: Request = ASK) -> int:
    """The status of a whole call."""
    exchange = await upstreams.exchange(addresses, request)
    try:
        await collect(exchange, 1000)
        return exchange.connection.status
    finally:
        exchange.end()


async def eventually(check: Callable[[], object], seconds: float = 5.0) -> None:
    async with asyncio.timeout(seconds):
        while not check():  # noqa: ASYNC110  what it waits for tells nobody
            await asyncio.sleep(0.01)


def retries() -> float:
    return RETRIES._value.get()  # type: ignore[no-any-return]  # the library has no other way to read one


# Reuse, and the second chance


async def test_a_connection_is_used_again(engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams) -> None:
    engine = await engines()
    for _ in range(5):
        assert await called(upstreams, at(engine)) == 200
    assert (engine.calls, engine.connections) == (5, 1)


async def test_an_idle_connection_that_the_engine_closed_is_not_written_to(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    engine, before = await engines(), retries()
    addresses = at(engine)
    assert await called(upstreams, addresses) == 200
    for line in list(engine.lines):
        line.close()
    await eventually(lambda: not engine.lines)
    await asyncio.sleep(0.05)
    assert await called(upstreams, addresses) == 200
    assert (engine.calls, engine.connections, retries()) == (2, 2, before)


async def test_one_that_it_closes_while_the_request_is_on_its_way_costs_a_second_try_and_no_trust(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    engine, before = await engines(GOOD, CUT), retries()
    addresses = at(engine)
    for _ in range(2):
        assert await called(upstreams, addresses) == 200
    assert (engine.calls, engine.connections, retries() - before) == (3, 2, 1)
    assert not upstreams._replica(addresses[0]).is_suspect


async def test_one_that_is_idle_for_longer_than_allowed_is_closed_by_us(
    engines: Callable[..., Awaitable[Engine]],
) -> None:
    engine, upstreams = await engines(), Upstreams(Config(idle_seconds=0.1))
    addresses = at(engine)
    assert await called(upstreams, addresses) == 200
    await asyncio.sleep(0.15)
    assert upstreams.ready_connection(addresses) is None
    await eventually(lambda: not engine.lines)
    upstreams.close()


@pytest.mark.parametrize("death", [CUT, b"HTTP/1.1 200 OK\r\n", HEAD, b"nonsense\r\n\r\n"],
                         ids=["no word", "half a head", "a head", "no HTTP"])
async def test_before_the_first_byte_of_a_body_there_is_one_second_try(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams, death: bytes | None,
) -> None:
    async def die(line: asyncio.StreamWriter) -> None:
        line.write(death or b"")
        await line.drain()
        line.close()

    once, ever = await engines(die), await engines(always=die)
    assert await called(upstreams, at(once)) == 200
    assert once.calls == 2
    with pytest.raises(UpstreamError):
        await called(upstreams, at(ever))
    assert ever.calls == 2


async def test_after_the_first_byte_there_is_none(engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams) -> None:
    async def begin(line: asyncio.StreamWriter) -> None:
        line.write(HEAD + b"3\r\nabc\r\n")
        await line.drain()
        line.close()

    engine = await engines(begin)
    exchange = await upstreams.exchange(at(engine), ASK)
    assert exchange.first == b"abc"
    with pytest.raises(UpstreamError):
        await exchange.connection.read()
    exchange.end()
    assert engine.calls == 1


async def test_an_engines_own_error_is_an_answer(engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams) -> None:
    engine = await engines(BAD)
    assert await called(upstreams, at(engine)) == 500
    assert engine.calls == 1


async def test_who_is_silent_is_not_asked_again(engines: Callable[..., Awaitable[Engine]]) -> None:
    async def wait(_line: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    engine, other = await engines(wait), await engines(wait)
    upstreams = Upstreams(Config(engine_seconds=0.1))
    asking = asyncio.ensure_future(called(upstreams, at(engine, other)))
    await eventually(lambda: engine.calls + other.calls == 1)
    await asyncio.sleep(0.15)
    upstreams.tick(asyncio.get_running_loop().time())
    with pytest.raises(TooSlow):
        await asking
    assert engine.calls + other.calls == 1
    upstreams.close()


async def test_the_second_try_goes_elsewhere_and_a_refusal_costs_none(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    dying, gone, well = await engines(always=CUT), await engines(), await engines()
    await gone.stop()
    addresses = at(dying, gone, well)
    for _ in range(6):
        assert await called(upstreams, addresses) == 200
    assert well.calls == 6


# Who is asked


async def opened(upstreams: Upstreams, addresses: tuple[Address, ...], request: Request = ASK) -> Exchange:
    return await upstreams.exchange(addresses, request)


async def stream(line: asyncio.StreamWriter) -> None:
    """Begins, and goes on until the connection ends."""
    line.write(HEAD + b"3\r\nabc\r\n")
    await line.wait_closed()


async def test_open_calls_are_spread_evenly(engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams) -> None:
    three = [await engines(always=stream) for _ in range(3)]
    addresses = at(*three)
    exchanges = [await opened(upstreams, addresses) for _ in range(30)]
    assert [engine.calls for engine in three] == [10, 10, 10]
    for exchange in exchanges:
        exchange.end()


async def test_a_session_stays_with_its_engine_until_that_is_overloaded(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    three = [await engines(always=stream) for _ in range(3)]
    addresses = at(*three)
    ask = Request(ASK.path, ASK.headers, ASK.body, affinity="session", session=b"alice")
    first = [await opened(upstreams, addresses, ask) for _ in range(2)]
    assert sorted(engine.calls for engine in three) == [0, 0, 2]
    more = [await opened(upstreams, addresses, ask) for _ in range(28)]
    assert max(engine.calls for engine in three) <= 15, "no more than 1.25 times its share, and 2"
    for exchange in first + more:
        exchange.end()


async def test_sessions_are_spread(engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams) -> None:
    three = [await engines() for _ in range(3)]
    addresses = at(*three)
    for number in range(90):
        ask = Request(ASK.path, ASK.headers, ASK.body, affinity="prefix", session=b"prompt-%d" % number)
        assert await called(upstreams, addresses, ask) == 200
    assert min(engine.calls for engine in three) >= 12


async def test_a_ready_connection_is_counted_and_given_back(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    one, other = await engines(), await engines()
    addresses = at(one, other)
    assert upstreams.ready_connection(addresses) is None
    for _ in range(2):
        await called(upstreams, addresses)
    taken = [upstreams.ready_connection(addresses) for _ in range(2)]
    found = [pair for pair in taken if pair is not None]
    assert Counter(replica.outstanding for replica, _connection in found) == {1: 2}
    assert upstreams.ready_connection(addresses) is None, "both are busy"
    for replica, connection in found:
        replica.put_back_unused(connection)
        assert replica.outstanding == 0
    assert upstreams.ready_connection((Address("sagemaker://" + "0" * 32 + "/us-east-1/chat", ""),)) is None


# How well they are


async def test_one_that_fails_again_and_again_is_left_alone_and_tried_later(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    bad, well = await engines(*[BAD] * 6), await engines()
    addresses = at(bad, well)
    for _ in range(40):
        await called(upstreams, addresses)
    assert bad.calls == 5
    await asyncio.sleep(0.3)
    for _ in range(10):
        await called(upstreams, addresses)
    assert bad.calls == 6, "one call tried it, and it failed once more"
    await asyncio.sleep(0.6)
    for _ in range(10):
        assert await called(upstreams, addresses) == 200
    assert bad.calls > 9, "it is well again"


async def test_one_that_refused_is_asked_for_its_health_and_comes_back(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    gone, well = await engines(), await engines()
    port = int(gone.url.rpartition(":")[2])
    await gone.stop()
    addresses, now = at(gone, well), asyncio.get_running_loop().time()
    for _ in range(4):
        assert await called(upstreams, addresses) == 200
    replica = upstreams._replica(addresses[0])
    assert replica.is_suspect
    upstreams.tick(now)
    upstreams.tick(now + 10)  # as if so much later: it is its turn
    await asyncio.sleep(0.1)
    assert replica.is_suspect
    await gone.start(port)
    gone.is_well = True

    def came_back() -> bool:
        upstreams.tick(asyncio.get_running_loop().time() + 100)
        return not replica.is_suspect

    await eventually(came_back)
    assert gone.checks == 1
    for _ in range(4):
        await called(upstreams, addresses)
    assert gone.calls == 2
    await gone.stop()


async def test_when_all_are_bad_calls_are_still_tried(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    one, other = await engines(*[BAD] * 5), await engines(*[BAD] * 5)
    addresses = at(one, other)
    statuses = [await called(upstreams, addresses) for _ in range(12)]
    assert statuses.count(500) == 10
    assert statuses[-2:] == [200, 200]


# Leaving


async def test_a_replica_that_leaves_ends_its_streams_and_gets_no_calls(
    engines: Callable[..., Awaitable[Engine]], upstreams: Upstreams,
) -> None:
    go_on = asyncio.Event()

    async def slowly(line: asyncio.StreamWriter) -> None:
        line.write(HEAD + b"3\r\nabc\r\n")
        await go_on.wait()
        line.write(b"3\r\ndef\r\n0\r\n\r\n")

    leaving, staying = await engines(slowly, GOOD), await engines()
    exchange = await upstreams.exchange(at(leaving), ASK)
    target = Target(1, "m", "INSERVICE", "", at(staying))
    now = Snapshot(routes={1: {"m": Route(0, 1, "m", 0, (Way(target),))}})
    upstreams.follow(now)
    for _ in range(4):
        assert await called(upstreams, at(staying)) == 200
    upstreams.tick(asyncio.get_running_loop().time())
    go_on.set()
    assert await collect(exchange, 1000) == b"abcdef"
    assert exchange.connection.is_complete
    exchange.end()
    await eventually(lambda: not leaving.lines)  # its connection is not kept for others
    upstreams.tick(asyncio.get_running_loop().time())
    assert list(upstreams._replicas) == list(at(staying))
    assert leaving.calls == 1
