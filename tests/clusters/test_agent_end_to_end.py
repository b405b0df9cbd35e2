"""The real agent, the real portal, real processes."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import psutil
import pytest
from django.db import connection

from clusters import states
from clusters.agent.client import Client
from clusters.agent.signing import HostKey
from clusters.models import Engine, Host
from clusters.services import mark_lost_hosts
from clusters.states import Phase
from tests.cast import make_cluster
from tests.simulators.engine.install import install, model

from .agent_rig import (
    AgentProcess,
    Portal,
    host_named,
    identity_of,
    new_agent,
    order_engine,
    phase_is,
    stop_engine,
    until,
)

pytestmark = [pytest.mark.slow, pytest.mark.django_db(transaction=True)]
Start = Callable[..., AgentProcess]


@pytest.fixture
def portal(tmp_path: Path, transactional_db: None) -> Iterator[Portal]:
    folder = tmp_path / "portal"
    folder.mkdir()
    portal = Portal(folder)
    yield portal.start()
    portal.stop()


@pytest.fixture
def start(tmp_path: Path, portal: Portal) -> Iterator[Start]:
    """Starts an agent with the small engine installed, enrolled in a place of its own name."""
    agents: list[AgentProcess] = []

    def starting(name: str = "host-1", *options: str) -> AgentProcess:
        agent = new_agent(tmp_path / name, portal, make_cluster(f"place-of-{name}"), name, *options)
        agents.append(agent)
        install(agent.engines_dir)
        return agent.start()

    yield starting
    for agent in agents:
        agent.kill()


def test_an_order_becomes_a_serving_engine_and_goes_again(start: Start, tmp_path: Path) -> None:
    agent = start()
    host = host_named("host-1")
    assert host.releases == ["small-1"]
    assert host.node.memory_bytes == psutil.virtual_memory().total or host.node.memory_bytes > 0
    engine = order_engine(host, model(tmp_path, load_seconds=1, lines=["Starting to load model x"]))
    phase_is(engine, Phase.LOADING)
    assert engine.message == "Loading the weights"
    phase_is(engine, Phase.READY)
    assert engine.pid in agent.engine_pids()
    assert engine.reported_at
    assert engine.phase_since
    stop_engine(engine)
    until(lambda: not Engine.objects.exists(), what=lambda: "the row goes")
    assert agent.engine_pids() == set()


def test_an_order_reaches_the_process_within_a_second(start: Start, tmp_path: Path) -> None:
    agent = start()
    host = host_named("host-1")
    until(lambda: Host.objects.get().seen_at, what=lambda: "first report")
    time.sleep(0.5)  # the agent waits for its wake-up call now
    ordered = time.monotonic()
    order_engine(host, model(tmp_path))
    until(agent.engine_pids, what=lambda: "an engine's process")
    assert time.monotonic() - ordered < 1.0


def test_nothing_of_the_agent_listens(start: Start, tmp_path: Path) -> None:
    agent = start()
    engine = phase_is(order_engine(host_named("host-1"), model(tmp_path)), Phase.READY)
    assert [c for c in psutil.Process(agent.pid).net_connections() if c.status == psutil.CONN_LISTEN] == []
    listening = [c for c in psutil.Process(engine.pid).net_connections() if c.status == psutil.CONN_LISTEN]
    assert [(c.laddr.ip, c.laddr.port) for c in listening] == [("127.0.0.1", engine.port)]


def test_a_killed_agent_takes_its_engines_up_again(start: Start, tmp_path: Path) -> None:
    agent = start()
    host = host_named("host-1")
    engines = [phase_is(order_engine(host, model(tmp_path)), Phase.READY) for _ in range(2)]
    before = {engine.pid for engine in engines}
    agent.signal(signal.SIGKILL)
    agent.wait()
    assert agent.engine_pids() == before
    agent.start()
    until(lambda: agent.log.count("adopted engine") == 2, what=lambda: "adoption")
    late = Engine.objects.get(pk=engines[0].pk).reported_at
    until(lambda: Engine.objects.get(pk=engines[0].pk).reported_at > late, what=lambda: "a report of the new agent")
    for engine in engines:
        phase_is(engine, Phase.READY)
    assert {engine.pid for engine in engines} == before == agent.engine_pids()


def test_an_engine_nobody_ordered_ends_when_its_agent_is_back(start: Start, tmp_path: Path) -> None:
    agent = start()
    host = host_named("host-1")
    engine = phase_is(order_engine(host, model(tmp_path)), Phase.READY)
    agent.signal(signal.SIGKILL)
    agent.wait()
    Engine.objects.filter(pk=engine.pk).delete()
    assert agent.engine_pids()
    agent.start()
    until(lambda: not agent.engine_pids(), what=lambda: "the stray ends")


def test_a_terminated_agent_leaves_its_engines_unless_told_otherwise(start: Start, tmp_path: Path) -> None:
    stays, goes = start("stays"), start("goes", "--local", "--stop-engines-on-exit")
    kept = phase_is(order_engine(host_named("stays"), model(tmp_path)), Phase.READY)
    ended = phase_is(order_engine(host_named("goes"), model(tmp_path)), Phase.READY)
    for agent in (stays, goes):
        agent.signal(signal.SIGTERM)
        assert agent.wait() == 0
    assert stays.engine_pids() == {kept.pid}
    assert goes.engine_pids() == set()
    ended.refresh_from_db()
    assert ended.phase == Phase.ASSIGNED


def test_a_crash_is_reported_with_its_cause(start: Start, tmp_path: Path) -> None:
    start()
    engine = order_engine(host_named("host-1"), model(
        tmp_path, exit_code=1, text="ValueError: No available memory for the cache blocks."))
    phase_is(engine, Phase.BACKOFF)
    assert engine.cause == "no_cache_memory"
    assert "leave no memory for the cache" in engine.message
    assert engine.exit_code == 1
    assert "No available memory" in engine.log


def test_arguments_stay_literal_and_the_environment_is_built(start: Start, tmp_path: Path) -> None:
    start()
    marker = tmp_path / "marker"
    nasty = [f"; touch {marker}", f"$(touch {marker})", f"`touch {marker}`", f"&& touch {marker} |", "a\nb", "--x=$HOME"]
    path = model(tmp_path, record=str(tmp_path / "record"))
    engine = phase_is(order_engine(host_named("host-1"), path, *nasty, env={"VLLM_CPU_KVCACHE_SPACE": "1"}), Phase.READY)
    seen = json.loads((tmp_path / "record").read_text())
    assert seen["argv"] == ["-m", "vllm.entrypoints.openai.api_server", "--model", path, *nasty,
                            "--host", "127.0.0.1", "--port", str(engine.port)]
    assert not marker.exists()
    assert set(seen["env"]) - {"PWD", "OLDPWD", "SHLVL", "_", "LC_CTYPE"} == {
        "PATH", "HOME", "LANG", "VLLM_NO_USAGE_STATS", "VLLM_CPU_KVCACHE_SPACE", "PYTHONUNBUFFERED",
        "CUDA_VISIBLE_DEVICES", "PORTAL_AGENT_STATE", "PORTAL_ENGINE_UID", "PORTAL_ENGINE_PORT"}
    assert seen["env"]["PORTAL_ENGINE_UID"] == str(engine.uid)


@pytest.mark.both_databases
def test_agents_that_wait_are_woken_together_and_hold_no_connection(start: Start, portal: Portal) -> None:
    agent = start()
    host_named("host-1")
    identity = identity_of(agent)
    client = Client(portal.url, HostKey.from_text(identity["key"]), identity["host"])
    waiting = [threading.Thread(target=client.wake, args=(99,)) for _ in range(25)]
    for thread in waiting:
        thread.start()
    time.sleep(1.5)
    # SQLite keeps closed files open for the next to come, so that only a server can tell.
    connections = server_connections()
    assert all(thread.is_alive() for thread in waiting)
    Host.objects.update(wanted_version=100)
    began = time.monotonic()
    for thread in waiting:
        thread.join()
    assert time.monotonic() - began < 2.0
    assert connections <= 5, "ours, the poller's, and what the agent's own reports keep"


def server_connections() -> int:
    if connection.vendor != "mysql":
        return 0
    with connection.cursor() as cursor:
        cursor.execute("SHOW PROCESSLIST")
        return sum(row[3] == connection.settings_dict["NAME"] for row in cursor.fetchall())


def test_two_agents_in_one_folder_are_one_too_many(start: Start) -> None:
    agent = start()
    host_named("host-1")
    twin = AgentProcess(agent.folder, agent.server, "", "twin")
    twin.start()
    assert twin.wait() == 1
    assert "another agent already uses" in agent.log


def test_the_log_of_the_agent_holds_no_secret(start: Start, tmp_path: Path) -> None:
    agent = start()
    phase_is(order_engine(host_named("host-1"), model(tmp_path)), Phase.READY)
    identity = identity_of(agent)
    assert (agent.state_dir / "agent.json").stat().st_mode & 0o777 == 0o600
    assert not [secret for secret in (agent.token, identity["key"]) if secret in agent.log]
    for line in agent.log.splitlines():
        json.loads(line)


class TestLostLease:
    @pytest.fixture
    def portal(self, tmp_path: Path, transactional_db: None) -> Iterator[Portal]:
        folder = tmp_path / "portal"
        folder.mkdir()
        portal = Portal(folder, LEASE_SECONDS="4", LEASE_MARGIN_SECONDS="1", HEARTBEAT_SECONDS="1")
        yield portal.start()
        portal.stop()

    def test_a_cut_off_agent_stops_its_engines_before_the_lease_ends(
            self, start: Start, portal: Portal, tmp_path: Path) -> None:
        agent = start()
        engine = phase_is(order_engine(host_named("host-1"), model(tmp_path)), Phase.READY)
        portal.stop()
        cut = time.monotonic()
        until(lambda: not agent.engine_pids(), what=lambda: "the engine ends")
        assert time.monotonic() - cut < 4.0
        portal.start()
        until(agent.engine_pids, what=lambda: "the engine is started again")
        until(lambda: {Engine.objects.get(pk=engine.pk).pid} == agent.engine_pids(), what=lambda: "the new process is reported")
        phase_is(engine, Phase.READY)

    def test_a_frozen_agent_is_superseded_and_stops_what_is_not_ordered(
            self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(states, "LEASE_MARGIN", timedelta(seconds=1))
        agent = start()
        host = host_named("host-1")
        engine = phase_is(order_engine(host, model(tmp_path)), Phase.READY)
        os.kill(agent.pid, signal.SIGSTOP)
        until(mark_lost_hosts, what=lambda: "the host is lost")
        host.refresh_from_db()
        engine.refresh_from_db()
        assert (host.state, engine.phase, host.node.__class__.objects.get().ready) == ("LOST", Phase.LOST, False)
        Engine.objects.filter(pk=engine.pk).delete()  # its place was given to another host
        os.kill(agent.pid, signal.SIGCONT)
        until(lambda: not agent.engine_pids(), 10, lambda: "the orphan ends")
        until(lambda: Host.objects.get().state == "READY", what=lambda: "the host is back")
        until(lambda: "superseded" in agent.log, what=lambda: "the refusal of the old epoch")
