"""Real receivers for what alerts send: an HTTP server and a mail server."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator

import pytest
from pytest_django import Settings

from tests.rig.mailbox import Mailbox, mailbox
from tests.rig.receiver import Receiver, receiver


@pytest.fixture
def hooks(settings: Settings) -> Iterator[Receiver]:
    settings.PORTAL_ALLOW_LOOPBACK = True
    settings.PORTAL_WEBHOOK_NETWORKS = [ipaddress.ip_network("127.0.0.0/8")]
    with receiver() as server:
        yield server


@pytest.fixture
def post_office(settings: Settings) -> Iterator[Mailbox]:
    """A real server, behind Django's real client."""
    settings.PORTAL_MAIL_URL = "smtp://tests"
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST = "127.0.0.1"
    settings.DEFAULT_FROM_EMAIL = "portal@example.org"
    with mailbox() as server:
        settings.EMAIL_PORT = server.port
        yield server
