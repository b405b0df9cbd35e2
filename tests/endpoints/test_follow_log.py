"""Following a log: what is new is sent once and in order, and nobody follows for ever or in any number."""

from __future__ import annotations

import asyncio
import gc

import pytest
from django.test import AsyncClient

from clusters.models import Engine
from endpoints.services import following
from endpoints.services.following import fresh
from tests.cast import make_cast
from tests.portal.apiclient import key_text
from tests.portal.world import make_world


@pytest.mark.parametrize(("sent", "text", "news"), [
    ("", "a\n", "a\n"), ("a\n", "a\nb\n", "b\n"), ("a\n", "a\n", ""), ("a\nb\nc\n", "b\nc\nd\n", "\n…\nb\nc\nd\n"),
    ("x" * 300 + "\nlast\n", "x" * 250 + "\nlast\nnew\n", "new\n"),
])
def test_what_is_new(sent: str, text: str, news: str) -> None:
    assert fresh(sent, text) == news


def test_a_window_that_moves_on_loses_and_repeats_nothing() -> None:
    lines = [f"{number:06d} a line of some length that an engine writes\n" for number in range(3000)]
    got, sent = "".join(lines[:400]), "".join(lines[:400])
    for end in range(437, 3000, 37):
        window = "".join(lines[max(0, end - 400):end])
        got += fresh(sent, window)
        sent = window
    assert got == "".join(lines[:end])


@pytest.mark.django_db(transaction=True)
async def test_the_api_streams_new_lines_as_plain_text(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    monkeypatch.setattr(following, "PAUSE_SECONDS", 0.05)
    monkeypatch.setattr(following, "MOST_SECONDS", 20.0)
    key, uid = await asyncio.to_thread(_engine_that_writes)
    answer = await AsyncClient().get(f"/api/v1/endpoints/{uid}/logs?follow=true", headers={"Authorization": f"Bearer {key}"})
    assert (answer.status_code, answer["Content-Type"]) == (200, "text/plain; charset=utf-8")
    parts = aiter(answer.streaming_content)
    assert await anext(parts) == b"first"
    await Engine.objects.filter(endpoint_uid=uid).aupdate(log="first\nsecond\n")
    assert await asyncio.wait_for(anext(parts), 30) == b"\nsecond"
    await parts.aclose()
    del parts, answer
    for _ in range(500):  # The server hangs up by cancelling; here the collector has to find what nobody reads any more.
        gc.collect()
        await asyncio.sleep(0.02)
        if not following._readers:
            break
    assert following._readers == set()


@pytest.mark.django_db(transaction=True)
async def test_no_more_than_some_follow_at_once(monkeypatch: pytest.MonkeyPatch, transactional_db: None) -> None:
    key, uid = await asyncio.to_thread(_engine_that_writes)
    monkeypatch.setattr(following, "MOST_READERS", 0)
    answer = await AsyncClient().get(f"/api/v1/endpoints/{uid}/logs?follow=true", headers={"Authorization": f"Bearer {key}"})
    assert answer.status_code == 503


def _engine_that_writes() -> tuple[str, str]:
    world = make_world(make_cast())
    Engine.objects.filter(endpoint_uid=world.ours.uid).update(log="first\n")
    return key_text(world.cast.bob, world.cast.alpha), str(world.ours.uid)
