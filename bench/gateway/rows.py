"""Run by the bench in the portal's own environment: fills an empty database, and says how the portal is started.

Prints one line of JSON: the keys of callers, and the arguments of the web program.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import django

KEYS = 4
PLENTY = 2_000_000_000


def main(engine_port: str) -> None:
    django.setup()
    from django.apps import apps
    from django.core.management import call_command

    from portal.supervisor import programs
    from tests.gateway.server import Server, make_tenant

    call_command("migrate", verbosity=0)
    tenant = make_tenant(Server(folder=None), "bench")  # type: ignore[arg-type] # its server is started by the bench
    tenant.endpoint("m", f"http://127.0.0.1:{engine_port}")
    keys = [tenant.key() for _ in range(KEYS)]
    limit: Any = apps.all_models["tenancy"].get("limit")  # None: a checkout from before limits
    if limit is not None:
        limit.objects.create(workspace=tenant.workspace, kind="workspace", **dict.fromkeys(limit.CALLS, PLENTY))
    print(json.dumps({"keys": keys, "argv": programs.web().argv}))


if __name__ == "__main__":
    main(*sys.argv[1:])
