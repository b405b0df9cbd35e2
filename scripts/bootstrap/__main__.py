"""What `make setup` does. Only the standard library: nothing is installed yet when this runs."""

from __future__ import annotations

import argparse
import fcntl
import os
import platform
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import debian
import engine
import node
import secrets_file
import venvs
from say import Failed, say

ROOT = Path(__file__).resolve().parents[2]


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/setup", description="Installs what the portal needs.")
    parser.add_argument("--dev", action="store_true", help="also what tests and checks need")
    parser.add_argument("--no-engine", action="store_true", help="leave the inference engine out")
    parser.add_argument("--test-servers", action="store_true", help="also MariaDB, Redis, Chromium and Node.js, from Debian")
    return parser.parse_args()


def check_machine(*, with_engine: bool) -> None:
    """Raises Failed with one line where this machine can't run it."""
    if sys.platform != "linux":
        raise Failed("the portal runs on Linux; here a virtual machine or a container would do")
    if with_engine and platform.machine() not in ("x86_64", "AMD64"):
        raise Failed(f"the engine's CPU build is for x86-64, this machine is {platform.machine()}; "
                     "`scripts/setup --no-engine` installs the portal alone")


def side_by_side(*jobs: Callable[[], None]) -> None:
    """Run jobs at once and raise the first failure after all have ended."""
    failures: list[Exception] = []

    def run(job: Callable[[], None]) -> None:
        try:
            job()
        except (Failed, OSError, subprocess.SubprocessError) as error:
            failures.append(error)

    threads = [threading.Thread(target=run, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]


def compile_messages() -> None:
    """Turn newer *.po files into *.mo. Where gettext is missing the pages stay in English."""
    stale = [po for po in ROOT.glob("locale/*/LC_MESSAGES/*.po") if is_stale(po)]
    if stale and debian.ensure("translations", [debian.GETTEXT], required=False):
        for po in stale:
            subprocess.run(["msgfmt", "--check-format", "-o", str(po.with_suffix(".mo")), str(po)], check=True)


def is_stale(po: Path) -> bool:
    compiled = po.with_suffix(".mo")
    return not compiled.exists() or compiled.stat().st_mtime < po.stat().st_mtime


def install(options: argparse.Namespace) -> None:
    check_machine(with_engine=not options.no_engine)
    debian.ensure("virtual environments", [debian.VENV], required=True)
    if options.test_servers:
        debian.ensure("tests", debian.TEST_SERVERS, required=True)
    mysql = debian.ensure("MySQL", debian.MYSQL, required=False)
    if options.dev and not mysql:
        raise Failed("the tests need the MySQL driver; install the packages named above")
    jobs: list[Callable[[], None]] = [lambda: venvs.portal(ROOT, dev=options.dev, mysql=mysql)]
    if not options.no_engine:
        debian.ensure("engine", [debian.NUMA], required=True)
        jobs.append(lambda: engine.install(ROOT))
    if options.test_servers:
        jobs.append(lambda: node.install(ROOT))
    side_by_side(*jobs)
    compile_messages()
    if secrets_file.make(Path(os.environ.get("PORTAL_DATA_DIR") or ROOT / "var")):
        say("made new secrets in secrets.env (mode 0600); keep a copy of that file somewhere safe")


def main() -> int:
    started = time.monotonic()
    options = arguments()
    lock_file = ROOT / "var" / "setup.lock"
    lock_file.parent.mkdir(mode=0o700, exist_ok=True)
    with lock_file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        try:
            install(options)
        except (Failed, OSError, subprocess.SubprocessError) as error:
            print(f"setup: {error}", file=sys.stderr)
            return 1
    seconds = time.monotonic() - started
    if seconds > 3:
        say(f"installed in {seconds:.0f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
