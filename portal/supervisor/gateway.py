"""The gateway's processes: they share one port, whose sockets stay open here while one of them is away."""

from __future__ import annotations

import asyncio
import hmac
import os
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from django.utils.translation import gettext as _
from prometheus_client import CONTENT_TYPE_LATEST

from endpoints.gateway.serving.admin import NOT_FOUND, Answer, Question, answering, ask
from endpoints.gateway.serving.figures import merged
from portal.startup import is_loopback

from .house import CannotStart, Supervisor, Tell
from .program import Program

BACKLOG = 2048
FLUSH_SECONDS = 10.0  # for a worker to write down what is in memory, after its running answers
LONGEST_DELAY = 5.0
LIVE_SECONDS = 2.0
MISSES = 2  # unanswered questions in a row, after which a worker counts as deaf
WORKER = "endpoints.gateway.serving.worker"


@dataclass(frozen=True, slots=True)
class Plan:
    """How many workers, and where they listen. `tunnel_port`: that of the first worker, the others follow; 0 for none."""

    workers: int
    bind: str
    port: int
    admin_bind: str
    admin_port: int
    tunnel_port: int
    drain_seconds: float
    metrics_token: str


@dataclass(frozen=True, slots=True)
class Sockets:
    """What the parent holds open: the callers' sockets, the admin port, and one for questions to each worker."""

    callers: tuple[socket.socket, ...]
    admin: socket.socket
    tunnels: tuple[socket.socket, ...]
    lines: tuple[socket.socket, ...]

    def of(self, worker: int) -> tuple[socket.socket, ...]:
        """Where this worker takes callers. Agents' tunnels belong to one process, so each has a port for them."""
        return (self.callers[worker], self.tunnels[worker]) if self.tunnels else (self.callers[worker],)

    def beside(self, worker: int) -> tuple[socket.socket, ...]:
        """Where the others take callers: it looks after them too."""
        return (*self.callers[:worker], *self.callers[worker + 1:])

    def close_doors(self) -> None:
        """Take no more callers: the workers close their own copies when they drain."""
        for one in (*self.callers, *self.tunnels):
            one.close()


async def serve(plan: Plan, tell: Tell) -> None:
    """Run the workers until SIGTERM or SIGINT, then drain them. Raises CannotStart where a port is taken."""
    with opened(plan) as sockets:
        workers = Workers([program(plan, sockets, number) for number in range(plan.workers)], sockets, tell)
        async with answering(Watch(workers, plan.metrics_token), sockets.admin):
            await workers.run()


class Workers(Supervisor):
    """A supervisor of gateway processes; a worker that does not answer is started again."""

    def __init__(self, programs: Sequence[Program], sockets: Sockets, tell: Tell, **times: float) -> None:
        super().__init__(programs, None, tell, self._find_deaf, **times)
        self._sockets = sockets
        self._lines = dict(zip(self.children, [str(line.getsockname()) for line in sockets.lines], strict=True))
        self._misses = dict.fromkeys(self.children, 0)

    async def run(self) -> None:
        closing = asyncio.create_task(self._close_doors())
        try:
            await super().run()
        finally:
            closing.cancel()

    async def _close_doors(self) -> None:
        await self.stopping.wait()
        self._sockets.close_doors()

    async def ask(self, path: str) -> dict[str, tuple[int, bytes]]:
        """What each worker that runs says to this."""
        names = [name for name, child in self.children.items() if child.pid]
        said = await asyncio.gather(*(asyncio.to_thread(ask, self._lines[name], path) for name in names))
        return dict(zip(names, said, strict=True))

    def _find_deaf(self) -> list[str]:
        for name, line in self._lines.items():
            answers = self.children[name].pid is None or ask(line, "/livez", LIVE_SECONDS)[0]
            self._misses[name] = 0 if answers else self._misses[name] + 1
        return [name for name, count in self._misses.items() if count >= MISSES]


@dataclass(frozen=True, slots=True)
class Watch:
    """The pages of the admin port. Probes are open, figures are for this machine and for who has the token."""

    workers: Workers
    metrics_token: str

    async def __call__(self, question: Question) -> Answer:
        if question.path == "/livez":
            return Answer(200, b"ok\n")
        if question.path == "/readyz":
            return await self._ready()
        if question.path != "/metrics":
            return NOT_FOUND
        return await self._figures() if self._may_read(question) else Answer(401, b"not allowed\n")

    async def _ready(self) -> Answer:
        """One worker that can decide is enough: they share the callers' socket."""
        if self.workers.stopping.is_set():
            return Answer(503, b"draining\n")
        said = (await self.workers.ask("/readyz")).values()
        if any(status == 200 for status, _body in said):
            return Answer(200, b"ready\n")
        return Answer(503, next((body for status, body in said if status), b"no worker answers\n"))

    async def _figures(self) -> Answer:
        pages = {name: body for name, (status, body) in (await self.workers.ask("/metrics")).items() if status == 200}
        return Answer(200, self._own(len(pages)) + merged(pages), CONTENT_TYPE_LATEST)

    def _own(self, answering_now: int) -> bytes:
        restarts = "".join(f'portal_gateway_worker_restarts_total{{worker="{name}"}} {child.restarts}\n'
                           for name, child in self.workers.children.items())
        return ("# HELP portal_gateway_workers Processes that answer now\n# TYPE portal_gateway_workers gauge\n"
                f"portal_gateway_workers {answering_now}\n"
                "# HELP portal_gateway_worker_restarts_total Processes that ended and were started again\n"
                f"# TYPE portal_gateway_worker_restarts_total counter\n{restarts}").encode()

    def _may_read(self, question: Question) -> bool:
        kind, _space, token = question.headers.get("authorization", "").partition(" ")
        if kind:
            return (bool(self.metrics_token) and kind.lower() == "bearer"
                    and hmac.compare_digest(token.encode(), self.metrics_token.encode()))
        forwarded = "x-forwarded-for" in question.headers or "forwarded" in question.headers
        return not forwarded and is_loopback(question.peer)


def program(plan: Plan, sockets: Sockets, worker: int) -> Program:
    own, others, line = sockets.of(worker), sockets.beside(worker), sockets.lines[worker]
    listen = [word for name, some in (("--listen", own), ("--sibling", others)) for one in some
              for word in (name, str(one.fileno()))]
    argv = (sys.executable, "-m", WORKER, *listen, "--admin", str(line.fileno()), "--drain", str(plan.drain_seconds))

    async def answers() -> bool:
        return (await asyncio.to_thread(ask, str(line.getsockname()), "/livez"))[0] == 200

    return Program(str(worker), argv, ready=answers, stop_seconds=plan.drain_seconds + FLUSH_SECONDS,
                   longest_delay=LONGEST_DELAY, sockets=tuple(one.fileno() for one in (*own, *others, line)))


@contextmanager
def opened(plan: Plan) -> Iterator[Sockets]:
    """All sockets of the plan. Raises CannotStart."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="gateway-")))
        tunnel_ports = range(plan.tunnel_port, plan.tunnel_port + plan.workers) if plan.tunnel_port else ()
        yield Sockets(
            callers=tuple(stack.enter_context(one) for one in listen_often(plan.bind, plan.port, plan.workers)),
            admin=stack.enter_context(listen(plan.admin_bind, plan.admin_port)),
            tunnels=tuple(stack.enter_context(listen(plan.bind, port)) for port in tunnel_ports),
            lines=tuple(stack.enter_context(_line(folder / f"{number}.sock")) for number in range(plan.workers)))


def listen(host: str, port: int, *, reuse_port: bool = False) -> socket.socket:
    """A listening socket. Raises CannotStart where somebody else has the port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), backlog=BACKLOG, family=family, reuse_port=reuse_port)
    except OSError as error:
        raise CannotStart(_("can't listen on %(host)s:%(port)d (%(why)s); choose another port") % {
            "host": host, "port": port, "why": os.strerror(error.errno or 0)}) from error


def listen_often(host: str, port: int, times: int) -> list[socket.socket]:
    """As many sockets for one port, over which the kernel spreads callers. Raises CannotStart."""
    with listen(host, port):
        pass  # sockets that share a port share it with another gateway's too, and nobody would be told
    return [listen(host, port, reuse_port=True) for _ in range(times)]


def _line(path: Path) -> socket.socket:
    one = socket.socket(socket.AF_UNIX)
    one.bind(str(path))
    one.listen()
    return one
