"""`make demo-k8s`: starts two simulated clusters, the portal, and 40 endpoints in every state; Ctrl-C stops it all."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
os.environ.setdefault("PORTAL_DATA_DIR", str(ROOT / "var" / "demo-k8s"))
os.environ.setdefault("PORTAL_ALLOW_LOOPBACK", "1")
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "portal.settings")
sys.path.insert(0, str(ROOT / "scripts"))


def say(text: str) -> None:
    print(text, flush=True)


def show(once: bool) -> int:
    """Start everything in turn; the exit status. Raises CommandError with one line that says what is in the way."""
    from portal.supervisor.start import prepared
    from tests.simulators.kubernetes.server import Simulator, cpu_node, gpu_node
    from tests.simulators.openai_backend import OpenAIBackend

    nodes = {"gpu": [*(gpu_node(f"gpu-{n}") for n in range(4)), cpu_node("cpu-0")],
             "cpu": [cpu_node(f"cpu-{n}") for n in range(4)]}
    with ExitStack() as stack:
        engine = stack.enter_context(OpenAIBackend())
        access, supervisor = stack.enter_context(prepared(say))
        simulators = {name: stack.enter_context(Simulator(each, engine_url=engine.url)) for name, each in nodes.items()}
        for name, simulator in simulators.items():
            path = Path(os.environ["PORTAL_DATA_DIR"]) / f"{name}.kubeconfig"
            path.write_text(simulator.kubeconfig())
            path.chmod(0o600)
            say(f"the simulated cluster “{name}” is at {simulator.url}; try: kubectl --kubeconfig {path} get pods -A")
        return asyncio.run(stay_up(supervisor, simulators, access, once))


async def stay_up(supervisor: Any, simulators: dict[str, Any], access: Any, once: bool) -> int:
    running = asyncio.create_task(supervisor.run())
    await supervisor.wait_ready()
    failure = await asyncio.to_thread(play, simulators)
    if failure:
        say(failure)
    else:
        say(f"The portal is up at {access.url}/ (/admin/ for operators; user {access.user}, password {access.password}). "
            "Ctrl-C stops it.")
    if once or failure:
        supervisor.ask_to_stop()
    await running
    return 1 if failure else 0


def play(simulators: dict[str, Any]) -> str:
    """In a thread of its own, since it waits; why it failed, or ""."""
    from django.db import connections

    from portal.tenancy.errors import PortalError
    from tests.demo_k8s.play import Play

    try:
        Play(simulators, say).run()
    except PortalError as error:
        return error.message
    finally:
        connections.close_all()
    return ""


def main() -> int:
    import django
    from bootstrap import secrets_file
    from django.core.management.base import CommandError

    secrets_file.make(Path(os.environ["PORTAL_DATA_DIR"]))  # a data folder of its own
    django.setup()
    try:
        return show("--once" in sys.argv)
    except CommandError as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 0


if __name__ == "__main__":
    sys.exit(main())
