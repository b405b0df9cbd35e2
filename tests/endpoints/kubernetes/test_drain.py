"""The hook of a pod that is to go, run as its container would: it waits for calls, and for nothing else."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from endpoints.targets.kubernetes.drain import grace_seconds, pre_stop

from .making import revision

PAGE = """# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{{engine="0",model_name="m"}} {running}
vllm:num_requests_waiting{{engine="0",model_name="m"}} {waiting}
vllm:prompt_tokens_total{{engine="0",model_name="m"}} 9000.0
"""
SGLANG = 'sglang:num_running_reqs{{model_name="m"}} {running}\nsglang:num_queue_reqs{{model_name="m"}} {waiting}\n'


class Engine(ThreadingHTTPServer):
    """Tells how many calls it has."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Page)
        self.page, self.running, self.waiting, self.asked = PAGE, 0.0, 0.0, 0


class Page(BaseHTTPRequestHandler):
    server: Engine

    def do_GET(self) -> None:
        self.server.asked += 1
        self.send_response(200)
        self.end_headers()
        self.wfile.write(self.server.page.format(running=self.server.running, waiting=self.server.waiting).encode())

    def log_message(self, *_words: object) -> None:
        """Be quiet."""


@pytest.fixture
def engine() -> Iterator[Engine]:
    with Engine() as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield running
        running.shutdown()


def hook(port: int, most: float) -> subprocess.Popen[bytes]:
    command = pre_stop(port, notice=0.1, most=most)["exec"]["command"]
    return subprocess.Popen([sys.executable, *command[1:]], stderr=subprocess.PIPE)


@pytest.mark.parametrize("page", [PAGE, SGLANG], ids=["vllm", "sglang"])
@pytest.mark.parametrize("kind", ["running", "waiting"])
def test_a_pod_stays_until_its_calls_have_ended(engine: Engine, page: str, kind: str) -> None:
    engine.page = page
    setattr(engine, kind, 2.0)
    with hook(engine.server_port, 60) as waiting:
        until = time.monotonic() + 30
        while engine.asked < 2:
            assert waiting.poll() is None
            assert time.monotonic() < until
            time.sleep(0.02)
        setattr(engine, kind, 0.0)
        assert waiting.wait(30) == 0


def test_a_pod_without_calls_goes_after_its_notice(engine: Engine) -> None:
    with hook(engine.server_port, 60) as waiting:
        assert waiting.wait(30) == 0
    assert engine.asked == 1


def test_calls_without_end_hold_nobody_for_ever(engine: Engine) -> None:
    engine.running = 1.0
    with hook(engine.server_port, 0.5) as waiting:
        assert waiting.wait(30) == 0


def test_an_engine_that_is_gone_is_not_waited_for(engine: Engine) -> None:
    with hook(1, 60) as waiting:
        assert waiting.wait(30) != 0


def test_a_pod_may_take_longer_to_stop_than_its_hook_and_its_engine() -> None:
    notice, most = map(float, pre_stop(8000)["exec"]["command"][-2:])
    assert grace_seconds(revision(arguments={"shutdown-timeout": 60})) >= notice + most + 60 + 30
