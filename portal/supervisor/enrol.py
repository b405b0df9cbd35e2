"""This machine's own agent gets a token when it has no place yet."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from django.conf import settings
from django.core.management import call_command

from clusters.models import Host


def state_dir() -> Path:
    return Path(settings.DATA_DIR) / "agent"


def own_address() -> str:
    """Where a process on this machine reaches the portal, whatever its public address is."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.PORTAL_BIND, settings.PORTAL_BIND)  # noqa: S104
    return f"http://{host}:{settings.PORTAL_PORT}"


def enrol_this_machine() -> None:
    """Write a one-use token beside the agent's state, unless this database knows the agent already."""
    if is_known():
        return
    # An identity of another database would be refused for ever.
    (state_dir() / "agent.json").unlink(missing_ok=True)
    call_command("agent_token", local=True, write=state_dir() / "token", verbosity=0, stdout=Quiet())


def is_known() -> bool:
    with contextlib.suppress(OSError, ValueError, AttributeError):
        uid = json.loads((state_dir() / "agent.json").read_text()).get("host")
        return bool(uid) and Host.objects.filter(uid=uid).exists()
    return False


class Quiet:
    """A stream that keeps nothing."""

    def write(self, _text: str) -> None:
        pass

    def flush(self) -> None:
        pass
