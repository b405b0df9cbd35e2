"""Every page that somebody opens, over 10,000 endpoints and 1,000,000 hours of usage: queries and server time.

``python -m bench.pages [--rows N] [--only TEXT] [--mariadb]``. Limits: fewer than 25 queries and less than 150 ms a page, the
median of five; ends with 1 where a page is over one of them. Files to take away are measured too, without a limit.
"""

from __future__ import annotations

import argparse
import os
import secrets
import shutil
import sys
import tempfile
import time
from base64 import urlsafe_b64encode
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
USAGE_ROWS = 1_000_000


def run(rows: int, only: str) -> bool:
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from bench.pages.looks import looks, measure
    from bench.pages.world import fill

    began = time.perf_counter()
    call_command("migrate", verbosity=0)
    call_command("collectstatic", interactive=False, verbosity=0)
    world = fill(rows)
    print(f"filled in {time.perf_counter() - began:.0f} s; load average {os.getloadavg()[0]:.1f}")
    clients: dict[str, Any] = {name: Client(raise_request_exception=False) for name in ("member", "operator", "nobody")}
    clients["member"].force_login(world.member)
    clients["operator"].force_login(world.operator)
    print(f"{'page':60}{'status':>8}{'queries':>9}{'ms':>9}")
    bad, most, longest = 0, 0, 0.0
    chosen = [look for look in looks(world) if only in look.name]
    for look in chosen:
        result = measure(clients[look.by], look)
        holds = result.holds or (look.is_file and result.status == 200)
        bad += not holds
        if not look.is_file:
            most, longest = max(most, result.queries), max(longest, result.milliseconds)
        print(f"{look.name:60}{result.status:>8}{result.queries:>9}{result.milliseconds:>9.1f}"
              f"{'' if holds else '   over the limit'}", flush=True)
    print(f"{len(chosen)} pages, {bad} over the limit; at most {most} queries and {longest:.0f} ms; "
          f"load average {os.getloadavg()[0]:.1f}")
    return not bad


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=USAGE_ROWS, help="hours of usage")
    parser.add_argument("--only", default="", help="pages whose name has this text")
    parser.add_argument("--mariadb", action="store_true", help="on a MariaDB that is started for it, instead of SQLite")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="bench-pages-"))
    os.environ.update(
        DJANGO_SETTINGS_MODULE="portal.settings", PORTAL_DATA_DIR=str(folder), PORTAL_LOG_LEVEL="CRITICAL",
        PORTAL_SECRET_KEY=secrets.token_urlsafe(48), PORTAL_FIELD_KEYS=urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        PORTAL_AWS_ENDPOINT="http://127.0.0.1:1", PORTAL_ALLOWED_HOSTS="testserver,localhost,127.0.0.1")
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        if options.mariadb:
            from tests.rig.servers import mariadb

            os.environ["DATABASE_URL"] = stack.enter_context(mariadb(folder))
        return 0 if run(options.rows, options.only) else 1


if __name__ == "__main__":
    sys.exit(main())
