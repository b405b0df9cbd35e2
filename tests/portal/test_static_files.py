"""Static files are served, and no link of the chain makes a waiting request hold a thread."""

from __future__ import annotations

import logging

import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.management import call_command
from django.test import AsyncClient, override_settings
from pytest_django import Settings


def test_every_middleware_is_asynchronous(caplog: pytest.LogCaptureFixture) -> None:
    with override_settings(DEBUG=True), caplog.at_level(logging.DEBUG, "django.request"):
        ASGIHandler()
    assert [record.getMessage() for record in caplog.records if "adapted" in record.getMessage()] == []


@pytest.mark.django_db  # a connection that an earlier test left in this thread is closed with the answer
async def test_a_static_file_comes_whole_with_its_caching(settings: Settings, tmp_path: object) -> None:
    settings.STATIC_ROOT = tmp_path
    call_command("collectstatic", interactive=False, verbosity=0)
    client = AsyncClient()
    answer = await client.get("/static/portal/admin.css")
    assert (answer.status_code, answer["Content-Type"]) == (200, 'text/css; charset="utf-8"')
    assert not answer.streaming
    assert b".status" in answer.content
    assert (await client.get("/static/portal/absent.css")).status_code == 404
