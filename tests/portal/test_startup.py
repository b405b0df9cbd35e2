"""T55, T56: a dangerous setting ends the start with one clear line."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from portal.startup import Safety, dangers, is_loopback

ROOT = Path(__file__).resolve().parents[2]
GOOD = Safety(debug=False, secret_key="k" * 50, field_keys=("f",), bind="127.0.0.1", allowed_hosts=("localhost",),
              broker_url="filesystem://")
BAD = [
    ({"secret_key": ""}, "PORTAL_SECRET_KEY is not set"),
    ({"secret_key": "short"}, "too short"),
    ({"secret_key": "django-insecure-" + "x" * 50}, "default or too short"),
    ({"field_keys": ()}, "PORTAL_FIELD_KEYS is not set"),
    ({"debug": True, "bind": "0.0.0.0"}, "PORTAL_DEBUG is on"),
    ({"bind": "::", "allowed_hosts": ("*",)}, "PORTAL_ALLOWED_HOSTS"),
    ({"broker_url": "redis://redis.example.org:6379/0"}, "Redis"),
    ({"broker_url": "redis://:password@10.1.2.3:6379/0"}, "rediss"),
    ({"broker_url": "rediss://10.1.2.3:6379/0"}, "without password"),
]


def test_a_safe_portal_has_no_dangers() -> None:
    assert dangers(GOOD) == []


@pytest.mark.parametrize(("change", "said"), BAD)
def test_each_danger_is_named(change: dict[str, object], said: str) -> None:
    found = dangers(Safety(**{**GOOD.__dict__, **change}))
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize("url", ["redis://127.0.0.1:1/0", "redis://localhost/0", "redis://[::1]:6379/0",
                                 "rediss://:password@redis.example.org/0"])
def test_redis_is_fine_on_this_machine_or_with_password_and_tls(url: str) -> None:
    assert dangers(Safety(**{**GOOD.__dict__, "broker_url": url})) == []


@pytest.mark.parametrize(("host", "here"), [("127.0.0.1", True), ("[::1]", True), ("localhost", True),
                                            ("0.0.0.0", False), ("portal.example.org", False), ("::", False)])
def test_loopback(host: str, here: bool) -> None:
    assert is_loopback(host) is here


def start(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    values = {"PATH": os.environ["PATH"], "PORTAL_DATA_DIR": str(tmp_path), "PORTAL_SECRET_KEY": "k" * 50,
              "PORTAL_FIELD_KEYS": os.environ["PORTAL_FIELD_KEYS"], **environment}
    return subprocess.run([sys.executable, "manage.py", "check"], cwd=ROOT, env=values, capture_output=True, text=True,
                          timeout=60, check=False)


@pytest.mark.parametrize(("environment", "said"), [
    ({"PORTAL_SECRET_KEY": ""}, "PORTAL_SECRET_KEY is not set"),
    ({"PORTAL_DEBUG": "1", "PORTAL_BIND": "0.0.0.0"}, "PORTAL_DEBUG is on while the portal listens on 0.0.0.0"),
    ({"CELERY_BROKER_URL": "redis://redis.example.org/0"}, "Redis on the network"),
])
def test_the_process_refuses_with_one_line(tmp_path: Path, environment: dict[str, str], said: str) -> None:
    result = start(tmp_path, **environment)
    assert result.returncode == 1
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith("portal: refusing to start: ")
    assert said in line


def test_a_safe_process_starts(tmp_path: Path) -> None:
    assert start(tmp_path).returncode == 0


def test_the_set_up_makes_secrets_once_and_for_the_owner_only(tmp_path: Path) -> None:
    code = ("import sys; sys.path.insert(0, 'scripts/bootstrap'); import secrets_file; from pathlib import Path; "
            "print(secrets_file.make(Path(sys.argv[1])))")
    environment = {"PATH": os.environ["PATH"]}

    def make() -> str:
        return subprocess.run([sys.executable, "-c", code, str(tmp_path / "var")], cwd=ROOT, env=environment,
                              capture_output=True, text=True, check=True).stdout.strip()

    assert make() == "True"
    file = tmp_path / "var" / "secrets.env"
    first = file.read_text()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert make() == "False"
    assert file.read_text() == first
    values = dict(line.split("=", 1) for line in first.splitlines())
    assert dangers(Safety(**{**GOOD.__dict__, "secret_key": values["PORTAL_SECRET_KEY"]})) == []
