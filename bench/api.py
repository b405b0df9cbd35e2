"""The JSON API on SQLite: time of a create, and queries and time of a list over 10,000 endpoints.

``python bench/api.py``. Limits: p50 of POST 40 ms; at most 8 queries a list.
"""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "scripts" / "bootstrap")]
POSTS, ROWS, PAGE = 100, 10_000, 50
POST_MS, QUERIES = 40.0, 8


def fill() -> str:
    """10,000 endpoints in one workspace; returns a key that may read and deploy there."""
    from clusters.models import Cluster
    from endpoints.models import Endpoint, Revision
    from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor
    from portal import firstrun

    access = firstrun.prepare(lambda _line: None)
    workspace = firstrun.Workspace.objects.get(slug=firstrun.WORKSPACE)
    cluster = Cluster.objects.create(name="bench", kind="hosts")
    vendor = Vendor.objects.create(slug="bench", names={"enUS": "Bench"})
    model = CatalogModel.objects.create(slug="bench", name="Bench", vendor=vendor, task="chat")
    artifact = Artifact.objects.create(model=model, kind="path", location="/models/bench")
    release = EngineRelease.objects.create(slug="bench", kind="vllm", version="0.32.0", device="cpu")
    profile = Profile.objects.create(slug="bench", name="Bench", model=model, artifact=artifact, release=release,
                                     memory_bytes=1024**2)
    names = [f"filled-{number}" for number in range(ROWS)]
    rows = Endpoint.objects.bulk_create([
        Endpoint(workspace=workspace, cluster=cluster, name=name, public_name=name, public_key=name, wish="stopped",
                 status="STOPPED") for name in names], batch_size=500)
    wanted = Revision.objects.bulk_create([Revision(endpoint=row, number=1, profile=profile) for row in rows],
                                          batch_size=500)
    for row, revision in zip(rows, wanted, strict=True):
        row.wanted = revision
    Endpoint.objects.bulk_update(rows, ["wanted"], batch_size=500)
    return access.api_key


def posts(client: Any) -> list[float]:
    times = []
    for number in range(POSTS):
        body = {"workspace": "demo", "name": f"posted-{number}", "place": "bench", "profile": "bench"}
        began = time.perf_counter()
        client.post("/api/v1/endpoints", body)
        times.append((time.perf_counter() - began) * 1000)
    return times


def listing(key: str) -> tuple[int, float]:
    """Queries and milliseconds of one page, in this process."""
    from django.db import connection
    from django.test import Client
    from django.test.utils import CaptureQueriesContext

    client = Client(headers={"Authorization": f"Bearer {key}", "Host": "localhost"})
    client.get("/api/v1/endpoints?limit=1")
    with CaptureQueriesContext(connection) as captured:
        began = time.perf_counter()
        answer = client.get(f"/api/v1/endpoints?limit={PAGE}")
        spent = (time.perf_counter() - began) * 1000
    assert len(answer.json()["items"]) == PAGE, answer.content[:300]
    return len(captured), spent


def measure(data_dir: Path) -> int:
    import django

    from tests.e2e.portal_run import portal

    django.setup()
    key = fill()
    queries, spent = listing(key)
    from portal.demo.client import Client

    with portal(data_dir, "up") as run:
        run.wait_for("The portal is up", 60)
        times = posts(Client(run.access()["PORTAL_URL"], key))
    p50 = statistics.median(times)
    print(f"POST /api/v1/endpoints  p50 {p50:.1f} ms   p95 {statistics.quantiles(times, n=20)[18]:.1f} ms   "
          f"(limit {POST_MS:.0f} ms, {ROWS} rows, worker and beat running)")
    print(f"list of {PAGE} of {ROWS}      {queries} queries, {spent:.1f} ms   (limit {QUERIES} queries)")
    return 0 if p50 < POST_MS and queries <= QUERIES else 1


def main() -> int:
    import secrets_file

    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ |= {"DJANGO_SETTINGS_MODULE": "portal.settings", "PORTAL_DATA_DIR": str(folder / "var")}
    try:
        secrets_file.make(folder / "var")
        return measure(folder / "var")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
