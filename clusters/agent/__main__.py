"""python -m clusters.agent: runs engines on this host for an inference portal."""

from __future__ import annotations

import argparse
import dataclasses
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

from . import VERSION
from .client import Away, Client, Refused
from .engines import DRAIN_SECONDS
from .health import Prober
from .inventory import take_inventory
from .logs import log_lines
from .loop import Agent
from .messages import Enrol
from .process import Place
from .signing import HostKey
from .state import AlreadyRunning, Identity, StateDir, write_json
from .supervisor import Supervisor
from .tunnel import Tunnel, to_engines

log = logging.getLogger("agent")


def parse(argv: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="clusters.agent", description=__doc__)
    parser.add_argument("--server", required=True, help="address of the portal, such as https://portal.example.org")
    parser.add_argument("--state-dir", required=True, type=Path, help="folder for the agent's key and engines' logs")
    parser.add_argument("--engines-dir", required=True, type=Path, help="folder with one virtual environment a release")
    parser.add_argument("--token-file", type=Path, help="file with the one-use token (or set PORTAL_AGENT_TOKEN)")
    parser.add_argument("--token", default="", help="the one-use token itself; other users can see it, prefer a file")
    parser.add_argument("--name", default=socket.gethostname()[:253], help="name of this host in the portal")
    parser.add_argument("--address", default="", help="where the gateway reaches engines; else where it calls from")
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--local", action="store_true", help="portal and agent share this machine: listen on loopback")
    where.add_argument("--tunnel", action="store_true",
                       help="the gateway can't reach this host: serve it through connections that this agent opens")
    parser.add_argument("--gateway-url", action="append", default=[],
                        help="with --tunnel: address of each gateway that is served apart from the portal")
    parser.add_argument("--allow-http", action="store_true", help="call a portal without https on a trusted network")
    parser.add_argument("--drain-seconds", type=float, default=DRAIN_SECONDS,
                        help="how long an engine that is to stop may go on with the calls that it has")
    parser.add_argument("--stop-engines-on-exit", action="store_true", help="leave no engine running")
    return parser.parse_args(argv)


def find_token(options: argparse.Namespace) -> str:
    if options.token:
        return str(options.token)
    if options.token_file is not None and options.token_file.is_file():
        text: str = options.token_file.read_text()
        return text.strip()
    return os.environ.get("PORTAL_AGENT_TOKEN", "")


def enrol(options: argparse.Namespace, state: StateDir, identity: Identity) -> Identity:
    """Ask for a place until the portal is there. Raises Refused, SystemExit."""
    token = find_token(options)
    if not token:
        raise SystemExit("agent: this host is not enrolled yet: give --token-file or PORTAL_AGENT_TOKEN")
    key = HostKey.from_text(identity.key)
    message = Enrol(token=token, public_key=key.public, name=options.name, address=options.address,
                    local=options.local, tunnel=options.tunnel, agent_version=VERSION,
                    inventory=take_inventory(state.path, options.engines_dir, ()))
    client, wait = Client(options.server, key, allow_http=options.allow_http), 0.5
    while True:
        try:
            answer = client.enrol(message)
            break
        except Away as error:
            log.warning("portal away", extra={"error": str(error)})
            time.sleep(wait)
            wait = min(10.0, wait * 2)
    enrolled = dataclasses.replace(identity, host=answer.host, server=options.server, address=answer.address,
                                   tunnel=options.tunnel)
    state.remember(enrolled)
    write_json(state.path / "lease.json", {"epoch": answer.epoch})
    log.info("enrolled", extra={"host": answer.host})
    return enrolled


def main(argv: list[str] | None = None) -> int:
    options = parse(argv)
    log_lines()
    state = StateDir(options.state_dir)
    try:
        state.open()
        identity = state.identity()
        Client(options.server, HostKey.from_text(identity.key), allow_http=options.allow_http)  # is the address fit?
        if not identity.host:
            identity = enrol(options, state, identity)
        doors = gateways(options, identity)
    except (AlreadyRunning, Refused, OSError, ValueError) as error:
        print(f"agent: {error}", file=sys.stderr)
        return 1
    return 0 if work(options, state, identity, doors) else 1


def gateways(options: argparse.Namespace, identity: Identity) -> list[Client]:
    """One client for each gateway to which this host opens its tunnel. Raises ValueError."""
    if options.tunnel != identity.tunnel:
        raise ValueError(f"this host was enrolled {'with' if identity.tunnel else 'without'} --tunnel; "
                         "start it so, or forget the host and enrol it anew from an empty state folder")
    key = HostKey.from_text(identity.key)
    urls = (options.gateway_url or [options.server]) if options.tunnel else []
    return [Client(url, key, identity.host, allow_http=options.allow_http) for url in urls]


def work(options: argparse.Namespace, state: StateDir, identity: Identity, doors: list[Client]) -> bool:
    """Run until told to end; whether all went well."""
    engines_dir = options.engines_dir.absolute()
    place = Place(state.state_id(), engines_dir, identity.address, options.local or options.tunnel)
    prober = Prober()
    supervisor = Supervisor(state, place, prober, time.monotonic, options.drain_seconds)
    client = Client(options.server, HostKey.from_text(identity.key), identity.host, allow_http=options.allow_http)
    agent = Agent(client, supervisor, state.path, engines_dir)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: agent.stopping.set())
    supervisor.adopt()
    for door in doors:
        Tunnel(door, to_engines(supervisor.serves)).start()
    log.info("running", extra={"host": identity.host, "server": options.server})
    well = agent.run(stop_engines=options.stop_engines_on_exit)
    prober.close()
    state.close()
    log.info("ended")
    return well


if __name__ == "__main__":
    sys.exit(main())
