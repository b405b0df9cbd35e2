"""A real MariaDB and a real Redis on private ports and in a temporary folder; always ended."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 60.0
SEARCH = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))


class MissingServer(Exception):
    """A program that the tests need is not installed; the text says which package has it."""


def program(name: str, package: str) -> str:
    found = shutil.which(name, path=SEARCH)
    if not found:
        raise MissingServer(f"{name} is missing; install it with: apt-get install {package}")
    return found


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(argv: list[str], *, log: Path, ready: Callable[[], bool]) -> Iterator[subprocess.Popen[bytes]]:
    """The server until the block ends. Raises RuntimeError with its last lines where it does not come up."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    try:
        until = time.monotonic() + START_SECONDS
        while not ready():
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"{argv[0]} did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def mariadb(folder: Path) -> Iterator[str]:
    """An empty MariaDB; yields its DATABASE_URL. The user may make the databases that tests make."""
    server = program("mariadbd", "mariadb-server-core")
    client = program("mariadb", "mariadb-client-core")
    data, sock, port = folder / "mariadb", folder / "my.sock", free_port()
    as_root = ["--user=root"] if os.geteuid() == 0 else []
    install = [program("mariadb-install-db", "mariadb-server-core"), "--no-defaults", f"--datadir={data}",
               "--auth-root-authentication-method=normal", "--skip-test-db", *as_root]
    subprocess.run(install, check=True, capture_output=True)
    argv = [server, "--no-defaults", f"--datadir={data}", f"--socket={sock}", f"--port={port}", *as_root,
            "--bind-address=127.0.0.1", f"--pid-file={folder}/my.pid", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-doublewrite=0", "--skip-log-bin", "--performance-schema=0",
            # A server far from UTC, so that a lease by its local time fails a test.
            "--default-time-zone=+09:00"]

    def run_sql(text: str) -> bool:
        words = [client, "--no-defaults", "-u", "root", f"--socket={sock}", "-e", text]
        return subprocess.run(words, capture_output=True, check=False).returncode == 0

    with running(argv, log=folder / "mariadb.log", ready=lambda: run_sql("SELECT 1")):
        assert run_sql("CREATE DATABASE portal CHARACTER SET utf8mb4 COLLATE utf8mb4_bin; "
                       "GRANT ALL ON *.* TO 'portal'@'127.0.0.1' IDENTIFIED BY 'portal'")
        yield f"mysql://portal:portal@127.0.0.1:{port}/portal"


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """An empty Redis; yields its CELERY_BROKER_URL."""
    port, binary = free_port(), shutil.which("redis-server", path=SEARCH)
    if not binary:
        # Debian's redis-tools has the server too: one binary that looks at the name it is called by.
        link = folder / "redis-server"
        link.symlink_to(program("redis-check-rdb", "redis-tools"))
        binary = str(link)
    argv = [binary, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(folder)]

    def answers() -> bool:
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(16).startswith(b"+PONG")
        except OSError:
            return False

    with running(argv, log=folder / "redis.log", ready=answers):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def both() -> Iterator[dict[str, str]]:
    """The environment of a portal on MariaDB and Redis."""
    folder = Path(tempfile.mkdtemp(prefix="portal-servers-"))
    try:
        with mariadb(folder) as database, redis(folder) as broker:
            yield {"DATABASE_URL": database, "CELERY_BROKER_URL": broker}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
