"""Time from "Deploy" to the engine process, and from a healthy engine to INSERVICE.

``python bench/deploy_latency.py [--redis] [--rounds 10]``. Limits: 1 s on Redis, 2 s on the file broker; 2 s.
"""

from __future__ import annotations

import argparse
import contextlib
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
sys.path.insert(0, str(ROOT))
RELEASE = "stand-in"
WAIT = 30.0


def now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)


def until(ask: Callable[[], Any]) -> Any:
    end = now() + WAIT
    while now() < end:
        found = ask()
        if found:
            return found
        time.sleep(0.01)
    raise SystemExit("too slow: nothing after 30 s")


def make_release(folder: Path) -> None:
    python = folder / RELEASE / "bin" / "python"
    python.parent.mkdir(parents=True)
    # The agent calls `python -m <server> ...`; the first two words are not for the stand-in.
    python.write_text(f'#!/bin/sh\nshift 2\nexec {sys.executable} {ROOT}/bench/stand_in_engine.py "$@"\n')
    python.chmod(0o755)


def shelve() -> None:
    from models_catalog.models import Artifact, CatalogModel, EngineRelease, Profile, Vendor

    vendor = Vendor.objects.create(slug="bench", names={"enUS": "Bench"})
    model = CatalogModel.objects.create(slug="bench", name="Bench", vendor=vendor, task="chat")
    artifact = Artifact.objects.create(model=model, kind="path", location=str(ROOT))
    release = EngineRelease.objects.create(slug=RELEASE, kind="vllm", version="0.32.0", device="cpu")
    Profile.objects.create(slug="bench", name="Bench", model=model, artifact=artifact, release=release, cpu_millis=10,
                           memory_bytes=1024**2)


def one_round(client: Any, number: int) -> tuple[float, float]:
    """Seconds from the call to the process's start, and from healthy to INSERVICE."""
    from clusters.models import Engine
    from portal.demo.drive import began_at

    body = {"workspace": "demo", "name": f"bench-{number}", "place": "this-machine", "profile": "bench"}
    pressed = now()
    uid = client.post("/api/v1/endpoints", body)["uid"]
    engine = until(lambda: Engine.objects.filter(endpoint_uid=uid, pid__isnull=False).first())
    until(lambda: client.get(f"/api/v1/endpoints/{uid}")["status"] == "INSERVICE")
    served = now()
    healthy = float((Path(os.environ["PORTAL_DATA_DIR"]) / "agent" / "engines" / str(engine.uid) / "healthy").read_text())
    started = began_at(engine.pid) - pressed
    client.post(f"/api/v1/endpoints/{uid}/stop")
    return started, served - healthy


def measure(rounds: int, folder: Path, environment: dict[str, str]) -> int:
    from tests.e2e.portal_run import portal

    os.environ.update(environment)
    os.environ["PORTAL_DATA_DIR"] = str(folder / "var")
    os.environ["PORTAL_ENGINES_DIR"] = str(folder / "engines")
    make_release(folder / "engines")
    with portal(folder / "var", "up") as run:
        run.wait_for("The portal is up", 60)
        import django

        django.setup()
        from portal.demo.client import Client

        shelve()
        access = run.access()
        from clusters.models import Host

        until(lambda: any(RELEASE in releases for releases in Host.objects.values_list("releases", flat=True)))
        client = Client(access["PORTAL_URL"], access["PORTAL_API_KEY"])
        results = [one_round(client, number) for number in range(rounds)]
    return report(results, 1.0 if environment else 2.0)


def report(results: list[tuple[float, float]], limit: float) -> int:
    started, served = zip(*results, strict=True)
    for name, values, most in (("Deploy to process", started, limit), ("healthy to INSERVICE", served, 2.0)):
        print(f"{name:<22} p50 {statistics.median(values):.2f} s   max {max(values):.2f} s   (limit {most:.0f} s)")
    return 0 if max(started) < limit and max(served) < 2.0 else 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redis", action="store_true", help="on a private Redis instead of the file broker")
    parser.add_argument("--rounds", type=int, default=10)
    options = parser.parse_args()
    sys.path.insert(0, str(ROOT / "scripts" / "bootstrap"))
    import secrets_file

    from tests.rig import servers

    folder = Path(tempfile.mkdtemp(prefix="bench-"))
    os.environ["DJANGO_SETTINGS_MODULE"] = "portal.settings"
    try:
        secrets_file.make(folder / "var")
        with contextlib.ExitStack() as stack:
            broker = {"CELERY_BROKER_URL": stack.enter_context(servers.redis(folder))} if options.redis else {}
            return measure(options.rounds, folder, broker)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
