"""Engines under the supervisor: real processes, and a clock that the test moves."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from clusters.agent.engines import DRAIN_SECONDS, Engine
from clusters.agent.health import Prober
from clusters.agent.inventory import take_inventory
from clusters.agent.messages import EngineOrder, Orders
from clusters.agent.process import CannotStart, Place, environment, find_marked, has_callers, kill_all
from clusters.agent.state import StateDir, read_json
from clusters.agent.supervisor import Supervisor
from tests.simulators.engine.install import install, model

from .agent_rig import until


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A supervisor over the small engine; `again()` is the agent after its own kill -9."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.clock, self.prober = folder, Clock(), Prober(2)
        self.place = Place("s" * 32, folder / "engines", "127.0.0.1", local=True)
        self.state = StateDir(folder / "state")
        self.state.path.mkdir()
        install(folder / "engines")
        self.version, self.epoch = 0, 1
        self.supervisor = self.again()

    def again(self) -> Supervisor:
        self.supervisor = Supervisor(self.state, self.place, self.prober, self.clock)
        self.supervisor.adopt()
        return self.supervisor

    def order(self, uid: str = "e1", **script: Any) -> EngineOrder:
        seconds = script.pop("start_seconds", 60)
        return EngineOrder(uid, "vllm", script.pop("release", "small-1"),
                           ("--model", model(self.folder, f"{uid}.json", **script)), {}, (), seconds, "")

    def give(self, *orders: EngineOrder, **values: Any) -> None:
        self.version += 1
        self.supervisor.apply(Orders(**{
            "complete": True, "version": self.version, "epoch": self.epoch, "lease_seconds": 3600, "margin_seconds": 15,
            "heartbeat_seconds": 5, "engines": orders, **values}), self.clock.now)

    def engine(self, uid: str = "e1") -> Engine:
        return self.supervisor.engines[uid]

    def pids(self) -> set[int]:
        return {running.pid for found in find_marked(self.place.state_id).values() for running in found}

    def watch(self, look: Callable[[], object], seconds: float = 60.0) -> None:
        """Tick in real time with the clock creeping on, until `look` holds."""
        def step() -> object:
            self.clock.now += 0.05
            self.supervisor.tick()
            return look()
        until(step, seconds, lambda: [(e.phase, e.message) for e in self.supervisor.engines.values()])

    def phase(self, phase: str, uid: str = "e1") -> Engine:
        self.watch(lambda: self.engine(uid).phase == phase)
        return self.engine(uid)

    def port(self) -> int:
        """Where the ready engine listens."""
        running = self.phase("READY").running
        assert running is not None
        return running.port


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    host = Host(tmp_path)
    yield host
    for processes in find_marked(host.place.state_id).values():
        kill_all(processes)
    for engine in host.supervisor.engines.values():
        if engine._child is not None:
            engine._child.wait()
    host.prober.close()


def test_an_engine_that_crashes_waits_longer_each_time_and_stays_off_after_five(host: Host) -> None:
    host.give(host.order(exit_code=1, text="torch.OutOfMemoryError: CUDA out of memory."))
    waits = []
    for start in range(1, 6):
        engine = host.phase("BACKOFF" if start < 5 else "CRASHLOOP")
        assert len(engine.history.starts) == start
        waits.append(round(engine.history.next_start - host.clock.now))
        host.clock.now = engine.history.next_start
        host.supervisor.tick()
    assert waits[:4] == [10, 20, 40, 80]
    host.clock.now += 7200
    host.supervisor.tick()
    report = host.engine().report()
    assert (report.phase, report.cause, report.restarts, report.exit_code) == ("CRASHLOOP", "gpu_memory", 4, 1)
    assert "ran out of memory" in report.message
    assert "CUDA out of memory" in (report.log or "")
    assert "CUDA out of memory" in (report.previous_log or "")
    assert host.pids() == set()


def test_a_crash_loop_is_remembered_over_a_restart_of_the_agent(host: Host) -> None:
    host.give(host.order(exit_code=2))
    for _ in range(5):
        host.watch(lambda: host.engine().phase in ("BACKOFF", "CRASHLOOP"))
        host.clock.now = host.engine().history.next_start
        host.supervisor.tick()
    host.phase("CRASHLOOP")
    host.again()
    host.give(host.order(exit_code=2))
    assert host.engine().phase == "CRASHLOOP"
    assert host.engine().report().cause == "bad_argument"
    assert host.pids() == set()


def test_a_killed_engine_shows_137_and_takes_its_workers_with_it(host: Host) -> None:
    host.give(host.order(child=True))
    host.phase("READY")
    host.watch(lambda: len(host.pids()) == 2)
    leader = host.engine().running
    assert leader is not None
    os.kill(leader.pid, 9)
    engine = host.phase("BACKOFF")
    assert engine.report().exit_code == 137
    assert "killed" in engine.message
    until(lambda: not host.pids(), what=lambda: "workers end")


def test_an_engine_that_ignores_sigterm_is_killed_after_ten_seconds(host: Host) -> None:
    host.give(host.order(ignore_term=True, child=True))
    host.phase("READY")
    host.give()
    host.clock.now += 9.5
    host.supervisor.tick()
    time.sleep(0.1)
    assert host.engine().phase == "STOPPING"
    assert len(host.pids()) == 2
    host.clock.now += 1
    host.watch(lambda: not host.supervisor.engines)
    assert host.pids() == set()
    assert not (host.state.path / "engines" / "e1").exists()


def test_an_engine_that_is_not_ready_in_time_is_killed_and_counted(host: Host) -> None:
    host.give(host.order(start_seconds=30, load_seconds=60, lines=["Starting to load model x"]))
    host.phase("LOADING")
    host.clock.now += 31
    engine = host.phase("BACKOFF")
    assert "not ready after 30 s (Loading the weights)" in engine.message
    assert engine.report().cause == "too_slow"
    assert host.pids() == set()


def test_an_engine_that_falls_ill_is_no_longer_ready(host: Host) -> None:
    host.give(host.order(healthy_seconds=0.5))
    host.phase("READY")
    for _ in range(40):
        host.clock.now += 6
        host.supervisor.tick()
        time.sleep(0.05)
        if host.engine().phase == "LOADING":
            break
    assert host.engine().phase == "LOADING"
    assert "/health" in host.engine().message


def test_engines_are_adopted_by_their_marks_after_a_kill_of_the_agent(host: Host) -> None:
    orders = [host.order(f"e{n}") for n in range(3)]
    host.give(*orders)
    for n in range(3):
        host.phase("READY", f"e{n}")
    before = host.pids()
    children = [engine._child for engine in host.supervisor.engines.values()]
    host.again()
    assert set(host.supervisor.engines) == {"e0", "e1", "e2"}
    host.give(*orders)
    for n in range(3):
        host.phase("READY", f"e{n}")
    assert host.pids() == before
    host.give(orders[0])
    host.watch(lambda: set(host.supervisor.engines) == {"e0"})
    assert len(host.pids()) == 1
    for child in children[1:]:
        assert child is not None
        child.wait()
    kill_all(host.engine("e0").processes())
    assert children[0] is not None
    children[0].wait()


def test_only_a_complete_list_of_the_current_epoch_ends_engines(host: Host) -> None:
    host.epoch = 5
    host.give(host.order(ignore_term=True))
    host.phase("READY")
    host.give(complete=False)
    host.give(epoch=4)
    host.watch(lambda: True)
    assert host.engine().phase == "READY"
    host.give(epoch=6)
    assert host.engine().phase == "STOPPING"


def test_workers_left_by_a_dead_engine_are_ended_at_the_next_start(host: Host) -> None:
    host.give(host.order(child=True))
    host.phase("READY")
    host.watch(lambda: len(host.pids()) == 2)
    engine = host.engine()
    assert engine.running is not None
    assert engine._child is not None
    os.kill(engine.running.pid, 9)
    engine._child.wait()
    assert len(host.pids()) == 1
    host.again()
    until(lambda: not host.pids(), what=lambda: "orphans end")


def test_a_process_with_the_same_number_is_not_taken_for_ours(host: Host) -> None:
    host.give(host.order())
    running = host.phase("READY").running
    assert running is not None
    assert running.alive()
    assert not replace(running, started=running.started + 1).alive()
    assert not replace(running, pid=os.getpid()).alive()


def test_without_a_lease_nothing_runs_and_with_one_again_it_does(host: Host) -> None:
    host.give(host.order(), lease_seconds=60)
    host.phase("READY")
    host.clock.now += 44
    host.supervisor.tick()
    assert host.engine().phase == "READY"
    host.clock.now += 2
    host.supervisor.tick()
    assert host.engine().phase in ("STOPPING", "ASSIGNED")
    host.watch(lambda: not host.pids())
    host.watch(lambda: host.engine().phase == "ASSIGNED")
    assert host.pids() == set(), "it stays off"
    host.give(host.order(), lease_seconds=60)
    host.phase("READY")


def test_the_lease_of_an_earlier_life_still_counts(host: Host) -> None:
    host.give(host.order(), lease_seconds=60)
    host.phase("READY")
    child = host.engine()._child
    host.clock.now += 46
    host.again()
    host.watch(lambda: not host.pids())
    assert child is not None
    child.wait()


def test_disk_pressure_holds_up_starts_but_not_what_runs(host: Host) -> None:
    host.give(host.order("e1"))
    host.phase("READY", "e1")
    host.supervisor.hindrance = "Less than 2 GiB of disk are free: no engine starts here."
    host.give(host.order("e1"), host.order("e2"))
    host.supervisor.tick()
    assert [host.engine(uid).phase for uid in ("e1", "e2")] == ["READY", "ASSIGNED"]
    assert "disk" in host.engine("e2").message
    host.supervisor.hindrance = ""
    host.phase("READY", "e2")


def test_a_disk_that_takes_no_file_ends_no_engine(host: Host) -> None:
    host.give(host.order("e1"))
    host.phase("READY", "e1")
    before = host.pids()
    host.state.path.rename(host.folder / "away")
    host.state.path.write_text("a file where the folder was: every write fails")
    host.give(host.order("e1"), host.order("e2"))
    for _ in range(3):
        host.supervisor.tick()
    assert host.engine("e1").phase == "READY"
    assert host.pids() == before
    host.state.path.unlink()
    (host.folder / "away").rename(host.state.path)
    host.give(host.order("e1"), host.order("e2"))
    host.phase("READY", "e2")


@pytest.mark.parametrize(("values", "words"), [
    ({"release": "absent-1"}, "absent-1 is not installed"),
    ({"release": "../../bin"}, "not the name of a folder"),
    ({"argv": ("a\0b",)}, "zero byte"),
    ({"env": {"LD_PRELOAD": "/tmp/x.so"}}, "LD_PRELOAD"),
    ({"env": {"PATH": "/tmp"}}, "PATH"),
    ({"env": {"PYTHONPATH": "/tmp"}}, "PYTHONPATH"),
    ({"env": {"PORTAL_ENGINE_UID": "x"}}, "PORTAL_ENGINE_UID"),
    ({"env": {"VLLM_PLUGINS": "x"}}, "VLLM_PLUGINS"),
])
def test_an_order_that_cannot_be_carried_out_says_why(host: Host, values: dict[str, Any], words: str) -> None:
    host.give(replace(host.order(), **values))
    engine = host.phase("BACKOFF")
    assert words in engine.message
    assert engine.report().cause == "cannot_start"


def test_an_engine_that_others_reach_needs_its_token_and_a_local_one_has_none(host: Host) -> None:
    order = replace(host.order(), token="secret-1", devices=(0, 3))
    far = environment(order, replace(host.place, local=False, address="192.0.2.7"), 9000, {"PATH": "/bin", "X": "y"})
    assert (far["VLLM_API_KEY"], far["CUDA_VISIBLE_DEVICES"], "X" in far) == ("secret-1", "0,3", False)
    assert "VLLM_API_KEY" not in environment(order, host.place, 9000, {})
    with pytest.raises(CannotStart):
        environment(replace(order, env={"VLLM_API_KEY": "mine"}), host.place, 9000, {})


def test_the_tokens_of_an_engine_are_not_in_its_arguments_and_not_in_its_reported_log(host: Host) -> None:
    host.place = replace(host.place, local=False)
    host.again()
    host.give(replace(host.order(lines=["key is secret-token-1, hub's is hf_gated_2"], record=str(host.folder / "record")),
                      token="secret-token-1", hub_token="hf_gated_2"))
    report = host.phase("READY").report()
    seen = json.loads((host.folder / "record").read_text())
    assert (seen["env"]["VLLM_API_KEY"], seen["env"]["HF_TOKEN"]) == ("secret-token-1", "hf_gated_2")
    assert "secret-token-1" not in " ".join(seen["argv"])
    assert report.log == "key is ***, hub's is ***"


def test_logs_are_told_once(host: Host) -> None:
    host.give(host.order(lines=["one line"]))
    host.phase("READY")
    first = host.supervisor.reports()
    assert first[0].log == "one line"
    host.supervisor.note_told(first)
    assert host.supervisor.reports()[0].log is None
    host.supervisor.retell()
    assert host.supervisor.reports()[0].log == "one line"


def test_a_stranger_on_the_engines_port_does_not_make_it_ready(host: Host) -> None:
    host.give(host.order(load_seconds=1))
    running = host.phase("STARTING").running
    assert running is not None
    stranger = subprocess.Popen(
        [str(host.folder / "engines/small-1/bin/python"), "--model", "", "--host", "127.0.0.1", "--port", str(running.port)])
    try:
        connections = psutil.Process(stranger.pid).net_connections
        until(lambda: [c for c in connections() if c.status == "LISTEN"], what=lambda: "stranger")
        engine = host.phase("BACKOFF")
        assert engine.report().cause == "port_in_use"
    finally:
        stranger.kill()
        stranger.wait()


def test_the_inventory_is_that_of_this_machine(host: Host) -> None:
    (host.folder / "engines" / "no-python").mkdir()
    found = take_inventory(host.state.path, host.folder / "engines", ())
    assert found.releases == ("small-1",)
    assert 0 < found.cpu_millis <= 1000 * (os.cpu_count() or 1)
    assert 0 < found.memory_used_by_others <= found.memory_bytes <= psutil.virtual_memory().total
    assert 0 <= found.disk_free_bytes <= found.disk_bytes


def test_a_broken_or_missing_file_of_state_is_no_history(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("[1")
    assert read_json(tmp_path / "x.json") == read_json(tmp_path / "y.json") == {}


def test_a_stopped_engine_ends_when_its_last_caller_has_gone(host: Host) -> None:
    host.give(host.order())
    port = host.port()
    with socket.create_connection(("127.0.0.1", port)):
        host.watch(lambda: has_callers(host.engine().processes(), port))
        host.give()
        for _ in range(20):
            host.clock.now += 5
            host.supervisor.tick()
        assert host.engine().phase == "STOPPING"
        assert host.pids()
    host.watch(lambda: not host.supervisor.engines)
    assert host.pids() == set()


def test_callers_that_stay_hold_a_stopped_engine_for_so_long_only(host: Host) -> None:
    host.give(host.order())
    port = host.port()
    with socket.create_connection(("127.0.0.1", port)):
        host.watch(lambda: has_callers(host.engine().processes(), port))
        host.give()
        host.clock.now += DRAIN_SECONDS + 1
        host.watch(lambda: not host.supervisor.engines)
    assert host.pids() == set()


def test_without_its_lease_an_engine_is_not_drained(host: Host) -> None:
    host.give(host.order())
    port = host.port()
    with socket.create_connection(("127.0.0.1", port)):
        host.watch(lambda: has_callers(host.engine().processes(), port))
        host.give()
        host.clock.now = host.supervisor.lease.until
        host.watch(lambda: not host.supervisor.engines)
    assert host.pids() == set()
