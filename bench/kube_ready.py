"""From a pod that turns ready to INSERVICE in the portal, and how long the plan of an endpoint takes.

``python bench/kube_ready.py [--rounds 8]``. A whole portal (web, worker, beat) as `make run` starts it, and a simulated
cluster over HTTPS that notes when each pod turns ready. Limits: one poll period and a second; 300 ms.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]

import secrets_file  # noqa: E402 - only found by the path above

WAIT, PLAN_MS, PLANS = 60.0, 300.0, 20


class ReadyTimes:
    """When each pod first turned ready, by its name."""

    def __init__(self, sim: Any) -> None:
        self.at: dict[str, float] = {}
        sim.call(sim.cluster.on_change, ["Pod"], self._told)

    def _told(self, _event: str, _kind: str, pod: dict[str, Any], _old: object) -> None:
        conditions = pod.get("status", {}).get("conditions", [])
        if any(each["type"] == "Ready" and each["status"] == "True" for each in conditions):
            self.at.setdefault(pod["metadata"]["name"], time.monotonic())


def until(ask: Callable[[], Any]) -> Any:
    end = time.monotonic() + WAIT
    while time.monotonic() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.01)
    raise SystemExit(f"too slow: nothing after {WAIT:.0f} s")


def connect(sim: Any) -> None:
    """The place and the profile, as an operator makes them."""
    from bench import endpoint_rows
    from clusters import services as places
    from portal.tenancy.actor import Actor
    from portal.tenancy.models import User

    actor = Actor(user=User.objects.get(is_superuser=True))
    place = places.create_place(actor, name="kube", kind="kubernetes")
    places.connect_kubeconfig(actor, place, sim.kubeconfig())
    places.check_access(place)
    places.refresh_inventory(place)
    endpoint_rows.make_profile()


def one_round(client: Any, ready: ReadyTimes, number: int) -> float:
    """Seconds from the pod's readiness to the portal's word for it."""
    from endpoints.models import Endpoint

    body = {"workspace": "demo", "name": f"bench-{number}", "place": "kube", "profile": "bench"}
    uid = client.post("/api/v1/endpoints", body)["uid"]
    until(lambda: Endpoint.objects.filter(uid=uid, status="INSERVICE").exists())
    served = time.monotonic()
    row = Endpoint.objects.get(uid=uid)
    return served - ready.at[f"{row.external_name}-0"]


def plans() -> tuple[list[float], list[float]]:
    """Milliseconds of the plan of an endpoint of which nothing is there yet, by the service and as the admin's page."""
    from django.test import Client as Browser
    from django.urls import reverse

    from endpoints import services
    from endpoints.models import Endpoint
    from portal.tenancy.actor import Actor
    from portal.tenancy.models import User

    admin, like = User.objects.get(is_superuser=True), Endpoint.objects.select_related("wanted__profile").get(name="bench-0")
    assert like.wanted is not None
    row = services.create(Actor(user=admin), like.workspace, name="planned", cluster=like.cluster,
                          profile=like.wanted.profile, deploy=False)
    browser = Browser(headers={"Host": "localhost"})
    browser.force_login(admin)
    page = reverse("admin:endpoints_endpoint_deploy", args=[row.pk])

    def look() -> None:
        answer = browser.get(page)
        assert answer.status_code == 200, answer.status_code
        assert b"StatefulSet" in answer.content, answer.content[-2000:]

    look()
    return [milliseconds(lambda: services.plan(row)) for _ in range(PLANS)], [milliseconds(look) for _ in range(PLANS)]


def milliseconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def measure(rounds: int, folder: Path) -> int:
    from tests.e2e.portal_run import portal
    from tests.simulators.kubernetes.server import Simulator, cpu_node

    with Simulator([cpu_node("cpu-0")]) as sim, portal(folder / "var", "up") as run:
        run.wait_for("The portal is up", 60)
        import django

        django.setup()
        from django.conf import settings

        from portal.demo.client import Client

        connect(sim)
        access, ready = run.access(), ReadyTimes(sim)
        client = Client(access["PORTAL_URL"], access["PORTAL_API_KEY"])
        took = [one_round(client, ready, number) for number in range(rounds)]
        return report(took, settings.CELERY_BEAT_SCHEDULE["sweep"]["schedule"] + 1, *plans())


def report(took: list[float], limit: float, services: list[float], pages: list[float]) -> int:
    print(f"pod ready to INSERVICE   p50 {statistics.median(took):.2f} s   max {max(took):.2f} s   (limit {limit:.0f} s)")
    for name, values in (("plan of one endpoint", services), ("its page in the admin", pages)):
        print(f"{name:<24} p50 {statistics.median(values):.0f} ms   max {max(values):.0f} ms   (limit {PLAN_MS:.0f} ms)")
    return 0 if max(took) < limit and statistics.median(services) < PLAN_MS and statistics.median(pages) < PLAN_MS else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=8)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ |= {"DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_DATA_DIR": str(folder / "var")}
    try:
        secrets_file.make(folder / "var")
        return measure(options.rounds, folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
