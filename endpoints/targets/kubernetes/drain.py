"""How a pod goes: it waits until everybody knows, and then for the calls that it still answers.

Engines themselves cut what they have when they are told to stop, unless an argument says otherwise that older ones lack.
"""

from __future__ import annotations

from typing import Any

from endpoints.autoscale.signals import RUNNING, WAITING
from endpoints.targets.base import RevisionSpec

NOTICE_SECONDS = 15  # a pod that is to go still gets calls so long
CALLS_SECONDS = 120  # for those, as long as a gateway and an agent wait
STOP_SECONDS = 30  # for the engine itself

# Runs in the engine's container, whose images all have Python: argv is port, notice and most seconds.
_SCRIPT = f"""\
import sys, time, urllib.request
port, notice, most = map(float, sys.argv[1:])
time.sleep(notice)
names = {(*RUNNING.values(), *WAITING.values())}
end = time.monotonic() + most
while time.monotonic() < end:
    with urllib.request.urlopen("http://127.0.0.1:%d/metrics" % port, timeout=5) as page:
        lines = page.read().decode().splitlines()
    if not any(float(line.rsplit(" ", 1)[1]) for line in lines if line.partition("{{")[0].partition(" ")[0] in names):
        break
    time.sleep(1)
"""


def pre_stop(port: int, notice: float = NOTICE_SECONDS, most: float = CALLS_SECONDS) -> dict[str, Any]:
    """The hook that holds a stopping container back until its calls have ended, or `notice` + `most` seconds are over."""
    return {"exec": {"command": ["python3", "-c", _SCRIPT, str(port), str(notice), str(most)]}}


def grace_seconds(revision: RevisionSpec) -> int:
    """How long a pod may take to stop: for its calls, the engine's own time for them, and its end."""
    return NOTICE_SECONDS + CALLS_SECONDS + int(revision.arguments.get("shutdown-timeout", 0)) + STOP_SECONDS
