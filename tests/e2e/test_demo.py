"""The main job on real input: two models, a real engine each, called through the gateway."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from portal.demo.shelf import engine_python

from .client_calls import check_clients
from .portal_run import PortalRun

pytestmark = [pytest.mark.slow, pytest.mark.engine]
DEMO_SECONDS = 600


def run_demo(data_dir: Path) -> PortalRun:
    run = PortalRun(data_dir, "demo", "--once", HF_HUB_OFFLINE="1")
    try:
        run.process.wait(DEMO_SECONDS)
    finally:
        left = run.family()
        run.stop()
    assert left == []
    assert run.process.returncode == 0, run.output
    return run


def run_demo_and_call(data_dir: Path) -> PortalRun:
    """The demo as `make demo` leaves it: up, for the clients of programs, until Ctrl-C."""
    run = PortalRun(data_dir, "demo", HF_HUB_OFFLINE="1")
    try:
        run.wait_for("The portal is up at", DEMO_SECONDS)
        access = run.access()
        check_clients(access["PORTAL_URL"], access["PORTAL_API_KEY"], chat="tiny-llama", embedding="minilm")
        run.process.send_signal(signal.SIGINT)
        run.process.wait(60)
    finally:
        left = run.family()
        run.stop()
    assert left == []
    assert run.process.returncode == 0, run.output
    return run


def test_the_demo_deploys_answers_and_stops_twice(tmp_path: Path) -> None:
    assert engine_python().exists(), "the engine is missing: run `make setup`"
    for turn, run_it in (("first", run_demo), ("second", run_demo_and_call)):
        run = run_it(tmp_path)
        related, unrelated = (float(found) for found in re.findall(r"minilm +(-?\d\.\d+)  “", run.output))
        assert related > 0.5 > 0.2 > unrelated, turn
        assert re.search(r"→ '.+' \(random weights: noise\)", run.output), turn
        own = re.search(r"([\d.]+) s the portal's own part", run.output)
        assert own is not None
        assert float(own[1]) < 30, "the portal's own part has grown out of proportion (10 s is the aim)"
        assert ("made the operator" in run.output) is (turn == "first")
