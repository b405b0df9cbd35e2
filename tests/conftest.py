"""Fixtures for all tests: the fixed cast, and sockets that reach this machine only."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings

from tests.cast import Cast, make_cast

pytest_plugins = ["tests.kube", "tests.aws"]


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> None:
    """Hashing a password well takes a third of a second; tests make hundreds of people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture(autouse=True, scope="session")
def static_folder() -> None:
    """WhiteNoise warns where the folder is missing, and warnings are errors here."""
    Path(settings.STATIC_ROOT).mkdir(parents=True, exist_ok=True)


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice owns workspace `alpha`, Bob develops in it, Vera only views; Charlie owns `beta` and must see nothing."""
    return make_cast()
