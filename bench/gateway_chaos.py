"""Kills gateway processes under load and counts what that costs: `python -m bench.gateway_chaos --help`.

Two parents with two processes each, as on two machines, over one MariaDB and one Redis of the bench's own. Every few
seconds one process is killed (SIGKILL). Exits 1 where a call was cut that no dead process served, where tokens of a
finished call were lost or booked twice, or where a limit let too many through.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from dataclasses import fields
from pathlib import Path

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
import django

django.setup()

from bench.gateway.processes import until  # noqa: E402
from tests.gateway.outlive.chaos import Chaos, Load, Told, chaos, machines  # noqa: E402
from tests.gateway.server import database, migrate  # noqa: E402
from tests.rig.servers import both  # noqa: E402

BOOKED_SECONDS = 60.0  # dead spools are looked for every 30 s
LOADS = (
    Load("free", callers=16, delay=0.01, streams=True),
    Load("minute", callers=8, delay=0.0, a_minute=1000),
    Load("at-once", callers=24, delay=0.1, at_once=8),
)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60, help="how long the load goes on")
    parser.add_argument("--every", type=float, default=4, help="seconds between two kills")
    parser.add_argument("--machines", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="processes of each machine")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="chaos-") as name, both() as servers:
        folder, url = Path(name), servers["DATABASE_URL"]
        migrate(folder, url)
        with database(folder, url), chaos(machines(folder, options.machines, options.workers, **servers), LOADS) as run:
            run.run(options.seconds, options.every)
            until(run.is_booked, BOOKED_SECONDS, 1.0)
            return report(run)


def report(run: Chaos) -> int:
    """Print one line a load; 1 where anything is wrong."""
    found = [(load.name, run.told(load)) for load in run.loads]
    names = [field.name for field in fields(Told)]
    print(f"{len(run.killed)} processes killed", *(f"{name.replace('_', ' '):>13}" for name in names), sep=" |")
    for load, told in found:
        print(f"{load:<19}", *(f"{getattr(told, name):>13}" for name in names), sep=" |")
    return int(any(told.faults for _load, told in found))


if __name__ == "__main__":
    sys.exit(main())
