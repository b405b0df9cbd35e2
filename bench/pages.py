"""Every page of the tenant's portal over 10,000 endpoints and 1,000,000 hours of usage: queries and server time.

``python bench/pages.py [--rows N]``. Limits: fewer than 25 queries and less than 150 ms a page, the median of five; ends with
1 where a page is over one of them.
"""

from __future__ import annotations

import argparse
import itertools
import os
import random
import secrets
import shutil
import statistics
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
ENDPOINTS, USAGE_ROWS, DAYS, WORKSPACES = 10_000, 1_000_000, 395, 10
BUSIEST = 0.6  # of the usage is the workspace's that is looked at
QUERIES, MILLISECONDS, TURNS = 25, 150.0, 5
STATES = ("INSERVICE",) * 20 + ("STOPPED", "DEGRADED", "CREATING", "STALLED")


def fill(rows: int) -> tuple[Any, Any]:
    """A person, and an endpoint of the fullest workspace."""
    from bench.endpoint_rows import make_endpoints, make_place, make_profile, make_workspace
    from portal.tenancy.models import Membership, User

    user = User.objects.create(username="bench")
    profile = make_profile()
    places = [make_place(f"place-{number}", kind) for number, kind in enumerate(("kubernetes", "hosts", "kubernetes", "hosts"))]
    workspaces = [make_workspace(f"bench-{number}") for number in range(WORKSPACES)]
    Membership.objects.bulk_create([Membership(workspace=each, user=user, role="owner") for each in workspaces])
    endpoints: list[Any] = []
    for index, state in enumerate(STATES):
        endpoints += make_endpoints(workspaces[0], places[index % 4], profile, ENDPOINTS // len(STATES), prefix=f"e{index}",
                                    status=state, wish="STOPPED".lower() if state == "STOPPED" else "running")
    fill_usage(user, workspaces, endpoints, rows)
    return user, endpoints[0]


def fill_usage(user: Any, workspaces: list[Any], endpoints: list[Any], rows: int) -> None:
    from endpoints.models import UsageHour

    made = usage_rows(user, workspaces, endpoints, rows)
    while some := list(itertools.islice(made, 5000)):
        UsageHour.objects.bulk_create(some)


def usage_rows(user: Any, workspaces: list[Any], endpoints: list[Any], rows: int) -> Iterator[Any]:
    """As the spool books them: one for each hour, key and endpoint; the same each time."""
    from django.utils import timezone

    from endpoints.models import UsageHour

    draw = random.Random(1)
    now = timezone.now().replace(minute=0, second=0, microsecond=0)
    for number in range(rows):
        own = draw.random() < BUSIEST
        workspace = workspaces[0] if own else workspaces[1 + number % (WORKSPACES - 1)]
        endpoint = endpoints[number % 97]
        yield UsageHour(
            hour=now - timedelta(hours=number * DAYS * 24 // rows), workspace_id=workspace.pk, member_id=user.pk + number % 7,
            key_id=1 + number, endpoint_id=endpoint.pk, route_id=0, door=1, workspace_name=workspace.slug,
            member_name=f"member-{number % 7}", key_name=f"key-{number % 40}", endpoint_name=endpoint.name,
            model_name=endpoint.public_name, requests=draw.randrange(1, 500), prompt_tokens=draw.randrange(10**6),
            completion_tokens=draw.randrange(10**5), cost_nano=draw.randrange(10**9))


def pages(endpoint: Any) -> dict[str, str]:
    own, model = f"endpoints/{endpoint.uid}/", endpoint.wanted.profile.model.slug
    return {
        "home": "", "models": "models/", "model": f"models/{model}/", "deploy": "deploy/", "endpoints": "endpoints/",
        "endpoints, searched": "endpoints/?q=e3-0001", "endpoint": own, "why": f"{own}why/", "playground": "playground/",
        "load tests": "loadtests/", "usage": "usage/", "keys": "keys/", "members": "members/", "limits": "limits/",
        "audit": "audit/",
    }


def look(client: Any, path: str) -> tuple[int, int, float]:
    """Status, queries, and milliseconds on the server."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    times = []
    for _turn in range(TURNS):
        began = time.perf_counter()
        answer = client.get(path)
        times.append((time.perf_counter() - began) * 1000)
    with CaptureQueriesContext(connection) as queries:
        client.get(path)
    return answer.status_code, len(queries), statistics.median(times)


def run(rows: int) -> bool:
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    user, endpoint = fill(rows)
    endpoint.refresh_from_db()
    client = Client(raise_request_exception=False)
    client.force_login(user)
    print(f"{'page':22}{'status':>8}{'queries':>9}{'ms':>8}")
    good = True
    for name, path in pages(endpoint).items():
        status, queries, took = look(client, f"/w/bench-0/{path}")
        holds = status == 200 and queries < QUERIES and took < MILLISECONDS
        good = good and holds
        print(f"{name:22}{status:>8}{queries:>9}{took:>8.1f}{'' if holds else '   over the limit'}")
    return good


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=USAGE_ROWS, help="hours of usage")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-pages-"))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="portal.settings", PORTAL_DATA_DIR=str(folder), PORTAL_LOG_LEVEL="ERROR",
        PORTAL_SECRET_KEY=secrets.token_urlsafe(48), PORTAL_FIELD_KEYS=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        PORTAL_AWS_ENDPOINT="http://127.0.0.1:1", PORTAL_ALLOWED_HOSTS="testserver,localhost,127.0.0.1")
    try:
        return 0 if run(options.rows) else 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
