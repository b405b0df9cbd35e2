"""Endpoints of SageMaker: calls signed by the portal, answers taken out of AWS's frames.

The addresses, headers and errors are those of the API's own description (sagemaker-runtime 2017-05-13). What runs in
the container gets OpenAI's body on /invocations and tells the routes apart by its shape.
"""

from __future__ import annotations

from asyncio import AbstractEventLoop
from dataclasses import replace

from clusters.drivers.aws import AwsError, Credentials, EventStream, endpoint_of, sign
from portal.tenancy.text import clean

from ..config import Config
from ..connection import Connection, UpstreamError
from ..errors import GatewayError
from ..replica import Exchange, Replica, Request
from ..snapshot import Address
from .address import Place
from .fetch import Account
from .lender import Lender
from .refusals import Said, answer_to, said_in

SERVICE, SIGNED_AS = "sagemaker-runtime", "sagemaker"
FRAMES = b"application/vnd.amazon.eventstream"
PART = "PayloadPart"
# Written by `Replica` and by `Connection` anyway.
WRITTEN = frozenset({"host", "content-type", "content-length"})
# Containers tell these apart by the shape of a body; what else engines serve has no shape of its own, or is a form.
KNOWN_TO_CONTAINERS = frozenset({
    "/v1/chat/completions", "/v1/completions", "/v1/embeddings", "/v1/rerank", "/v1/score"})


class RuntimeConnection(Connection):
    """Gives the bytes that the container sent: the frames of a streamed answer are opened as they come."""

    def __init__(self, loop: AbstractEventLoop) -> None:
        super().__init__(loop)
        self._frames: EventStream | None = None

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        self._frames = None
        headers = self.fields
        if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() == FRAMES:
            self._frames = EventStream()
            kind = headers.get(b"x-amzn-sagemaker-content-type", b"text/event-stream")
            self.fields = {b"content-type": kind}

    def on_body(self, piece: bytes) -> None:
        if self._frames is None:
            super().on_body(piece)
            return
        try:
            for kind, payload in self._frames.feed(piece):
                if kind != PART:
                    raise UpstreamError(f"the stream ended with {clean(kind, 100)}")
                super().on_body(payload)
        except AwsError as error:
            self._fail(UpstreamError(f"not an event stream: {error.code}"))
        except UpstreamError as error:
            self._fail(error)

    def on_message_complete(self) -> None:
        if self.error is None:  # else the end of the body must not make a broken answer whole
            super().on_message_complete()


class RuntimeReplica(Replica):
    """One endpoint, behind which SageMaker chooses the instance. No word of the caller's headers goes there."""

    connection_type = RuntimeConnection
    is_plain = False
    is_checkable = False  # SageMaker looks after the instances behind its one address

    def __init__(self, place: Place, config: Config, credentials: Lender[Account, Credentials]) -> None:
        self._place = place
        self._account: Account = (place.account, place.region)
        self._credentials = credentials
        self._url = endpoint_of(SERVICE, place.region)
        super().__init__(Address(self._url, ""), config)

    async def exchange(self, request: Request, *, fresh: bool) -> Exchange:
        """As `Replica.exchange`; where AWS does not take the signature, once more with new credentials.

        Raises GatewayError for what AWS refuses.
        """
        check_path(request)
        held = await self._credentials.get(self._account)
        exchange = await self._asked(request, held, fresh=fresh)
        if isinstance(exchange, Said) and exchange.is_stale and await self._credentials.renew(self._account, held):
            exchange = await self._asked(request, await self._credentials.get(self._account), fresh=False)
        return answer_to(exchange) if isinstance(exchange, Said) else exchange

    async def _asked(self, request: Request, held: Credentials, *, fresh: bool) -> Exchange | Said:
        exchange = await super().exchange(self._signed(request, held), fresh=fresh)
        return exchange if exchange.connection.status < 300 else await said_in(exchange)

    def _signed(self, request: Request, held: Credentials) -> Request:
        verb = "invocations-response-stream" if request.is_stream else "invocations"
        path = f"/endpoints/{self._place.endpoint}/{verb}"
        headers = {"content-type": "application/json"}
        if self._place.component:
            headers["x-amzn-sagemaker-inference-component"] = self._place.component
        signed = sign(held, "POST", self._url + path, headers, request.body, service=SIGNED_AS, region=self._place.region)
        lines = [f"{name}: {value}\r\n" for name, value in signed.items() if name.lower() not in WRITTEN]
        return replace(request, path=path, headers="".join(lines).encode())

    def tick(self, now: float) -> None:
        super().tick(now)
        self._credentials.tick(self._account)


def check_path(request: Request) -> None:
    """Raises GatewayError for a route that a container would answer as another one."""
    if request.path not in KNOWN_TO_CONTAINERS:
        raise GatewayError(400, f"This model runs on SageMaker, where {request.path} is not served. "
                                f"There are {', '.join(sorted(KNOWN_TO_CONTAINERS))}.", code="not_supported")
