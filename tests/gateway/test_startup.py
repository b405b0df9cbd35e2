"""Starting and stopping the server: wrong keys, no database, drain, and the gateway on its own."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import threading
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2 as httpx
import pytest
from django.db import connection

from portal.tenancy.models import ApiKey, Instance
from tests.gateway.server import Server, database, eventually, make_tenant, migrate
from tests.rig.servers import mariadb, running
from tests.simulators.openai_backend import OpenAIBackend

BODY = {"model": "m", "messages": [], "stream": True}


@contextmanager
def started(server: Server, application: str = "portal.asgi:application", **more: str) -> Iterator[Server]:
    server.start(application, **more)
    try:
        server.wait()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.stop()


@pytest.fixture
def own(tmp_path: Path, empty_portal: Path, django_db_blocker: Any) -> Iterator[Server]:
    """A server of this test alone, not started yet, with its database open here."""
    shutil.copy(empty_portal / "portal.sqlite3", tmp_path)
    with django_db_blocker.unblock(), database(tmp_path):
        yield Server(tmp_path)


def test_wrong_field_keys_refuse_to_start_with_one_line(own: Server) -> None:
    Instance.check_keys()
    own.start(PORTAL_FIELD_KEYS=urlsafe_b64encode(b"k" * 32).decode())
    assert own.process is not None
    assert own.listener is not None
    assert own.process.wait(30) == 3
    own.listener.close()
    lines = [line for line in own.log.splitlines() if "refusing" in line]
    assert len(lines) == 1
    assert lines[0].endswith("PORTAL_FIELD_KEYS has not the key that this database's secrets were encrypted with.")
    assert "Traceback" not in own.log


def test_a_database_without_tables_is_503_until_it_is_there(own: Server, empty_portal: Path) -> None:
    own.folder.joinpath("portal.sqlite3").unlink()
    own.start()
    unknown = {"authorization": "Bearer sk-" + "a" * 16 + "-" + "b" * 43}
    try:
        own.wait()
        assert httpx.get(f"{own.url}/v1/models", headers=unknown).status_code == 503
        shutil.copy(empty_portal / "portal.sqlite3", own.folder)
        eventually(lambda: httpx.get(f"{own.url}/v1/models", headers=unknown).status_code == 401)
    finally:
        own.stop()


@pytest.mark.parametrize("application", ["portal.asgi:application", "endpoints.gateway.asgi:application"])
def test_a_stop_lets_streams_end_and_writes_what_is_in_memory(own: Server, application: str) -> None:
    with OpenAIBackend() as engine, started(own, application, PORTAL_GATEWAY_FLUSH_SECONDS="3600"):
        tenant = make_tenant(own, "stopping")
        tenant.endpoint("m", engine.url)
        tenant.wait_for("m")
        key = tenant.key()
        engine.script.words, engine.script.delay = 40, 0.03
        lines: list[str] = []

        def read() -> None:
            headers = {"authorization": f"Bearer {key}"}
            with httpx.stream("POST", f"{own.url}/v1/chat/completions", json=BODY, headers=headers) as answer:
                lines.extend(line for line in answer.iter_lines() if line)

        reader = threading.Thread(target=read)
        reader.start()
        eventually(lambda: engine.open_requests == 1)
        own.stop()
        reader.join(10)
        assert lines[-1] == "data: [DONE]"
        assert len(lines) == 41
        assert ApiKey.objects.get(public_id=key[3:19]).last_used_at is not None
        assert '"completion_tokens":5' in own.log
        for client in tenant.clients:
            client.close()


def test_a_caller_that_reads_nothing_is_given_up(own: Server) -> None:
    with OpenAIBackend() as engine, started(own, PORTAL_GATEWAY_WRITE_SECONDS="1"):
        tenant = make_tenant(own, "deaf")
        tenant.endpoint("m", engine.url)
        tenant.wait_for("m")
        engine.script.words, engine.script.word = 400, "x" * 100_000
        body = json.dumps(BODY).encode()
        head = (f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {tenant.key()}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n")
        with socket.create_connection(("127.0.0.1", own.port)) as caller:
            caller.sendall(head.encode() + body)
            eventually(lambda: '"error":"client_gone"' in own.log, 8)
        for client in tenant.clients:
            client.close()


def test_who_goes_on_with_wrong_keys_is_told_to_wait_and_nobody_is_locked_out(own: Server) -> None:
    wrong = {"authorization": "Bearer sk-" + "a" * 16 + "-" + "b" * 43}
    with OpenAIBackend() as engine, started(own, PORTAL_WRONG_KEYS="3", PORTAL_BEHIND_PROXY="true"):
        tenant = make_tenant(own, "guessed")
        tenant.endpoint("m", engine.url)
        tenant.wait_for("m")

        def ask(headers: dict[str, str], whence: str) -> httpx.Response:
            return httpx.post(f"{own.url}/v1/chat/completions", json=BODY, headers={**headers, "x-forwarded-for": whence})

        assert [ask(wrong, "203.0.113.1").status_code for _ in range(5)] == [401, 401, 401, 429, 429]
        refused = ask(wrong, "203.0.113.1")
        assert refused.json()["error"]["code"] == "too_many_wrong_keys"
        assert 0 < int(refused.headers["retry-after"]) <= 60
        assert ask(wrong, "203.0.113.2").status_code == 401, "another address"
        assert ask({}, "203.0.113.1").status_code == 401, "a call without a key guesses none"
        assert ask({"authorization": f"Bearer {tenant.key()}"}, "203.0.113.1").status_code == 200, "a new, right key"
        for client in tenant.clients:
            client.close()


def test_a_web_socket_is_closed(own: Server) -> None:
    upgrade = (b"GET /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n"
               b"sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
    with started(own):
        assert own.raw(upgrade).startswith(b"HTTP/1.1 403")


@pytest.mark.slow
def test_a_killed_mariadb_breaks_no_stream_and_is_503_until_it_is_back(tmp_path: Path, django_db_blocker: Any) -> None:
    with (mariadb(tmp_path) as url, django_db_blocker.unblock(), database(tmp_path, url), OpenAIBackend() as engine):
        migrate(tmp_path, url)
        with connection.cursor() as cursor:
            cursor.execute("SET GLOBAL innodb_flush_log_at_trx_commit = 1")  # or the kill takes the last second's rows
        with started(Server(tmp_path, database_url=url)) as own:
            tenant = make_tenant(own, "surviving")
            tenant.endpoint("m", engine.url)
            tenant.wait_for("m")
            headers = {"authorization": f"Bearer {tenant.key()}"}
            engine.script.words, engine.script.delay = 70, 0.1
            pid = int((tmp_path / "my.pid").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
            with httpx.stream("POST", f"{own.url}/v1/chat/completions", json=BODY, headers=headers) as answer:
                os.kill(pid, signal.SIGKILL)
                assert httpx.get(f"{own.url}/v1/models", headers=headers).status_code == 200
                lines = [line for line in answer.iter_lines() if line]
            assert lines[-1] == "data: [DONE]"
            refused = httpx.get(f"{own.url}/v1/models", headers=headers)
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "2")
            with running(command, log=tmp_path / "again.log", ready=lambda: pid_of(tmp_path) not in (0, pid)):
                eventually(lambda: httpx.get(f"{own.url}/v1/models", headers=headers).status_code == 200, 20)
            for client in tenant.clients:
                client.close()


def pid_of(folder: Path) -> int:
    text = (folder / "my.pid").read_text() if (folder / "my.pid").exists() else ""
    return int(text or 0)
