"""Pages of the tenant's portal, asked for by signed-in people of the fixed cast."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client

from tests.cast import Cast
from tests.portal.conftest import STORAGES


@pytest.fixture(autouse=True)
def plain_static_files(settings: Any) -> None:
    settings.STORAGES = STORAGES


@pytest.fixture(autouse=True)
def nobody_answers_for_aws(settings: Any) -> None:
    settings.PORTAL_AWS_ENDPOINT = "http://127.0.0.1:1"


@pytest.fixture
def client_of(cast: Cast) -> Callable[[str], Client]:
    """A browser without scripts, signed in as one of the cast: client_of("alice")."""

    def make(name: str) -> Client:
        client = Client()
        client.force_login(getattr(cast, name))
        return client

    return make
