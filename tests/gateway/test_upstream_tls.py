"""A backend behind a private CA, as a Kubernetes API server is: known by that CA alone, called with its own identity."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from endpoints.gateway.config import Config
from endpoints.gateway.connection import UpstreamError
from endpoints.gateway.snapshot import Address
from endpoints.gateway.upstream import Request, Upstreams
from tests.gateway.tunnel_tls import make_certificate

ASK = Request("/v1/chat/completions", b"", b"{}")
PREFIX = "/api/v1/namespaces/ip-team/services/http:chat:8000/proxy"


class Server:
    """Answers every request with its own head, so that a test sees what arrived."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = make_certificate(folder)
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(self.certificate))
        self.context.load_cert_chain(self.certificate, self.key)
        self.server: asyncio.Server | None = None

    async def start(self, *, wants_client: bool) -> str:
        self.context.verify_mode = ssl.CERT_REQUIRED if wants_client else ssl.CERT_NONE
        self.server = await asyncio.start_server(self._answer, "127.0.0.1", 0, ssl=self.context)
        return f"https://127.0.0.1:{self.server.sockets[0].getsockname()[1]}{PREFIX}"

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\nconnection: close\r\n\r\n" % len(head) + head)
            await writer.drain()
        except (asyncio.IncompleteReadError, OSError):
            pass
        writer.close()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    made = Server(tmp_path)
    yield made
    if made.server is not None:
        made.server.close()


async def call(address: Address) -> str:
    upstreams = Upstreams(Config())
    exchange = await upstreams.exchange((address,), ASK)
    text = exchange.first.decode()
    exchange.end()
    upstreams.close()
    return text


async def test_the_stored_ca_is_trusted_and_the_path_token_and_host_arrive(server: Server) -> None:
    url = await server.start(wants_client=False)
    seen = await call(Address(url, "cluster-token", ca=server.certificate.read_text(), host="chat.example.org"))
    assert seen.startswith(f"POST {PREFIX}/v1/chat/completions HTTP/1.1")
    assert "authorization: Bearer cluster-token" in seen
    assert "host: chat.example.org" in seen


async def test_without_the_stored_ca_nothing_is_sent(server: Server) -> None:
    url = await server.start(wants_client=False)
    with pytest.raises(UpstreamError):
        await call(Address(url, "cluster-token"))


async def test_a_client_certificate_identifies_the_gateway(server: Server) -> None:
    url = await server.start(wants_client=True)
    ca, key = server.certificate.read_text(), server.key.read_text()
    with pytest.raises(UpstreamError):
        await call(Address(url, "", ca=ca))
    assert await call(Address(url, "", ca=ca, client_certificate=ca, client_key=key))
