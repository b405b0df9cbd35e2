"""Several simulated clusters in one process, standing still: their objects are put there, and no controller moves them.

``python -m bench.still_clusters NUMBER`` answers each JSON line on stdin with one on stdout, the first by itself: how
to reach them. For kube_sweep.py.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from tests.simulators.kubernetes.server import Simulator, cpu_node

Object = dict[str, Any]
SINCE = "2026-01-01T00:00:00Z"


def stored(sim: Simulator, manifest: Object) -> Object:
    """The object with what an API server adds to one that the portal applied."""
    writer = {"manager": "inference-portal", "operation": "Apply", "apiVersion": manifest["apiVersion"], "time": SINCE,
              "fieldsType": "FieldsV1", "fieldsV1": {}}
    return {**manifest, "metadata": {**manifest["metadata"], "uid": str(uuid.uuid4()), "creationTimestamp": SINCE,
                                     "generation": 1, "managedFields": [writer]}}


def pod_of(workload: Object, ready: bool = True) -> Object:
    """The first pod of a StatefulSet, as a kubelet leaves it."""
    meta, template = workload["metadata"], workload["spec"]["template"]
    name = f"{meta['name']}-0"
    conditions = [{"type": type_, "status": "True" if ready or "eady" not in type_ else "False", "lastTransitionTime": SINCE}
                  for type_ in ("PodScheduled", "Initialized", "ContainersReady", "Ready")]
    state = {"name": "engine", "ready": ready, "started": ready, "restartCount": 0, "state": {"running": {"startedAt": SINCE}}}
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": meta["namespace"], "labels": {
            **template["metadata"]["labels"], "statefulset.kubernetes.io/pod-name": name}},
        "spec": {**template["spec"], "nodeName": "cpu-0"},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [state]},
    }


def put(sim: Simulator, objects: list[Object]) -> None:
    """Straight into the store, past every controller."""
    store, kinds = sim.cluster.store, sim.cluster
    for obj in objects:
        store.create(kinds.resource(obj["kind"]), stored(sim, obj))


def set_ready(sim: Simulator, names: list[tuple[str, str]], ready: bool) -> None:
    store, sets, pods = sim.cluster.store, sim.cluster.resource("StatefulSet"), sim.cluster.resource("Pod")
    for namespace, name in names:
        workload, pod = store.get(sets, namespace, name), store.get(pods, namespace, f"{name}-0")
        assert workload is not None, name
        assert pod is not None, name
        store.replace(pods, {**pod, "status": pod_of(workload, ready)["status"]})


def fill(sim: Simulator, path: str) -> int:
    objects: list[Object] = json.loads(Path(path).read_text())
    sets = [each for each in objects if each["kind"] == "StatefulSet"]
    sim.call(put, sim, [*objects, *(pod_of(each) for each in sets)])
    return len(objects) + len(sets)


def served(sim: Simulator) -> dict[str, int]:
    """Requests since the last time, by method and kind; a page of a list counts as one."""
    counts = Counter(f"{each.method} {each.path.rpartition('/')[2]}" for each in sim.requests)
    sim.app.requests.clear()
    return dict(counts)


def answer(sims: list[Simulator], asked: Object) -> Any:
    sim = sims[asked["cluster"]]
    match asked["do"]:
        case "fill":
            return fill(sim, asked["path"])
        case "ready":
            return sim.call(set_ready, sim, [tuple(each) for each in asked["names"]], asked["ready"])
        case "slow":
            return sim.fault(delay=asked["seconds"]).hits
        case "served":
            return served(sim)
    raise SystemExit(f"unknown: {asked}")


def still() -> Simulator:
    sim = Simulator(nodes=[cpu_node(f"cpu-{number}") for number in range(5)]).start()
    # Nobody hears of what happens from here on.
    sim.call(sim.cluster.store._listeners.clear)
    return sim


def main(number: int) -> None:
    with ExitStack() as stack:
        sims = [still() for _ in range(number)]
        for sim in sims:
            stack.callback(sim.close)
        say([{"url": sim.url, "ca": sim.ca_pem, "token": sim.admin_token} for sim in sims])
        for line in sys.stdin:
            say(answer(sims, json.loads(line)))


def say(told: Any) -> None:
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
