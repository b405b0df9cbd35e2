"""The deploy files name commands, variables and files that exist. (They are not run: there is no Docker here.)"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands, load_command_class

from portal.celery import app
from portal.startup import Safety, dangers

from .test_settings import names_in_docs

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
OURS = ("init", "portal", "gateway", "worker", "beat")
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z_]+)")


def example() -> dict[str, str]:
    lines = (DEPLOY / ".env.example").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))


def check_command(words: list[str]) -> None:
    """Each command line starts something that is there, with options that it knows."""
    if words[0] == "celery":
        assert words[1:3] == ["-A", app.main]
        assert words[3] in ("worker", "beat")
    else:
        assert words[:2] == ["python", "manage.py"]
        command = load_command_class(get_commands()[words[2]], words[2])
        command.create_parser("manage.py", words[2]).parse_args(words[3:])


def test_the_compose_file_has_the_whole_portal() -> None:
    assert {*OURS, "mysql", "redis"} == set(COMPOSE["services"])


@pytest.mark.parametrize("name", OURS)
def test_each_command_exists(name: str) -> None:
    check_command(COMPOSE["services"][name]["command"])


def test_the_images_own_command_exists() -> None:
    line = next(line for line in (DEPLOY / "Dockerfile").read_text().splitlines() if line.startswith("CMD "))
    check_command(yaml.safe_load(line.removeprefix("CMD ")))


@pytest.mark.parametrize("name", OURS)
def test_each_variable_is_a_setting(name: str) -> None:
    assert set(COMPOSE["services"][name]["environment"]) <= names_in_docs()


def test_the_example_has_every_variable_that_is_used_and_no_other() -> None:
    text = re.sub(r"(?m)^\s*#.*$", "", (DEPLOY / "compose.yaml").read_text())
    assert set(VARIABLE.findall(text)) == set(example())


def test_the_example_holds_no_secret() -> None:
    values = example()
    secret = [name for name in values if name.endswith(("_KEY", "_KEYS", "_PASSWORD", "_TOKEN"))]
    assert len(secret) == 6
    assert all(values[name] == "" for name in secret)


def test_its_settings_are_safe() -> None:
    """T55: with Redis' password in place and on the inner network only, nothing is refused."""
    environment = COMPOSE["services"]["portal"]["environment"]
    broker = re.sub(r"\$\{\w+[^}]*\}", "password", environment["CELERY_BROKER_URL"])
    assert ":password@" in broker
    assert dangers(Safety(debug=False, secret_key="k" * 50, field_keys=("f",), bind="0.0.0.0",
                          allowed_hosts=("portal.example.org", "localhost"), broker_url=broker,
                          allow_open_redis=environment["PORTAL_ALLOW_OPEN_REDIS"] == "1")) == []


def test_servers_are_reachable_from_inside_only() -> None:
    for name in ("mysql", "redis"):
        service = COMPOSE["services"][name]
        assert "ports" not in service
        assert service["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    for name in ("portal", "gateway"):
        assert all(port.startswith("127.0.0.1:") for port in COMPOSE["services"][name]["ports"])


def test_the_image_copies_what_is_there_and_runs_as_nobody_special() -> None:
    text = (DEPLOY / "Dockerfile").read_text()
    for source in re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE):
        assert (ROOT / source).exists(), source
    assert re.search(r"^USER 10001$", text, re.MULTILINE)
    assert "--require-hashes" in text


def test_the_agents_unit_starts_the_agent_with_options_that_it_knows() -> None:
    from clusters.agent.__main__ import parse

    unit = (DEPLOY / "inference-portal-agent.service").read_text().replace("\\\n", " ")
    line = next(line for line in unit.splitlines() if line.startswith("ExecStart="))
    words = line.split()
    assert words[1:3] == ["-m", "clusters.agent"]
    assert str(parse(words[3:]).state_dir).startswith("/var/lib/")
