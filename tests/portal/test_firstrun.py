"""The first run makes an operator, a workspace and a key; a second run keeps them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from django.contrib.auth import authenticate
from django.contrib.staticfiles.finders import get_finder
from pytest_django import Settings

from portal import firstrun
from portal.tenancy.models import ApiKey, User, Workspace
from portal.tenancy.models.access import split_key


@pytest.fixture
def own_folder(tmp_path: Path, settings: Settings) -> Path:
    settings.DATA_DIR = tmp_path
    settings.STATIC_ROOT = tmp_path / "static"
    return tmp_path


@pytest.mark.both_databases
@pytest.mark.django_db(transaction=True)
def test_the_first_run_makes_access_and_tells_the_password_once(own_folder: Path) -> None:
    told: list[str] = []
    access = firstrun.prepare(told.append)
    assert sum(access.password in line for line in told) == 1
    user = authenticate(username=access.user, password=access.password)
    assert isinstance(user, User)
    assert user.is_superuser
    key_id, secret = split_key(access.api_key) or ("", "")
    key = ApiKey.objects.get(public_id=key_id)
    assert key.opens_with(secret)
    assert key.workspace == Workspace.objects.get(slug="demo")
    file = own_folder / "portal.env"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = [line.split("=", 1)[0] for line in file.read_text().splitlines()]
    assert names == ["PORTAL_URL", "PORTAL_USER", "PORTAL_PASSWORD", "PORTAL_API_KEY"]


@pytest.mark.django_db(transaction=True)
def test_a_second_run_keeps_access_and_follows_the_port(own_folder: Path, settings: Settings) -> None:
    first = firstrun.prepare(lambda _line: None)
    settings.PORTAL_URL = "http://127.0.0.1:8123"
    told: list[str] = []
    second = firstrun.prepare(told.append)
    assert told == []
    assert (second.user, second.password, second.api_key) == (first.user, first.password, first.api_key)
    assert "PORTAL_URL=http://127.0.0.1:8123\n" in (own_folder / "portal.env").read_text()
    assert User.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_a_first_run_that_was_cut_short_is_done_again(own_folder: Path) -> None:
    (own_folder / "portal.env").write_text("PORTAL_USER=ghost\n")
    access = firstrun.prepare(lambda _line: None)
    assert access.user == "operator"
    assert "ghost" not in (own_folder / "portal.env").read_text()


@pytest.mark.django_db
def test_static_files_are_collected_again_when_one_changed(own_folder: Path, settings: Settings) -> None:
    extra = own_folder / "more"
    extra.mkdir()
    (extra / "one.css").write_text("a { color: red }")
    settings.STATICFILES_DIRS = [extra]
    get_finder.cache_clear()
    told: list[str] = []
    firstrun.collect_static(told.append)
    firstrun.collect_static(told.append)
    assert len(told) == 1
    (extra / "one.css").write_text("a { color: green; }")
    firstrun.collect_static(told.append)
    assert len(told) == 2
    get_finder.cache_clear()
