"""Fixtures for all tests: the fixed cast, and sockets that reach this machine only."""

from __future__ import annotations

import pytest

from tests.cast import Cast, make_cast


@pytest.fixture
def cast(db: None) -> Cast:
    """Alice owns workspace `alpha`, Bob develops in it, Vera only views; Charlie owns `beta` and must see nothing."""
    return make_cast()
