"""10,000 endpoints on 20 clusters: what one period of looking costs, and whether a dead cluster holds up the others.

``python bench/kube_sweep.py [--clusters 20] [--endpoints 500] [--no-dead]``. The clusters are simulated, in processes
of their own, with every object that the portal renders. Limits: at most 2 API calls for 500 endpoints and kind; a
period with 1 % changed under 10 s and 400 MB; with one cluster that answers after 30 s, no other looked at late.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]

import secrets_file  # noqa: E402 - only found by the path above

WORKERS = 4  # threads of the portal's worker (portal.supervisor.programs)
IN_ONE_PROCESS = 5
PERIOD_SECONDS, RSS_MB, CALLS = 10.0, 400, 2
DEAD_SECONDS, WATCHED_SECONDS = 30.0, 60.0
Object = dict[str, Any]


class Clusters:
    """The simulated clusters of some processes."""

    def __init__(self, number: int, stack: ExitStack) -> None:
        self._hosts: list[tuple[subprocess.Popen[str], int]] = []
        self.reach: list[Object] = []
        processes = []
        for start in range(0, number, IN_ONE_PROCESS):
            count = min(IN_ONE_PROCESS, number - start)
            process = subprocess.Popen([sys.executable, "-m", "bench.still_clusters", str(count)], cwd=ROOT, text=True,
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            stack.callback(process.wait, 10)
            stack.callback(process.terminate)
            processes.append((process, count))
        for process, count in processes:
            self.reach += self._read(process)
            self._hosts += [(process, index) for index in range(count)]

    def ask(self, cluster: int, do: str, **more: Any) -> Any:
        process, index = self._hosts[cluster]
        assert process.stdin is not None
        process.stdin.write(json.dumps({"do": do, "cluster": index, **more}) + "\n")
        process.stdin.flush()
        return self._read(process)

    @staticmethod
    def _read(process: subprocess.Popen[str]) -> Any:
        assert process.stdout is not None
        return json.loads(process.stdout.readline())

    def served(self) -> list[Counter[str]]:
        return [Counter(self.ask(index, "served")) for index in range(len(self.reach))]


def make_rows(reach: list[Object], number: int, folder: Path) -> None:
    """In a process of its own: places, endpoints in service, and a file with the objects of each cluster."""
    import django

    django.setup()
    from django.core.management import call_command

    from bench import endpoint_rows
    from clusters.models import KubernetesAccess

    call_command("migrate", verbosity=0)
    workspace, profile = endpoint_rows.make_workspace(), endpoint_rows.make_profile()
    for index, road in enumerate(reach):
        place = endpoint_rows.make_place(f"kube-{index:02}")
        access = KubernetesAccess(cluster=place, server=road["url"], ca=road["ca"])
        access.put_secret("token", road["token"])
        access.save()
        endpoint_rows.make_endpoints(workspace, place, profile, number, prefix=f"c{index:02}")
        (folder / f"{index}.json").write_text(json.dumps(objects_of(place)))


def objects_of(place: Any) -> list[Object]:
    """As the portal sends them: rendered, staged and stamped."""
    from django.utils import timezone

    from endpoints.models import Endpoint
    from endpoints.services.specs import spec_of
    from endpoints.targets import target_for
    from endpoints.targets.kubernetes.bundle import stamped
    from endpoints.targets.kubernetes.stage import staged

    target, made = target_for(place), []
    rows = Endpoint.objects.filter(cluster=place).select_related(
        "workspace", "cluster", "wanted__profile__artifact", "wanted__profile__release", "serving__profile__artifact",
        "serving__profile__release")
    for row in rows:
        spec = spec_of(row)
        for manifest in target.render(spec):
            sent = staged(manifest, spec, None, (), timezone.now())[0] if manifest["kind"] == "StatefulSet" else manifest
            made.append(stamped(sent))
    return made


def run_all(work: Callable[[int], Any], pks: Iterable[int]) -> None:
    """As the worker does: four threads take what the queue holds."""
    from django.db import connection

    def one(pk: int) -> None:
        try:
            work(pk)
        finally:
            connection.close()

    with ThreadPoolExecutor(WORKERS) as pool:
        list(pool.map(one, list(pks)))


def period() -> tuple[float, float]:
    """Seconds and CPU seconds of looking at every endpoint once."""
    from endpoints import services
    from endpoints.models import Endpoint

    Endpoint.objects.update(next_look_at="2020-01-01T00:00Z")
    began, cpu = time.perf_counter(), time.process_time()
    services.sweep()
    run_all(services.look_at_cluster, places())
    return time.perf_counter() - began, time.process_time() - cpu


def places() -> list[int]:
    from clusters.models import Cluster

    return list(Cluster.objects.order_by("name").values_list("pk", flat=True))


def timed(work: Callable[[], Any]) -> tuple[float, float]:
    began, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - began, time.process_time() - cpu


def say(what: str, cost: tuple[float, float], served: list[Counter[str]], number: int) -> int:
    """Prints a line; the most calls for 500 endpoints that one kind took in one cluster."""
    most = Counter[str]()
    for each in served:
        for name, count in each.items():
            most[name] = max(most[name], count)
    lists = {name: count for name, count in most.items() if name.removeprefix("GET ").isalpha()}
    calls = ", ".join(f"{count} {name}" for name, count in sorted(lists.items()))
    others = max(sum(count for name, count in each.items() if name not in lists) for each in served)
    calls += f", {others} others" if others else ""
    print(f"{what:<42}{cost[0]:6.2f} s {cost[1]:6.2f} s of CPU   most calls in a cluster: {calls or 'none'}", flush=True)
    return max((-(-count * 500 // max(number, 500)) for count in most.values()), default=0)


def look(clusters: Clusters, number: int) -> bool:
    from endpoints.models import Endpoint

    def one(what: str, work: Callable[[], tuple[float, float]] = period) -> tuple[float, int]:
        cost = work()
        return cost[0], say(what, cost, clusters.served(), number)

    total = len(clusters.reach) * number
    one("first look: every address is written")
    check(Endpoint.objects.filter(backends__key="entrance").count() == total, "not every endpoint has its entrance")
    _calm, calls = one("nothing changed")
    changed = set_ready(clusters, number, ready=False)
    seconds, more = one("1 % of the pods not ready")
    check(Endpoint.objects.exclude(status="INSERVICE").count() == changed, "not all changes were written")
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    one("the same again: those that moved take steps")
    set_ready(clusters, number, ready=True)
    one("they are ready again", lambda: tuple(map(sum, zip(period(), period(), strict=True))))  # type: ignore[arg-type]
    check(Endpoint.objects.filter(status="INSERVICE").count() == total, "not all are in service again")
    other_looks(one)
    print(f"1 % changed: {seconds:.2f} s (limit {PERIOD_SECONDS:.0f}), {max(calls, more)} calls for 500 endpoints and kind "
          f"(limit {CALLS}), {rss:.0f} MB (limit {RSS_MB})", flush=True)
    return seconds < PERIOD_SECONDS and max(calls, more) <= CALLS and rss < RSS_MB


def other_looks(one: Callable[..., Any]) -> None:
    from clusters.models import Cluster
    from clusters.services import refresh_inventory
    from endpoints import services

    def each(work: Callable[[Any], Any]) -> tuple[float, float]:
        return timed(lambda: run_all(lambda pk: work(Cluster.objects.get(pk=pk)), places()))

    one("inventory of every cluster, first time", lambda: each(refresh_inventory))
    one("inventory of every cluster", lambda: each(refresh_inventory))
    one("drift in every cluster", lambda: each(services.find_drift))


def check(holds: bool, otherwise: str) -> None:
    if not holds:
        raise SystemExit(otherwise)


def set_ready(clusters: Clusters, number: int, *, ready: bool) -> int:
    from clusters.models import Cluster
    from endpoints.models import Endpoint
    from endpoints.services.specs import namespace_of

    changed = 0
    for index, place in enumerate(Cluster.objects.order_by("name")):
        rows = Endpoint.objects.filter(cluster=place).select_related("workspace").order_by("name")[:max(1, number // 100)]
        names = [(namespace_of(row), row.external_name) for row in rows]
        clusters.ask(index, "ready", names=names, ready=ready)
        changed += len(names)
    return changed


def beat(turn: int) -> list[Callable[[], Any]]:
    """What the portal's beat sends in this turn of two seconds, each with its place."""
    from clusters.models import Cluster
    from clusters.services import refresh_inventory
    from endpoints import services
    from endpoints.models import Endpoint
    from endpoints.services import vllmclusters

    due = Endpoint.objects.due().order_by().values_list("cluster_id", flat=True).distinct()
    tasks: list[Callable[[], Any]] = [partial(services.look_at_cluster, pk) for pk in sorted(set(due))]
    every = list(Cluster.objects.order_by("name"))
    if turn % 3 == 0:
        tasks += [partial(vllmclusters.follow_cluster, place) for place in every]
    if turn % 15 == 0:
        tasks += [partial(refresh_inventory, place) for place in every]
        tasks += [partial(services.find_drift, place) for place in every]
    return tasks


def oldest_of_others(others: list[int], seconds: float) -> tuple[float, list[str]]:
    """The portal's beat and worker for a while: how old a look at the other clusters became, and tasks that failed."""
    from django.db import connection
    from django.db.models import Min
    from django.utils import timezone

    from endpoints.models import Endpoint

    failures: list[str] = []

    def task(work: Callable[[], Any]) -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  As the worker: a task's error is only logged.
            failures.append(f"{type(error).__name__}: {error}"[:100])
        finally:
            connection.close()

    oldest, turn, end = 0.0, 0, time.monotonic() + seconds
    with ThreadPoolExecutor(WORKERS) as pool:
        while time.monotonic() < end:
            for work in beat(turn):
                pool.submit(task, work)
            turn += 1
            time.sleep(2)
            seen = Endpoint.objects.filter(cluster__in=others).aggregate(oldest=Min("seen_at"))["oldest"]
            oldest = max(oldest, (timezone.now() - seen).total_seconds())
        pool.shutdown(wait=False, cancel_futures=True)
    return oldest, failures


def with_a_dead_one(clusters: Clusters) -> bool:
    """The portal's beat and worker, first with all clusters well, then with the first one answering after 30 s."""
    from clusters.models import KubernetesAccess
    from endpoints.models import Endpoint
    from endpoints.states import STALE_AFTER
    from portal.tenancy.models import Workspace

    KubernetesAccess.objects.update(imports_to=Workspace.objects.get(slug="bench"))
    dead, *others = places()
    period()
    well, _failures = oldest_of_others(others, WATCHED_SECONDS / 2)
    clusters.ask(0, "slow", seconds=DEAD_SECONDS)
    oldest, failures = oldest_of_others(others, WATCHED_SECONDS)
    left = Endpoint.objects.filter(cluster=dead).exclude(status="INSERVICE").count()
    limit = STALE_AFTER.total_seconds()
    print(f"the oldest look of {len(others)} clusters was {well:.1f} s old; with one more that answers after "
          f"{DEAD_SECONDS:.0f} s it was {oldest:.1f} s (limit {limit:.0f}: then a page says that it is old); "
          f"{left} endpoints of the dead one lost their status, {len(failures)} tasks ended with an error", flush=True)
    return oldest < limit and left == 0


def measure(options: argparse.Namespace, folder: Path, stack: ExitStack) -> int:
    clusters = Clusters(options.clusters, stack)
    filling = multiprocessing.get_context("spawn").Process(
        target=make_rows, args=(clusters.reach, options.endpoints, folder))
    filling.start()
    filling.join()
    check(filling.exitcode == 0, "the rows could not be made")
    for index in range(options.clusters):
        clusters.ask(index, "fill", path=str(folder / f"{index}.json"))
    clusters.served()
    import django

    django.setup()
    print(f"{options.clusters * options.endpoints} endpoints on {options.clusters} clusters, {WORKERS} threads", flush=True)
    met = look(clusters, options.endpoints)
    return 0 if (options.no_dead or with_a_dead_one(clusters)) and met else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--clusters", type=int, default=20)
    parser.add_argument("--endpoints", type=int, default=500, help="in each cluster")
    parser.add_argument("--no-dead", action="store_true", help="leave the minute with a dead cluster out")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ |= {"DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_DATA_DIR": str(folder / "var"),
                   "PORTAL_LOG_LEVEL": "ERROR"}
    try:
        secrets_file.make(folder / "var")
        with ExitStack() as stack:
            return measure(options, folder, stack)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
