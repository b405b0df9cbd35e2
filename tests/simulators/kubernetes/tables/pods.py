"""The cells of a pod: how many of its containers are ready, and in one word how it is."""

from __future__ import annotations

from typing import Any

from tests.simulators.kubernetes.tables.cells import NONE, human, seconds_since

Object = dict[str, Any]


def pod_cells(obj: Object) -> list[Any]:
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    states = status.get("containerStatuses") or []
    ready = sum(bool(each.get("ready")) for each in states)
    gates = spec.get("readinessGates") or []
    return [
        f"{ready}/{len(spec.get('containers') or ())}", pod_word(obj), restarts(states),
        status.get("podIP") or NONE, spec.get("nodeName") or NONE, status.get("nominatedNodeName") or NONE,
        NONE if not gates else f"{_gates_passed(gates, status)}/{len(gates)}",
    ]  # fmt: skip


def _gates_passed(gates: list[Object], status: Object) -> int:
    true = {each["type"] for each in status.get("conditions") or () if each.get("status") == "True"}
    return sum(gate["conditionType"] in true for gate in gates)


def restarts(states: list[Object]) -> str:
    count = sum(each.get("restartCount", 0) for each in states)
    ends = [((each.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for each in states]
    last = max((end for end in ends if end), default=None)
    return f"{count} ({human(seconds_since(last))} ago)" if count and last else str(count)


def pod_word(obj: Object) -> str:
    """The Status column: the phase, or what a container waits for or ended with."""
    status, metadata = obj.get("status") or {}, obj["metadata"]
    word = status.get("reason") or status.get("phase") or "Unknown"
    conditions = {each["type"]: each for each in status.get("conditions") or ()}
    if (conditions.get("PodScheduled") or {}).get("reason") == "SchedulingGated":
        word = "SchedulingGated"
    starting = _initializing(obj)
    if starting:
        word = starting
    else:
        word = _containers_word(status.get("containerStatuses") or [], word)
        if word == "Completed" and any(_is_up(each) for each in status.get("containerStatuses") or ()):
            ready = (conditions.get("Ready") or {}).get("status") == "True"
            word = "Running" if ready else "NotReady"
    if metadata.get("deletionTimestamp"):
        word = "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(word)


def _is_up(state: Object) -> bool:
    return bool(state.get("ready")) and "running" in (state.get("state") or {})


def _containers_word(states: list[Object], word: str) -> str:
    for each in reversed(states):
        state = each.get("state") or {}
        if (state.get("waiting") or {}).get("reason"):
            word = state["waiting"]["reason"]
        elif "terminated" in state:
            word = _end_word(state["terminated"])
    return word


def _end_word(end: Object) -> str:
    if end.get("reason"):
        return str(end["reason"])
    return f"Signal:{end['signal']}" if end.get("signal") else f"ExitCode:{end.get('exitCode', 0)}"


def _initializing(obj: Object) -> str:
    """What the first init container that is not done waits for; "" when all are."""
    total = len((obj.get("spec") or {}).get("initContainers") or ())
    for at, each in enumerate((obj.get("status") or {}).get("initContainerStatuses") or ()):
        state = each.get("state") or {}
        end = state.get("terminated")
        if (end and not end.get("exitCode")) or (each.get("started") and each.get("ready")):
            continue
        if end:
            return f"Init:{_end_word(end)}"
        waiting = (state.get("waiting") or {}).get("reason", "")
        return f"Init:{waiting}" if waiting not in ("", "PodInitializing") else f"Init:{at}/{total}"
    return ""
