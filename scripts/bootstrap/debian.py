"""Debian packages: which are missing, and installing them where we may."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from say import Failed, say

APT_SECONDS = 900


@dataclass(frozen=True)
class Need:
    """Packages that are installed together when `present` says that their thing is not there."""

    packages: tuple[str, ...]
    present: Callable[[], bool]


def has_program(*names: str) -> bool:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"))
    return any(shutil.which(name, path=path) for name in names)


def has_library(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def has_mysql_headers() -> bool:
    if not has_program("pkg-config"):
        return False
    return any(subprocess.run(["pkg-config", "--exists", name], check=False).returncode == 0
               for name in ("mysqlclient", "mariadb", "libmariadb"))


def has_python_headers() -> bool:
    return Path(sysconfig.get_path("include"), "Python.h").is_file()


def has_cjk_font() -> bool:
    if not has_program("fc-list"):
        return False
    return bool(subprocess.run(["fc-list", ":lang=ko"], capture_output=True, check=False).stdout.strip())


VENV = Need(("python3-venv",), lambda: importlib.util.find_spec("ensurepip") is not None)
NUMA = Need(("libnuma1",), lambda: has_library("libnuma.so.1"))
GETTEXT = Need(("gettext",), lambda: has_program("msgfmt"))
MYSQL = [
    Need(("build-essential",), lambda: has_program("cc", "gcc")),
    Need(("python3-dev",), has_python_headers),
    Need(("default-libmysqlclient-dev", "pkg-config"), has_mysql_headers),
]
TEST_SERVERS = [
    Need(("mariadb-server-core", "mariadb-client-core"),
         lambda: has_program("mariadbd") and has_program("mariadb-install-db")),
    # Debian's redis-tools holds the server's binary and starts no daemon.
    Need(("redis-tools",), lambda: has_program("redis-server", "redis-check-rdb")),
    Need(("chromium",), lambda: has_program("chromium", "chromium-browser", "google-chrome")),
    Need(("fonts-noto-cjk", "fontconfig"), has_cjk_font),
    Need(("nodejs", "npm"), lambda: has_program("node") and has_program("npm")),
    GETTEXT,
]


def ensure(purpose: str, needs: Iterable[Need], *, required: bool) -> bool:
    """Whether all needs are there, after installing what is missing where that is possible.

    Raises Failed where they are required and can't be installed.
    """
    missing = [need for need in needs if not need.present()]
    if not missing:
        return True
    packages = [package for need in missing for package in need.packages]
    command = installer()
    if command:
        say(f"installing Debian packages for {purpose}: {' '.join(packages)}")
        apt(command, packages)
    if all(need.present() for need in missing):
        return True
    hint = f"apt-get install {' '.join(packages)}"
    if required:
        raise Failed(f"{purpose}: something is missing; install it with: {hint}")
    say(f"left out for now: {purpose} (to have it: {hint}). SQLite and English work without.")
    return False


def installer() -> list[str] | None:
    """The words before `install` with which this user may install packages, or None."""
    if not shutil.which("apt-get"):
        return None
    if os.geteuid() == 0:
        return ["apt-get"]
    allowed = shutil.which("sudo") and subprocess.run(["sudo", "-n", "true"], capture_output=True, check=False)
    return ["sudo", "-n", "apt-get"] if allowed and allowed.returncode == 0 else None


def apt(command: list[str], packages: list[str]) -> None:
    """Install the packages; a failure is told in its last line and left to the caller's second look."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    options = ["-q", "-y", "-o", "DPkg::Lock::Timeout=120", "--no-install-recommends"]
    for words in ([*command, "update", "-q"], [*command, "install", *options, *packages]):
        result = subprocess.run(words, env=environment, capture_output=True, text=True, timeout=APT_SECONDS,
                                check=False)
        if result.returncode:
            lines = (result.stderr or result.stdout).strip().splitlines()
            say(f"{' '.join(words[-2:])}: {lines[-1] if lines else 'failed'}")
