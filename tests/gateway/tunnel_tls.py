"""A proxy with TLS in front of a server, as a portal on the internet has one, with a certificate of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """The paths of a certificate for 127.0.0.1 and of its key."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    certificate = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(days=1)).not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256()))
    paths = folder / "tls.crt", folder / "tls.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                           serialization.NoEncryption()))
    return paths


async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


async def serve(port: int, context: ssl.SSLContext, opened: asyncio.Future[int]) -> None:
    async def join(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        with contextlib.suppress(asyncio.CancelledError):  # asyncio's streams call a cancelled one a mistake
            await asyncio.gather(pump(reader, behind_writer), pump(behind_reader, writer))
        for one in (writer, behind_writer):
            one.transport.abort()

    server = await asyncio.start_server(join, "127.0.0.1", 0, ssl=context)
    opened.set_result(server.sockets[0].getsockname()[1])
    async with server:
        await server.serve_forever()


@contextmanager
def tls_door(folder: Path, port: int) -> Iterator[tuple[str, Path]]:
    """Its address, and the certificate that a caller must trust."""
    certificate, key = make_certificate(folder)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def begin() -> int:
        opened = loop.create_future()
        tasks.add(loop.create_task(serve(port, context, opened)))
        return int(await opened)

    tasks: set[asyncio.Task[None]] = set()
    try:
        yield f"https://127.0.0.1:{asyncio.run_coroutine_threadsafe(begin(), loop).result(5)}", certificate
    finally:
        asyncio.run_coroutine_threadsafe(end_all(), loop).result(5)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(5)
        loop.close()


async def end_all() -> None:
    """Cancel whatever still runs in this loop."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await asyncio.sleep(0.05)  # the connections close
