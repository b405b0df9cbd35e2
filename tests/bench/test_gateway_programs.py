"""The bench's own engine and load, compiled: they tell the truth of each other."""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.gateway.load import PATH, Line
from bench.gateway.tools import build

pytestmark = pytest.mark.skipif(shutil.which("gcc") is None, reason="needs a C compiler")


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return build(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def port(programs: tuple[Path, Path]) -> Iterator[str]:
    with subprocess.Popen([programs[0]], stdout=subprocess.PIPE, text=True) as engine:
        assert engine.stdout is not None
        yield engine.stdout.readline().strip()
        engine.kill()


def load(program: Path, port: str, folder: Path, line: Line, *, rate: float = 0) -> Any:
    path = folder / "body.json"
    path.write_text(json.dumps(line.body(), separators=(",", ":")))
    command = [program, port, PATH, path, str(line.connections), str(line.seconds), str(rate), "key"]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


def test_paced_streams_come_whole_and_take_their_time(programs: tuple[Path, Path], port: str, tmp_path: Path) -> None:
    found = load(programs[1], port, tmp_path, Line("s", 5, 1, chunks=8, pace=5000))
    assert found["faults"] == found["unfinished"] == 0
    assert found["all_events"] == 8 * found["all_answers"]
    assert found["answers"] > 5
    assert found["whole"]["p50"] >= 7 * 5000  # seven pauses of 5 ms
    assert found["first"]["p50"] < found["whole"]["p50"]


def test_plain_calls_keep_their_rate(programs: tuple[Path, Path], port: str, tmp_path: Path) -> None:
    found = load(programs[1], port, tmp_path, Line("p", 4, 1), rate=100)
    assert found["faults"] == 0
    assert 50 <= found["answers"] <= 101


HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
EVENT = b'14\r\ndata: {"x":"@1234"}\n\r\n'


@pytest.mark.parametrize(("answer", "why"), [
    (b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n", "answered HTTP/1.1 503"),
    (HEAD + EVENT, "the connection was closed in an answer"),
    (HEAD + EVENT + b"0\r\n\r\n", "a stream did not come whole"),
])
def test_a_refusal_and_a_cut_stream_are_faults(
        programs: tuple[Path, Path], tmp_path: Path, answer: bytes, why: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=say, args=(listener, answer), daemon=True).start()
        found = load(programs[1], str(listener.getsockname()[1]), tmp_path, Line("s", 1, 0.2, chunks=4))
        listener.shutdown(socket.SHUT_RDWR)
    assert found["faults"] > 0
    assert found["all_answers"] == 0
    assert why in found["fault"]


def say(listener: socket.socket, answer: bytes) -> None:
    """The same to everybody."""
    with contextlib.suppress(OSError):
        while True:
            connection, _address = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(answer)
