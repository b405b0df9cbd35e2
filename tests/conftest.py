"""Fixtures for all tests: the fixed cast, and sockets that reach this machine only."""

from __future__ import annotations

import pytest
from django.conf import settings

from tests.cast import Cast, make_cast


@pytest.fixture(autouse=True, scope="session")
def quick_passwords() -> None:
    """Hashing a password well takes a third of a second; tests make hundreds of people."""
    settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice owns workspace `alpha`, Bob develops in it, Vera only views; Charlie owns `beta` and must see nothing."""
    return make_cast()
